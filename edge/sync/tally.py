"""Says in the log what was done, in counts: once nothing is left to do, and now and then before.

So a technician sees that a study went up, and a month's backlog does not fill the log. Never names
an instance.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

__all__ = ["Tally"]

_EVERY = 60.0
"""Seconds between two lines while there is work."""


class Tally:
    """Counts.

    Args:
        log: Of the module whose work it is.
        done: What was done, such as ``archive a: verified``.
        clock: Any seconds.
    """

    def __init__(
        self, log: logging.Logger, done: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._log = log
        self._done = done
        self._clock = clock
        self._said_at = clock()
        self._instances = 0
        self._bytes = 0

    def add(self, size: int) -> None:
        """One more instance, of so many bytes."""
        self._instances += 1
        self._bytes += size

    def say(self, *, resting: bool) -> None:
        """Say it, if there is something to say and this is the time.

        Args:
            resting: Nothing is left to do.
        """
        now = self._clock()
        if not self._instances or not (resting or now - self._said_at >= _EVERY):
            return
        noun = "instance" if self._instances == 1 else "instances"
        self._log.info("%s %d %s, %.1f MB", self._done, self._instances, noun, self._bytes / 1e6)
        self._said_at, self._instances, self._bytes = now, 0, 0
