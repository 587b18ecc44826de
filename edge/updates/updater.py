"""The service's part: looks for updates, fetches them, waits for a quiet moment, and orders.

Owns ``state.json``. A look is asked for (a timer does, or a person); all else goes on by itself
from what the state says, so that a power cut costs the last few megabytes of a download and nothing
more. What comes over the line does so at the calendar's pace and within the month's budget, as
everything of sync. Promises that an order is given only while nothing comes in, that a version
which has failed is not taken again by itself, and that whatever was done is told of to the audit.
Never writes outside of ``data_dir/update``.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec

from edge import config
from edge.errors import CloudError, EdgeError, LineClosed, StorageFull, UpdateRefused
from edge.updates.fetching import Download, adopt
from edge.updates.journal import (
    Cause,
    Deed,
    Entry,
    Folder,
    Found,
    Order,
    State,
    has_failed,
    was_cancelled,
)
from edge.updates.machine import HERE, Machine, Place
from edge.updates.means import Means
from edge.updates.server import UpdateServer
from edge.updates.signature import read_keys
from edge.updates.standing import Standing, standing_of
from edge.updates.stick import found_of
from edge.updates.versions import Version
from edge.week import Rule, hours_of

__all__ = ["Updater"]

log = logging.getLogger(__name__)

_PAUSE: Final = 60.0
"""Seconds between two looks at what is to be done."""
_QUIET: Final = 30
"""Seconds without anything under way that are a quiet moment."""
_FIRST, _LONGEST = 10.0, 900.0
"""Seconds before a download that broke off is taken up again."""
_AWAY: Final = 300.0
"""Seconds after which devices are let in again, if the machine was not started anew after all."""
_AGAIN: Final = "a person can say that it is to be tried again"


class Updater:
    """It.

    Args:
        settings: ``[update]``.
        folder: Of updates.
        means: What it works with.
        reserve: Bytes of the disk that are left alone.
        place: The machine.
        clock: POSIX seconds.
        quiet: Seconds that are a quiet moment.
    """

    def __init__(
        self,
        settings: config.Update,
        folder: Folder,
        means: Means,
        *,
        reserve: int = 0,
        place: Place = HERE,
        clock: Callable[[], float] = time.time,
        quiet: int = _QUIET,
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._means = means
        self._reserve = reserve
        self._place = place
        self._clock = clock
        self._quiet = quiet
        self._hours = [hours_of(text) for text in settings.hours]
        self._state = State()
        self._read = False
        self._changing = asyncio.Lock()
        self._woken = asyncio.Event()
        self._unwanted = asyncio.Event()
        self._failures = 0

    # What people ask ------------------------------------------------------------------------------

    async def standing(self) -> Standing:
        """How it stands."""
        await self._take_up()
        return await asyncio.to_thread(
            standing_of, self._settings, self._folder, self._place, self._state
        )

    async def history(self) -> list[Entry]:
        """What was done, the newest first."""
        return (await asyncio.to_thread(self._folder.history))[::-1]

    async def look(self) -> Standing:
        """Ask the server.

        Raises:
            UpdateRefused: None is configured, or what it has can't be used.
            CloudError: It can't be asked.
        """
        await self._take_up()
        if not self._settings.url:
            raise UpdateRefused(
                "no server of updates is configured",
                hint="set update.url, or bring an update on a stick, in the folder EDGE-UPDATE",
            )
        keys = await asyncio.to_thread(read_keys, self._settings.keys)
        machine = await self._machine()
        running = machine.shown_version
        async with UpdateServer(self._settings, self._means.way) as server:
            seen = await server.newest(self._settings.url, machine.kind, running, keys)
        offered = None
        if seen is not None:
            made = found_of(seen.head.manifest, seen.head.total, where=seen.url, etag=seen.etag)
            offered = msgspec.structs.replace(made, seen=self._clock())
            log.info("version %s can be had; %s runs", offered.version, running)
        await self._change(looked=self._clock(), offered=offered)
        self._woken.set()
        return await self.standing()

    async def download(self, version: str = "", *, again: bool = False) -> Standing:
        """Have the update that was found come here.

        Args:
            version: That it must be; empty means whichever was found.
            again: Even if it has failed before.

        Raises:
            UpdateRefused: There is none, or it has failed.
        """
        found = await self._choose(version, again=again)
        if self._state.ready is None or self._state.ready.version != found.version:
            await self._want(found)
        return await self.standing()

    async def install(self, version: str = "", *, again: bool = False, by: str = "") -> Standing:
        """Have an update written and started from at the next quiet moment; fetch it, if need be.

        Raises:
            UpdateRefused: There is none, or it has failed.
        """
        found = await self._choose(version, again=again)
        if await asyncio.to_thread(self._folder_is_busy):
            raise UpdateRefused("an update is being written, or on trial")
        if self._state.ready is None or self._state.ready.version != found.version:
            await self._want(found)
        await self._change(install=True, by=by)
        self._woken.set()
        return await self.standing()

    async def cancel(self, *, by: str = "") -> Standing:
        """Want nothing any more; what is here stays.

        Raises:
            UpdateRefused: There is nothing to be cancelled, or it is too late.
        """
        await self._take_up()
        order = await asyncio.to_thread(self._folder.order)
        if await asyncio.to_thread(self._folder.trial) is not None:
            raise UpdateRefused(
                "the update is written already", hint="it goes back by itself if it does not work"
            )
        wanted = self._state.wanted or (self._state.ready if self._state.install else None)
        version = wanted.version if wanted else order.version if order else ""
        if not version:
            raise UpdateRefused("no update is under way")
        if order is not None:
            await asyncio.to_thread(self._folder.drop_order)
        # First, or what goes on by itself would begin it again before it is known.
        await asyncio.to_thread(self._folder.note, Deed.CANCELLED, version, by=by)
        await self._change(wanted=None, install=False, by="", trouble="", hint="")
        self._unwanted.set()
        self._woken.set()
        return await self.standing()

    async def may_restart(self) -> bool:
        """Whether nothing is under way; then nothing begins for some minutes, either."""
        if not self._means.is_quiet():
            return False
        self._means.turn_away("the machine starts anew with an update: try again in some minutes")
        asyncio.get_running_loop().call_later(_AWAY, self._means.turn_away, "")
        return True

    async def wake(self) -> None:
        """Look what is to be done: somebody brought an update."""
        self._woken.set()

    async def _choose(self, version: str, *, again: bool) -> Found:
        await self._take_up()
        if not (await self._machine()).version:
            raise UpdateRefused(
                "this machine was not made from the disk image",
                hint="take its updates as you installed it: by its packages",
            )
        choice = [it for it in (self._state.ready, self._state.wanted, self._state.offered) if it]
        if version:
            choice = [it for it in choice if it.version == version]
        if not choice:
            raise UpdateRefused(
                f"no update to {version} is known" if version else "no update is known",
                hint="edge update look asks the server; edge update download --from takes a file",
            )
        found = max(choice, key=lambda it: Version(it.version))
        failed = has_failed(await asyncio.to_thread(self._folder.history), found.version)
        if failed is not None and not again:
            raise UpdateRefused(f"version {found.version} has failed: {failed.why}", hint=_AGAIN)
        return found

    async def _want(self, found: Found) -> None:
        if not found.where:
            raise UpdateRefused(f"version {found.version} is not here any more: bring it again")
        before = self._state.wanted
        is_same = before is not None and (before.version, before.etag) == (
            found.version,
            found.etag,
        )
        self._unwanted.clear()
        self._failures = 0
        synced = self._state.synced if is_same else 0
        await self._change(wanted=found, synced=synced, trouble="", hint="")
        self._woken.set()

    async def _machine(self) -> Machine:
        return await asyncio.to_thread(self._place.machine)

    def _folder_is_busy(self) -> bool:
        return self._folder.order() is not None or self._folder.trial() is not None

    # What goes on by itself -----------------------------------------------------------------------

    async def run(self) -> None:
        """Do what is to be done, until cancelled."""
        await self._take_up()
        while True:
            self._woken.clear()
            try:
                pause = await self._step()
            except (OSError, StorageFull) as error:
                # A disk that is full, or ill, is told of by others; images come in all the same.
                log.warning("the update does not go on: %s", error)
                pause = _PAUSE
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._woken.wait()

    async def _step(self) -> float:
        """One thing after the other; seconds until there may be something else."""
        await self._tell()
        await self._adopt()
        await self._begin_by_itself()
        if self._state.wanted is not None:
            return await self._fetch(self._state.wanted)
        if self._state.install and self._state.ready is not None:
            return await self._order(self._state.ready)
        return _PAUSE

    async def _tell(self) -> None:
        """Have in the audit what was done since, by whomever."""
        history = await asyncio.to_thread(self._folder.history)
        if history and history[-1].number < self._state.told:
            await self._change(told=0)  # somebody has deleted it
        for entry in history:
            if entry.number > self._state.told:
                self._means.note(entry)
        if history and history[-1].number > self._state.told:
            await self._change(told=history[-1].number)
            await asyncio.to_thread(self._folder.cut_history)

    async def _adopt(self) -> None:
        """Take in what was brought, and let go of what runs by now."""
        machine = await self._machine()
        if not machine.version:
            return
        ready = await asyncio.to_thread(
            adopt, self._folder, self._settings.keys, self._place, self._state.ready
        )
        changed: dict[str, Any] = {}
        if ready != self._state.ready:
            changed["ready"] = ready
            if ready is None:
                changed["install"] = self._state.install and self._state.wanted is not None
        running = Version(machine.version)
        for name in ("offered", "wanted"):
            known: Found | None = getattr(self._state, name)
            if known is not None and Version(known.version) <= running:
                changed[name] = None
        if changed:
            await self._change(**changed)

    async def _begin_by_itself(self) -> None:
        """What the settings say is done without anybody's word."""
        how, state = self._settings.by_itself, self._state
        if how == "look" or state.wanted is not None or not (await self._machine()).version:
            return
        history = await asyncio.to_thread(self._folder.history)
        offered, ready = state.offered, state.ready
        is_newer = offered is not None and (
            ready is None or Version(ready.version) < Version(offered.version)
        )
        if offered is not None and is_newer and has_failed(history, offered.version) is None:
            if not was_cancelled(history, offered.version):
                await self._want(offered)
        elif (
            how == "install"
            and ready is not None
            and not state.install
            and has_failed(history, ready.version) is None
            and not await asyncio.to_thread(self._folder_is_busy)
            and _in_hours(self._hours, self._clock())
        ):
            await self._change(install=True, by="edge")

    async def _fetch(self, wanted: Found) -> float:
        """Have it come here, as far as it does; seconds until it is tried again."""
        download = Download(
            self._settings,
            self._folder,
            self._means.incoming,
            self._means.way,
            reserve=self._reserve,
        )
        before = self._state.synced
        try:
            await self._unless_unwanted(self._download(download, wanted))
        except LineClosed:
            return 1.0
        except (CloudError, StorageFull) as error:
            self._failures = 0 if self._state.synced > before else self._failures + 1
            pause = min(_FIRST * 2.0**self._failures, _LONGEST)
            await self._say(error)
            return pause
        except UpdateRefused as error:
            await asyncio.to_thread(self._folder.part(wanted.version).unlink, missing_ok=True)
            await asyncio.to_thread(
                self._folder.note, Deed.UNUSABLE, wanted.version, why=str(error), cause=Cause.LINE
            )
            await self._change(wanted=None, synced=0, install=False)
            await self._say(error)
        return 1.0

    async def _download(self, download: Download, wanted: Found) -> None:
        await self._means.wait_open("down")

        async def synced(count: int) -> None:
            await self._change(synced=count)

        await download.run(wanted, self._state.synced, synced)
        await asyncio.to_thread(self._folder.keep_only, wanted.version)
        await asyncio.to_thread(self._folder.note, Deed.FETCHED, wanted.version)
        await self._change(wanted=None, synced=0, ready=wanted, trouble="", hint="", since=0.0)

    async def _unless_unwanted(self, work: Awaitable[None]) -> None:
        """Do it until it is done, or cancelled."""

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

    async def _order(self, ready: Found) -> float:
        """Order it, if nothing comes in for a while."""
        if await asyncio.to_thread(self._folder_is_busy):
            return 5.0
        for _ in range(self._quiet):
            if not self._means.is_quiet() or not self._state.install:
                return 5.0
            await asyncio.sleep(1.0)
        reached = await self._means.reached()
        order = Order(
            act="install",
            version=ready.version,
            file=self._folder.bundle(ready.version).name,
            reached=reached,
            ailing=self._means.ailing(),
            by=self._state.by,
            at=self._clock(),
        )
        if not self._state.install:
            return 1.0
        await asyncio.to_thread(self._folder.note, Deed.ORDERED, ready.version, by=order.by)
        await self._change(install=False)
        await asyncio.to_thread(self._folder.write_order, order)
        log.info("version %s is ordered to be written", ready.version)
        return 0.0

    # The state ------------------------------------------------------------------------------------

    async def _take_up(self) -> None:
        if not self._read:
            self._state = await asyncio.to_thread(self._folder.state)
            self._read = True

    async def _change(self, **changed: Any) -> None:
        """Keep something else than was known."""
        async with self._changing:
            new = msgspec.structs.replace(self._state, **changed)
            await asyncio.to_thread(self._folder.write_state, new)
            self._state = new

    async def _say(self, error: EdgeError) -> None:
        """Keep why it does not go on."""
        if str(error) != self._state.trouble:
            log.warning("the update does not go on: %s", error)
            await self._change(trouble=str(error), hint=error.hint, since=self._clock())


def _in_hours(rules: Sequence[Rule], now: float) -> bool:
    """Whether one of them covers this moment, by the clock on the wall."""
    wall = time.localtime(now)
    return any(rule.covers(wall.tm_wday, wall.tm_hour * 60 + wall.tm_min) for rule in rules)
