"""The service's part: looks for updates, fetches them, waits for a quiet moment, and orders.

Owns ``state.json`` (`kept`). A look is asked for (a timer does, or a person); all else goes on by
itself from what the state says, so that a power cut costs the last few megabytes of a download and
nothing more. What comes over the line (`coming`) does so at the calendar's pace and within the
month's budget, as everything of sync. Promises that an order is given only while nothing comes in
(`ordering`), that a version which has failed is not taken again by itself, and that whatever was
done is told of to the audit. Never writes outside of ``data_dir/update``.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from edge import config
from edge.errors import ConfigError, EdgeError, StorageFull, UpdateRefused
from edge.updates.coming import Coming
from edge.updates.fetching import adopt
from edge.updates.history import Entry, has_failed, was_cancelled
from edge.updates.journal import Folder, Found, Trouble
from edge.updates.kept import Kept
from edge.updates.machine import HERE, Machine, Place
from edge.updates.means import Means
from edge.updates.ordering import Ordering
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
_AWAY: Final = 300.0
"""Seconds after which devices are let in again, if the machine was not started anew after all."""
_DAY: Final = 86400.0
_AGAIN: Final = "say that it is to be tried again: edge update install --again"


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
        self._place = place
        self._clock = clock
        self._hours = [hours_of(text) for text in settings.hours]
        self._kept = Kept(folder, clock)
        self._coming = Coming(settings, folder, means, self._kept, reserve=reserve, clock=clock)
        self._ordering = Ordering(folder, means, self._kept, clock, quiet)
        self._woken = asyncio.Event()
        self._tidied: float | None = None

    # What people ask ------------------------------------------------------------------------------

    async def standing(self) -> Standing:
        """How it stands."""
        await self._kept.take_up()
        return await asyncio.to_thread(
            standing_of,
            self._settings,
            self._folder,
            self._place,
            self._kept.state,
            next_try=self._coming.next_try,
        )

    async def history(self) -> list[Entry]:
        """What was done, the newest first."""
        return (await asyncio.to_thread(self._folder.history))[::-1]

    async def look(self) -> Standing:
        """Ask the server. What is in the way is known until it was asked.

        Raises:
            UpdateRefused: None is configured, or what it has can't be used.
            CloudError: It can't be asked.
        """
        await self._kept.take_up()
        if not self._settings.url:
            raise UpdateRefused(
                "no server of updates is configured",
                hint="set update.url, or bring an update on a stick, in the folder EDGE-UPDATE",
            )
        try:
            offered = await self._ask()
        except EdgeError as error:
            before = self._kept.state.unlooked
            is_new = before is None or before.why != str(error)
            since = self._clock() if before is None or is_new else before.since
            with contextlib.suppress(StorageFull):  # why it could not be asked is the news
                trouble = Trouble(why=str(error), hint=error.hint, since=since)
                await self._kept.change(unlooked=trouble)
            if is_new:
                log.warning("the server of updates can't be asked: %s", error)
            raise
        await self._kept.change(looked=self._clock(), offered=offered, unlooked=None)
        if self._kept.state.wanted is None:
            await self._kept.go_on()
        if offered is not None:
            history = await asyncio.to_thread(self._folder.history)
            await self._coming.overtake(offered, history)
        self._woken.set()
        return await self.standing()

    async def _ask(self) -> Found | None:
        """What the server has that this machine may take.

        Raises:
            UpdateRefused: What it has, or a setting of the way to it, can't be used.
            CloudError: It can't be asked.
        """
        keys = await asyncio.to_thread(read_keys, self._settings.keys)
        machine = await self._machine()
        running = machine.shown_version
        try:
            settings = await asyncio.to_thread(self._means.opened, self._settings)
            async with UpdateServer(settings, self._means.way) as server:
                seen = await server.newest(settings.url, machine.kind, running, keys)
        except ConfigError as error:
            raise UpdateRefused(str(error), hint=error.hint) from error
        if seen is None:
            return None
        made = found_of(seen.head.manifest, seen.head.total, where=seen.url, etag=seen.etag)
        log.info("version %s can be had; %s runs", made.version, running)
        return msgspec.structs.replace(made, seen=self._clock())

    async def download(self, version: str = "", *, again: bool = False, by: str = "") -> Standing:
        """Have the update that was found come here.

        Args:
            version: That it must be; empty means whichever was found.
            again: Even if it has failed before.
            by: Who says so.

        Raises:
            UpdateRefused: There is none, or it has failed.
        """
        found = await self._choose(version, again=again)
        if self._kept.state.ready is None or self._kept.state.ready.version != found.version:
            await self._coming.want(found, by)
            self._woken.set()
        return await self.standing()

    async def install(self, version: str = "", *, again: bool = False, by: str = "") -> Standing:
        """Have an update written and started from at the next quiet moment; fetch it, if need be.

        Raises:
            UpdateRefused: There is none, or it has failed.
        """
        found = await self._choose(version, again=again)
        if await asyncio.to_thread(self._ordering.is_busy):
            raise UpdateRefused("an update is being written, or on trial")
        if self._kept.state.ready is None or self._kept.state.ready.version != found.version:
            await self._coming.want(found, by)
        await self._ordering.wish(by)
        self._woken.set()
        return await self.standing()

    async def cancel(self, *, by: str = "") -> Standing:
        """Want nothing any more; what is here stays.

        Raises:
            UpdateRefused: There is nothing to be cancelled, or it is too late.
        """
        await self._kept.take_up()
        wanted = self._kept.state.wanted or (
            self._kept.state.ready if self._kept.state.install else None
        )
        version = wanted.version if wanted else ""
        # First, or what goes on by itself would begin it again before it is known.
        await asyncio.to_thread(self._ordering.take_back, version, by)
        await self._kept.go_on(wanted=None, install=False, by="")
        self._coming.stop()
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
        self._coming.stop()  # what comes may be here by now
        self._woken.set()

    async def _choose(self, version: str, *, again: bool) -> Found:
        await self._kept.take_up()
        if not (await self._machine()).version:
            raise UpdateRefused(
                "this machine was not made from the disk image",
                hint="take its updates as you installed it: by its packages",
            )
        choice = [
            it
            for it in (self._kept.state.ready, self._kept.state.wanted, self._kept.state.offered)
            if it
        ]
        if version:
            choice = [it for it in choice if it.version == version]
        if not choice:
            raise UpdateRefused(
                f"no update to {version} is known" if version else "no update is known",
                hint="look for one (edge update look), or bring one on a stick, in the folder"
                " EDGE-UPDATE (edge update download --from)",
            )
        found = max(choice, key=lambda it: Version(it.version))
        failed = has_failed(await asyncio.to_thread(self._folder.history), found.version)
        if failed is not None and not again:
            raise UpdateRefused(f"version {found.version} has failed: {failed.why}", hint=_AGAIN)
        return found

    async def _machine(self) -> Machine:
        return await asyncio.to_thread(self._place.machine)

    # What goes on by itself -----------------------------------------------------------------------

    async def run(self) -> None:
        """Do what is to be done, until cancelled."""
        await self._kept.take_up()
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
        await self._tidy()
        await self._adopt()
        await self._begin_by_itself()
        if self._kept.state.wanted is not None:
            return await self._coming.fetch(self._kept.state.wanted)
        if self._kept.state.install and self._kept.state.ready is not None:
            return await self._ordering.order(self._kept.state.ready)
        return _PAUSE

    async def _tell(self) -> None:
        """Have in the audit what was done since, by whomever."""
        history = await asyncio.to_thread(self._folder.history)
        if history and history[-1].number < self._kept.state.told:
            await self._kept.change(told=0)  # somebody has deleted it
        for entry in history:
            if entry.number > self._kept.state.told:
                self._means.note(entry)
        if history and history[-1].number > self._kept.state.told:
            await self._kept.change(told=history[-1].number)
            await asyncio.to_thread(self._folder.cut_history)

    async def _tidy(self) -> None:
        """Once a day, let go of what is kept of the versions before for too long."""
        now = self._clock()
        if self._tidied is None or not 0 <= now - self._tidied < _DAY:
            self._tidied = now
            await asyncio.to_thread(self._means.tidy)

    async def _adopt(self) -> None:
        """Take in what was brought, and let go of what runs by now."""
        machine = await self._machine()
        if not machine.version:
            return
        ready = await asyncio.to_thread(
            adopt, self._folder, self._settings.keys, self._place, self._kept.state.ready
        )
        changed: dict[str, Any] = {}
        if ready != self._kept.state.ready:
            changed["ready"] = ready
            if ready is None:
                changed["install"] = (
                    self._kept.state.install and self._kept.state.wanted is not None
                )
        running = Version(machine.version)
        for name in ("offered", "wanted"):
            known: Found | None = getattr(self._kept.state, name)
            if known is not None and Version(known.version) <= running:
                changed[name] = None
        if changed:
            await self._kept.change(**changed)
        if ready is not None:
            await self._coming.is_here(ready)

    async def _begin_by_itself(self) -> None:
        """What the settings say is done without anybody's word."""
        how, state = self._settings.by_itself, self._kept.state
        if how == "look" or state.wanted is not None or not (await self._machine()).version:
            return
        history = await asyncio.to_thread(self._folder.history)
        offered, ready = state.offered, state.ready
        if ready is not None:  # before one that is newer, or a slow line would have none installed
            is_now = how == "install" and _in_hours(self._hours, self._clock())
            if state.install and (is_now or state.by != "edge"):
                return
            if state.install:
                await self._kept.change(install=False)  # it was not quiet in these hours
            elif (
                is_now
                and has_failed(history, ready.version) is None
                and not was_cancelled(history, ready.version)
                and not await asyncio.to_thread(self._ordering.is_busy)
            ):
                await self._ordering.wish("edge")
                return
        if offered is None or has_failed(history, offered.version) is not None:
            return
        is_newer = ready is None or Version(ready.version) < Version(offered.version)
        if is_newer and not was_cancelled(history, offered.version):
            await self._coming.want(offered, "edge")


def _in_hours(rules: Sequence[Rule], now: float) -> bool:
    """Whether one of them covers this moment, by the clock on the wall."""
    wall = time.localtime(now)
    return any(rule.covers(wall.tm_wday, wall.tm_hour * 60 + wall.tm_min) for rule in rules)
