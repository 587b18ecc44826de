"""What is under way in bundles on a disk, and what receipts say of it.

Functions that take a ``Connection`` run inside ``Database.write``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edge.dicom.instance import Custody
from edge.index import disputes
from edge.index.custody import Primary
from edge.index.database import Connection, Database
from edge.index.disputes import Theirs
from edge.index.lookup import ROW, InstanceRow, json_list, to_row

__all__ = [
    "Seen",
    "Waiting",
    "begin",
    "close",
    "forget",
    "knows",
    "pack",
    "rows",
    "settle",
    "under_way",
    "waiting",
]

OVERTAKEN = "OVERTAKEN"
"""The archive itself has spoken of the instance since; written by a trigger, too."""
CHANGED = "CHANGED"
"""Other bytes are here now than those that were packed."""
_OWED = (
    "i.custody IN ('EDGE_ONLY', 'SENT', 'REFUSED') AND i.availability = 'ONLINE'"
    " AND (i.custody <> 'REFUSED' OR i.retry_at > 0)"
)
_BETTER = ("STORED", "REFUSED", "DAMAGED")
"""Outcomes that a later run at that place, or at another, may better."""
_AGAIN = 12 * 3600.0
"""Seconds until what was refused for no lasting reason is offered again."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """An instance that could be packed."""

    instance_id: int
    size: int


@dataclass(frozen=True, slots=True)
class Seen:
    """What a receipt says of an instance."""

    sop_uid: str
    outcome: str
    custody: Custody | None
    """That it would have by that; None if its custody stays as it is."""
    at: float
    digest: bytes
    words: str
    lasting: bool
    theirs: Theirs | None


async def waiting(
    database: Database, studies: Sequence[str], *, again: bool
) -> tuple[list[Waiting], int]:
    """What the archive lacks, in the order in which it would go up; how many need the line.

    Those of which a copy is sent in their place need it: the archive refused them as they are.

    Args:
        database: The index.
        studies: Only these; all if there are none.
        again: Also what is under way already, with the bytes that it has now.
    """
    which = "" if not studies else " AND s.study_uid IN (SELECT value FROM json_each(?))"
    found = await database.scan(
        "SELECT i.id, i.content_bytes, EXISTS (SELECT 1 FROM remedies WHERE instance_id = i.id)"
        f" FROM instances i JOIN studies s ON s.id = i.study_id WHERE {_OWED}{which}"
        " AND (? OR NOT EXISTS (SELECT 1 FROM courier c WHERE c.instance_id = i.id"
        " AND c.outcome = '' AND c.dataset_digest = i.dataset_digest))"
        " ORDER BY i.priority, i.behind, i.study_id, i.series_id, i.instance_number, i.id",
        (*([json_list(studies)] if studies else []), again),
    )
    chosen = [Waiting(instance_id, size) for instance_id, size, remedied in found if not remedied]
    return chosen, len(found) - len(chosen)


async def rows(database: Database, instance_ids: Sequence[int]) -> list[tuple[InstanceRow, int]]:
    """Some of these instances as they are now, those that are still owed, with their priority."""
    found = await database.read(
        f"SELECT row.*, i.priority FROM ({ROW}) row JOIN instances i ON i.id = row.id"
        f" WHERE i.id IN (SELECT value FROM json_each(?)) AND {_OWED}",
        (json_list(instance_ids),),
    )
    by_id = {row[0]: (to_row(row[:-1]), int(row[-1])) for row in found}
    return [by_id[one] for one in instance_ids if one in by_id]


async def knows(database: Database, bundle: str) -> float | None:
    """When a bundle was closed, 0 if it was not; None if nothing is known of it."""
    found = await database.read("SELECT closed FROM courier_bundles WHERE bundle = ?", (bundle,))
    return float(found[0][0]) if found else None


async def under_way(database: Database, bundle: str) -> int:
    """Instances of a bundle of which more is to be heard."""
    found = await database.read(
        "SELECT count(*) FROM courier WHERE outcome IN ('', 'STORED') AND bundle = ?", (bundle,)
    )
    return int(found[0][0])


def begin(db: Connection, bundle: str, now: float) -> None:
    """Know a bundle; one that is known stays as it is."""
    db.execute(
        "INSERT OR IGNORE INTO courier_bundles (bundle, packed) VALUES (?, ?)", (bundle, now)
    )


def pack(db: Connection, bundle: str, packed: Iterable[tuple[str, bytes]], now: float) -> None:
    """Instances (SOP Instance UID, digest of the data set) are in a bundle, whole and durable.

    What is known of them already stays. One whose bytes are others now is not under way.
    """
    db.executemany(
        "INSERT OR IGNORE INTO courier (instance_id, bundle, packed, dataset_digest, outcome)"
        " SELECT id, ?, ?, ?, CASE WHEN custody IN ('EDGE_ONLY', 'SENT', 'REFUSED') THEN ''"
        " ELSE 'OVERTAKEN' END FROM instances WHERE sop_uid = ? AND dataset_digest = ?",
        [(bundle, now, digest, sop_uid, digest) for sop_uid, digest in packed],
    )


def forget(db: Connection, bundle: str) -> None:
    """What is in a bundle that nothing was heard of is read from the disk again."""
    db.execute("DELETE FROM courier WHERE outcome = '' AND bundle = ?", (bundle,))


def settle(db: Connection, bundle: str, seen: Seen, now: float) -> str:
    """Let a receipt speak of an instance; what became of that, empty if it was told before.

    Custody moves only if the archive has not spoken of the instance since it was packed, and its
    bytes are those that were packed. What was told before is bettered, and nothing else: so an old
    receipt undoes no decision. An upload of one that is SENT may be under way this moment, so that
    one is only ACKNOWLEDGED, and told as stored: its proof is asked for.
    """
    row = db.execute(
        "SELECT i.id, i.custody, i.availability, i.dataset_digest, c.dataset_digest, c.outcome"
        " FROM instances i JOIN courier c ON c.instance_id = i.id"
        " WHERE i.sop_uid = ? AND c.bundle = ?",
        (seen.sop_uid, bundle),
    ).fetchone()
    if row is None:
        return ""
    instance_id, was, availability, digest, packed, before = row
    is_better = seen.outcome in ("VERIFIED", "STORED") and seen.outcome != before
    if before and not (before in _BETTER and is_better):
        return ""
    custody, outcome = seen.custody, seen.outcome
    if digest != packed:
        custody, outcome = None, CHANGED
    elif custody is Custody.VERIFIED and seen.digest != packed:
        return ""  # It says one thing and shows another.
    elif was not in (Custody.EDGE_ONLY, Custody.SENT, Custody.REFUSED) and (
        (was, before) != (Custody.ACKNOWLEDGED, "STORED")
    ):
        custody, outcome = None, OVERTAKEN
    became = outcome
    if was == Custody.SENT and custody is Custody.VERIFIED:
        custody, became = Custody.ACKNOWLEDGED, "STORED"
    if custody is not None:
        _move(db, instance_id, custody, seen, now)
        if availability == "UNAVAILABLE" and custody in (Custody.ACKNOWLEDGED, Custody.VERIFIED):
            # It was lost here while it was under way, and can be had from the archive.
            db.execute(
                "UPDATE instances SET availability = 'NEARLINE' WHERE id = ?", (instance_id,)
            )
    # Last: the trigger took it for the archive's own word.
    db.execute(
        "UPDATE courier SET outcome = ? WHERE instance_id = ? AND bundle = ?",
        (outcome, instance_id, bundle),
    )
    return became


def _move(db: Connection, instance_id: int, custody: Custody, seen: Seen, now: float) -> None:
    again = now + _AGAIN if custody is Custody.REFUSED and not seen.lasting else 0.0
    # It was verified when that place looked, not now; and its clock may be ahead.
    Primary().settle(db, instance_id, custody, seen.words, again, min(seen.at, now))
    if seen.theirs is not None:
        disputes.note_theirs(db, instance_id, seen.theirs)


def close(db: Connection, bundle: str, now: float) -> None:
    """A bundle is done with: whatever else is found of it counts no more."""
    db.execute("DELETE FROM courier WHERE bundle = ?", (bundle,))
    db.execute("UPDATE courier_bundles SET closed = ? WHERE bundle = ?", (now, bundle))
