"""What happens, told as it happens to everybody who listens.

Owns the one reader for all of them: however many screens hang in a clinic, the index is read once.
It is woken by `Changes`, and reads what came in at once, the state of the whole no more often than
it can afford: the longer a reading takes, the longer the pause behind it, up to fifteen seconds, so
that what is shown is never much older. Nobody listens: nothing
is read. Each listener holds the newest event of every kind and no more, so that one who is slow
misses steps in between, never the end, and takes no memory.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Final

import msgspec

from edge.cache.arrivals import Arrivals, Coming
from edge.cache.changes import Changes, Woken
from edge.cache.condition import Level, level_of, offline_since
from edge.cache.status import Status
from edge.errors import TooManyListeners

__all__ = ["Happening", "Listener", "Live"]

_MOST: Final = 200
_MOST_OF_ONE: Final = 16
"""Screens of one person, or of one token."""
_SOON: Final = 0.25
"""Seconds between two looks at what comes in, while something does."""
_PAUSE: Final = 1.0
"""Between two readings of the whole state."""
_SHARE: Final = 20.0
"""The pause is so many times as long as the reading took, up to the longest."""
_LONGEST: Final = 15.0
"""The state is read so often though nothing changed: calendars open, a disk fills."""


@dataclass(frozen=True, slots=True)
class Happening:
    """One event: what of it is new since the last of its kind."""

    kind: str
    """``state`` or ``arrivals``."""
    number: int
    """Counts up over all of them; a client can tell whether it has seen it."""
    data: bytes
    """JSON."""
    for_others: bytes
    """What of it those may hear who do not look after the box (`Status.for_others`); JSON."""


class Listener:
    """Somebody who hears of everything from now on, and first of how it is."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._news: dict[str, Happening] = {}
        self._bell = asyncio.Event()
        self._ended = False

    def tell(self, event: Happening) -> None:
        """Have it hear this in place of what it has not heard yet of the same kind."""
        self._news[event.kind] = event
        self._bell.set()

    def end(self) -> None:
        """There will be no more."""
        self._ended = True
        self._bell.set()

    async def next(self, timeout: float) -> list[Happening] | None:
        """What is new, empty if nothing is within *timeout* seconds; None at the end."""
        try:
            async with asyncio.timeout(timeout):
                await self._bell.wait()
        except TimeoutError:
            return []
        self._bell.clear()
        if self._ended:
            return None
        news, self._news = self._news, {}
        return sorted(news.values(), key=lambda event: event.number)


class Live:
    """Tells them.

    Args:
        changes: Wakes it.
        status: Reads the state.
        coming: Reads what comes in.
        most: Listeners at the same time.
        most_of_one: Of them, those of one name.
        soon: Seconds between two looks at what comes in.
        pause: Seconds between two readings of the state, at the least.
        longest: Seconds between them, at the most.
    """

    def __init__(
        self,
        changes: Changes,
        status: Callable[[], Awaitable[Status]],
        coming: Coming,
        *,
        most: int = _MOST,
        most_of_one: int = _MOST_OF_ONE,
        soon: float = _SOON,
        pause: float = _PAUSE,
        longest: float = _LONGEST,
    ) -> None:
        self._changes = changes
        self._read = status
        self._coming = coming
        self._most = most
        self._most_of_one = most_of_one
        self._soon = soon
        self._pause = pause
        self._longest = longest
        self._listeners: set[Listener] = set()
        self._wanted = Woken()
        self._last: dict[str, Happening] = {}
        self._number = 0
        self._status: Status | None = None
        self._read_at = self._read_again = 0.0
        self._turn = asyncio.Lock()

    @property
    def listeners(self) -> int:
        """How many there are."""
        return len(self._listeners)

    async def status(self) -> Status:
        """The state, no older than a moment: however many ask, it is read once."""
        async with self._turn:
            if self._status is None or time.monotonic() >= self._read_again:
                await self._read_status()
        assert self._status is not None
        return self._status

    @contextmanager
    def listen(self, name: str) -> Iterator[Listener]:
        """Somebody who listens until the end of the block.

        Args:
            name: Who it is; nobody takes every place.

        Raises:
            TooManyListeners: There is no place.
        """
        if sum(one.name == name for one in self._listeners) >= self._most_of_one:
            raise TooManyListeners(
                f"{self._most_of_one} screens of {name} follow what happens here already",
                hint="close some that nobody looks at",
            )
        if len(self._listeners) >= self._most:
            raise TooManyListeners(
                f"{self._most} screens follow what happens here, and that is the most",
                hint="close some that nobody looks at",
            )
        if not self._listeners:
            # Nobody shall hear of what was long ago.
            self._last = {}
            self._wanted.set()
        listener = Listener(name)
        self._listeners.add(listener)
        for event in self._last.values():
            listener.tell(event)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    async def run(self) -> None:
        """Tell them, until cancelled."""
        try:
            with self._changes.subscribe() as bell:
                self._wanted = bell
                is_owed = False
                while True:
                    if not self._listeners:
                        await bell.wait()
                        continue
                    until = self._read_again - time.monotonic() if is_owed else self._longest
                    if self._last:
                        await bell.wait(max(0.0, until))
                    is_owed = time.monotonic() < self._read_again and bool(self._last)
                    if is_owed and self._status is not None:
                        await self._tell_arrivals(self._status)
                    else:
                        await self._tell_all()
                    await asyncio.sleep(self._soon)
        finally:
            for listener in self._listeners:
                listener.end()

    async def _tell_all(self) -> None:
        status = await self.status()
        level = level_of(status)  # the light is the same for all, what is said is not
        self._tell("state", _state(status, level), _state(status.for_others(), level))
        await self._tell_arrivals(status)

    async def _tell_arrivals(self, status: Status) -> None:
        found: Arrivals = await self._coming.read(status.line.studies)
        said = asdict(found)
        self._tell("arrivals", said, said)

    async def _read_status(self) -> None:
        began = time.monotonic()
        self._status = await self._read()
        took = time.monotonic() - began
        longest = max(self._longest, took)  # it never reads more than half of the time
        pause = min(max(self._pause, _SHARE * took), longest)
        self._read_again = time.monotonic() + pause

    def _tell(self, kind: str, said: dict[str, Any], others: dict[str, Any]) -> None:
        data, for_others = msgspec.json.encode(said), msgspec.json.encode(others)
        before = self._last.get(kind)
        if before is not None and (before.data, before.for_others) == (data, for_others):
            return
        self._number += 1
        event = self._last[kind] = Happening(kind, self._number, data, for_others)
        for listener in self._listeners:
            listener.tell(event)


def _state(status: Status, level: Level) -> dict[str, Any]:
    """What screens and programs follow: few numbers, no name of anybody."""
    numbers = status.summary
    return {
        "level": level,
        "sentence": status.sentence,
        "studies": numbers.studies,
        "studies_only_here": numbers.studies_only_here,
        "studies_perhaps_only_here": numbers.studies_perhaps_only_here,
        "studies_unproven": numbers.studies_unproven,
        "instances": numbers.instances,
        "custody": numbers.custody,
        "backlog_bytes": numbers.backlog_bytes,
        "backlog_eta": status.line.backlog_eta,
        "upload_speed": status.line.upload_speed,
        "sealed_bytes": numbers.sealed_bytes,
        "capacity_bytes": status.capacity_bytes,
        "in_conflict": numbers.in_conflict,
        "lost": numbers.lost,
        "absent": numbers.absent,
        "waits": status.line.waits,
        "refusal": status.refusal,
        "offline_since": offline_since(status),
        "archives": {one.name: one.online for one in status.archives},
        "parts": dict(status.parts or {}),
        "coming_in": status.procedures.coming_in,
        "emergencies": {"open": status.emergencies.open, "unseen": status.emergencies.unseen},
    }
