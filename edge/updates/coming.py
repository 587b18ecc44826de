"""What is wanted comes here, as far as the line, the calendar and the disk let it.

Promises that nothing which can't come holds up what can: a bundle that the server has removed is
wanted no more, and neither is one of which the server has a newer, or another, by now.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any, Final

from edge import config
from edge.errors import CloudError, CloudRefused, LineClosed, StorageFull, UpdateRefused
from edge.updates.fetching import Download
from edge.updates.journal import Cause, Deed, Entry, Folder, Found, has_failed, was_cancelled
from edge.updates.kept import Kept
from edge.updates.means import Means
from edge.updates.versions import Version

__all__ = ["Coming"]

_FIRST, _LONGEST = 10.0, 900.0
"""Seconds before a download that broke off is taken up again."""
_GONE: Final = (404, 410)
"""Statuses by which a server says that it has no such file."""


class Coming:
    """It.

    Args:
        settings: ``[update]``.
        folder: Of updates.
        means: What it works with.
        kept: What is known and wanted.
        reserve: Bytes of the disk that are left alone.
    """

    def __init__(
        self,
        settings: config.Update,
        folder: Folder,
        means: Means,
        kept: Kept,
        *,
        reserve: int,
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._means = means
        self._kept = kept
        self._reserve = reserve
        self._unwanted = asyncio.Event()
        self._failures = 0

    async def want(self, found: Found) -> None:
        """Have it come from now on, in place of what was wanted.

        Raises:
            UpdateRefused: It is not known where from.
        """
        if not found.where:
            raise UpdateRefused(f"version {found.version} is not here any more: bring it again")
        before = self._kept.state.wanted
        is_same = before is not None and _is_same(before, found)
        if before is not None and not is_same:
            self.stop()
        self._unwanted.clear()
        self._failures = 0
        synced = self._kept.state.synced if is_same else 0
        await self._kept.change(wanted=found, synced=synced, trouble="", hint="")
        if before is not None and before.version != found.version:
            await self._throw_away(before)

    def stop(self) -> None:
        """End what comes now: it is wanted no more."""
        self._unwanted.set()

    async def overtake(self, offered: Found, history: Sequence[Entry]) -> None:
        """Want what the server has by now in place of what it had; a wish to install it stays.

        Not what has failed, or what a person did not want.
        """
        wanted = self._kept.state.wanted
        if wanted is None or _is_same(wanted, offered):
            return
        if Version(offered.version) < Version(wanted.version):
            return
        is_other = wanted.version != offered.version
        if is_other and (
            has_failed(history, offered.version) or was_cancelled(history, offered.version)
        ):
            return
        await self.want(offered)

    async def fetch(self, wanted: Found) -> float:
        """Have it come here, as far as it does; seconds until it is tried again."""
        before = self._kept.state.synced
        try:
            await self._unless_unwanted(self._download(wanted))
        except LineClosed:
            return 1.0
        except (CloudError, StorageFull) as error:
            if isinstance(error, CloudRefused) and error.status in _GONE:
                await self._let_go(wanted)
                return 1.0
            self._failures = 0 if self._kept.state.synced > before else self._failures + 1
            pause = min(_FIRST * 2.0**self._failures, _LONGEST)
            await self._kept.say(error)
            return pause
        except UpdateRefused as error:
            await self._throw_away(wanted)
            await asyncio.to_thread(
                self._folder.note, Deed.UNUSABLE, wanted.version, why=str(error), cause=Cause.LINE
            )
            await self._kept.say(error, wanted=None, synced=0, install=False)
        return 1.0

    async def _let_go(self, wanted: Found) -> None:
        """The server has removed it: what it has instead is found by the next look."""
        offered = self._kept.state.offered
        if offered is not None and offered.where == wanted.where:
            offered = None
        gone = UpdateRefused(
            f"version {wanted.version} is not on the server of updates any more",
            hint="edge update look asks what it has by now",
        )
        await self._throw_away(wanted)
        await self._kept.say(gone, wanted=None, synced=0, install=False, offered=offered)

    async def _throw_away(self, found: Found) -> None:
        await asyncio.to_thread(self._folder.part(found.version).unlink, missing_ok=True)

    async def _download(self, wanted: Found) -> None:
        await self._means.wait_open("down")

        def is_wanted() -> bool:  # or else another one is by now
            now = self._kept.state.wanted
            return now is not None and _is_same(now, wanted)

        async def synced(count: int) -> None:
            if is_wanted():
                await self._kept.change(synced=count)

        download = Download(
            self._settings,
            self._folder,
            self._means.incoming,
            self._means.way,
            reserve=self._reserve,
        )
        await download.run(wanted, self._kept.state.synced, synced)
        await asyncio.to_thread(self._folder.keep_only, wanted.version)
        await asyncio.to_thread(self._folder.note, Deed.FETCHED, wanted.version)
        over: dict[str, Any] = {"wanted": None, "synced": 0} if is_wanted() else {}
        await self._kept.change(ready=wanted, trouble="", hint="", since=0.0, **over)

    async def _unless_unwanted(self, work: Awaitable[None]) -> None:
        """Do it until it is done, or stopped."""

        async def watch(task: asyncio.Task[None]) -> None:
            await self._unwanted.wait()
            task.cancel()

        async def do() -> None:
            await work

        try:
            async with asyncio.TaskGroup() as group:
                doing = group.create_task(do())
                watching = group.create_task(watch(doing))
                await asyncio.wait([doing])
                watching.cancel()
        except ExceptionGroup as errors:  # of one: the other never fails
            raise errors.exceptions[0] from None


def _is_same(one: Found, other: Found) -> bool:
    """Whether it is the same file."""
    return (one.version, one.etag, one.where) == (other.version, other.etag, other.where)
