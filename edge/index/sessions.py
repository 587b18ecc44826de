"""Rows of sessions: who is logged in. What a session is worth is ``access``'s business.

Functions that take a ``Connection`` run inside ``Database.write``.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields

from edge.index.database import Connection, Database

__all__ = [
    "Held",
    "SessionRow",
    "all_sessions",
    "end",
    "end_all",
    "find",
    "put",
    "touch",
]


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session; its columns."""

    digest: bytes
    session_id: str
    name: str
    issuer: str
    role: str
    proved: str
    began: float
    used: float
    until: float
    address: str
    agent: str


@dataclass(frozen=True, slots=True)
class Held:
    """A session, and the user whose it is."""

    row: SessionRow
    display_name: str
    role: str
    """Of the user now; what the issuer said where there is one."""
    state: str
    """Of the user now; empty where there is an issuer, or no such user."""


_ROW = ", ".join(f"s.{item.name}" for item in fields(SessionRow))
_COLUMNS = ", ".join(item.name for item in fields(SessionRow))
_MARKS = ", ".join("?" for _ in fields(SessionRow))
_WIDTH = len(fields(SessionRow))
_HELD = (
    f"SELECT {_ROW}, coalesce(u.display_name, ''), coalesce(u.role, s.role), coalesce(u.state, '')"
    " FROM sessions s LEFT JOIN users u ON u.name = s.name AND s.issuer = ''"
)


async def find(database: Database, digest: bytes) -> Held | None:
    """The session whose secret has this digest."""
    rows = await database.read(f"{_HELD} WHERE s.digest = ?", (digest,))
    return Held(SessionRow(*rows[0][:_WIDTH]), *rows[0][_WIDTH:]) if rows else None


async def all_sessions(database: Database, name: str | None, issuer: str) -> list[Held]:
    """Every session, or those of one name, the one that was used last first."""
    where = "" if name is None else " WHERE s.name = ? AND s.issuer = ?"
    rows = await database.read(
        f"{_HELD}{where} ORDER BY s.used DESC, s.session_id", () if name is None else (name, issuer)
    )
    return [Held(SessionRow(*row[:_WIDTH]), *row[_WIDTH:]) for row in rows]


def put(db: Connection, row: SessionRow, *, most: int, now: float, idle_since: float) -> None:
    """Keep a new one. What is over goes, and so does what one name has beyond so many."""
    db.execute("DELETE FROM sessions WHERE until <= ? OR used <= ?", (now, idle_since))
    db.execute(f"INSERT INTO sessions ({_COLUMNS}) VALUES ({_MARKS})", astuple(row))
    db.execute(
        "DELETE FROM sessions WHERE name = ? AND issuer = ? AND digest <> ? AND digest NOT IN"
        " (SELECT digest FROM sessions WHERE name = ? AND issuer = ? ORDER BY used DESC, digest"
        " LIMIT ?)",
        (row.name, row.issuer, row.digest, row.name, row.issuer, most),
    )


def touch(db: Connection, digest: bytes, used: float) -> None:
    """Note that it was used."""
    db.execute("UPDATE sessions SET used = ? WHERE digest = ? AND used < ?", (used, digest, used))


def end(db: Connection, session_id: str, name: str, issuer: str) -> int:
    """End a session, if it is of that name; how many there were."""
    ended: int = db.execute(
        "DELETE FROM sessions WHERE session_id = ? AND name = ? AND issuer = ?",
        (session_id, name, issuer),
    ).rowcount
    return ended


def end_all(db: Connection, name: str, issuer: str = "", *, but: str = "") -> int:
    """End those of a name, but for one; how many there were."""
    ended: int = db.execute(
        "DELETE FROM sessions WHERE name = ? AND issuer = ? AND session_id <> ?",
        (name, issuer, but),
    ).rowcount
    return ended
