"""A bundle on a disk: its files, and how they come to be whole. `statements` stand in them.

    EDGE-COURIER/<sixteen hexadecimal digits>/
        key, key.copy         the envelope (`edge.crypto.courier`), twice: all hangs on it
        0001.part             Part 10 files, one after the other, sealed; a gibibyte at the most
        0001.list             a statement of the box: what is in that part, and where
        …
        complete              a statement of the box: which parts there are
        0001.<place>.receipt  a statement of the place that delivered: what became of part 1

Every part stands for itself: of a bundle that was not finished, or lost one to the disk, the others
can be delivered. An instance that is longer than a part goes on in the next ones, and is listed by
the one that has its end. Names are ours, short, and alike in upper and lower case (FAT).

Crash order of every file: another name -> fsync -> rename -> the folder, where the file system can.
A part is worth something once its list is there.

What lies on a disk was made by anybody: lengths are bounded before memory is taken, no link is
followed, and no name that is found there is used but those above. Calls block.

Where the disk knows owners (ext4), the service's user of another box has another number: everybody
may read the files, and add receipts to the folder of a bundle. That gives nothing away, for all of
it is sealed and signed; and who has the disk in his hands could do as much.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from edge.crypto.courier import MAX_ENVELOPE, BundleKey
from edge.crypto.sealed import CHUNK, HEADER_LENGTH, Algorithm, Opener
from edge.errors import EdgeError, SealBroken, StorageFull

__all__ = [
    "FOLDER",
    "MOST_ENTRIES",
    "PART",
    "Bundle",
    "BundleForbidden",
    "DiskUnusable",
    "PartReader",
    "PartWriter",
    "bundles_on",
    "on_disk",
]

FOLDER = "EDGE-COURIER"
PART = 1024**3
"""Bytes of content in a part: far below what FAT can hold in a file."""
MOST_ENTRIES = 20_000
"""Of a part: so its list and its receipt stay small."""
_BUNDLE = re.compile(r"[0-9a-f]{16}")
_FILE = re.compile(r"key|key\.copy|complete|\d{4}\.(part|list|[0-9a-f]{16}\.receipt)")
_UNFINISHED = ".new"
_MAX_STATEMENT = 64 * 1024**2
"""Bytes; a list of so many entries is a tenth of it."""
_SYNC_EVERY = 64 * 1024**2
"""Bytes: a slow disk must not have the memory full of what it has still to write."""
_SHARED = 0o1777
"""Of the folder of all bundles: everybody may add one."""
_OPEN = 0o777
"""Of the folder of a bundle: everybody may add receipts, and replace his own of an earlier run."""
_READABLE = 0o644
_CAN_NOT_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EPERM, errno.EISDIR)


class DiskUnusable(EdgeError):
    """The disk can't be written or read, or is gone."""


class BundleForbidden(EdgeError):
    """This user may not read a bundle; others on the disk may be another matter."""


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
            case _:
                hint = "plug it in again and repeat the command: it goes on where it was"
        what = error.strerror or str(error)
        raise DiskUnusable(f"the disk {disk} can't be used: {what}", hint=hint) from error


def bundles_on(disk: Path) -> list[Bundle]:
    """The bundles on a disk, by their numbers; *disk* may be their own folder, too."""
    if not disk.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    folder = _folder_of(disk)
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if _BUNDLE.fullmatch(path.name.lower())]
    return sorted(
        (Bundle(path) for path in found if path.is_dir() and not path.is_symlink()),
        key=lambda bundle: bundle.number,
    )


def _folder_of(disk: Path) -> Path:
    return disk if disk.name.upper() == FOLDER else disk / FOLDER


class Bundle:
    """The folder of one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.number = path.name.lower()

    @classmethod
    def make(cls, disk: Path, number: str) -> Bundle:
        """A new one on a disk."""
        path = _folder_of(disk) / number
        if not path.parent.is_dir():
            path.parent.mkdir()
            _allow(path.parent, _SHARED)
        path.mkdir()
        _allow(path, _OPEN)
        for folder in (path, path.parent, path.parent.parent):
            _sync_names(folder)
        return cls(path)

    def names(self) -> dict[str, Path]:
        """Its files, by their names in lower case."""
        return {
            name: path for path in self.path.iterdir() if _FILE.fullmatch(name := path.name.lower())
        }

    def parts(self) -> list[int]:
        """The numbers of the parts that have a list."""
        return sorted(int(name[:4]) for name in self.names() if name.endswith(".list"))

    def receipts(self) -> list[str]:
        """The names of its receipts."""
        return sorted(name for name in self.names() if name.endswith(".receipt"))

    def size(self) -> int:
        """Bytes on the disk."""
        return sum(path.stat().st_size for path in self.names().values())

    def envelopes(self) -> list[bytes]:
        """Those that can be read, the first one first.

        Raises:
            BundleForbidden: This user may read none of them.
        """
        found = []
        forbidden: OSError | None = None
        for name in ("key", "key.copy"):
            try:
                found.append(self.read(name, MAX_ENVELOPE))
            except PermissionError as error:
                forbidden = error
            except (OSError, SealBroken):
                continue
        if forbidden is not None and not found:
            said = f"{os.strerror(errno.EACCES)}: this user may not read {self.path}"
            raise BundleForbidden(f"{said}, which belongs to another") from forbidden
        return found

    def read(self, name: str, most: int = _MAX_STATEMENT) -> bytes:
        """The content of a small file.

        Raises:
            SealBroken: It is longer than that.
            FileNotFoundError: There is none.
            OSError: It can't be read.
        """
        with open(self.open(name), "rb") as file:  # noqa: PTH123 - a descriptor
            data = file.read(most + 1)
        if len(data) > most:
            raise SealBroken(f"{name} of a bundle is too long")
        return data

    def open(self, name: str) -> int:
        """A descriptor of a regular file of it, to be read."""
        path = self.names().get(name)
        if path is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise SealBroken(f"{name} of a bundle is no file")
        return descriptor

    def write(self, name: str, content: bytes) -> None:
        """Make or replace a small file; see the crash order above."""
        path = self.path / f"{name}{_UNFINISHED}"
        with _made(path) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        path.replace(self.path / name)
        _sync_names(self.path)

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        if path := self.names().get(name):
            path.unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove what was not finished."""
        for path in self.path.iterdir():
            name = path.name.lower()
            if name.endswith(_UNFINISHED) and _FILE.fullmatch(name.removesuffix(_UNFINISHED)):
                path.unlink()

    def delete(self) -> None:
        """Remove all of it; the envelope first, without which nothing of it opens."""
        self.sweep()
        for name in ("key", "key.copy"):
            self.remove(name)
        for path in self.names().values():
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # somebody else's file is in it
            self.path.rmdir()
            self.path.parent.rmdir()


class PartWriter:
    """A part that is being written.

    Args:
        bundle: It gets it.
        number: From 1.
        key: Seals it.
        algorithm: Likewise.
    """

    def __init__(self, bundle: Bundle, number: int, key: BundleKey, algorithm: Algorithm) -> None:
        self.number = number
        self.length = 0
        """Bytes of content so far."""
        self._bundle = bundle
        self._name = f"{number:04}.part"
        self._path = bundle.path / f"{self._name}{_UNFINISHED}"
        header, self._sealer = key.sealer(self._name, algorithm)
        self._unsynced = 0
        self._file = _made(self._path, buffering=CHUNK * 16)
        self._file.write(header)

    def write(self, content: bytes) -> None:
        """Take the next content."""
        self.length += len(content)
        for chunk in self._sealer.seal(content):
            self._file.write(chunk)
        self._unsynced += len(content)
        if self._unsynced >= _SYNC_EVERY:
            self._sync()

    def finish(self) -> None:
        """The part is whole and durable under its name."""
        self._file.write(self._sealer.finish())
        self._sync()
        self._file.close()
        self._path.replace(self._bundle.path / self._name)
        _sync_names(self._bundle.path)

    def abandon(self) -> None:
        """Remove what was written of it, as far as the disk lets us."""
        with contextlib.suppress(OSError):
            self._file.close()
        for path in (self._path, self._bundle.path / self._name):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    def _sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        # What was written is not read again here.
        os.posix_fadvise(self._file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        self._unsynced = 0


class PartReader:
    """Reads ranges of a part. Close it.

    Raises:
        SealBroken: It is cut short, or no part.
        OSError: It can't be read.
    """

    def __init__(self, bundle: Bundle, number: int, key: BundleKey) -> None:
        name = f"{number:04}.part"
        self._descriptor = bundle.open(name)
        try:
            length = os.fstat(self._descriptor).st_size
            header = os.pread(self._descriptor, HEADER_LENGTH, 0)
            self._opener: Opener = key.opener(name, header, length, self._read_at)
        except BaseException:
            self.close()
            raise

    @property
    def length(self) -> int:
        """Bytes of its content."""
        return self._opener.length

    def read(self, offset: int, length: int) -> bytes:
        """A range of its content.

        Raises:
            SealBroken: It was changed.
            OSError: The disk can't be read.
        """
        return self._opener.read(offset, length)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _read_at(self, offset: int, length: int) -> bytes:
        return os.pread(self._descriptor, length, offset)


def _made(path: Path, buffering: int = -1) -> BinaryIO:
    """A new file that everybody may read, in place of what may lie there; no link is followed."""
    path.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    file = open(os.open(path, flags, _READABLE), "wb", buffering)  # noqa: PTH123, SIM115 - a descriptor
    _allow(file.fileno(), _READABLE)
    return file


def _allow(what: Path | int, mode: int) -> None:
    """Whatever the umask says; FAT and the like know no modes, and their mount decides."""
    with contextlib.suppress(OSError):
        os.chmod(what, mode)  # noqa: PTH101 - a descriptor, too


def _sync_names(folder: Path) -> None:
    """Make the names in a folder durable, where its file system knows how."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _CAN_NOT_SYNC:
            raise
    finally:
        os.close(descriptor)
