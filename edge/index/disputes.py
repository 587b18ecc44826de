"""What a person has to decide: dead letters and conflicts, and how a decision is written down.

A dead letter is an instance that the archive refuses. A conflict is one of which the archive has
other bytes, or an object in quarantine: other bytes that came under a UID that is here. Functions
that take a ``Connection`` run inside ``Database.write``; each can be repeated, touches only what is
in the state that it is for, and says whether there was something to change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edge.dicom.instance import Availability, Custody, InstanceRef
from edge.index.database import Connection, Database
from edge.index.feed import record
from edge.index.instances import NewInstance, forget, insert
from edge.index.lookup import json_list
from edge.index.names import NAME_OF_STUDY
from edge.index.tombstones import Changed, Doomed

__all__ = [
    "Aside",
    "Dispute",
    "Query",
    "Theirs",
    "count",
    "discard",
    "end_decision",
    "find",
    "find_aside",
    "give_up",
    "note_decision",
    "note_theirs",
    "retry",
    "swap",
    "undone",
]


@dataclass(frozen=True, slots=True)
class Query:
    """Which disputes, the newest first.

    Empty *sop_uids* and no *study_uid* mean all.
    """

    sop_uids: tuple[str, ...] = ()
    study_uid: str | None = None
    limit: int = -1
    """How many at the most; -1 for all."""
    offset: int = 0
    given_up: bool | None = None
    """Of dead letters: only those that were given up, or that were not."""

    def condition(self, study: str, sop: str) -> tuple[str, list[object]]:
        """As SQL on two columns."""
        where, values = ["1"], list[object]()
        if self.sop_uids:
            where.append(f"{sop} IN (SELECT value FROM json_each(?))")
            values.append(json_list(self.sop_uids))
        if self.study_uid is not None:
            where.append(f"{study} = ?")
            values.append(self.study_uid)
        return " AND ".join(where), values


@dataclass(frozen=True, slots=True)
class Theirs:
    """What the archive was seen to have under a UID."""

    digest: bytes
    """SHA-256 of its data set."""
    transfer_syntax: str
    content_bytes: int


@dataclass(frozen=True, slots=True)
class Dispute:
    """An instance that the archive refuses, or has otherwise."""

    instance_id: int
    ref: InstanceRef
    sop_class_uid: str
    transfer_syntax: str
    availability: Availability
    custody: Custody
    content_bytes: int
    dataset_digest: bytes | None
    origin: str
    peer: str
    received: float
    retry_at: float
    reason: str
    """The archive's own words."""
    patient_id: str
    patient_name: str
    since: float
    refusals: int
    given_up: float
    decision: str
    words: str
    theirs: Theirs | None
    remedy: tuple[str, str, bytes | None] | None
    """As ``remedies.remedy_of`` takes it."""
    edited: tuple[str, ...]
    """Tags of patient and study that were edited in the archive."""


@dataclass(frozen=True, slots=True)
class Aside:
    """An object in quarantine, and what is kept as the instance of its UID."""

    ref: InstanceRef
    object: str
    sealed_bytes: int
    transfer_syntax: str
    content_bytes: int
    dataset_digest: bytes
    origin: str
    peer: str
    received: float
    patient_id: str
    patient_name: str
    kept: tuple[Any, ...] | None
    """Transfer syntax, bytes, digest, origin, peer and time of the instance of this UID, and
    whether its bytes are here or in the archive; None if there is none."""


_EDITED = (
    "(SELECT group_concat(DISTINCT one.key) FROM edits h, json_each(h.after) one"
    " WHERE h.study_id = s.id)"
)
_DISPUTES = (
    " FROM disputes d JOIN instances i ON i.id = d.instance_id"
    " JOIN series e ON e.id = i.series_id JOIN studies s ON s.id = i.study_id"
    " LEFT JOIN remedies r ON r.instance_id = i.id WHERE i.custody = ?"
)
_ASIDE = (
    " FROM quarantine q LEFT JOIN instances i ON i.sop_uid = q.sop_uid"
    " LEFT JOIN studies s ON s.id = i.study_id WHERE "
)


def _disputes(custody: Custody, query: Query) -> tuple[str, list[object]]:
    where, values = query.condition("s.study_uid", "i.sop_uid")
    if query.given_up is not None:
        where += " AND d.given_up > 0" if query.given_up else " AND d.given_up = 0"
    return f"{_DISPUTES} AND {where}", [custody, *values]


async def count(database: Database, custody: Custody | None, query: Query) -> int:
    """How many there are, whatever the page: of instances in a custody, or in quarantine (None)."""
    if custody is None:
        where, values = query.condition("q.study_uid", "q.sop_uid")
        rows = await database.read(f"SELECT count(*){_ASIDE}{where}", values)
    else:
        where, values = _disputes(custody, query)
        rows = await database.read(f"SELECT count(*){where}", values)
    return int(rows[0][0])


async def find(database: Database, custody: Custody, query: Query) -> list[Dispute]:
    """The instances in a custody that is for a person, REFUSED or CONFLICT."""
    where, values = _disputes(custody, query)
    rows = await database.read(
        "SELECT i.id, s.study_uid, e.series_uid, i.sop_uid, i.sop_class_uid, i.transfer_syntax,"
        " i.availability, i.custody, i.content_bytes, i.dataset_digest, i.origin, i.peer,"
        f" i.received, i.retry_at, i.reason, s.patient_id, {NAME_OF_STUDY}, d.since,"
        " d.refusals, d.given_up, d.decision, d.words, d.digest, d.transfer_syntax,"
        f" d.content_bytes, r.transfer_syntax, r.attributes, r.sent_digest, {_EDITED}"
        f"{where} ORDER BY d.since DESC, i.id DESC LIMIT ? OFFSET ?",
        [*values, query.limit, query.offset],
    )
    return [_dispute(*row) for row in rows]


def _dispute(instance_id: int, *row: Any) -> Dispute:
    study, series, sop, sop_class, syntax, availability, custody, *rest = row
    *rest, digest, their_syntax, their_bytes, new_syntax, attributes, sent, edited = rest
    theirs = None if digest is None else Theirs(digest, their_syntax, their_bytes)
    remedy = None if attributes is None else (new_syntax, attributes, sent)
    return Dispute(
        instance_id,
        InstanceRef(study, series, sop),
        sop_class,
        syntax,
        Availability(availability),
        Custody(custody),
        *(*rest, theirs, remedy, tuple(sorted(edited.split(","))) if edited else ()),
    )


async def find_aside(database: Database, query: Query) -> list[Aside]:
    """What is in quarantine."""
    where, values = query.condition("q.study_uid", "q.sop_uid")
    rows = await database.read(
        "SELECT q.study_uid, q.series_uid, q.sop_uid, q.object, q.sealed_bytes, q.transfer_syntax,"
        " q.content_bytes, q.dataset_digest, q.origin, q.peer, q.received,"
        f" coalesce(s.patient_id, ''), {NAME_OF_STUDY}, i.id, i.transfer_syntax,"
        " i.content_bytes, i.dataset_digest, i.origin, i.peer, i.received,"
        " i.availability <> 'UNAVAILABLE'"
        f"{_ASIDE}{where} ORDER BY q.received DESC, q.id DESC LIMIT ? OFFSET ?",
        [*values, query.limit, query.offset],
    )
    return [
        Aside(InstanceRef(*row[:3]), *(*row[3:13], None if row[13] is None else row[14:]))
        for row in rows
    ]


def retry(db: Connection, instance_id: int) -> bool:
    """A dead letter is owed again at once, one that was given up, too."""
    changed: int = db.execute(
        "UPDATE instances SET custody = 'EDGE_ONLY', retry_at = 0, tries = 0"
        " WHERE id = ? AND custody = 'REFUSED'",
        (instance_id,),
    ).rowcount
    if changed:
        db.execute(
            "UPDATE disputes SET given_up = 0, words = '' WHERE instance_id = ?", (instance_id,)
        )
    return bool(changed)


def give_up(db: Connection, instance_id: int, words: str, now: float) -> bool:
    """A dead letter is not offered again; it stays here, and stays refused."""
    changed: int = db.execute(
        "UPDATE instances SET retry_at = 0 WHERE id = ? AND custody = 'REFUSED'", (instance_id,)
    ).rowcount
    if changed:
        db.execute(
            "UPDATE disputes SET words = ?,"
            " given_up = CASE given_up WHEN 0 THEN ? ELSE given_up END WHERE instance_id = ?",
            (words, now, instance_id),
        )
    return bool(changed)


def note_decision(db: Connection, instance_id: int, decision: str) -> bool:
    """What shall become of a conflict with the archive; empty: both are kept."""
    changed: int = db.execute(
        "UPDATE disputes SET decision = ?, words = '' WHERE instance_id = ? AND EXISTS"
        " (SELECT 1 FROM instances i WHERE i.id = instance_id AND i.custody = 'CONFLICT')",
        (decision, instance_id),
    ).rowcount
    return bool(changed)


async def undone(database: Database, most: int) -> list[Dispute]:
    """Conflicts with the archive whose decision is still to be carried out, the newest first."""
    rows = await database.read(
        "SELECT i.sop_uid FROM disputes d JOIN instances i ON i.id = d.instance_id"
        " WHERE d.decision <> '' AND i.custody = 'CONFLICT' LIMIT ?",
        (most,),
    )
    sop_uids = tuple(sop_uid for (sop_uid,) in rows)
    return await find(database, Custody.CONFLICT, Query(sop_uids)) if sop_uids else []


def end_decision(db: Connection, instance_id: int, custody: Custody, words: str) -> None:
    """A decision was carried out, or can't be (then it stays a conflict, and *words* say why)."""
    db.execute(
        "UPDATE disputes SET decision = '', words = ? WHERE instance_id = ?", (words, instance_id)
    )
    db.execute(
        "UPDATE instances SET custody = ?, retry_at = 0, tries = 0"
        " WHERE id = ? AND custody = 'CONFLICT'",
        (custody, instance_id),
    )


def note_theirs(db: Connection, instance_id: int, theirs: Theirs) -> None:
    """What the archive was seen to have of an instance in dispute."""
    db.execute(
        "UPDATE disputes SET digest = ?, transfer_syntax = ?, content_bytes = ?"
        " WHERE instance_id = ?",
        (theirs.digest, theirs.transfer_syntax, theirs.content_bytes, instance_id),
    )


def discard(db: Connection, name: str) -> bool:
    """An object goes from quarantine; whether it was there."""
    changed: int = db.execute("DELETE FROM quarantine WHERE object = ?", (name,)).rowcount
    return bool(changed)


def swap(
    db: Connection,
    kept: Doomed | None,
    new: NewInstance,
    received: float,
    now: float,
    *,
    alone: bool = False,
) -> None:
    """An object in quarantine becomes the instance of its UID; what was kept goes there instead.

    The instance gets a row of its own, so that whoever works on the other settles nothing of it.

    Args:
        db: The writer's connection.
        kept: The instance as it was when that was decided; None if there is none.
        new: What is in quarantine.
        received: When that came.
        now: POSIX seconds.
        alone: What was kept goes for good, and not into quarantine.

    Raises:
        Changed: One of them is not as it was; nothing is done.
    """
    row = db.execute(
        "SELECT id, object, custody, availability FROM instances WHERE sop_uid = ?",
        (new.ref.sop_uid,),
    ).fetchone()
    seen = kept and (kept.instance_id, kept.object, kept.custody, kept.availability)
    if row != seen or not discard(db, new.object):
        raise Changed
    action = "CREATE"
    if kept is not None:
        db.execute(
            "INSERT OR IGNORE INTO quarantine (study_uid, series_uid, sop_uid, object, key_id,"
            " content_bytes, sealed_bytes, transfer_syntax, dataset_digest, origin, peer, received)"
            " SELECT ?, ?, sop_uid, object, key_id, content_bytes, sealed_bytes, transfer_syntax,"
            " dataset_digest, origin, peer, received FROM instances"
            " WHERE id = ? AND object IS NOT NULL AND NOT ?",
            (kept.ref.study_uid, kept.ref.series_uid, kept.instance_id, alone),
        )
        forget(db, kept.instance_id)
        if kept.ref == new.ref:
            action = "UPDATE"
        else:
            record(db, "DELETE", kept.ref, now)
    insert(db, new, now, action=action)
    db.execute("UPDATE instances SET received = ? WHERE sop_uid = ?", (received, new.ref.sop_uid))
