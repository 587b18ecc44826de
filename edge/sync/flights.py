"""How many store requests are under way at once: as many as bring more.

On most lines one request fills the line, and a second one only makes both slower. So it begins
with one, measures what arrives, tries one more, and keeps that only if it brings a good deal more;
on a failure it goes back to one. All of it is in memory. No I/O.
"""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["Flights"]

_GAIN = 1.15
"""Times as much must arrive with one more request, or it is not worth what a cut would waste."""
_ENOUGH = 4
"""Answers, for each request under way, that make a measurement."""
_LEAST = 0.5
"""Seconds that a measurement takes at the least."""
_FIRST_HOLD, _LONGEST_HOLD = 30.0, 600.0
"""Seconds until one more is tried again that did not bring enough, or failed."""


class Flights:
    """The number of requests at a time.

    Args:
        most: Never more than this.
        clock: Any seconds.
    """

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = max(most, 1)
        self._clock = clock
        self._kept = 1
        self._kept_rate: float | None = None
        """Bytes a second with so many; None until measured."""
        self._trying = False
        self._hold = _FIRST_HOLD
        self._hold_until = 0.0
        self._since: float | None = None
        self._bytes = self._answers = 0

    @property
    def allowed(self) -> int:
        """Requests that may be under way now."""
        return self._kept + self._trying

    def arrived(self, size: int) -> None:
        """A request of so many bytes was answered."""
        now = self._clock()
        if self._since is None:
            # What it carried before anything was measured belongs to no measurement.
            self._since = now
            return
        self._bytes += size
        self._answers += 1
        elapsed = now - self._since
        if self._answers < _ENOUGH * self.allowed or elapsed < _LEAST:
            return
        rate = self._bytes / elapsed
        self._begin_anew()
        if not self._trying:
            self._kept_rate = rate
            self._trying = self._kept < self._most and now >= self._hold_until
        elif self._kept_rate is not None and rate >= _GAIN * self._kept_rate:
            self._kept, self._kept_rate, self._trying = self.allowed, rate, False
            self._hold = _FIRST_HOLD
        else:
            self._go_back(self._kept, now)

    def failed(self) -> None:
        """A request failed: back to one."""
        now = self._clock()
        self._begin_anew()
        self._kept_rate = None
        self._hold_until = max(self._hold_until, now + _FIRST_HOLD)
        self._go_back(1, now)

    def idle(self) -> None:
        """Too little is owed to fill the line: nothing can be measured."""
        self._begin_anew()

    def _go_back(self, kept: int, now: float) -> None:
        if self.allowed > kept:
            self._hold_until = now + self._hold
            self._hold = min(self._hold * 2, _LONGEST_HOLD)
        self._kept, self._trying = kept, False

    def _begin_anew(self) -> None:
        self._since = None
        self._bytes = self._answers = 0
