"""How much goes into one store request, and who travels alone.

A batch grows while requests succeed and halves when one fails; what took part in a failure is
suspected, and a suspect travels alone and later, so that one bad instance stalls no other. All of
it is in memory: after a restart the line's measure is taken anew. No I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edge.cache.custody import Owed

__all__ = ["BatchSize", "Suspects"]

_SMALLEST = 256 * 1024
_FIRST = 2 * 1024 * 1024


class BatchSize:
    """The bytes of a batch: doubled by success, halved by failure.

    Args:
        largest: Never more than this.
    """

    def __init__(self, largest: int) -> None:
        self._largest = max(largest, _SMALLEST)
        self.limit = min(_FIRST, self._largest)

    def grow(self) -> None:
        """A request succeeded."""
        self.limit = min(self.limit * 2, self._largest)

    def shrink(self) -> None:
        """A request failed."""
        self.limit = max(self.limit // 2, _SMALLEST)


@dataclass
class _Record:
    failures: int = 0
    refusals: int = 0


class Suspects:
    """Who took part in failures, and how often.

    One failure in company may be anybody's fault, or the line's; from the second on an instance
    travels alone.
    """

    _ALONE_FROM = 2

    def __init__(self) -> None:
        self._records: dict[int, _Record] = {}

    def failed(self, instance_ids: Iterable[int]) -> None:
        """These were in a request of which nothing is known, or that failed as a whole."""
        for instance_id in instance_ids:
            self._records.setdefault(instance_id, _Record()).failures += 1

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
