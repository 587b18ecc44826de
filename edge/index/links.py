"""Rows of links: studies that were shared. Who may make one, and open it, is ``access``'s business.

Functions that take a ``Connection`` run inside ``Database.write``. What its maker lost, the link
loses with them: triggers of the schema see to that.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields

from edge.index.database import Connection, Database
from edge.index.names import NAME_OF_STUDY
from edge.index.sessions import LINK

__all__ = [
    "LinkRow",
    "all_of",
    "end",
    "find",
    "forget_over",
    "limit",
    "mark_opened",
    "of_study",
    "put",
]


@dataclass(frozen=True, slots=True)
class LinkRow:
    """A link; its columns."""

    link_id: str
    digest: bytes
    study_uid: str
    maker: str
    note: str
    scope: str
    created: float
    until: float
    opened: int = 0
    last_opened: float = 0.0


_COLUMNS = ", ".join(item.name for item in fields(LinkRow))
_MARKS = ", ".join("?" for _ in fields(LinkRow))


def put(db: Connection, row: LinkRow, *, most: int) -> bool:
    """Keep a new one, unless its study has so many; what is over goes."""
    db.execute("DELETE FROM links WHERE until <= ?", (row.created,))
    added: int = db.execute(
        f"INSERT INTO links ({_COLUMNS}) SELECT {_MARKS}"
        " WHERE (SELECT count(*) FROM links WHERE study_uid = ?) < ?",
        (*astuple(row), row.study_uid, most),
    ).rowcount
    return added > 0


def limit(db: Connection, longest: float, now: float) -> None:
    """Have none hold for more seconds than these from its making, nor who is in by one.

    What is over by that goes.
    """
    db.execute(
        "UPDATE links SET until = created + ?1 WHERE until > created + ?1",
        (longest,),
    )
    db.execute("DELETE FROM links WHERE until <= ?", (now,))
    db.execute(
        "UPDATE sessions SET until = min(until, coalesce((SELECT l.until FROM links l"
        " WHERE l.link_id = substr(sessions.name, 6)), 0)) WHERE issuer = ?",
        (LINK,),
    )


async def find(database: Database, digest: bytes) -> LinkRow | None:
    """The link whose secret has this digest."""
    rows = await database.read(f"SELECT {_COLUMNS} FROM links WHERE digest = ?", (digest,))
    return LinkRow(*rows[0]) if rows else None


async def of_study(database: Database, study_uid: str, now: float) -> list[LinkRow]:
    """Those of a study that are not over, the newest first."""
    rows = await database.read(
        f"SELECT {_COLUMNS} FROM links WHERE study_uid = ? AND until > ?"
        " ORDER BY created DESC, link_id",
        (study_uid, now),
    )
    return [LinkRow(*row) for row in rows]


async def all_of(database: Database, now: float) -> list[tuple[LinkRow, str]]:
    """Those of all studies that are not over, the newest first, and each study's patient."""
    columns = ", ".join(f"l.{item.name}" for item in fields(LinkRow))
    rows = await database.read(
        f"SELECT {columns}, {NAME_OF_STUDY}"
        " FROM links l LEFT JOIN studies s ON s.study_uid = l.study_uid"
        " WHERE l.until > ? ORDER BY l.created DESC, l.link_id LIMIT 1000",
        (now,),
    )
    return [(LinkRow(*row[:-1]), row[-1]) for row in rows]


def forget_over(db: Connection, now: float) -> None:
    """Have all gone whose time is over, so that a clock that is set back brings none again."""
    db.execute("DELETE FROM links WHERE until <= ?", (now,))


def mark_opened(db: Connection, link_id: str, now: float) -> bool:
    """Note that it was opened; False if it is over."""
    opened: int = db.execute(
        "UPDATE links SET opened = opened + 1, last_opened = ? WHERE link_id = ? AND until > ?",
        (now, link_id, now),
    ).rowcount
    return opened > 0


def end(db: Connection, link_id: str, study_uid: str) -> bool:
    """Forget one, if it is of that study; whether there was one."""
    ended: int = db.execute(
        "DELETE FROM links WHERE link_id = ? AND study_uid = ?", (link_id, study_uid)
    ).rowcount
    return ended > 0
