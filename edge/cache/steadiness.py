"""Whether the clock can be believed when something is to be forgotten for its age.

A box without a clock chip, or with one that is wrong, starts in another year, and is set right once
the network is there. What was forgotten until then would not come back.
"""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["Steadiness"]

_LONG_ENOUGH = 3600.0
"""Seconds; a time service has set the clock by then, if there is one."""
_SLACK = 60.0
"""Seconds by which a clock may be corrected, as all are."""


class Steadiness:
    """Of one clock, since it was set last or this was made.

    Args:
        clock: POSIX seconds; may be set at any moment.
        monotonic: Seconds that only pass.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._begin()

    def _begin(self) -> None:
        self._moment, self._begun = self._clock(), self._monotonic()

    def holds(self) -> bool:
        """Whether the clock went on for an hour as clocks do; whoever asks before waits."""
        passed = self._monotonic() - self._begun
        if abs(self._clock() - self._moment - passed) > _SLACK:
            self._begin()
            return False
        return passed >= _LONG_ENOUGH
