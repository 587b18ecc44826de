"""The few numbers that every screen shows, each one question to the index."""

from __future__ import annotations

from dataclasses import dataclass

from edge.index.database import Database
from edge.index.queue import WAITING_STUDIES

__all__ = [
    "ONLY_HERE",
    "SERIES_ONLY_HERE",
    "Summary",
    "WaitingStudy",
    "summary",
    "waiting_studies",
]


_UNVOUCHED = (
    "availability = 'ONLINE' AND custody NOT IN ('ACKNOWLEDGED', 'VERIFIED')"
    " AND id NOT IN (SELECT instance_id FROM copies WHERE instance_id = instances.id"
    " AND custody = 'VERIFIED')"
)
"""That the bytes of a row of ``instances`` are here, and no archive vouches for them."""
ONLY_HERE = (
    "SELECT study_uid FROM studies WHERE edge_only_count > 0"
    f" AND EXISTS (SELECT 1 FROM instances WHERE study_id = studies.id AND {_UNVOUCHED})"
    " UNION SELECT study_uid FROM quarantine"
)
"""UIDs of studies with bytes here that no archive vouches for, as SQL.

The counter leads to few studies; that of what was lost does not exist here, either."""
SERIES_ONLY_HERE = (
    f"(EXISTS (SELECT 1 FROM instances WHERE series_id = e.id AND {_UNVOUCHED})"
    " OR EXISTS (SELECT 1 FROM quarantine q WHERE q.study_uid = s.study_uid"
    " AND q.series_uid = e.series_uid))"
)
"""That a series ``e`` of a study ``s`` has such bytes."""
_PERHAPS_ONLY_HERE = (
    "SELECT count(*) FROM absences a JOIN studies s ON s.id = a.study_id"
    " WHERE EXISTS (SELECT 1 FROM instances i WHERE i.study_id = a.study_id"
    " AND i.availability = 'ONLINE' AND i.withheld <> 'TRASH' AND i.id NOT IN"
    " (SELECT instance_id FROM copies WHERE instance_id = i.id AND custody = 'VERIFIED'))"
)


@dataclass(frozen=True, slots=True)
class Summary:
    """Counts of studies and instances, and bytes."""

    studies: int
    studies_only_here: int
    """Studies with bytes here that no archive vouches for, those in quarantine too."""
    studies_unproven: int
    """Studies with bytes here that the archive only says that it stored."""
    instances: int
    instances_online: int
    custody: dict[str, int]
    """Instances by who vouches for them."""
    backlog_bytes: int
    """Of instances that are still to be sent."""
    sealed_bytes: int
    """On disk, quarantine included."""
    quarantined: int
    """Of ``in_conflict``, what is in quarantine here."""
    lost: int
    """Instances that were here, are gone, and no archive is known to have."""
    withdrawals: int
    """Instances deleted here that the archive is to be told of yet."""
    withdrawals_refused: int
    """Of those, the ones that it would not delete when it was told; and what it never will."""
    given_up: int = 0
    """Of the instances that the archive refuses, those that a person gave up."""
    remedied: int = 0
    """Instances of which the archive has a copy that it takes; they stay here for good."""
    rejected: int = 0
    """Instances that are here or in the archive, and that a rejection note hides."""
    trashed: int = 0
    """Instances that the archive deleted, and that are here for some days more."""
    trashed_studies: int = 0
    """Studies that those are of."""
    trashed_since: float | None = None
    """Since when the first of them is in the trash, in POSIX seconds."""
    by_courier: int = 0
    """Instances that are on their way on a disk, as far as was heard,"""
    by_courier_since: float = 0.0
    """and when the first of them were packed; POSIX seconds."""
    absent: int = 0
    """Studies that the archive does not have any more, and a person decides about."""
    absent_suspected: int = 0
    """Studies that it does not list as before, and that are looked for once more."""
    absent_decided: int = 0
    """Studies that it does not have any more, of which a person said what shall become."""
    studies_perhaps_only_here: int = 0
    """Of all those, the ones with bytes here that no other archive is verified to have; what is
    only here for certain is not among them."""
    in_conflict: int = 0
    """What ``edge sync list`` lists as such: instances that the archive has otherwise, and objects
    in quarantine."""


@dataclass(frozen=True, slots=True)
class WaitingStudy:
    """A study of which something is still to be sent."""

    study_uid: str
    instances: int
    bytes: int
    """Of those instances."""
    eta: float | None = None
    """When it will be there, in POSIX seconds; None if that can't be said."""


async def waiting_studies(database: Database, max_count: int) -> list[WaitingStudy]:
    """The studies that wait for the line, in the order in which they go."""
    rows = await database.read(
        f"SELECT s.study_uid, w.waiting, w.bytes FROM ({WAITING_STUDIES}) w"
        " JOIN studies s ON s.id = w.study_id ORDER BY w.priority, w.study_id",
        (max_count, 0),
    )
    return [WaitingStudy(*row) for row in rows]


async def summary(database: Database) -> Summary:
    """All of it, as of the last commit."""
    ((studies, instances, online),) = await database.read(
        "SELECT count(*), coalesce(sum(instance_count), 0), coalesce(sum(online_count), 0)"
        " FROM studies WHERE id NOT IN (SELECT study_id FROM hidden_studies)"
    )
    ((only_here, perhaps, unproven),) = await database.read(
        f"SELECT (SELECT count(*) FROM ({ONLY_HERE})),"
        f" ({_PERHAPS_ONLY_HERE} AND s.study_uid NOT IN ({ONLY_HERE})),"
        " (SELECT count(DISTINCT study_id) FROM instances"
        " WHERE custody = 'ACKNOWLEDGED' AND availability = 'ONLINE')"
    )
    custody = await database.read(
        "SELECT custody, count(*), coalesce(sum(content_bytes), 0) FROM instances"
        " WHERE withheld <> 'TRASH' GROUP BY custody"
    )
    ((sealed, quarantined, lost),) = await database.read(
        "SELECT (SELECT sealed_bytes FROM totals), (SELECT count(*) FROM quarantine),"
        " (SELECT count(*) FROM instances WHERE availability = 'UNAVAILABLE'"
        " AND withheld <> 'TRASH')"
    )
    ((withdrawals, refused),) = await database.read(
        "SELECT coalesce(sum(withdrawal = 'DUE'), 0), coalesce(sum(reason <> ''), 0)"
        " FROM tombstones WHERE withdrawal IN ('DUE', 'REFUSED')"
    )
    ((given_up, remedied),) = await database.read(
        "SELECT (SELECT count(*) FROM disputes d JOIN instances i ON i.id = d.instance_id"
        " WHERE d.given_up > 0 AND i.custody = 'REFUSED'),"
        " (SELECT count(*) FROM remedies r JOIN instances i ON i.id = r.instance_id"
        " WHERE i.custody = 'VERIFIED' AND i.availability = 'ONLINE')"
    )
    ((rejected, trashed, trashed_studies, trashed_since),) = await database.read(
        "SELECT (SELECT count(*) FROM instances WHERE withheld = 'REJECTED'),"
        " (SELECT count(*) FROM instances WHERE withheld = 'TRASH'),"
        " (SELECT count(DISTINCT i.study_id) FROM trash t"
        " JOIN instances i ON i.id = t.instance_id),"
        " (SELECT min(since) FROM trash)"
    )
    ((by_courier, since),) = await database.read(
        "SELECT count(DISTINCT instance_id), coalesce(min(packed), 0) FROM courier"
        " WHERE outcome = ''"
    )
    ((absent, suspected, decided),) = await database.read(
        "SELECT coalesce(sum(state = 'HELD'), 0), coalesce(sum(state = 'SUSPECTED'), 0),"
        " coalesce(sum(state IN ('TRASH', 'AGAIN')), 0) FROM absences"
    )
    counts = {name: count for name, count, _ in custody}
    return Summary(
        studies=studies,
        studies_only_here=only_here,
        studies_unproven=unproven,
        instances=instances,
        instances_online=online,
        custody=counts,
        backlog_bytes=sum(size for name, _, size in custody if name in {"EDGE_ONLY", "SENT"}),
        sealed_bytes=sealed,
        quarantined=quarantined,
        lost=lost,
        withdrawals=withdrawals,
        withdrawals_refused=refused,
        given_up=given_up,
        remedied=remedied,
        rejected=rejected,
        trashed=trashed,
        trashed_studies=trashed_studies,
        trashed_since=trashed_since,
        by_courier=by_courier,
        by_courier_since=since,
        absent=absent,
        absent_suspected=suspected,
        absent_decided=decided,
        studies_perhaps_only_here=perhaps,
        in_conflict=quarantined + counts.get("CONFLICT", 0),
    )
