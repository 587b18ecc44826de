"""What a door took in and could not take away from where it lay, and what hinders it.

Kept among the cursors: one row for each file, and one for the trouble as a whole. No row holds a
name or a path: a file is known by numbers that its file system gives it, and by its content.
Functions that take a ``Connection`` run inside ``Database.write``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from edge.index.database import Connection, Database

__all__ = ["LIMIT", "Leftover", "forget", "keep", "leftovers", "set_trouble", "trouble"]

LIMIT = 10_000
"""Files that are remembered; of more, those that were noted last."""
_TROUBLE = "drop folder"
_EACH = "drop folder/"
_ALL = (_EACH, "drop folder0")  # 0 follows the slash


@dataclass(frozen=True, slots=True)
class Leftover:
    """A file that was looked at, as it was then."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    digest: bytes
    """SHA-256 of the file."""
    is_whole: bool
    """Nothing in it was bad."""


async def leftovers(database: Database) -> list[Leftover]:
    """All of them, in the order in which they were noted."""
    rows = await database.read(
        "SELECT name, value FROM cursors WHERE name > ? AND name < ? ORDER BY value", _ALL
    )
    return [_leftover(name, value) for name, value in rows]


def keep(db: Connection, noted: Iterable[Leftover], now: float) -> None:
    """Remember files; beyond the limit the oldest are forgotten."""
    db.executemany(
        "INSERT OR REPLACE INTO cursors VALUES (?, ?)",
        [
            (_name(each), f"{now:017.6f} {each.device} {int(each.is_whole)} {each.digest.hex()}")
            for each in noted
        ],
    )
    db.execute(
        "DELETE FROM cursors WHERE name IN (SELECT name FROM cursors WHERE name > ? AND name < ?"
        " ORDER BY value DESC LIMIT -1 OFFSET ?)",
        (*_ALL, LIMIT),
    )


def forget(db: Connection, gone: Iterable[Leftover]) -> None:
    """Forget files."""
    db.executemany("DELETE FROM cursors WHERE name = ?", [(_name(each),) for each in gone])


async def trouble(database: Database) -> str:
    """What hinders the door; empty if nothing does."""
    rows = await database.read("SELECT value FROM cursors WHERE name = ?", (_TROUBLE,))
    return str(rows[0][0]) if rows else ""


def set_trouble(db: Connection, text: str) -> None:
    """Note what hinders the door."""
    db.execute("INSERT OR REPLACE INTO cursors VALUES (?, ?)", (_TROUBLE, text))


def _name(each: Leftover) -> str:
    return f"{_EACH}{each.inode}/{each.size}/{each.mtime_ns}"


def _leftover(name: str, value: str) -> Leftover:
    inode, size, mtime_ns = map(int, name.removeprefix(_EACH).split("/"))
    _, device, is_whole, digest = value.split()
    return Leftover(
        int(device), inode, size, mtime_ns, bytes.fromhex(digest), is_whole=is_whole == "1"
    )
