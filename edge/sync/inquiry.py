"""The order of questions to an archive, and how long to believe that it will list something yet.

Archives index beside their answer: an instance that they said yes to may be missing from searches
for seconds. So one look that does not find it proves nothing; only patience that ran out does.
Never changes custody. No I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from edge.cache.ledger import Owed
from edge.cloud.retry import Backoff

__all__ = ["Patience", "by_series"]


def by_series(owed: Iterable[Owed]) -> Iterator[list[Owed]]:
    """The same, series by series."""

    def key(one: Owed) -> tuple[str, str]:
        return one.ref.study_uid, one.ref.series_uid

    for _, group in groupby(sorted(owed, key=key), key):
        yield list(group)


class Patience:
    """How long an instance may stay unlisted, counted from the first question.

    Args:
        seconds: After that it is missing.
        backoff: Pauses between two questions about the same instance.
    """

    def __init__(self, seconds: float, backoff: Backoff) -> None:
        self._seconds = seconds
        self._backoff = backoff
        # In memory only: after a restart an instance is waited for once more, which does no harm.
        self._first: dict[int, tuple[float, int]] = {}

    def ask_again_at(self, instance_id: int, now: float) -> float | None:
        """When to ask about it again; None if it is missing, and then it is forgotten."""
        since, asked = self._first.get(instance_id, (now, 0))
        since = min(since, now)  # a clock that was ahead counts for nothing
        if now - since >= self._seconds:
            self.forget([instance_id])
            return None
        self._first[instance_id] = since, asked + 1
        return now + self._backoff.delay(asked + 1)

    def forget(self, instance_ids: Iterable[int]) -> None:
        """These were found, or are nobody's concern any more."""
        for instance_id in instance_ids:
            self._first.pop(instance_id, None)
