"""What of the index can be had neither from the store nor from the archive: for a backup, and back.

In it are tokens, users with their second factors, emergency accesses, tombstones, rejections, pins
and approved peers, as they are, and what no archive is proven to have. What an archive verifiably
has is not: a box that begins anew learns from the archive itself what that has *then*. Cursors are
not either, for what was learned behind them is gone; nor sessions, links and codes that were handed
out, which would hold again.

A table is kept with the names of its columns: what a newer version added has its default then.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from edge.index import emergencies, identities, unproven, users
from edge.index.connection import Connection, connect

__all__ = [
    "Snapshot",
    "Table",
    "fill_all",
    "restore",
    "salvage",
    "take",
]

_TABLES = (
    "tokens",
    *users.KEPT,
    *identities.KEPT,
    *emergencies.KEPT,
    "tombstones",
    "rejections",
    "pins",
    "peers",
)
_REASON = "it was only on the box that was lost"


class Table(msgspec.Struct, frozen=True):
    """Rows of a table."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


class Snapshot(msgspec.Struct, frozen=True):
    """All of it, as of one commit."""

    tables: tuple[Table, ...]
    unproven: bytes
    """Instances, packed (`edge.index.unproven`)."""
    quarantined: tuple[tuple[str, str, str], ...]
    """UIDs of instances of which other bytes were kept, which are in no archive either."""

    @property
    def records(self) -> set[str]:
        """Names of the sealed records of its tombstones."""
        return {
            row[table.columns.index("record")]
            for table in self.tables
            if table.name == "tombstones"
            for row in table.rows
        }


def take(path: Path, key: bytes) -> Snapshot:
    """Read it in one transaction; whoever writes meanwhile goes on. Blocks.

    Raises:
        DatabaseBroken: The file is damaged.
        EdgeError: It can't be opened now.
    """
    db = connect(path, key, cache_kib=4 * 1024)
    try:
        db.execute("BEGIN")
        return Snapshot(
            tables=tuple(_table(db, name) for name in _TABLES),
            unproven=unproven.take(db),
            quarantined=tuple(
                db.execute("SELECT study_uid, series_uid, sop_uid FROM quarantine ORDER BY id")
            ),
        )
    finally:
        db.close()


def salvage(path: Path, key: bytes, names: Sequence[str]) -> list[Table] | None:
    """Tables of a damaged index, for ``fill_all``; None if they can't be read. Blocks."""
    try:
        db = connect(path, key, cache_kib=1024)
        try:
            return [_table(db, name) for name in names]
        finally:
            db.close()
    except Exception:  # noqa: BLE001 - whatever it is, it is the damage
        return None


def restore(db: Connection, snapshot: Snapshot, now: float) -> int:
    """Put it into an index that is new; the number of instances that may be lost.

    Nothing is here, so nothing is ONLINE. What the archive said that it stored is NEARLINE. The
    rest is UNAVAILABLE until a sweep finds it in the archive after all, which got it since.
    """
    fill_all(db, snapshot.tables)
    lost = 0
    for one in unproven.unpack(snapshot.unproven):
        if one.instance.custody == "ACKNOWLEDGED":
            unproven.insert_absent(db, one, "NEARLINE", "ACKNOWLEDGED", "", now)
        else:
            unproven.insert_absent(db, one, "UNAVAILABLE", "EDGE_ONLY", _REASON, now)
            lost += 1
    return lost


def _table(db: Connection, name: str) -> Table:
    rows = db.execute(f"SELECT * FROM {name}")
    columns = tuple(column[0] for column in rows.description)
    return Table(name, columns, tuple(rows))


def fill_all(db: Connection, tables: Iterable[Table]) -> None:
    """Put rows of a backup, or of a damaged index, into tables, as far as they have columns."""
    for table in tables:
        _fill(db, table)


def _fill(db: Connection, table: Table) -> None:
    if table.name not in _TABLES:
        return  # of a newer version
    there = {row[1] for row in db.execute(f"PRAGMA table_info({table.name})")}
    kept = [at for at, column in enumerate(table.columns) if column in there]
    names = ", ".join(table.columns[at] for at in kept)
    marks = ", ".join("?" * len(kept))
    db.executemany(
        f"INSERT OR REPLACE INTO {table.name} ({names}) VALUES ({marks})",
        [[row[at] for at in kept] for row in table.rows],
    )
