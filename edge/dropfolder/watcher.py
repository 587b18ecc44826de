"""Watches the drop folder, and lets in what has stopped growing.

A file is looked at once its size and time have not changed for ``settle_seconds``. If its instances
were admitted, it is deleted. If something is wrong with it, it may still be on its way over a line
that stalls, so it stays for ``patience_seconds`` without a change; then it moves to ``rejected/``,
with the reason beside it. If nothing can be admitted at the moment, everything waits. What can't be
deleted or moved is remembered, told, and tried again ever more rarely; it is not admitted again.

Events of the file system only wake the sweep over the whole folder, which also runs by itself now
and then: it finds what was there at the start, and what comes by file systems that send no events.
Crash story: a file is deleted after its instances are durable. A crash in between brings them once
more, which the cache knows to be duplicates.

Names of files stand in no log: they may well be names of patients.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from edge import config
from edge.cache.admission import Admission
from edge.cache.leftovers import Leftovers
from edge.cache.tally import Tally
from edge.dropfolder.events import events
from edge.dropfolder.folders import Folders
from edge.dropfolder.media import Unit, units
from edge.dropfolder.memory import Memory
from edge.dropfolder.reception import Reception, Verdict
from edge.dropfolder.tree import Changed, DropTree, Entry, Listing, Parts
from edge.dropfolder.wording import Hindrance, Stuck, counted, reason_of, troubles
from edge.dropfolder.zipped import ZipLimits
from edge.errors import EdgeError

__all__ = ["DropFolder"]

log = logging.getLogger(__name__)

_WORKERS = 4
"""Files that are admitted at the same time."""
_FIRST_RETRY, _LAST_RETRY = 5.0, 300.0


@dataclass(slots=True)
class _Candidate:
    """What is known of a unit since it last changed; times are of the monotonic clock."""

    unit: Unit
    since: float
    verdict: Verdict | None = None
    not_before: float = 0.0
    pause: float = 0.0
    """Seconds until it was tried again the last time."""
    stuck: Stuck | None = None
    """What could not be done with it."""
    is_counted: bool = False
    """Its instances stand in the log."""

    def wait(self, now: float) -> None:
        """Try it again later, ever more rarely."""
        self.pause = min(self.pause * 2 or _FIRST_RETRY, _LAST_RETRY)
        self.not_before = now + self.pause


@dataclass(slots=True)
class _Remains:
    """What could not be taken away of a unit, and why."""

    undeleted: dict[Entry, str] = field(default_factory=dict)
    unmoved: dict[Parts, str] = field(default_factory=dict)

    def stuck(self) -> Stuck | None:
        """As it is told."""
        found = {Hindrance.DELETE: self.undeleted.values(), Hindrance.MOVE: self.unmoved.values()}
        reasons = {hindrance: tuple(why) for hindrance, why in found.items() if why}
        return Stuck(reasons) if reasons else None


class DropFolder:
    """The door for files.

    Args:
        settings: Which folder, and when a file is complete.
        admission: Where instances go.
        leftovers: Remembers what can't be deleted, and tells ``edge status``.
        sweep_seconds: Between two looks at the folder if no event came.
        patience_seconds: How long a bad file must have been unchanged.
        limits: Of ZIP archives.
        clock: Monotonic seconds.
        told: Is told what was taken in of each file or medium.
    """

    def __init__(
        self,
        settings: config.DropFolder,
        admission: Admission,
        leftovers: Leftovers,
        *,
        sweep_seconds: float = 15.0,
        patience_seconds: float = 60.0,
        limits: ZipLimits | None = None,
        clock: Callable[[], float] = time.monotonic,
        told: Callable[[Tally], None] = lambda _: None,
    ) -> None:
        self._root = settings.path
        self._settle_seconds = settings.settle_seconds
        self._patience_seconds = max(patience_seconds, settings.settle_seconds)
        self._sweep_seconds = sweep_seconds
        self._clock = clock
        self._tree = DropTree(settings.path)
        self._leftovers = leftovers
        self._memory = Memory(self._tree, leftovers)
        self._reception = Reception(
            self._tree, admission, self._memory, limits or ZipLimits(), told
        )
        self._candidates: dict[Parts, _Candidate] = {}
        self._folders = Folders(self._tree, idle_seconds=self._patience_seconds)
        self._root_id: tuple[int, int] | None = None
        self._is_lost = self._is_crowded = False
        self._unwritable: frozenset[Parts] = frozenset()
        self._told: dict[Hindrance, str] = {}
        self._reported: str | None = None
        self._resume_at = 0.0
        self._retry_seconds = _FIRST_RETRY
        self._defects: list[Exception] = []

    async def run(self) -> None:
        """Watch, until cancelled."""
        await self._memory.load()
        try:
            await asyncio.to_thread(self._root.mkdir, parents=True, exist_ok=True)
        except FileExistsError:
            pass  # and is no folder, as the sweep will find
        except OSError as error:
            self._lose(f"can't be made: {reason_of(error)}")
        woken = asyncio.Event()
        while True:
            watched = await asyncio.to_thread(self._tree.identity)
            async with events(self._root, woken):
                await self._watch(woken, watched)

    async def _watch(self, woken: asyncio.Event, watched: tuple[int, int] | None) -> None:
        """Sweep until there is another folder in the place of the one whose events come."""
        while True:
            woken.clear()
            pause = await self._sweep()
            if not self._is_lost and self._root_id != watched:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await woken.wait()
            # A folder that is being copied sends events by the hundred.
            await asyncio.sleep(min(self._settle_seconds / 4, 0.5))

    def _lose(self, what: str) -> None:
        if not self._is_lost:
            log.warning("the drop folder %s", what)
        self._is_lost = True

    async def _sweep(self) -> float:
        """Look at everything once; returns in how many seconds to look again."""
        try:
            listing = await asyncio.to_thread(self._tree.scan)
        except OSError as error:
            self._lose(f"can't be read: {reason_of(error)}")
            return self._sweep_seconds
        if self._is_lost:
            log.info("the drop folder is there again")
        self._is_lost = False
        if listing.is_cut and not self._is_crowded:
            log.warning("the drop folder has more files than are looked at at once: some wait")
        self._is_crowded = listing.is_cut
        self._root_id = listing.root
        self._update(listing)
        if self._unwritable - listing.unwritable:
            self._try_again()
        self._unwritable = listing.unwritable
        with _later():
            await self._memory.forget_absent(listing)
        due = [item for item in self._candidates.values() if self._due_in(item) <= 0]
        if due:
            queue = iter(due)
            async with asyncio.TaskGroup() as group:
                for number in range(min(_WORKERS, len(due))):
                    group.create_task(self._work(queue, listing), name=f"drop folder {number}")
        await self._tell(listing)
        await asyncio.to_thread(self._folders.tidy, listing)
        defects, self._defects = self._defects, []
        if defects:
            # Nobody foresaw them: whoever runs this says so, and begins anew after a while.
            raise ExceptionGroup("a file met a defect", defects)
        waiting = self._candidates.values()
        return min([self._sweep_seconds, *(max(0.0, self._due_in(item)) for item in waiting)])

    def _update(self, listing: Listing) -> None:
        """Forget what is gone, restart the clock of what changed."""
        now = self._clock()
        known, self._candidates = self._candidates, {}
        for unit in units(listing.files):
            item = known.get(unit.key)
            if item is None or item.unit != unit:
                # What hindered it is believed until it is looked at again.
                item = _Candidate(unit, now, stuck=item.stuck if item else None)
            self._candidates[unit.key] = item
        for parts, reason in listing.strange.items():
            verdict = Verdict(bad={parts: f"it {reason}"})
            item = known.get(parts)
            if item is None or item.unit.entries:
                item = _Candidate(Unit(parts, ()), now, verdict)
            self._candidates[parts] = item

    def _due_in(self, item: _Candidate) -> float:
        """Seconds until something is to be done about it."""
        is_bad = item.verdict is not None and item.verdict.bad
        needed = self._patience_seconds if is_bad else self._settle_seconds
        return max(item.since + needed, item.not_before, self._resume_at) - self._clock()

    async def _work(self, queue: Iterator[_Candidate], listing: Listing) -> None:
        for item in queue:
            if self._due_in(item) <= 0:
                await self._handle(item)
                if item.stuck and not self._told.keys() >= item.stuck.reasons.keys():
                    await self._tell(listing)  # a sweep that takes hours is not waited for

    async def _handle(self, item: _Candidate) -> None:
        try:
            if item.verdict is None:
                item.verdict = await self._reception.receive(item.unit)
                self._retry_seconds = _FIRST_RETRY
            if item.verdict.bad and self._due_in(item) > 0:
                return  # it may still be under way
            was_stuck = item.stuck is not None
            await self._take_away(item, item.verdict)
        except Changed:
            item.since = self._clock()
        except EdgeError as error:
            # No room, no key, no index: it is not the file's fault, and would be so for the next.
            self._resume_at = self._clock() + self._retry_seconds
            log.warning("the drop folder waits for %.0f s: %s", self._retry_seconds, error)
            self._retry_seconds = min(self._retry_seconds * 2, _LAST_RETRY)
        except OSError as error:
            item.stuck = Stuck({Hindrance.READ: (reason_of(error),)})
            item.wait(self._clock())
        except Exception as error:  # noqa: BLE001 - raised once all others had their turn
            self._defects.append(error)
        else:
            if was_stuck and item.stuck is None:
                self._try_again()  # what was mended for one file was so for others, too

    def _try_again(self) -> None:
        for item in self._candidates.values():
            item.not_before = item.pause = 0.0

    async def _take_away(self, item: _Candidate, verdict: Verdict) -> None:
        """Empty the folder of the unit; what stays is remembered and tried again later."""
        remains = await asyncio.to_thread(self._clear, item.unit, verdict)
        moved = len(verdict.bad) - len(remains.unmoved)
        admitted = 0 if item.is_counted else verdict.admitted
        item.is_counted = True
        if admitted or moved:
            log.info(
                "drop folder: %s admitted, %s rejected",
                counted(admitted, "instance", "instances"),
                counted(moved, "file", "files"),
            )
        item.stuck = remains.stuck()
        if item.stuck is not None:
            item.wait(self._clock())
            stays = verdict.partly & remains.unmoved.keys()
            partly = [entry for entry in item.unit.entries if entry.parts in stays]
            await self._memory.keep(partly, is_whole=False)
            await self._memory.keep(remains.undeleted, is_whole=True)

    def _clear(self, unit: Unit, verdict: Verdict) -> _Remains:
        """Move what is bad, delete the rest; a medium's directory last, while it is a medium."""
        remains = _Remains()
        now = dt.datetime.now().astimezone().isoformat(" ", "seconds")
        for parts, reason in verdict.bad.items():
            try:
                self._tree.reject(parts, f"Not admitted ({now}): {reason}\n")
                self._folders.note_taken(parts)
            except OSError as error:
                remains.unmoved[parts] = reason_of(error)
        directories = set(unit.directories()) if unit.is_medium else set()
        for entry in sorted(unit.entries, key=directories.__contains__):
            if entry.parts in verdict.bad:
                continue
            if entry in directories and remains.stuck():
                continue
            try:
                self._tree.remove(entry)
                self._folders.note_taken(entry.parts)
            except OSError as error:
                remains.undeleted[entry] = reason_of(error)
        if unit.is_medium:
            self._tree.remove_folders(unit.key)
        return remains

    async def _tell(self, listing: Listing) -> None:
        """Say in the log what began and what ended, and in the status what hinders now."""
        found = [item.stuck for item in self._candidates.values() if item.stuck]
        told = troubles(
            found,
            unreadable_folders=listing.unreadable,
            is_writable=() not in listing.unwritable,
        )
        begun = [text for hindrance, text in told.items() if hindrance not in self._told]
        if begun:
            log.warning("the drop folder is in trouble: %s", "; ".join(begun))
        elif self._told and not told:
            log.info("the drop folder is in order again")
        self._told = told
        text = "; ".join(told.values())
        if text != self._reported:
            with _later():
                await self._leftovers.report(text)
                self._reported = text


@contextlib.contextmanager
def _later() -> Iterator[None]:
    """What can't be written down now is written down after another sweep."""
    try:
        yield
    except EdgeError as error:
        log.debug("the drop folder's memory can't be written: %s", error)
