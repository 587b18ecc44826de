"""Rows of trouble with associations, and of those that had none.

Functions that take a ``Connection`` run inside ``Database.write``. A row that is written again adds
to what is there, whoever wrote that.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields

from edge.index.database import Connection, Database

__all__ = ["AssociationRow", "Key", "all_associations", "keys", "write_associations"]

Key = tuple[str, str, str, str, str]
"""Direction, AE title, host, kind, and what it is about."""


@dataclass(frozen=True, slots=True)
class AssociationRow:
    """The columns."""

    direction: str
    ae_title: str
    host: str
    kind: str
    about: str
    known: int
    called: str
    implementation: str
    what: str
    changes: str
    contexts: str
    first_seen: float
    last_seen: float
    times: int

    @property
    def key(self) -> Key:
        """What it is known by."""
        return self.direction, self.ae_title, self.host, self.kind, self.about


_KEY = ("direction", "ae_title", "host", "kind", "about")
_NAMES = tuple(item.name for item in fields(AssociationRow))
_COLUMNS = ", ".join(_NAMES)
_MARKS = ", ".join("?" for _ in _NAMES)
_RENEWED = ", ".join(
    f"{name} = excluded.{name}"
    for name in _NAMES
    if name not in (*_KEY, "first_seen", "last_seen", "times")
)
_WRITE = (
    f"INSERT INTO associations ({_COLUMNS}) VALUES ({_MARKS})"
    f" ON CONFLICT ({', '.join(_KEY)}) DO UPDATE SET {_RENEWED},"
    " last_seen = max(last_seen, excluded.last_seen), times = times + excluded.times"
)
_DELETE = "DELETE FROM associations WHERE " + " AND ".join(f"{name} = ?" for name in _KEY)


async def all_associations(database: Database) -> list[AssociationRow]:
    """Every row, the one that was seen last first."""
    rows = await database.read(
        f"SELECT {_COLUMNS} FROM associations ORDER BY last_seen DESC, {', '.join(_KEY)}"
    )
    return [AssociationRow(*row) for row in rows]


async def keys(database: Database) -> list[tuple[Key, bool, float]]:
    """Of every row, the oldest first: its key, whether it is a peer's, when it was last seen."""
    rows = await database.read(
        f"SELECT {', '.join(_KEY)}, known, last_seen FROM associations ORDER BY last_seen"
    )
    return [((row[0], row[1], row[2], row[3], row[4]), bool(row[5]), row[6]) for row in rows]


def write_associations(
    db: Connection, seen: Iterable[AssociationRow], gone: Iterable[Key], before: float
) -> None:
    """Delete those that gave way to others, and those last seen *before*; add what was seen."""
    db.executemany(_DELETE, list(gone))
    db.execute("DELETE FROM associations WHERE last_seen < ?", (before,))
    db.executemany(_WRITE, [astuple(one) for one in seen])
