"""Watches the drop folder, and lets in what has stopped growing.

A file is looked at once its size and time have not changed for ``settle_seconds``. If its instances
were admitted, it is deleted. If something is wrong with it, it may still be on its way over a line
that stalls, so it stays for ``patience_seconds`` without a change; then it moves to ``rejected/``,
with the reason beside it. If nothing can be admitted at the moment, everything waits.

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
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from watchdog.events import (
    DirCreatedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer

from edge import config
from edge.cache.admission import Admission
from edge.dropfolder.media import Unit, units
from edge.dropfolder.reception import Reception, Verdict
from edge.dropfolder.tree import Changed, DropTree, Listing, Parts
from edge.dropfolder.zipped import ZipLimits
from edge.errors import EdgeError

__all__ = ["DropFolder"]

log = logging.getLogger(__name__)

_WORKERS = 4
"""Files that are admitted at the same time."""
_FIRST_RETRY, _LAST_RETRY = 5.0, 300.0
# Not those of opening and reading: the sweep itself would cause them, and wake itself for ever.
_WAKING = [DirCreatedEvent, DirMovedEvent, FileClosedEvent, FileCreatedEvent, FileMovedEvent]


@dataclass(slots=True)
class _Candidate:
    """What is known of a unit since it last changed; times are of the monotonic clock."""

    unit: Unit
    since: float
    verdict: Verdict | None = None
    not_before: float = 0.0
    is_finished: bool = False
    """Admitted, but it can't be deleted."""


class DropFolder:
    """The door for files.

    Args:
        settings: Which folder, and when a file is complete.
        admission: Where instances go.
        sweep_seconds: Between two looks at the folder if no event came.
        patience_seconds: How long a bad file must have been unchanged.
        limits: Of ZIP archives.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        settings: config.DropFolder,
        admission: Admission,
        *,
        sweep_seconds: float = 15.0,
        patience_seconds: float = 60.0,
        limits: ZipLimits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._root = settings.path
        self._settle_seconds = settings.settle_seconds
        self._patience_seconds = max(patience_seconds, settings.settle_seconds)
        self._sweep_seconds = sweep_seconds
        self._clock = clock
        self._tree = DropTree(settings.path)
        self._reception = Reception(self._tree, admission, limits or ZipLimits())
        self._candidates: dict[Parts, _Candidate] = {}
        self._is_lost = False
        self._resume_at = 0.0
        self._retry_seconds = _FIRST_RETRY

    async def run(self) -> None:
        """Watch, until cancelled."""
        woken = asyncio.Event()
        try:
            await asyncio.to_thread(self._root.mkdir, parents=True, exist_ok=True)
        except OSError as error:
            log.warning("the drop folder can't be made: %s", error.strerror)
        async with _events(self._root, woken):
            while True:
                woken.clear()
                pause = await self._sweep()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await woken.wait()
                # A folder that is being copied sends events by the hundred.
                await asyncio.sleep(min(self._settle_seconds / 4, 0.5))

    async def _sweep(self) -> float:
        """Look at everything once; returns in how many seconds to look again."""
        try:
            listing = await asyncio.to_thread(self._tree.scan)
        except OSError as error:
            if not self._is_lost:
                log.warning("the drop folder can't be read: %s", error.strerror)
            self._is_lost = True
            return self._sweep_seconds
        self._is_lost = False
        self._update(listing)
        due = [item for item in self._candidates.values() if self._due_in(item) <= 0]
        if due:
            queue = iter(due)
            async with asyncio.TaskGroup() as group:
                for number in range(min(_WORKERS, len(due))):
                    group.create_task(self._work(queue), name=f"drop folder {number}")
        waiting = (item for item in self._candidates.values() if not item.is_finished)
        return min([self._sweep_seconds, *(max(0.0, self._due_in(item)) for item in waiting)])

    def _update(self, listing: Listing) -> None:
        """Forget what is gone, restart the clock of what changed."""
        now = self._clock()
        known, self._candidates = self._candidates, {}
        for unit in units(listing.files):
            item = known.get(unit.key)
            if item is None or item.unit != unit:
                item = _Candidate(unit, now)
            self._candidates[unit.key] = item
        for parts, reason in listing.strange.items():
            verdict = Verdict(bad={parts: f"it {reason}"})
            item = known.get(parts) or _Candidate(Unit(parts, ()), now, verdict)
            self._candidates[parts] = item

    def _due_in(self, item: _Candidate) -> float:
        """Seconds until something is to be done about it; infinite if nothing is."""
        if item.is_finished:
            return float("inf")
        needed = self._settle_seconds if item.verdict is None else self._patience_seconds
        return max(item.since + needed, item.not_before, self._resume_at) - self._clock()

    async def _work(self, queue: Iterator[_Candidate]) -> None:
        for item in queue:
            if self._due_in(item) <= 0:
                await self._handle(item)

    async def _handle(self, item: _Candidate) -> None:
        try:
            if item.verdict is None:
                item.verdict = await self._reception.receive(item.unit)
                self._retry_seconds = _FIRST_RETRY
            if item.verdict.bad and self._due_in(item) > 0:
                return  # it may still be under way
            await asyncio.to_thread(self._clear, item.unit, item.verdict)
        except Changed:
            item.since = self._clock()
        except EdgeError as error:
            # No room, no key, no index: it is not the file's fault, and would be so for the next.
            self._resume_at = self._clock() + self._retry_seconds
            log.warning("the drop folder waits for %.0f s: %s", self._retry_seconds, error)
            self._retry_seconds = min(self._retry_seconds * 2, _LAST_RETRY)
        except OSError as error:
            if item.verdict is None or item.verdict.bad:
                item.not_before = self._clock() + _LAST_RETRY
                log.warning("a file of the drop folder can't be taken: %s", error.strerror)
            else:
                item.is_finished = True
                log.warning("an admitted file can't be deleted: %s", error.strerror)

    def _clear(self, unit: Unit, verdict: Verdict) -> None:
        """Move what is bad, delete the rest."""
        now = dt.datetime.now().astimezone().isoformat(" ", "seconds")
        for parts, reason in verdict.bad.items():
            self._tree.reject(parts, f"Not admitted ({now}): {reason}\n")
        for entry in unit.entries:
            if entry.parts not in verdict.bad:
                self._tree.remove(entry)
        if unit.is_medium:
            self._tree.remove_folders(unit.key)
        log.info(
            "drop folder: %d instances admitted, %d files rejected",
            verdict.admitted,
            len(verdict.bad),
        )


class _Waker(FileSystemEventHandler):
    """Called in the observer's thread."""

    def __init__(self, wake: Callable[[], object]) -> None:
        self._wake = wake

    def on_any_event(self, event: FileSystemEvent) -> None:  # noqa: ARG002 - any event will do
        self._wake()


@contextlib.asynccontextmanager
async def _events(root: Path, woken: asyncio.Event) -> AsyncIterator[None]:
    """Sets *woken* at every event below the root, as far as the file system tells."""
    # It writes paths, in warnings and when asked for details, and complains of every orderly end.
    logging.getLogger("watchdog").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", module=r"watchdog\.")
    loop = asyncio.get_running_loop()
    observer = Observer()
    waker = _Waker(lambda: loop.call_soon_threadsafe(woken.set))

    def start() -> None:
        observer.schedule(waker, str(root), recursive=True, event_filter=list(_WAKING))
        observer.start()

    def stop() -> None:
        observer.stop()
        if observer.is_alive():
            observer.join()

    try:
        await asyncio.to_thread(start)
    except OSError as error:  # no such folder, or no more watches
        log.warning("the drop folder is only looked at now and then: %s", error.strerror)
    try:
        yield
    finally:
        await asyncio.to_thread(stop)
