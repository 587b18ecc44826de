"""Whether an archive is full, or says so of one instance that it would never take.

A full archive is sent nothing for a good while. But "out of resources" (A7xx) is also what some
archives say of an instance that is longer than they take: who then waited would send nothing to
anybody for ever. So one of which it was said goes behind all else that is owed; and once another
was stored in the same request or since, the word counts against that instance alone. All of it is
in memory. No I/O.
"""

from __future__ import annotations

from collections.abc import Sequence

from edge.cloud.archive import Advice, StoreOutcome, StoreResult
from edge.cloud.retry import Backoff

__all__ = ["Fullness"]


class Fullness:
    """What one archive says of its room.

    Args:
        backoff: How long a full one is left alone.
    """

    def __init__(self, backoff: Backoff) -> None:
        self._backoff = backoff
        self._times = 0
        self._said_of = set[int]()
        """Since anything was stored."""
        self._alone = set[int]()
        """Instances of which it was said, and others were stored after."""
        self.until = 0.0
        """POSIX seconds until which nothing is sent."""

    @property
    def behind(self) -> frozenset[int]:
        """Instances that there was no room for since anything was stored: the others go first."""
        return frozenset(self._said_of)

    def heard(self, answers: Sequence[tuple[int, StoreResult]], now: float) -> bool:
        """Note an answer; whether it means that the archive is full.

        Args:
            answers: Ids of instances, and what was answered about each.
            now: POSIX seconds.
        """
        full = {number for number, result in answers if result.advice is Advice.FULL}
        if any(result.outcome is StoreOutcome.STORED for _, result in answers):
            self._times = 0
            self._alone |= self._said_of | full
            self._said_of.clear()
        self._said_of |= full - self._alone
        if not full or full & self._alone:
            return False
        self._times += 1
        self.until = now + self._backoff.delay(self._times)
        return True

    def is_of(self, instance_id: int) -> bool:
        """Whether it concerns this instance alone."""
        return instance_id in self._alone

    def cleared(self, instance_id: int) -> None:
        """It is settled."""
        self._said_of.discard(instance_id)
        self._alone.discard(instance_id)
