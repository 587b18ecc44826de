"""How fast the line to an archive is, measured on what goes over it, and when all will be there.

Counts only the time in which something is under way, the archive's own work included: a pause says
nothing about the line. What is long ago counts less and less. No I/O.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from edge.sync.calendar import Stretch
from edge.week import Direction

__all__ = ["Meter", "arrivals"]

_HALF_LIFE = 60.0
"""Seconds of transfer after which they count half."""
_SHORTEST = 0.05
"""Seconds of transfer below which they say nothing."""


class _Measure:
    """Of one direction."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.bytes = 0.0
        self.under_way = 0
        self.seen = 0.0

    def advance(self, now: float) -> None:
        """Time went by."""
        passed = now - self.seen
        self.seen = now
        if self.under_way and passed > 0:
            left = 0.5 ** (passed / _HALF_LIFE)
            self.seconds = self.seconds * left + passed
            self.bytes *= left


class Meter:
    """The speed of the line to one archive. It is a ``Gauge`` for the archive's driver.

    Args:
        counted: Is told of every byte, too.
        clock: Any seconds.
    """

    def __init__(
        self,
        counted: Callable[[Direction, int], None] = lambda _, __: None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._counted = counted
        self._clock = clock
        self._measures: dict[Direction, _Measure] = {"up": _Measure(), "down": _Measure()}

    @contextmanager
    def busy(self, direction: Direction) -> Iterator[None]:
        """A transfer is under way; of several at a time, each second counts once."""
        measure = self._measures[direction]
        measure.advance(self._clock())
        measure.under_way += 1
        try:
            yield
        finally:
            measure.advance(self._clock())
            measure.under_way -= 1

    def moved(self, direction: Direction, count: int) -> None:
        """So many bytes went; those outside of a transfer count, and measure nothing."""
        measure = self._measures[direction]
        if measure.under_way:
            measure.advance(self._clock())
            measure.bytes += count
        self._counted(direction, count)

    def speed(self, direction: Direction) -> float | None:
        """Bytes a second of late; None if nothing was measured."""
        measure = self._measures[direction]
        measure.advance(self._clock())
        if measure.seconds < _SHORTEST or not measure.bytes:
            return None
        return measure.bytes / measure.seconds


def arrivals(
    owed: Sequence[int], speed: float | None, stretches: Iterable[Stretch]
) -> list[float | None]:
    """When each of several transfers, one after the other, will be over.

    Args:
        owed: Bytes of each.
        speed: Bytes a second; None if it is not known.
        stretches: What the line may carry from now on.

    Returns:
        POSIX seconds; None if that can't be said, or is too far away.
    """
    found: list[float | None] = []
    if speed is None:
        return [None] * len(owed)
    waiting = iter(owed)
    left: float | None = next(waiting, None)
    for stretch in stretches:
        rate = speed if stretch.kbps is None else min(speed, stretch.kbps * 125.0)
        now = stretch.begin
        while left is not None and rate > 0 and now + left / rate <= stretch.end:
            now += left / rate
            found.append(now)
            left = next(waiting, None)
        if left is None:
            break
        left -= (stretch.end - now) * rate
    return found + [None] * (len(owed) - len(found))
