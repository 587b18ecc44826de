"""How much goes into one store request, and who travels alone.

A batch grows while requests succeed and halves when one fails, within what the line carries in
some twenty seconds; what took part in failures is suspected, and a suspect travels alone and
later, so that one bad instance stalls no other. All of it is in memory: after a restart the line's
measure is taken anew. No I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edge.cache.ledger import Owed

__all__ = ["BatchSize", "Suspects"]

_SMALLEST = 16 * 1024
_FIRST = 256 * 1024
_SECONDS = 20.0
"""That a batch takes: long enough to fill the line between two answers, short enough to lose."""
_SHARE = 0.05
"""Of the time between two failures: so much a batch may take, for a cut wastes half of it."""
_OFTEN = 60.0
"""Seconds of sending between two failures below which a line is called one that breaks."""
_NEWEST = 0.4
"""Weight of what was measured last."""
_SHORTEST = 0.001
"""Seconds below which a request measures nothing."""


class BatchSize:
    """The bytes of a batch: doubled by success, halved by failure, never more than 20 s of line.

    Where the line keeps breaking it is less: most archives keep nothing of a request that was cut.

    Args:
        largest: Never more than this.
    """

    def __init__(self, largest: int) -> None:
        self._largest = max(largest, _SMALLEST)
        self._grown = min(_FIRST, self._largest)
        self.speed: float | None = None
        """Bytes a second that one request was carried at; None until one was answered."""
        self._between: float | None = None
        """Seconds of sending between two failures; None until there was one."""
        self._since = 0.0
        """Seconds of sending since the last one."""

    @property
    def limit(self) -> int:
        """Bytes of the next batch."""
        if self.speed is None:
            return self._grown
        return min(self._grown, max(int(self.speed * self._seconds), _SMALLEST))

    @property
    def breaks(self) -> bool:
        """Whether failures come so often that what is under way at once should be little."""
        return self._between is not None and max(self._between, self._since) < _OFTEN

    @property
    def _seconds(self) -> float:
        if self._between is None:
            return _SECONDS
        return min(_SECONDS, _SHARE * max(self._between, self._since))

    def carried(self, size: int, seconds: float) -> None:
        """A request of so many bytes was answered after so long."""
        self._since += seconds
        if seconds >= _SHORTEST:
            self.speed = _mean(self.speed, size / seconds)
        self._grown = min(self.limit * 2, self._largest)

    def failed(self, seconds: float | None = None) -> None:
        """A request failed, after so long; None: it was refused, and the line is none the worse."""
        if seconds is not None:
            self._between = _mean(self._between, self._since + seconds)
            self._since = 0.0
        self._grown = max(self.limit // 2, _SMALLEST)


def _mean(old: float | None, new: float) -> float:
    return new if old is None else old + _NEWEST * (new - old)


@dataclass
class _Record:
    failures: int = 0
    refusals: int = 0


class Suspects:
    """Who took part in failures, and how often.

    A connection that breaks is mostly the line's fault, and counts one; an answer that does not
    name an instance counts two. From four on an instance travels alone.
    """

    CUT, UNNAMED = 1, 2
    _ALONE_FROM = 4

    def __init__(self) -> None:
        self._records: dict[int, _Record] = {}

    def failed(self, instance_ids: Iterable[int], weight: int = UNNAMED) -> None:
        """These were in a request of which nothing is known, or that failed as a whole."""
        for instance_id in instance_ids:
            self._records.setdefault(instance_id, _Record()).failures += weight

    def refused(self, instance_id: int) -> int:
        """This one was refused by name, and may be tried again; how often that happened."""
        record = self._records.setdefault(instance_id, _Record())
        record.failures += self._ALONE_FROM
        record.refusals += 1
        return record.refusals

    def was_refused(self, instance_id: int) -> bool:
        """Whether it was refused by name."""
        record = self._records.get(instance_id)
        return record is not None and record.refusals > 0

    def cleared(self, instance_ids: Iterable[int]) -> None:
        """These are settled."""
        for instance_id in instance_ids:
            self._records.pop(instance_id, None)

    def suspicion(self, instance_id: int) -> int:
        """0 for the unsuspected; for those who travel alone, how often that failed, from 1."""
        record = self._records.get(instance_id)
        return 0 if record is None else max(record.failures - self._ALONE_FROM + 1, 0)

    def first_batch(self, owed: Sequence[Owed]) -> list[Owed]:
        """The beginning of *owed* that may travel together; a copy that must be made goes alone."""
        batch: list[Owed] = []
        for one in owed:
            if one.remedy is not None or self.suspicion(one.instance_id):
                return batch or [one]
            batch.append(one)
        return batch
