"""Moves one file between two open folders, on one file system or from one to another.

Everything here blocks: call it in a thread.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat

__all__ = ["move"]


def move(name: str, source: int, new: str, target: int) -> None:
    """Move *name* of the folder *source* to *new* in *target*; it is whole in one of them.

    Over file systems it is copied, then deleted. If that fails nothing is left of the copy; a power
    cut in between may leave both. Only files and symbolic links can go that way.

    Raises:
        OSError: It can't be moved, and is where it was.
    """
    try:
        os.rename(name, new, src_dir_fd=source, dst_dir_fd=target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _copy(name, source, new, target)
        try:
            os.unlink(name, dir_fd=source)
        except OSError:
            os.unlink(new, dir_fd=target)
            raise


def _copy(name: str, source: int, new: str, target: int) -> None:
    mode = os.stat(name, dir_fd=source, follow_symlinks=False).st_mode
    if stat.S_ISLNK(mode):
        os.symlink(os.readlink(name, dir_fd=source), new, dir_fd=target)
        return
    if not stat.S_ISREG(mode):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
    reading = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    writing = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(name, reading, dir_fd=source), "rb") as original:
        handle = os.open(new, writing, 0o666, dir_fd=target)
        with contextlib.ExitStack() as unless_whole:
            unless_whole.callback(os.unlink, new, dir_fd=target)
            with os.fdopen(handle, "wb") as copy:
                shutil.copyfileobj(original, copy)
                copy.flush()
                os.fsync(copy.fileno())
            status = os.fstat(original.fileno())
            times = (status.st_atime_ns, status.st_mtime_ns)
            os.utime(new, ns=times, dir_fd=target, follow_symlinks=False)
            unless_whole.pop_all()
