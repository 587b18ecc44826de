"""How fast bytes go over the line: the least that an answer must give, and the most that may go.

An archive that gives one byte now and then is never silent, and would keep a fetch, and all who
wait for it, for ever; ``steady`` gives it up. Counts only the time that *we* wait for bytes:
whoever takes them may be as slow as he likes.

A ``Throttle`` is one direction of the line. All who send, or receive, take turns at it in small
pieces, so that a large transfer never keeps a small one waiting, and a limit that changes holds
from the next second on. A ``Way`` is what one archive's driver needs of it: the throttle of what it
sends, and a gauge that is told of every byte. Never touches the network.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import httpx

from edge.errors import LineClosed
from edge.week import Direction

__all__ = ["Gauge", "Throttle", "TooSlow", "Way", "steady"]

_LOOK = 1.0
"""Seconds after which the limit is asked for again."""
_SLICE = 0.05
"""Seconds that one piece may take of the line, unless that is less than ``_LEAST``."""
_LEAST, _LARGEST = 256, 64 * 1024
"""Bytes of a piece."""
_CREDIT = 0.2
"""Seconds of line that may be made up for, after a wait that took longer than was asked for."""


class TooSlow(httpx.StreamError):
    """Too few bytes came for too long; a stream error to those who translate errors."""


class Gauge(Protocol):
    """Is told what goes over the line to one archive."""

    def moved(self, direction: Direction, count: int) -> None:
        """So many bytes went."""
        ...

    def busy(self, direction: Direction) -> AbstractContextManager[None]:
        """Entered while something is under way."""
        ...


class Throttle:
    """A token bucket that all transfers of one direction share.

    Args:
        limit: Bytes a second that may go now; None for any number, 0 for none.
        clock: Seconds.
        sleep: Waits for some of them.
    """

    def __init__(
        self,
        limit: Callable[[], float | None] = lambda: None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._limit = limit
        self._clock = clock
        self._sleep = sleep
        self._turn = asyncio.Lock()
        self._rate: float | None = None
        self._look_at = float("-inf")
        self._paid_until = float("-inf")
        """When what went through so far is worth its time."""

    async def paced(self, pieces: AsyncIterable[bytes]) -> AsyncGenerator[bytes]:
        """The same bytes, as fast as they may go; in small pieces, unless any number may.

        Raises:
            LineClosed: Nothing may go from now on.
        """
        async for piece in pieces:
            if self._current() is None:
                yield piece
                continue
            at = 0
            while at < len(piece):
                size = await self._take(len(piece) - at)
                yield piece[at : at + size]
                at += size

    async def _take(self, most: int) -> int:
        """Wait for our turn and until bytes may go; how many."""
        async with self._turn:
            while (rate := self._current()) is not None:
                if rate <= 0:
                    raise LineClosed("nothing may go over the line now")
                now = self._clock()
                self._paid_until = max(self._paid_until, now - _CREDIT)
                if self._paid_until <= now:
                    size = min(most, max(_LEAST, min(_LARGEST, int(rate * _SLICE))))
                    self._paid_until += size / rate
                    return size
                await self._sleep(min(self._paid_until - now, _LOOK))
            return most

    def _current(self) -> float | None:
        now = self._clock()
        if not self._look_at - _LOOK <= now < self._look_at:
            self._look_at = now + _LOOK
            before, self._rate = self._rate, self._limit()
            if before != self._rate:
                # What was taken under another limit must not be waited for under this one.
                self._paid_until = min(self._paid_until, now + _SLICE)
        return self._rate


@dataclass(frozen=True, slots=True)
class Way:
    """The line, as the driver of one archive uses it."""

    up: Throttle
    gauge: Gauge


async def steady(
    pieces: AsyncIterable[bytes], *, least: float, window: float
) -> AsyncIterator[bytes]:
    """The same pieces, as long as they come fast enough.

    Args:
        pieces: An answer.
        least: Bytes a second.
        window: Seconds of waiting over which that is measured.

    Raises:
        TooSlow: They do not.
    """
    now = asyncio.get_running_loop().time
    waited, received = 0.0, 0
    began = now()
    async for piece in pieces:
        waited += now() - began
        received += len(piece)
        if waited >= window:
            if received < least * waited:
                raise TooSlow(f"it comes too slowly, below {least:.0f} bytes a second")
            waited, received = 0.0, 0
        yield piece
        began = now()
