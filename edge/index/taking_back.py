"""The index of before takes the place of a newer version's, and learns what came since.

The version that runs knows nothing of the newer schema, but the newer file can be read as far as
its tables and columns have the names that they have here; what can't be read is answered by what is
safe. What came in between is put right so:

    objects that came          stay in the store; recovery adopts what no row names
    what was deleted           is deleted here, too, with its tombstone: it does not come back
    custody                    the archive is believed as far as both files say so; else it is asked
                               again, and nothing is evicted until it was
    tokens, people, peers,     as the newer file has them, whole tables: who was let in or kept out
    pins, emergencies          since is so; where one can't be read, it is as it was, and said
    sessions, links, codes     hold no longer
    the change feed            begins anew, above all numbers, as that of an index that was rebuilt

Crash order: the newer file's log is emptied -> ``index.db.back`` is made and filled -> the newer
file gets a second name -> ``index.db.back`` takes its place, which is the commit. Before that, all
of it is done again.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from sqlcipher3 import dbapi2 as sqlcipher

from edge.crypto.durable import sync_folder
from edge.dicom.instance import InstanceRef
from edge.errors import EdgeError
from edge.index import emergencies, identities, instances, snapshot, users
from edge.index.connection import Connection, connect, connect_writer
from edge.index.feed import record
from edge.index.former import find_former, forget_former, former_files
from edge.index.remote import set_cursor

__all__ = ["TakenBack", "take_back"]

log = logging.getLogger(__name__)

_PEOPLE: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("tokens", ("tokens",)),
    ("users", users.KEPT),
    ("people of the identity provider", identities.KEPT),
    ("emergency accesses", emergencies.KEPT),
    ("peers", ("peers",)),
    ("pins", ("pins",)),
)
"""What they are called, and the tables in which they can be filled."""
_ENDED: Final = ("sessions", "links", "codes")
_AT_ONCE: Final = 1000


@dataclass(slots=True)
class TakenBack:
    """What was done."""

    version: int
    """Of the schema that was set aside."""
    deleted: int = 0
    """Instances that were deleted since."""
    asked_again: int = 0
    """Instances about which the archive is asked again."""
    unread: list[str] = field(default_factory=list)
    """What could not be read of the newer file, and is as it was before the update."""


def take_back(path: Path, key: bytes, version: int, knows: int) -> TakenBack | None:
    """Do it; None if there is no copy that this version knows. Blocks.

    Args:
        path: Of the index.
        key: Of both.
        version: Of the newer schema.
        knows: The schema that this version knows.

    Raises:
        EdgeError: It can't be done now; nothing was changed.
    """
    former = find_former(path, knows)
    if former is None:
        return None
    done = TakenBack(version)
    newer = _opened(path, key)
    back = path.with_name(f"{path.name}.back")
    try:
        number, _ = former
        _place_copy(path, number, back)
        db = connect_writer(back, key)
        try:
            db.execute("BEGIN IMMEDIATE")
            _learn(db, newer, done)
            db.execute("COMMIT")
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            db.close()
    finally:
        newer.close()
    # The copy of its own migration, if it had one, says less than what was taken from it.
    for stray in (*former_files(back, number), *former_files(back, knows)):
        stray.unlink(missing_ok=True)
    _replace(path, back, version)
    forget_former(path)
    return done


def _opened(path: Path, key: bytes) -> Connection:
    """The newer file, all of it in the one file."""
    db = connect(path, key, cache_kib=4096)
    try:
        busy, *_ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlcipher.Error as error:
        db.close()
        raise EdgeError(f"the newer index can't be closed: {error}") from error
    if busy:
        db.close()
        raise EdgeError(
            "the index of a newer version is in use", hint="end the commands that use it"
        )
    return db


def _place_copy(path: Path, number: int, back: Path) -> None:
    for source, target in zip(
        former_files(path, number), (back, back.with_name(f"{back.name}-wal")), strict=True
    ):
        target.unlink(missing_ok=True)
        if source.exists():
            shutil.copyfile(source, target)
            target.chmod(0o600)
    back.with_name(f"{back.name}-shm").unlink(missing_ok=True)


def _replace(path: Path, back: Path, version: int) -> None:
    """Give each file its place."""
    for earlier in path.parent.glob(f"{path.name}.newer-*"):
        earlier.unlink()
    aside = path.with_name(f"{path.name}.newer-{version}")
    aside.hardlink_to(path)
    for suffix in ("-wal", "-shm"):  # the log is empty: it belongs to neither
        path.with_name(path.name + suffix).unlink(missing_ok=True)
        back.with_name(back.name + suffix).unlink(missing_ok=True)
    with back.open("rb") as file:
        os.fsync(file.fileno())
    back.replace(path)
    sync_folder(path.parent)


# What came between --------------------------------------------------------------------------------


def _learn(db: Connection, newer: Connection, done: TakenBack) -> None:
    now = time.time()
    for what, names in _PEOPLE:
        if not _tried(db, partial(_take_tables, db, newer, names)):
            done.unread.append(what)
            log.error(
                "%s can't be read of the index of the newer version: they are as before", what
            )
    for name in _ENDED:
        db.execute(f"DELETE FROM {name}")
    if not _tried(db, lambda: _bury(db, newer, done, now)):
        done.unread.append("deletions")
        log.error("what was deleted since can't be read: some of it may come back")
    if not _tried(db, lambda: _doubt(db, newer, done)):
        done.unread.append("custody")
        done.asked_again = _doubt_all(db)
    _begin_feed_anew(db, now)


def _tried(db: Connection, act: Callable[[], None]) -> bool:
    """Whether it could be done; if not, nothing of it was."""
    db.execute("SAVEPOINT part")
    try:
        act()
    except sqlcipher.Error as error:
        log.warning("the index of the newer version: %s", error)
        db.execute("ROLLBACK TO part")
        db.execute("RELEASE part")
        return False
    db.execute("RELEASE part")
    return True


def _take_tables(db: Connection, newer: Connection, names: Sequence[str]) -> None:
    tables = [_table(newer, name) for name in names]
    for name in reversed(names):
        db.execute(f"DELETE FROM {name}")
    snapshot.fill_all(db, tables)


def _table(newer: Connection, name: str) -> snapshot.Table:
    rows = newer.execute(f"SELECT * FROM {name}")
    columns = tuple(column[0] for column in rows.description)
    return snapshot.Table(name, columns, tuple(rows))


def _bury(db: Connection, newer: Connection, done: TakenBack, now: float) -> None:
    """Delete what was deleted: there is a tombstone of it, and no row."""
    tombs = _table(newer, "tombstones")
    uid = tombs.columns.index("sop_uid")
    known = {row[0] for row in db.execute("SELECT sop_uid FROM tombstones")}
    for row in tombs.rows:
        again = newer.execute("SELECT 1 FROM instances WHERE sop_uid = ?", (row[uid],)).fetchone()
        if row[uid] in known or again is not None:
            continue
        found = db.execute(
            "SELECT i.id, s.study_uid, e.series_uid FROM instances i JOIN series e"
            " ON e.id = i.series_id JOIN studies s ON s.id = i.study_id WHERE i.sop_uid = ?",
            (row[uid],),
        ).fetchone()
        if found is not None:
            instances.forget(db, found[0])
            record(db, "DELETE", InstanceRef(found[1], found[2], row[uid]), now)
            done.deleted += 1
    snapshot.fill_all(db, [tombs])


def _doubt(db: Connection, newer: Connection, done: TakenBack) -> None:
    """Believe of an archive what both files say, and what the newer one knows beyond that."""
    known: dict[str, str] = dict(newer.execute("SELECT sop_uid, custody FROM instances"))
    rows = db.execute("SELECT id, sop_uid, custody FROM instances").fetchall()
    changed: list[tuple[str, int]] = []
    for number, uid, custody in rows:
        then = known.get(uid)
        if then == custody or then is None:
            continue
        if then in _VOUCHED:
            # It is asked again: the newer version's word is enough to know where to ask.
            changed.append(("ACKNOWLEDGED", number))
        elif custody in _VOUCHED:
            changed.append(("SENT", number))
    _set_custody(db, changed)
    done.asked_again = len(changed)
    _doubt_copies(db)


_VOUCHED: Final = frozenset({"ACKNOWLEDGED", "VERIFIED"})


def _doubt_all(db: Connection) -> int:
    """Believe an archive nothing but that it may be asked."""
    rows = db.execute("SELECT id FROM instances WHERE custody = 'VERIFIED'").fetchall()
    _set_custody(db, [("ACKNOWLEDGED", number) for (number,) in rows])
    _doubt_copies(db)
    return len(rows)


def _doubt_copies(db: Connection) -> None:
    db.execute(
        "UPDATE copies SET custody = 'ACKNOWLEDGED', tries = 0, retry_at = 0"
        " WHERE custody = 'VERIFIED'"
    )


def _set_custody(db: Connection, changed: Sequence[tuple[str, int]]) -> None:
    for at in range(0, len(changed), _AT_ONCE):
        db.executemany(
            "UPDATE instances SET custody = ?, tries = 0, retry_at = 0, reason = '' WHERE id = ?",
            changed[at : at + _AT_ONCE],
        )


def _begin_feed_anew(db: Connection, now: float) -> None:
    """Tell whoever follows by number of everything once more; the box itself has seen it."""
    db.execute("DELETE FROM changes")
    db.execute(
        "UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = 'changes'", (int(now * 1000),)
    )
    db.execute(
        "INSERT INTO changes (action, study_uid, series_uid, sop_uid, at)"
        " SELECT 'CREATE', s.study_uid, e.series_uid, i.sop_uid, ? FROM instances i"
        " JOIN series e ON e.id = i.series_id JOIN studies s ON s.id = i.study_id"
        " WHERE i.withheld = '' ORDER BY i.id",
        (now,),
    )
    last: Any = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'changes'").fetchone()
    set_cursor(db, "arrivals", str(last[0]))
