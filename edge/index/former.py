"""The index as it was before a migration, kept for the version from before.

An update brings a schema that the version before it does not know; when that version runs again,
after a rollback, it takes back the copy (`taking_back`). The copy is the file itself, page by page,
sealed as it is: nothing of it was ever readable.

Crash order of a copy: ``index.db.vN-wal``, ``index.db.vN``, each written under another name, made
durable and renamed -> the migration. One that was cut short is done again, and so is its copy.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from pathlib import Path
from typing import Any, Final

from edge.crypto.durable import sync_folder
from edge.errors import EdgeError, StorageFull
from edge.index.ballast import Ballast

__all__ = [
    "KEPT_SECONDS",
    "find_former",
    "forget_former",
    "former_files",
    "has_room",
    "is_old",
    "keep_former",
]

KEPT_SECONDS: Final = 30 * 86400.0
"""So long a copy is kept: it has what was erased since, too."""
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_PIECE: Final = 1024**2
_MARGIN: Final = 2 * 1024**2
"""Bytes that stay free: with fewer, SQLite fails by many names."""
_DAY: Final = 86400.0


def keep_former(db: Any, path: Path, version: int) -> None:
    """Copy the index as of now; the copies of other versions go. Blocks.

    Args:
        db: The writer's connection, in no transaction.
        path: Of the index.
        version: Of its schema.

    Raises:
        StorageFull: There is no room for it; nothing was migrated.
        EdgeError: The disk does not take it.
    """
    with contextlib.suppress(Exception):  # it makes the copy smaller, and nothing else
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    copy, copied_log = former_files(path, version)
    for earlier in (copy, copied_log):  # of an update that was gone back from, or cut short
        earlier.unlink(missing_ok=True)
    needed = sum(one.stat().st_size for one in (path, _log(path)) if one.exists()) + _MARGIN
    if not has_room(path.parent, needed):
        raise _full(needed)
    db.execute("BEGIN IMMEDIATE")  # nobody writes meanwhile, so that file and log belong together
    try:
        _copy(_log(path), copied_log)
        _copy(path, copy)
        sync_folder(path.parent)
    except OSError as error:
        for one in (copy, copied_log):  # neither is of use without the other
            one.with_name(f"{one.name}.new").unlink(missing_ok=True)
            one.unlink(missing_ok=True)
        if error.errno in _FULL:
            raise _full(needed) from error
        raise EdgeError(f"the index can't be copied: {error.strerror}") from error
    finally:
        db.execute("ROLLBACK")
    forget_former(path, but=version)


def _full(needed: int) -> StorageFull:
    return StorageFull(
        "there is no room for a copy of the index, without which this version could not be gone"
        f" back from: it needs {needed / 1e6:.0f} MB",
        hint="free some space on the disk; nothing was changed, and the version from before runs"
        " with it as it is",
    )


def has_room(folder: Path, needed: int, ballast: Ballast | None = None) -> bool:
    """Whether so many bytes are free, once the ballast was released if need be."""
    if shutil.disk_usage(folder).free >= needed:
        return True
    return ballast is not None and ballast.release() and shutil.disk_usage(folder).free >= needed


def former_files(path: Path, version: int) -> tuple[Path, Path]:
    """Where a copy lies, and its log."""
    copy = path.with_name(f"{path.name}.v{version}")
    return copy, _log(copy)


def find_former(path: Path, newest: int) -> tuple[int, Path] | None:
    """The newest copy whose schema a version knows; None if there is none."""
    found = [(number, copy) for number, copy in _copies(path) if number <= newest]
    return max(found) if found else None


def forget_former(
    path: Path, *, but: int = 0, before: float | None = None, now: float = 0.0
) -> None:
    """Delete copies, and what is left of those that were cut short.

    Args:
        path: Of the index.
        but: The one of this version stays.
        before: Only those that were made before this moment.
        now: With it; POSIX seconds.
    """
    for unfinished in path.parent.glob(f"{path.name}.v*.new"):
        unfinished.unlink(missing_ok=True)
    for number, copy in _copies(path):
        if number == but or (before is not None and not is_old(copy, before, now)):
            continue
        copy.unlink(missing_ok=True)
        _log(copy).unlink(missing_ok=True)


def is_old(path: Path, before: float, now: float) -> bool:
    """Whether a file was made before a moment.

    One of the future was made under a clock that was wrong: its days begin now.
    """
    try:
        made = path.stat().st_mtime
        if made > now + _DAY:
            os.utime(path, (now, now))
    except FileNotFoundError:
        return False
    return made < before


def _copies(path: Path) -> list[tuple[int, Path]]:
    prefix = f"{path.name}.v"
    names = [(one.name.removeprefix(prefix), one) for one in path.parent.glob(f"{prefix}*")]
    return [(int(name), one) for name, one in names if name.isdecimal()]


def _log(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def _copy(source: Path, target: Path) -> None:
    """Durably, as a whole or not at all; what is empty is not there in the copy."""
    unfinished = target.with_name(f"{target.name}.new")
    unfinished.unlink(missing_ok=True)
    if not source.exists() or not source.stat().st_size:
        target.unlink(missing_ok=True)
        return
    with source.open("rb") as file:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with os.fdopen(os.open(unfinished, flags, 0o600), "wb") as made:
            shutil.copyfileobj(file, made, _PIECE)
            made.flush()
            os.fsync(made.fileno())
    unfinished.replace(target)
