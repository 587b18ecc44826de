"""Performed procedure steps, and the studies that come in, as the index knows them.

Functions that take a ``Connection`` run inside ``Database.write``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from edge.dicom.availability import Available
from edge.dicom.procedure import StepState
from edge.index.database import Connection, Database
from edge.index.lookup import json_list

__all__ = [
    "Arrival",
    "Record",
    "available",
    "changed_since",
    "complete",
    "count",
    "find",
    "follow",
    "forget_before",
    "insert",
    "name_instances",
    "page",
    "progress",
    "set_right",
    "steps_of",
    "touch",
    "under_way",
    "update",
]

_CURSOR = "arrivals"


@dataclass(frozen=True, slots=True)
class Record:
    """One step."""

    procedure_id: int
    sop_uid: str
    state: StepState
    attributes: bytes
    """DICOM JSON, deflated."""
    peer: str
    created: float
    changed: float
    told: tuple[str, ...]
    """AE titles that are told of it."""
    named: int = 0
    """Instances that it names,"""
    missing: int = 0
    """and those of them that neither this box nor the archive is known to have."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A study that comes in."""

    study_uid: str
    since: float
    latest: float
    """When the last of it came, or a step of it was changed."""
    fresh: int
    """Instances that came since it was complete."""
    instances: int
    steps: int
    in_progress: int
    """Of them."""
    missing: int
    """Instances that its steps name, and that are not known."""
    unnamed: int
    """Instances that are known, and that none of its steps names."""


_UNKNOWN = (
    "NOT EXISTS (SELECT 1 FROM instances i"
    " WHERE i.sop_uid = n.sop_uid AND i.availability <> 'UNAVAILABLE')"
)
_RECORD = (
    "SELECT p.id, p.sop_uid, p.state, p.attributes, p.peer, p.created, p.changed, p.told,"
    " (SELECT count(*) FROM procedure_instances n WHERE n.procedure_id = p.id),"
    " (SELECT count(*) FROM procedure_instances n WHERE n.procedure_id = p.id"
    f" AND {_UNKNOWN}) FROM procedures p"
)


def _record(row: Sequence[Any]) -> Record:
    one = Record(*row)
    told = msgspec.json.decode(row[7], type=tuple[str, ...])
    return replace(one, state=StepState(one.state), told=told)


def insert(db: Connection, record: Record, study_uids: Iterable[str]) -> bool:
    """Keep a new step; False if there is one of its UID."""
    row = db.execute(
        "INSERT OR IGNORE INTO procedures (sop_uid, state, attributes, peer, created, changed,"
        " told) VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id",
        (
            record.sop_uid,
            record.state,
            record.attributes,
            record.peer,
            record.created,
            record.changed,
            json_list(record.told),
        ),
    ).fetchone()
    if row is None:
        return False
    db.executemany(
        "INSERT INTO procedure_studies (procedure_id, study_uid) VALUES (?, ?)",
        [(row[0], study_uid) for study_uid in study_uids],
    )
    return True


def update(db: Connection, record: Record) -> None:
    """Keep the state and the attributes of a step."""
    db.execute(
        "UPDATE procedures SET state = ?, attributes = ?, changed = ? WHERE id = ?",
        (record.state, record.attributes, record.changed, record.procedure_id),
    )


def name_instances(db: Connection, sop_uid: str, named: Iterable[str]) -> None:
    """Let a step name these instances, and no others."""
    ((procedure_id,),) = db.execute("SELECT id FROM procedures WHERE sop_uid = ?", (sop_uid,))
    db.execute("DELETE FROM procedure_instances WHERE procedure_id = ?", (procedure_id,))
    db.executemany(
        "INSERT OR IGNORE INTO procedure_instances (procedure_id, sop_uid) VALUES (?, ?)",
        [(procedure_id, one) for one in named],
    )


def touch(db: Connection, study_uids: Iterable[str], now: float) -> None:
    """A step of these studies began or changed: they are looked at, and may come in again."""
    db.executemany(
        "INSERT INTO arrivals (study_uid, since, latest, fresh) VALUES (?, ?, ?, 0)"
        " ON CONFLICT (study_uid) DO UPDATE SET latest = excluded.latest, complete = 0,"
        " since = CASE complete WHEN 0 THEN since ELSE excluded.since END",
        [(study_uid, now, now) for study_uid in study_uids],
    )


async def find(database: Database, sop_uid: str) -> Record | None:
    """The step of a UID."""
    rows = await database.read(f"{_RECORD} WHERE p.sop_uid = ?", (sop_uid,))
    return _record(rows[0]) if rows else None


async def page(database: Database, *, study_uid: str, limit: int, offset: int) -> list[Record]:
    """Steps, those that changed last first; of one study, if one is named."""
    rows = await database.read(
        f"{_RECORD} WHERE ? = '' OR EXISTS (SELECT 1 FROM procedure_studies"
        " WHERE study_uid = ? AND procedure_id = p.id)"
        " ORDER BY p.changed DESC, p.id DESC LIMIT ? OFFSET ?",
        (study_uid, study_uid, limit, offset),
    )
    return [_record(row) for row in rows]


async def count(database: Database, *, study_uid: str = "") -> tuple[int, int]:
    """How many steps there are, and how many of them are in progress; of one study, if named."""
    rows = await database.read(
        "SELECT count(*), coalesce(sum(state = 'IN PROGRESS'), 0) FROM procedures WHERE ? = ''"
        " OR id IN (SELECT procedure_id FROM procedure_studies WHERE study_uid = ?)",
        (study_uid, study_uid),
    )
    return int(rows[0][0]), int(rows[0][1])


async def changed_since(database: Database, since: float) -> list[Record]:
    """Steps that changed since then, in the order in which they did."""
    rows = await database.read(f"{_RECORD} WHERE p.changed >= ? ORDER BY p.changed, p.id", (since,))
    return [_record(row) for row in rows]


async def steps_of(database: Database, study_uid: str) -> list[str]:
    """SOP Instance UIDs of the steps of a study, the oldest first."""
    rows = await database.read(
        "SELECT p.sop_uid FROM procedure_studies s JOIN procedures p ON p.id = s.procedure_id"
        " WHERE s.study_uid = ? ORDER BY p.id",
        (study_uid,),
    )
    return [row[0] for row in rows]


async def available(database: Database, study_uid: str) -> list[Available]:
    """What is shown of a study, in its natural order."""
    rows = await database.scan(
        "SELECT e.series_uid, i.sop_class_uid, i.sop_uid, i.availability FROM studies s"
        " JOIN series e ON e.study_id = s.id JOIN instances i ON i.series_id = e.id"
        " WHERE s.study_uid = ? AND i.withheld = '' AND i.sop_class_uid <> ''"
        " ORDER BY e.series_number, e.id, i.instance_number, i.id",
        (study_uid,),
    )
    return [Available(*row) for row in rows]


def follow(db: Connection, now: float, limit: int) -> int:
    """Take note of what came from devices and people since the last look; how much was looked at.

    The first look of an index sees nothing: what is there was there before.
    """
    row = db.execute("SELECT value FROM cursors WHERE name = ?", (_CURSOR,)).fetchone()
    if row is None:
        ((last,),) = db.execute("SELECT coalesce(max(sequence), 0) FROM changes")
        _set_cursor(db, last)
        return 0
    first = int(row[0])
    looked_at, until = db.execute(
        "SELECT count(*), max(sequence) FROM"
        " (SELECT sequence FROM changes WHERE sequence > ? ORDER BY sequence LIMIT ?)",
        (first, limit),
    ).fetchone()
    if not looked_at:
        return 0
    db.execute(
        "INSERT INTO arrivals (study_uid, since, latest, fresh)"
        " SELECT c.study_uid, min(?, min(c.at)), min(?, max(c.at)), count(*)"
        " FROM changes c JOIN instances i ON i.sop_uid = c.sop_uid"
        " WHERE c.sequence > ? AND c.sequence <= ? AND c.action = 'CREATE'"
        " AND i.origin <> 'CLOUD' AND i.withheld = '' GROUP BY c.study_uid"
        " ON CONFLICT (study_uid) DO UPDATE SET latest = excluded.latest, complete = 0,"
        " fresh = fresh + excluded.fresh,"
        " since = CASE complete WHEN 0 THEN since ELSE excluded.since END",
        (now, now, first, until),
    )
    _set_cursor(db, until)
    return int(looked_at)


def _set_cursor(db: Connection, sequence: int) -> None:
    db.execute("INSERT OR REPLACE INTO cursors VALUES (?, ?)", (_CURSOR, str(sequence)))


_STEPS = (
    "FROM procedure_studies o JOIN procedures p ON p.id = o.procedure_id"
    " WHERE o.study_uid = a.study_uid"
)
_NAMED = (
    "FROM procedure_studies o JOIN procedure_instances n ON n.procedure_id = o.procedure_id"
    " WHERE o.study_uid = a.study_uid"
)


async def under_way(database: Database, *, limit: int = -1, offset: int = 0) -> list[Arrival]:
    """The studies that come in, the one of which something came last first."""
    rows = await database.scan(
        "SELECT a.study_uid, a.since, a.latest, a.fresh,"
        " coalesce((SELECT instance_count FROM studies WHERE study_uid = a.study_uid), 0),"
        f" (SELECT count(*) {_STEPS}), (SELECT count(*) {_STEPS} AND p.state = 'IN PROGRESS'),"
        f" (SELECT count(DISTINCT n.sop_uid) {_NAMED} AND {_UNKNOWN}),"
        # Without a step all are; nobody counts them then.
        f" CASE WHEN EXISTS (SELECT 1 {_STEPS}) THEN (SELECT count(*) FROM studies s"
        " JOIN instances i ON i.study_id = s.id WHERE s.study_uid = a.study_uid"
        f" AND i.withheld = '' AND NOT EXISTS (SELECT 1 {_NAMED} AND n.sop_uid = i.sop_uid))"
        " ELSE 0 END"
        " FROM arrivals a WHERE a.complete = 0 ORDER BY a.latest DESC, a.study_uid"
        " LIMIT ? OFFSET ?",
        (limit, offset),
    )
    return [Arrival(*row) for row in rows]


async def progress(database: Database) -> tuple[int, int]:
    """How many studies come in, and how many steps are in progress."""
    rows = await database.read(
        "SELECT (SELECT count(*) FROM arrivals WHERE complete = 0),"
        " (SELECT count(*) FROM procedures WHERE state = 'IN PROGRESS')"
    )
    return int(rows[0][0]), int(rows[0][1])


def complete(db: Connection, seen: Arrival, now: float) -> bool:
    """A study is complete; False if something of it came or changed since it was looked at."""
    return bool(
        db.execute(
            "UPDATE arrivals SET complete = ?, fresh = 0 WHERE study_uid = ? AND complete = 0"
            " AND latest = ? AND fresh = ?",
            (now, seen.study_uid, seen.latest, seen.fresh),
        ).rowcount
    )


def set_right(db: Connection, now: float) -> None:
    """What came under a clock that was ahead came now."""
    db.execute("UPDATE arrivals SET latest = ? WHERE complete = 0 AND latest > ?", (now, now))


def forget_before(db: Connection, moment: float) -> int:
    """Steps that did not change since then, and studies that were complete by then; how many."""
    steps = db.execute("DELETE FROM procedures WHERE changed < ?", (moment,)).rowcount
    studies = db.execute(
        "DELETE FROM arrivals WHERE complete > 0 AND complete < ?", (moment,)
    ).rowcount
    return int(steps + studies)
