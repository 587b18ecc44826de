"""What of the index can be had neither from the store nor from the archive: for a backup, and back.

In it are tokens, users with their second factors, emergency accesses, tombstones, rejections, pins
and approved peers, as they are, and what no archive is proven to have. What an archive verifiably
has is not: a box that begins anew learns from the archive itself what that has *then*. Cursors are
not either, for what was learned behind them is gone; nor sessions, links and codes that were handed
out, which would hold again.

A table is kept with the names of its columns: what a newer version added has its default then.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from edge.dicom.instance import InstanceRef
from edge.index import emergencies, identities, rejections, users
from edge.index.connection import Connection, connect
from edge.index.feed import record
from edge.index.instances import ensure_series, ensure_study

__all__ = [
    "Snapshot",
    "Table",
    "Unproven",
    "described",
    "fill_all",
    "insert_absent",
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


class Unproven(msgspec.Struct, frozen=True):
    """An instance that was here, and that no archive is proven to have."""

    study_uid: str
    series_uid: str
    sop_uid: str
    study: str
    """Attributes of patient and study, DICOM JSON: whom to ask for it again."""
    series: str
    sop_class_uid: str
    transfer_syntax: str
    instance_number: int | None
    frame_count: int
    content_bytes: int
    meta_digest: bytes | None
    dataset_digest: bytes | None
    custody: str
    origin: str
    peer: str
    received: float


class Snapshot(msgspec.Struct, frozen=True):
    """All of it, as of one commit."""

    tables: tuple[Table, ...]
    unproven: tuple[Unproven, ...]
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
            unproven=tuple(Unproven(*row) for row in db.execute(_UNPROVEN)),
            quarantined=tuple(
                db.execute("SELECT study_uid, series_uid, sop_uid FROM quarantine ORDER BY id")
            ),
        )
    finally:
        db.close()


_DESCRIBED = (
    "SELECT s.study_uid, e.series_uid, i.sop_uid, a.attributes, e.attributes, i.sop_class_uid,"
    " i.transfer_syntax, i.instance_number, i.frame_count, i.content_bytes, i.meta_digest,"
    " i.dataset_digest, i.custody, i.origin, i.peer, i.received"
    " FROM instances i JOIN series e ON e.id = i.series_id JOIN studies s ON s.id = i.study_id"
    " JOIN study_attributes a ON a.study_id = s.id"
)
_UNPROVEN = (
    f"{_DESCRIBED} WHERE i.custody <> 'VERIFIED'"
    " AND i.availability IN ('ONLINE', 'UNAVAILABLE') ORDER BY i.id"
)


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
    for one in snapshot.unproven:
        if one.custody == "ACKNOWLEDGED":
            insert_absent(db, one, "NEARLINE", "ACKNOWLEDGED", "", now)
        else:
            insert_absent(db, one, "UNAVAILABLE", "EDGE_ONLY", _REASON, now)
            lost += 1
    return lost


def insert_absent(
    db: Connection, one: Unproven, availability: str, custody: str, reason: str, now: float
) -> None:
    """Make the row of an instance whose bytes are not here, or not known to be; if there is none.

    Args:
        db: The writer's connection.
        one: It.
        availability: Not ONLINE.
        custody: Who vouches for it.
        reason: Why it is so.
        now: POSIX seconds.
    """
    ref = InstanceRef(one.study_uid, one.series_uid, one.sop_uid)
    study_id = ensure_study(db, one.study_uid, json.loads(one.study), now)
    series_id = ensure_series(db, study_id, one.series_uid, json.loads(one.series), now)
    added = db.execute(
        "INSERT OR IGNORE INTO instances (study_id, series_id, sop_uid, sop_class_uid,"
        " transfer_syntax, instance_number, frame_count, availability, content_bytes,"
        " meta_digest, dataset_digest, custody, reason, origin, peer, received, last_used,"
        " withheld) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,"
        f" {rejections.WITHHELD}) RETURNING withheld",
        (
            study_id,
            series_id,
            one.sop_uid,
            one.sop_class_uid,
            one.transfer_syntax,
            one.instance_number,
            one.frame_count,
            availability,
            one.content_bytes,
            one.meta_digest,
            one.dataset_digest,
            custody,
            reason,
            one.origin,
            one.peer,
            one.received,
            now,
            one.sop_uid,
        ),
    ).fetchone()
    if added is not None and not added[0]:
        record(db, "CREATE", ref, now)


def described(db: Connection, sop_uid: str) -> Unproven:
    """What an index knows of an instance that it has a row of."""
    return Unproven(*db.execute(f"{_DESCRIBED} WHERE i.sop_uid = ?", (sop_uid,)).fetchone())


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
