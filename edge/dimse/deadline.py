"""The clocks of an association: one deadline that moves often, and the pace of a message.

An association has many reasons to wait and one timer. To move the deadline later is an assignment,
no timer is made or cancelled: the one that runs looks, when it fires, whether the deadline has
moved, and sleeps on. So a thousand associations cost a thousand timers, whatever their traffic is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from edge.errors import How, PeerError

__all__ = ["Deadline", "Pace"]

MIN_BYTES_PER_SECOND = 512
"""A message that comes slower than this, after its time of grace, is given up."""


class Deadline:
    """Calls *expired* with the reason that was given, once, unless it is moved or cleared.

    Args:
        expired: Called in the event loop; the deadline is cleared by then.
    """

    __slots__ = ("_at", "_expired", "_loop", "_timer", "_why")

    def __init__(self, expired: Callable[[str], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._expired = expired
        self._timer: asyncio.TimerHandle | None = None
        self._at: float | None = None
        self._why = ""

    def set(self, seconds: float, why: str) -> None:
        """Expire in so many seconds, and for this reason; replaces what was set before."""
        self._at = at = self._loop.time() + seconds
        self._why = why
        if self._timer is not None and self._timer.when() > at:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = self._loop.call_at(at, self._fire)

    def clear(self) -> None:
        """Wait for nothing, until the next `set`."""
        self._at = None

    def close(self) -> None:
        """Let go of the timer."""
        self._at = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fire(self) -> None:
        self._timer = None
        if self._at is None:
            return
        if self._loop.time() < self._at:
            self._timer = self._loop.call_at(self._at, self._fire)
            return
        self._at = None
        self._expired(self._why)


class Pace:
    """Finds the message that comes in drops, each of them within its own deadline.

    Args:
        grace: Seconds that no message is asked about its pace.
    """

    __slots__ = ("_began", "_grace", "_loop", "_received")

    def __init__(self, grace: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._grace = grace
        self.restart(0)

    def restart(self, received: int) -> None:
        """A message begins, or goes on after we ourselves held it up; so many bytes are here."""
        self._began = self._loop.time()
        self._received = received

    def check(self, received: int) -> None:
        """So many bytes are here by now.

        Raises:
            PeerError: They are too few.
        """
        allowed = (received - self._received) / MIN_BYTES_PER_SECOND
        if self._loop.time() - self._began > self._grace + allowed:
            why = f"a message came slower than {MIN_BYTES_PER_SECOND} bytes a second"
            raise PeerError(why, how=How.STALLED)
