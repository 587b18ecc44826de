"""What is said of a box that does not answer: that it is busy, and only much later what helps.

A small box on which images come in may need longer for an answer than somebody at its screen waits.
To restart it then costs more than it mends. Promises that nothing is said before several looks got
no answer over half a minute, and that a restart is advised only after minutes: of a box that still
answers simpler questions, after many.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Final

from edge.cache.condition import Level

__all__ = ["BUSY", "Silence"]

BUSY: Final = "The box is busy: it does not say how it is just now."
_LOOKS: Final = 3
_SAID_AFTER: Final = 30.0
_ADVISED_AFTER: Final = 180.0
_ADVISED_AFTER_ALIVE: Final = 900.0


class Silence:
    """For how long nobody answered.

    Args:
        who: Does not answer, as a sentence begins: ``The service``.
        clock: Seconds.
    """

    def __init__(self, who: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._who = who
        self._clock = clock
        self._since: float | None = None
        self._looks = 0

    def end(self) -> None:
        """There was an answer."""
        self._since, self._looks = None, 0

    def grown(self, *, is_alive: bool = False) -> tuple[str, Level] | None:
        """What is to be said after one more look without an answer; None: what was said before.

        Args:
            is_alive: It answers other questions.
        """
        now = self._clock()
        if self._since is None:
            self._since = now
        self._looks += 1
        lasts = now - self._since
        if self._looks < _LOOKS or lasts < _SAID_AFTER:
            return None
        if lasts < (_ADVISED_AFTER_ALIVE if is_alive else _ADVISED_AFTER):
            return BUSY, Level.BUSY
        minutes = math.floor(lasts / 60)
        said = (
            f"{self._who} has not answered for {minutes} minutes. If it lasts: r restarts the box."
        )
        return said, Level.ALARM
