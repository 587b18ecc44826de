"""Folders of a disk that anybody may have written: the one way to the files of couriers.

Owns how their files are opened, made, put in place and removed. Promises that no link is followed
below the folder that a person named, whoever puts one there and whenever: every step goes from the
descriptor of the folder above it. What is opened is a regular file, and what is made is a new one,
so that neither a pipe holds us up nor a device gets or gives anything. Calls block.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Self

from edge.errors import EdgeError, SealBroken, StorageFull

__all__ = ["DiskUnusable", "Folder", "held", "on_disk"]

_READABLE = 0o644
_INSIDE = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CAN_NOT_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EPERM, errno.EISDIR)
_CAN_NOT_LOCK = (errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)


class DiskUnusable(EdgeError):
    """The disk can't be written or read, or is gone."""


@contextlib.contextmanager
def on_disk(disk: Path) -> Iterator[None]:
    """Say what is wrong with a disk as people need it.

    Raises:
        StorageFull: It is full.
        DiskUnusable: It can't be written or read, or is gone.
    """
    try:
        yield
    except OSError as error:
        match error.errno:
            case errno.ENOSPC | errno.EDQUOT | errno.EFBIG:
                raise StorageFull(f"the disk {disk} is full") from error
            case errno.EROFS | errno.EACCES | errno.EPERM:
                hint = "mount it so that this user may read and write it; some disks have a switch"
            case errno.ENOENT | errno.ENOTDIR:
                hint = "name the folder that the disk is mounted on"
            case errno.EISDIR | errno.EEXIST | errno.ENOTEMPTY | errno.ELOOP:
                hint = "something on it stands where a file of a bundle belongs: delete that"
            case _:
                hint = "plug it in again and repeat the command: it goes on where it was"
        what = error.strerror or str(error)
        raise DiskUnusable(f"the disk {disk} can't be used: {what}", hint=hint) from error


@contextlib.asynccontextmanager
async def held(folder: Path) -> AsyncGenerator[None]:
    """Have a folder of a disk for this process alone, as far as this machine goes.

    A file system that knows no locks goes without.

    Raises:
        DiskUnusable: Another process has it.
        OSError: It can't be opened.
    """
    descriptor = await asyncio.to_thread(_lock, folder)
    try:
        yield
    finally:
        os.close(descriptor)


def _lock(folder: Path) -> int:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise DiskUnusable(
            f"the disk {folder} is in use by another edge courier",
            hint="wait until that one is done, and repeat the command",
        ) from None
    except OSError as error:
        if error.errno not in _CAN_NOT_LOCK:
            os.close(descriptor)
            raise
    return descriptor


class Folder:
    """A folder, opened; ``with`` closes it.

    Args:
        descriptor: Of the folder; is owned from now on.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def named(cls, path: Path) -> Folder:
        """The one that a person named; that may be a link.

        Raises:
            OSError: It can't be opened.
        """
        return cls(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it."""
        os.close(self._descriptor)

    # What is in it --------------------------------------------------------------------------------

    def names(self) -> list[str]:
        """Of all that is in it, in a fixed order."""
        return sorted(os.listdir(self._descriptor))  # noqa: PTH208 - of a descriptor

    def is_folder(self, name: str) -> bool:
        """Whether a folder of that name is in it; a link to one is none."""
        return stat.S_ISDIR(self._mode(name))

    def is_file(self, name: str) -> bool:
        """Whether a regular file of that name is in it."""
        return stat.S_ISREG(self._mode(name))

    def size(self, name: str) -> int:
        """Bytes of a regular file; 0 of anything else."""
        try:
            found = os.stat(name, dir_fd=self._descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return 0
        return found.st_size if stat.S_ISREG(found.st_mode) else 0

    def _mode(self, name: str) -> int:
        try:
            return os.stat(name, dir_fd=self._descriptor, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return 0

    # Ways into it ---------------------------------------------------------------------------------

    def folder(self, name: str) -> Folder:
        """A folder in it.

        Raises:
            FileNotFoundError: There is none.
            OSError: It is no folder, or can't be opened.
        """
        return Folder(os.open(name, os.O_RDONLY | _INSIDE, dir_fd=self._descriptor))

    def make_folder(self, name: str, mode: int) -> Folder:
        """A new folder in it, that is open to whom *mode* says.

        Raises:
            FileExistsError: Something of that name is in it.
            OSError: It can't be made.
        """
        os.mkdir(name, 0o700, dir_fd=self._descriptor)
        made = self.folder(name)
        made.allow(mode)
        return made

    def allow(self, mode: int) -> None:
        """Open it to others, whatever the umask says."""
        _allow(self._descriptor, mode)

    def open(self, name: str) -> int:
        """A descriptor of a regular file in it, to be read.

        Raises:
            SealBroken: It is no regular file.
            OSError: It can't be opened.
        """
        return self._opened(name, os.O_RDONLY)

    def change(self, name: str) -> int:
        """A descriptor of a regular file in it, to be read and written where it lies.

        Raises:
            SealBroken: It is no regular file.
            OSError: It can't be opened.
        """
        return self._opened(name, os.O_RDWR)

    def _opened(self, name: str, how: int) -> int:
        flags = how | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        descriptor = os.open(name, flags, dir_fd=self._descriptor)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise SealBroken(f"{name} of a bundle is no file")
        return descriptor

    def create(self, name: str) -> int:
        """A descriptor of a new file in it, to be written, that everybody may read.

        What had the name is removed.

        Raises:
            OSError: It can't be made.
        """
        self.remove(name)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(name, flags, _READABLE, dir_fd=self._descriptor)
        _allow(descriptor, _READABLE)
        return descriptor

    # Changes of names -----------------------------------------------------------------------------

    def rename(self, name: str, new: str) -> None:
        """Put a file in the place of another; a link there is replaced, not followed.

        Raises:
            OSError: It can't be done.
        """
        os.rename(name, new, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)

    def remove(self, name: str) -> None:
        """Remove a file, a link, or a folder with nothing in it, if it is there.

        Raises:
            OSError: It can't be removed.
        """
        with contextlib.suppress(FileNotFoundError):
            if self.is_folder(name):
                os.rmdir(name, dir_fd=self._descriptor)
            else:
                os.unlink(name, dir_fd=self._descriptor)

    def sync(self) -> None:
        """Make its names durable, where its file system knows how."""
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            if error.errno not in _CAN_NOT_SYNC:
                raise


def _allow(descriptor: int, mode: int) -> None:
    """Whatever the umask says; FAT and the like know no modes, and their mount decides."""
    with contextlib.suppress(OSError):
        os.fchmod(descriptor, mode)
