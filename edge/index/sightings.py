"""When an archive was last seen to have a study: sweep by sweep, and instance by instance.

Functions that take a ``Connection`` run inside ``Database.write``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edge.index.database import Connection, Database
from edge.index.lookup import json_list

__all__ = [
    "SETTLED",
    "Review",
    "Sweeps",
    "complete",
    "count_gone",
    "enrol",
    "examined",
    "not_enrolled",
    "note_lost",
    "oldest_review",
    "prove",
    "review",
    "sighted",
    "studies",
    "sweeps",
    "witnesses",
]

SETTLED = 1 << 62
"""Number of the sweep of a study whose absence was dealt with, until it is listed again."""
_DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Sweeps:
    """How far the sweeps of an archive are."""

    number: int
    """Of the one that is under way."""
    examined: int
    """The last one of which the absences were examined."""
    gone: int
    """Studies that were taken for deleted on this day."""


@dataclass(frozen=True, slots=True)
class Review:
    """A study whose instances an archive is to be asked about."""

    study_id: int
    study_uid: str
    reviewed: float
    """When it was asked last."""


async def sweeps(database: Database, archive: str, now: float) -> Sweeps:
    """How far they are; as of their beginning if none was ever noted."""
    rows = await database.read(
        "SELECT number, examined, iif(gone_since BETWEEN ?2 - ?3 AND ?2, gone, 0)"
        " FROM sweeps WHERE archive = ?1",
        (archive, now, _DAY),
    )
    return Sweeps(*rows[0]) if rows else Sweeps(1, 0, 0)


def _begin(db: Connection, archive: str, now: float) -> int:
    db.execute(
        "INSERT OR IGNORE INTO sweeps (archive, number, began, before, earlier)"
        " VALUES (?1, 1, ?2, ?2, ?2)",
        (archive, now),
    )
    ((number,),) = db.execute("SELECT number FROM sweeps WHERE archive = ?", (archive,))
    return int(number)


def sighted(db: Connection, archive: str, study_uids: Iterable[str], now: float) -> None:
    """The sweep that is under way listed these; each is written once in a sweep."""
    number, uids = _begin(db, archive, now), json_list(study_uids)
    db.execute(
        "INSERT INTO sightings (study_id, archive, sweep, reviewed)"
        " SELECT id, ?1, ?2, ?3 FROM studies WHERE study_uid IN (SELECT value FROM json_each(?4))"
        " ON CONFLICT (study_id, archive) DO UPDATE SET sweep = excluded.sweep"
        " WHERE sweep <> excluded.sweep",
        (archive, number, now, uids),
    )
    db.execute(
        "DELETE FROM absences WHERE is_whole AND study_id IN"
        " (SELECT id FROM studies WHERE study_uid IN (SELECT value FROM json_each(?)))",
        (uids,),
    )


def complete(db: Connection, archive: str, now: float) -> None:
    """The sweep that was under way has met everything; the next begins."""
    _begin(db, archive, now)
    db.execute(
        "UPDATE sweeps SET number = number + 1, earlier = before, before = began, began = ?"
        " WHERE archive = ?",
        (now, archive),
    )


def examined(db: Connection, archive: str, number: int) -> None:
    """The absences of a sweep were examined."""
    db.execute("UPDATE sweeps SET examined = ? WHERE archive = ?", (number, archive))


def count_gone(db: Connection, archive: str, studies: int, now: float) -> None:
    """So many more were taken for deleted."""
    db.execute(
        "UPDATE sweeps SET gone = iif(gone_since BETWEEN ?2 - ?3 AND ?2, gone, 0) + ?1,"
        " gone_since = iif(gone_since BETWEEN ?2 - ?3 AND ?2, gone_since, ?2) WHERE archive = ?4",
        (studies, now, _DAY, archive),
    )


def note_lost(db: Connection, archive: str, instances: int, now: float) -> None:
    """An archive was seen to have lost so many."""
    _begin(db, archive, now)
    db.execute(
        "UPDATE sweeps SET lost = lost + ?, lost_at = ? WHERE archive = ?",
        (instances, now, archive),
    )


async def witnesses(database: Database, archive: str) -> list[str]:
    """Studies that were listed lately: an archive that finds none of them can't be believed."""
    rows = await database.read(
        "SELECT s.study_uid FROM sightings g JOIN studies s ON s.id = g.study_id"
        " JOIN sweeps w ON w.archive = g.archive WHERE g.archive = ?"
        " AND g.sweep BETWEEN w.number - 1 AND w.number"
        " AND g.study_id NOT IN (SELECT study_id FROM absences)"
        " ORDER BY s.fingerprint = '', g.sweep DESC LIMIT 3",
        (archive,),
    )
    return [row[0] for row in rows]


async def studies(database: Database, study_uids: Iterable[str]) -> list[int]:
    """The numbers of these studies."""
    rows = await database.read(
        "SELECT id FROM studies WHERE study_uid IN (SELECT value FROM json_each(?))",
        (json_list(study_uids),),
    )
    return [row[0] for row in rows]


# Reviews ------------------------------------------------------------------------------------------


async def not_enrolled(database: Database, archive: str, max_count: int) -> list[int]:
    """Studies of which it is not noted when an archive was seen to have them."""
    rows = await database.read(
        "SELECT id FROM studies WHERE NOT EXISTS (SELECT 1 FROM sightings"
        " WHERE study_id = studies.id AND archive = ?) LIMIT ?",
        (archive, max_count),
    )
    return [row[0] for row in rows]


def enrol(db: Connection, archive: str, study_ids: Sequence[int], now: float) -> None:
    """Count from now on: what no sweep lists from here is missed, and its review falls due.

    What was not made here may be known from another archive; it is missed once it was listed.
    """
    db.execute(
        "INSERT OR IGNORE INTO sightings (study_id, archive, sweep, reviewed)"
        " SELECT id, ?1, iif(EXISTS (SELECT 1 FROM instances WHERE study_id = studies.id"
        " AND origin <> 'CLOUD'), ?2, ?5), min(created, ?3) FROM studies"
        " WHERE id IN (SELECT value FROM json_each(?4))",
        (archive, _begin(db, archive, now), now, json_list(study_ids), SETTLED),
    )
    # A review in the future was written under a clock that was wrong.
    db.execute(
        "UPDATE sightings SET reviewed = ?2 WHERE archive = ?1 AND reviewed > ?2", (archive, now)
    )


async def oldest_review(database: Database, archive: str) -> tuple[Review | None, int]:
    """The study that waits longest for its review, and how many there are in all."""
    rows = await database.read(
        "SELECT g.study_id, s.study_uid, g.reviewed FROM sightings g"
        " JOIN studies s ON s.id = g.study_id WHERE g.archive = ? ORDER BY g.reviewed LIMIT 1",
        (archive,),
    )
    ((count,),) = await database.read(
        "SELECT count(*) FROM sightings WHERE archive = ?", (archive,)
    )
    return (Review(*rows[0]) if rows else None), count


def review(db: Connection, archive: str, study_id: int, at: float) -> None:
    """An archive was asked about each instance of a study."""
    db.execute(
        "UPDATE sightings SET reviewed = ? WHERE study_id = ? AND archive = ?",
        (at, study_id, archive),
    )


def prove(db: Connection, instance_ids: Iterable[int], archive: str, now: float) -> None:
    """An archive was seen once more to have just these bytes; '' is the primary one."""
    ids = json_list(instance_ids)
    if archive:
        db.execute(
            "UPDATE copies SET verified = ? WHERE archive = ? AND custody = 'VERIFIED'"
            " AND instance_id IN (SELECT value FROM json_each(?))",
            (now, archive, ids),
        )
    else:
        db.execute(
            "UPDATE instances SET verified = ? WHERE custody = 'VERIFIED'"
            " AND id IN (SELECT value FROM json_each(?))",
            (now, ids),
        )
