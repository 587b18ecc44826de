"""Rows of sessions: who is logged in. What a session is worth is ``access``'s business.

Functions that take a ``Connection`` run inside ``Database.write``.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields

from edge.index.database import Connection, Database

__all__ = [
    "LINK",
    "Held",
    "SessionRow",
    "all_sessions",
    "end",
    "end_all",
    "find",
    "forget",
    "put",
    "touch",
]

LINK = "link"
"""The issuer of sessions of a link (`edge.index.links`), which have its name; no URL is so."""


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
    """Of the user now, or as the issuer had it last."""
    state: str
    """Of whoever it is now; empty if there is nobody."""
    vouched: float = 0.0
    """When the issuer said last who it is; 0 where there is none."""
    scope: str = "{}"
    """What is left of the role, as ``access`` wrote it."""
    emergency: str = ""
    """The emergency access that is open for it; empty if none is."""
    emergency_began: float = 0.0
    emergency_until: float = 0.0


_ROW = ", ".join(f"s.{item.name}" for item in fields(SessionRow))
_COLUMNS = ", ".join(item.name for item in fields(SessionRow))
_MARKS = ", ".join("?" for _ in fields(SessionRow))
_WIDTH = len(fields(SessionRow))
_HELD = (
    f"SELECT {_ROW}, coalesce(u.display_name, i.display_name, ''),"
    " coalesce(u.role, i.role, s.role),"
    " coalesce(u.state, i.state, iif(h.link_id IS NULL, '', 'active')),"
    " coalesce(i.vouched, 0.0), coalesce(u.scope, i.scope, h.scope, '{}'),"
    " coalesce(e.emergency_id, ''), coalesce(e.began, 0.0), coalesce(e.until, 0.0)"
    " FROM sessions s LEFT JOIN users u ON u.name = s.name AND s.issuer = ''"
    " LEFT JOIN identities i ON i.name = s.name AND i.issuer = s.issuer AND s.issuer <> ''"
    f" LEFT JOIN links h ON s.issuer = '{LINK}' AND h.link_id = substr(s.name, 6)"
    " LEFT JOIN emergencies e ON e.session_id = s.session_id AND e.ended = 0"
)


async def find(database: Database, digest: bytes) -> Held | None:
    """The session whose secret has this digest."""
    rows = await database.read(f"{_HELD} WHERE s.digest = ?", (digest,))
    return Held(SessionRow(*rows[0][:_WIDTH]), *rows[0][_WIDTH:]) if rows else None


async def all_sessions(database: Database, name: str | None, issuer: str | None) -> list[Held]:
    """Every session, or those of one name, the one that was used last first.

    Without an issuer, whoever vouches for the name: no two of them have the same.
    """
    rows = await database.read(
        f"{_HELD} WHERE (?1 IS NULL OR s.name = ?1) AND (?1 IS NULL OR ?2 IS NULL OR s.issuer = ?2)"
        " ORDER BY s.used DESC, s.session_id",
        (name, issuer),
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


def end(db: Connection, session_id: str, name: str, issuer: str | None) -> int:
    """End a session, if it is of that name; how many there were."""
    ended: int = db.execute(
        "DELETE FROM sessions WHERE session_id = ?1 AND name = ?2 AND (?3 IS NULL OR issuer = ?3)",
        (session_id, name, issuer),
    ).rowcount
    return ended


def forget(db: Connection, digest: bytes) -> None:
    """Have the one with this digest gone."""
    db.execute("DELETE FROM sessions WHERE digest = ?", (digest,))


def end_all(db: Connection, name: str, issuer: str | None = "", *, but: str = "") -> int:
    """End those of a name, but for one; how many there were."""
    ended: int = db.execute(
        "DELETE FROM sessions WHERE name = ?1 AND (?2 IS NULL OR issuer = ?2) AND session_id <> ?3",
        (name, issuer, but),
    ).rowcount
    return ended
