"""Rows of emergency accesses. When one may begin, and is over, is ``access``'s business.

Functions that take a ``Connection`` run inside ``Database.write``.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields

from edge.index.database import Connection, Database

__all__ = [
    "KEPT",
    "EmergencyRow",
    "counts",
    "end",
    "find",
    "mark_seen",
    "mark_told",
    "put",
    "rows",
    "unseen",
]

KEPT = ("emergencies",)
"""Of which a backup has a copy, and a damaged index is searched: an alarm is not lost with it."""
_KEPT_SECONDS = 366 * 86400.0
"""So long what was looked at is kept here; the record has it, too."""


@dataclass(frozen=True, slots=True)
class EmergencyRow:
    """An emergency access; its columns."""

    emergency_id: str
    session_id: str
    name: str
    issuer: str
    role: str
    address: str
    proved: str
    reason: str
    began: float
    until: float
    ended: float = 0.0
    why_ended: str = ""
    told: int = 0
    seen: float = 0.0
    seen_by: str = ""


_COLUMNS = ", ".join(item.name for item in fields(EmergencyRow))
_MARKS = ", ".join("?" for _ in fields(EmergencyRow))


def put(db: Connection, row: EmergencyRow) -> bool:
    """Keep a new one; False if its session is gone, or has one that is open."""
    db.execute(
        "DELETE FROM emergencies WHERE told = 1 AND seen > 0 AND ended < ?",
        (row.began - _KEPT_SECONDS,),
    )
    added: int = db.execute(
        f"INSERT INTO emergencies ({_COLUMNS}) SELECT {_MARKS}"
        " WHERE EXISTS (SELECT 1 FROM sessions WHERE session_id = ?)"
        " AND NOT EXISTS (SELECT 1 FROM emergencies WHERE session_id = ? AND ended = 0)",
        (*astuple(row), row.session_id, row.session_id),
    ).rowcount
    return added > 0


def end(db: Connection, emergency_id: str, ended: float, why: str) -> bool:
    """End one that is open; whether it was."""
    changed: int = db.execute(
        "UPDATE emergencies SET ended = ?, why_ended = ? WHERE emergency_id = ? AND ended = 0",
        (ended, why, emergency_id),
    ).rowcount
    return changed > 0


def mark_told(db: Connection, emergency_id: str) -> None:
    """Its end is in the record."""
    db.execute("UPDATE emergencies SET told = 1 WHERE emergency_id = ?", (emergency_id,))


def mark_seen(db: Connection, emergency_id: str, now: float, who: str) -> bool:
    """An admin looked at one that is over; False if somebody did before, or it is open."""
    changed: int = db.execute(
        "UPDATE emergencies SET seen = ?, seen_by = ?"
        " WHERE emergency_id = ? AND ended > 0 AND seen = 0",
        (now, who, emergency_id),
    ).rowcount
    return changed > 0


async def find(database: Database, emergency_id: str) -> EmergencyRow | None:
    """The one that is called so."""
    found = await database.read(
        f"SELECT {_COLUMNS} FROM emergencies WHERE emergency_id = ?", (emergency_id,)
    )
    return EmergencyRow(*found[0]) if found else None


async def rows(database: Database, *, untold: bool = False, most: int = 1000) -> list[EmergencyRow]:
    """Those that were begun: those that nobody looked at first, then the newest.

    Args:
        database: The index.
        untold: Those alone whose end the record lacks.
        most: So many of them.
    """
    found = await database.read(
        f"SELECT {_COLUMNS} FROM emergencies WHERE ? = 0 OR told = 0"
        " ORDER BY seen > 0, began DESC, emergency_id LIMIT ?",
        (int(untold), most),
    )
    return [EmergencyRow(*row) for row in found]


async def unseen(database: Database, name: str, issuer: str) -> int:
    """How many of one person are open or nobody looked at."""
    [(count,)] = await database.read(
        "SELECT count(*) FROM emergencies WHERE name = ? AND issuer = ? AND seen = 0",
        (name, issuer),
    )
    return int(count)


async def counts(database: Database) -> tuple[int, int, int]:
    """How many are open, how many more nobody looked at, and how many there were in all."""
    [row] = await database.read(
        "SELECT coalesce(sum(ended = 0), 0), coalesce(sum(ended > 0 AND seen = 0), 0), count(*)"
        " FROM emergencies"
    )
    return int(row[0]), int(row[1]), int(row[2])
