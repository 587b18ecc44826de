"""The index of before takes the place of a newer version's, and learns what came since.

The version that runs knows nothing of the newer schema, but the newer file can be read as far as
its tables and columns have the names that they have here: `catching_up` says what is taken of it,
and who is right. The objects that came stay in the store; recovery adopts what no row names.

Crash order: the newer file's log is emptied -> ``index.db.back`` is made and filled -> the newer
file gets a second name, ``index.db.newer-N`` -> ``index.db.back`` takes its place, which is the
commit -> the copies go. Before the commit, all of it is done again; whatever fails before it leaves
the newer file, and nothing else. What a crash left is tidied up by the next start.
"""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Final

from sqlcipher3 import dbapi2 as sqlcipher

from edge.crypto.durable import sync_folder
from edge.errors import EdgeError, StorageFull
from edge.index.ballast import Ballast
from edge.index.catching_up import TakenBack, learn
from edge.index.connection import Connection, connect, connect_writer, translated
from edge.index.former import find_former, forget_former, former_files, has_room, is_old

__all__ = ["TakenBack", "take_back", "tidy"]

_MARGIN: Final = 8 * 1024**2
"""Bytes for what came since, beside what is counted."""


def take_back(
    path: Path, key: bytes, version: int, knows: int, ballast: Ballast | None = None
) -> TakenBack | None:
    """Do it; None if there is no copy that this version knows. Blocks.

    Args:
        path: Of the index.
        key: Of both.
        version: Of the newer schema.
        knows: The schema that this version knows.
        ballast: Released if there is no room.

    Raises:
        StorageFull: There is no room for it.
        EdgeError: It can't be done now. In either case the newer index is as it was.
    """
    former = find_former(path, knows)
    if former is None:
        return None
    number, _ = former
    back = path.with_name(f"{path.name}.back")
    try:
        _remove_all(back)
        _refuse_full(path, number, ballast)
        done = _fill(path, key, number, back, TakenBack(version))
        # The copy of its own migration, if it had one, says less than what was taken from it.
        for stray in (*former_files(back, number), *former_files(back, knows)):
            stray.unlink(missing_ok=True)
        _replace(path, back, version)
    except (OSError, sqlcipher.Error) as error:
        _remove_all(back)
        raise _meaning(error, path) from error
    except EdgeError:
        _remove_all(back)
        raise
    forget_former(path)
    return done


def tidy(path: Path, knows: int, before: float, now: float) -> None:
    """Remove what is of no use any more beside an index that was opened. Blocks.

    That is what a crash left half made; copies and indexes that were set aside before a moment, for
    they have what was erased since, too; and one that was set aside and was of a version that this
    one is not older than: its index went on from the one that is there.

    Args:
        path: Of the index.
        knows: Its schema.
        before: Which moment; POSIX seconds.
        now: POSIX seconds.
    """
    _remove_all(path.with_name(f"{path.name}.back"))
    forget_former(path, before=before, now=now)
    prefix = f"{path.name}.newer-"
    for aside in path.parent.glob(f"{prefix}*"):
        number = aside.name.removeprefix(prefix)
        if number.isdecimal() and (int(number) <= knows or is_old(aside, before, now)):
            aside.unlink(missing_ok=True)


def _fill(path: Path, key: bytes, number: int, back: Path, done: TakenBack) -> TakenBack:
    """Make the index that takes the place, whole and durable but for its name."""
    newer = _opened(path, key)
    try:
        _place_copy(path, number, back)
        db = connect_writer(back, key)
        try:
            db.execute("BEGIN IMMEDIATE")
            learn(db, newer, done)
            db.execute("COMMIT")
            _empty_log(db)
        finally:
            db.close()
    finally:
        newer.close()
    return done


def _opened(path: Path, key: bytes) -> Connection:
    """The newer file, all of it in the one file."""
    db = connect(path, key, cache_kib=4096)
    try:
        _empty_log(db)
    except BaseException:
        db.close()
        raise
    return db


def _empty_log(db: Connection) -> None:
    busy, *_ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise EdgeError(
            "the index of a newer version is in use", hint="end the commands that use it"
        )


def _refuse_full(path: Path, number: int, ballast: Ballast | None) -> None:
    """Look for room before anything is written, so that the disk is not filled for nothing."""
    sizes = [one.stat().st_size for one in former_files(path, number) if one.exists()]
    # Of the copy, all of the feed is written anew, and much else.
    needed = 2 * sum(sizes) + _MARGIN
    if not has_room(path.parent, needed, ballast):
        raise _full(needed)


def _full(needed: int) -> StorageFull:
    return StorageFull(
        "there is no room to take back the index of before the update: it needs"
        f" {needed / 1e6:.0f} MB",
        hint="free some space on the disk, or install the newer version again; nothing was changed",
    )


def _meaning(error: BaseException, path: Path) -> BaseException:
    """What an error of the disk or of SQLite means."""
    meaning = translated(error, path)
    is_full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    if is_full or isinstance(meaning, StorageFull):
        return _full(2 * path.stat().st_size)
    if isinstance(meaning, EdgeError):
        return meaning
    return EdgeError(f"the index of before can't be taken back: {error}")


def _remove_all(back: Path) -> None:
    for one in back.parent.glob(f"{back.name}*"):
        one.unlink(missing_ok=True)


def _place_copy(path: Path, number: int, back: Path) -> None:
    for source, target in zip(
        former_files(path, number), (back, back.with_name(f"{back.name}-wal")), strict=True
    ):
        if source.exists():
            shutil.copyfile(source, target)
            target.chmod(0o600)


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
