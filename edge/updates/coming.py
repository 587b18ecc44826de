"""What is wanted comes here, as far as the line, the calendar and the disk let it.

Promises that nothing which can't come holds up what can: a bundle that the server has removed is
wanted no more, and neither is one of which the server has a newer, or another, by now. What took a
place so comes to its end, for a newer one too: a line that needs longer for a version than there is
until the next would have none come. One that came in one go and is damaged is not wanted: it would
be the next time, too, and a person has to want it again. One that was cut in between may be of two
files, and is fetched anew, three times and ever later.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from edge import config
from edge.errors import (
    CloudError,
    CloudRefused,
    ConfigError,
    LineClosed,
    StorageFull,
    UpdateRefused,
)
from edge.updates.fetching import Download
from edge.updates.history import Cause, Deed, Entry, has_failed, was_cancelled
from edge.updates.journal import Folder, Found
from edge.updates.kept import Kept
from edge.updates.means import Means
from edge.updates.versions import Version

__all__ = ["Coming"]

log = logging.getLogger(__name__)

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
        clock: POSIX seconds.
    """

    def __init__(
        self,
        settings: config.Update,
        folder: Folder,
        means: Means,
        kept: Kept,
        *,
        reserve: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._means = means
        self._kept = kept
        self._reserve = reserve
        self._clock = clock
        self._unwanted = asyncio.Event()
        self._failures = 0
        self._is_refused = False
        """The server has it, as it says, and does not give it."""
        self.next_try = 0.0
        """When what broke off is taken up again; 0 while nothing waits for that."""

    async def want(self, found: Found, by: str, *, keeps_place: bool = False) -> None:
        """Have it come from now on, in place of what was wanted.

        Args:
            found: It.
            by: Who says so; whoever wants it installed stays who they are.
            keeps_place: Whether it comes to its end, whatever the server has by then.

        Raises:
            UpdateRefused: It is not known where from.
        """
        if not found.where:
            raise UpdateRefused(f"version {found.version} is not here any more: bring it again")
        before = self._kept.state.wanted
        is_same = before is not None and _is_same(before, found)
        self._failures, self.next_try, self._is_refused = 0, 0.0, False
        synced = self._kept.state.synced if is_same else 0
        by = self._kept.state.by if self._kept.state.install else by
        await self._kept.go_on(wanted=found, synced=synced, by=by, keeps_place=keeps_place)
        if before is not None and not is_same:
            self.stop()
        if before is not None and before.version != found.version:
            await self._throw_away(before)

    def stop(self) -> None:
        """End what comes now; if it is wanted still, it goes on from where it was."""
        self._unwanted.set()

    async def is_here(self, ready: Found) -> None:
        """Somebody brought that: what is no newer is wanted no more; a wish to install it stays."""
        wanted = self._kept.state.wanted
        if wanted is not None and Version(wanted.version) <= Version(ready.version):
            await self._kept.go_on(wanted=None, synced=0)
            await self._throw_away(wanted)
            self._failures, self.next_try = 0, 0.0

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
        if is_other and self._kept.state.keeps_place and not self._is_refused:
            return
        keeps_place = is_other or self._kept.state.keeps_place
        await self.want(offered, self._kept.state.by, keeps_place=keeps_place)

    async def fetch(self, wanted: Found) -> float:
        """Have it come here, as far as it does; seconds until it is tried again."""
        self._unwanted.clear()
        before, self.next_try = self._kept.state.synced, 0.0
        try:
            await self._unless_unwanted(self._download(wanted))
        except LineClosed:
            await self._kept.go_on()  # it was the calendar: nothing is in the way
            return 1.0
        except (CloudError, ConfigError, StorageFull) as error:
            if isinstance(error, CloudRefused) and error.status in _GONE:
                await self._let_go(wanted)
                return 1.0
            self._is_refused = isinstance(error, CloudRefused)
            self._failures = 0 if self._kept.state.synced > before else self._failures + 1
            await self._kept.say(error)
            return self._later()
        except UpdateRefused as error:
            return await self._unusable(wanted, error, was_cut=before > 0)
        return 1.0

    def _later(self) -> float:
        """Seconds until it is tried again; it is known until then."""
        pause = min(_FIRST * 2.0**self._failures, _LONGEST)
        self.next_try = self._clock() + pause
        return pause

    async def _unusable(self, wanted: Found, error: UpdateRefused, *, was_cut: bool) -> float:
        """What came is not what it should be; seconds until there may be something else."""
        await self._throw_away(wanted)
        why = f"{error}; {error.hint}" if error.hint else str(error)
        cause = Cause.LINE if was_cut else Cause.ITSELF
        await asyncio.to_thread(
            self._folder.note, Deed.UNUSABLE, wanted.version, why=why, cause=cause
        )
        history = await asyncio.to_thread(self._folder.history)
        if was_cut and has_failed(history, wanted.version) is None:
            self._failures += 1
            await self._kept.say(error, synced=0)
            return self._later()
        log.warning("version %s can't be used: %s", wanted.version, why)
        await self._kept.go_on(wanted=None, synced=0, install=False)  # the history says it
        return 1.0

    async def _let_go(self, wanted: Found) -> None:
        """The server has removed it: what it has instead is found by the next look."""
        offered = self._kept.state.offered
        if offered is not None and offered.where == wanted.where:
            offered = None
        gone = UpdateRefused(
            f"version {wanted.version} is not on the server of updates any more",
            hint="look for one again: it may have another by now",
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
            if is_wanted() and count > self._kept.state.synced:
                await self._kept.go_on(synced=count)
            elif is_wanted():
                await self._kept.change(synced=count)

        settings = await asyncio.to_thread(self._means.opened, self._settings)
        download = Download(
            settings,
            self._folder,
            self._means.incoming,
            self._means.way,
            reserve=self._reserve,
        )
        await download.run(wanted, self._kept.state.synced, synced)
        await asyncio.to_thread(self._folder.keep_only, wanted.version)
        by = self._kept.state.by
        await asyncio.to_thread(self._folder.note, Deed.FETCHED, wanted.version, by=by)
        over: dict[str, Any] = {"wanted": None, "synced": 0} if is_wanted() else {}
        await self._kept.go_on(ready=wanted, **over)

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
    return all(
        getattr(one, it) == getattr(other, it) for it in ("version", "etag", "where", "bytes")
    )
