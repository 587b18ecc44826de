"""Asking an archive which instances it lists, and how long to believe that it will list one yet.

Archives index beside their answer: an instance that they said yes to may be missing from searches
for seconds. So one look that does not find it proves nothing; only patience that ran out does.
Owns that patience and the order of questions. Never changes custody.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from edge.cache.custody import Owed
from edge.cloud.archive import Archive
from edge.cloud.listing import uid_of
from edge.cloud.retry import Backoff

__all__ = ["Listing", "Patience", "by_series", "list_instances"]

_SOP_UID = "00080018"
_FEW = 4
"""So many are asked for one by one: a row of a list costs an archive about a millisecond, and a
series can have thousands."""


def by_series(owed: Iterable[Owed]) -> Iterator[list[Owed]]:
    """The same, series by series."""

    def key(one: Owed) -> tuple[str, str]:
        return one.ref.study_uid, one.ref.series_uid

    for _, group in groupby(sorted(owed, key=key), key):
        yield list(group)


@dataclass(frozen=True, slots=True)
class Listing:
    """What an archive listed of the instances that it was asked about, all of one series."""

    found: frozenset[str]
    """SOP Instance UIDs."""
    rows: int | None
    """Instances that the whole series has there; None if it was not listed as a whole."""


async def list_instances(archive: Archive, series: Sequence[Owed]) -> Listing:
    """Ask which of these instances, all of one series, the archive has.

    Each one that the series' list lacks is asked for by its own UID before it counts as missing:
    lists are cut where their archive likes.

    Raises:
        CloudError: The archive can't be asked.
    """
    wanted = {one.ref.sop_uid for one in series}
    ref = series[0].ref
    listed = set[str]()
    count: int | None = None
    if len(wanted) > _FEW:
        rows = await archive.search_instances(ref.study_uid, ref.series_uid)
        listed = {uid for row in rows if (uid := uid_of(row, _SOP_UID)) is not None}
        count = len(listed)
    for sop_uid in sorted(wanted - listed):
        rows = await archive.search_instances(ref.study_uid, ref.series_uid, sop_uid)
        if any(uid_of(row, _SOP_UID) == sop_uid for row in rows):
            listed.add(sop_uid)
    return Listing(frozenset(wanted & listed), count)


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
        if now - since >= self._seconds:
            self.forget([instance_id])
            return None
        self._first[instance_id] = since, asked + 1
        return now + self._backoff.delay(asked + 1)

    def forget(self, instance_ids: Iterable[int]) -> None:
        """These were found, or are nobody's concern any more."""
        for instance_id in instance_ids:
            self._first.pop(instance_id, None)
