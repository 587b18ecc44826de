"""Small files that are whole under their name, or not there.

Promises that nothing is written through a link: root writes into folders of the service's user, who
could plant one. What is destroyed is followed to where it lies, if whoever made the link could have
destroyed it as well.
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

__all__ = [
    "destroy_file",
    "hand_over",
    "lock_at_once",
    "lock_file",
    "one_at_a_time",
    "sync_folder",
    "write_file",
]

_LOOK = 0.02


def write_file(path: Path, content: bytes) -> None:
    """Make or replace a file that its owner alone may read; it is durable when this returns.

    Its owner is the folder's, if it is root that writes: the service must read it.

    Crash order: write under another name -> fsync -> rename -> fsync the folder.
    """
    unfinished = _unfinished(path)
    unfinished.unlink(missing_ok=True)  # what a crash left, or a link that somebody planted
    flags = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_WRONLY | os.O_CLOEXEC
    descriptor = os.open(unfinished, flags, 0o600)
    try:
        hand_over(descriptor, path.parent)
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    unfinished.replace(path)
    sync_folder(path.parent)


def hand_over(descriptor: int, folder: Path) -> None:
    """Have what root made in a folder belong to whoever owns that.

    What has another name elsewhere is left alone: they could have put root's own file there.
    """
    owner = folder.stat()
    if os.geteuid() == 0 and owner.st_uid != 0 and os.fstat(descriptor).st_nlink == 1:
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


@contextlib.contextmanager
def one_at_a_time(folder: Path, patience: float = math.inf) -> Iterator[None]:
    """While nobody else is in such a block of the same folder, in this process or in another.

    So that who reads a file, and writes what follows from it, loses nothing. Blocks.

    Raises:
        TimeoutError: Somebody is, for so many seconds.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        lock_file(descriptor, patience)
        yield
    finally:
        os.close(descriptor)


def lock_file(descriptor: int, patience: float) -> None:
    """Have a file, or a folder, for this process alone until the descriptor is closed. Blocks.

    Raises:
        TimeoutError: Somebody else has it for so many seconds.
    """
    if math.isinf(patience):
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return
    until = time.monotonic() + patience
    while not lock_at_once(descriptor):
        if time.monotonic() >= until:
            raise TimeoutError("somebody else is at it, and does not end")
        time.sleep(_LOOK)


def lock_at_once(descriptor: int) -> bool:
    """Have it as `lock_file` has it, if nobody else does; whether that is so."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def destroy_file(path: Path) -> None:
    """Overwrite a file and delete it, durably; nothing happens if there is none.

    Of a link, the file that it leads to is overwritten, and the link deleted. What a disk keeps
    beside the places that it shows (worn flash, copies of a file system), this does not reach.

    Raises:
        OSError: Something is left of it; whatever could be destroyed was.
    """
    failed = None
    for place in (path, _unfinished(path)):
        try:
            if not _is_link(place):
                _destroy(place)
            else:
                if place == path:  # no link is ever written under the other name
                    _overwrite_behind(place)
                place.unlink(missing_ok=True)
                sync_folder(path.parent)
        except FileNotFoundError:
            continue
        except OSError as error:
            failed = error
    if failed is not None:
        raise failed


def _unfinished(path: Path) -> Path:
    return path.with_name(f"{path.name}.new")


def _is_link(place: Path) -> bool:
    return stat.S_ISLNK(place.lstat().st_mode)


def _destroy(place: Path) -> None:
    """A file that is none but itself; it is deleted even if it can't be overwritten."""
    try:
        _overwrite(place, os.O_NOFOLLOW)
    finally:
        place.unlink(missing_ok=True)
        sync_folder(place.parent)


def _overwrite_behind(link: Path) -> None:
    """Overwrite what a link leads to, unless who made the link could not have done so."""
    # By a descriptor: between two looks, somebody could put another link there.
    descriptor = os.open(link, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        maker, target = os.fstat(descriptor).st_uid, os.readlink("", dir_fd=descriptor)
    finally:
        os.close(descriptor)
    with contextlib.suppress(FileNotFoundError):  # it leads nowhere
        _overwrite(link.parent / target, 0, maker)


def _overwrite(place: Path, flags: int, maker: int = 0) -> None:
    """Write zeros over all of a file; *maker* is who led us to it."""
    flags |= os.O_WRONLY | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        descriptor = os.open(place, flags)
    except PermissionError:
        _permit(place, flags & os.O_NOFOLLOW)  # its owner may have forbidden even himself to write
        descriptor = os.open(place, flags)
    try:
        found = os.fstat(descriptor)
        if os.geteuid() == 0 and maker not in (0, found.st_uid):
            raise PermissionError(1, "somebody led root to another's file", str(place))
        if stat.S_ISREG(found.st_mode):
            os.pwrite(descriptor, bytes(found.st_size), 0)
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _permit(place: Path, flags: int) -> None:
    descriptor = os.open(place, flags | os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path | str) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
