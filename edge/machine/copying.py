"""A copy of all that lies in one file system, which is made in passes while people write there.

Owns what the copy has, and that it is the same: what was written is read again from the medium, and
compared by digest. A file has the time of its original only once it was, so that a power cut at any
moment leaves what the next pass sees and copies anew. The last pass, when nobody writes, believes
no time: it compares the bytes of all that may have changed, which is all but what is settled (files
that are never written again once they have their name).

Root copies what the service's user may write: no link is followed, and nothing but files, folders
and links is copied. Hard links become files of their own. Calls block.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from edge.errors import MachineRefused

__all__ = ["TreeCopy"]

_PIECE: Final = 1024 * 1024
_BATCH_BYTES: Final = 256 * 1024 * 1024
_BATCH_FILES: Final = 2000
"""What is written before the medium is waited for, and read again."""
_WHERE: Final = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_SOURCE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NO_TIME: Final = (1, 1)
"""Of what is not believed yet: nothing else is of the first nanosecond of 1970."""
_NOT_OURS: Final = "lost+found"
"""Every file system's own."""


@dataclass
class _Written:
    """A file that lies in the copy, and is not believed yet."""

    path: Path
    digest: bytes
    original: os.stat_result


@dataclass
class _Batch:
    files: list[_Written] = field(default_factory=list)
    size: int = 0


class TreeCopy:
    """It.

    Args:
        source: The root of the file system.
        target: Of the copy; nobody else writes there.
        settled: Folders below the source, such as ``lib/edge/objects``, with files that are never
            written again.
        left_out: Files below the source that are not copied.
        sync: Has all that was written to the target be on its medium.
        heard: Is told of bytes that are the same on both sides by now.
    """

    def __init__(
        self,
        source: Path,
        target: Path,
        *,
        settled: frozenset[str] = frozenset(),
        left_out: frozenset[str] = frozenset(),
        sync: Callable[[Path], object],
        heard: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._source = source
        self._target = target
        self._settled = settled
        self._left_out = left_out
        self._sync = sync
        self._heard = heard
        self._is_last = False
        self._batch = _Batch()
        self._copied = 0

    def go(self, *, last: bool = False) -> int:
        """One pass; the bytes that were copied.

        Args:
            last: Nobody writes to the source any more, and the copy is the same afterwards.

        Raises:
            MachineRefused: The medium does not give back what it was given.
            OSError: It is full, or went away.
        """
        self._is_last, self._batch, self._copied = last, _Batch(), 0
        descriptor = os.open(self._source, _WHERE)
        try:
            self._folder(descriptor, "", self._target)
        finally:
            os.close(descriptor)
        self._believe()
        self._sync(self._target)
        return self._copied

    def _folder(self, descriptor: int, name: str, target: Path) -> None:
        """Everything in a folder, and then what the folder itself is."""
        with os.scandir(descriptor) as entries:
            names = sorted(entry.name for entry in entries)
        for one in names:
            below = f"{name}/{one}" if name else one
            if below in (_NOT_OURS, *self._left_out):
                continue
            with self._vanishing():
                self._entry(descriptor, one, below, target / one)
        known = set(names) - {path.rpartition("/")[2] for path in self._left_out_in(name)}
        for path in target.iterdir():
            if path.name not in known and not (not name and path.name == _NOT_OURS):
                _remove(path)
        if name:
            _same_extras(descriptor, target)
            _same(os.fstat(descriptor), target)

    def _left_out_in(self, name: str) -> list[str]:
        return [path for path in self._left_out if path.rpartition("/")[0] == name]

    @contextlib.contextmanager
    def _vanishing(self) -> Iterator[None]:
        """What goes while it is looked at went: nobody is surprised, but in the last pass."""
        try:
            yield
        except FileNotFoundError:
            if self._is_last:
                raise

    def _entry(self, folder: int, one: str, name: str, target: Path) -> None:
        found = os.stat(one, dir_fd=folder, follow_symlinks=False)
        kind = stat.S_IFMT(found.st_mode)
        if kind not in (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK):
            return  # sockets and pipes are made by who uses them
        with contextlib.suppress(FileNotFoundError):
            if stat.S_IFMT(target.lstat().st_mode) != kind:
                _remove(target)
        if kind == stat.S_IFLNK:
            _link(os.readlink(one, dir_fd=folder), found, target)
        elif kind == stat.S_IFDIR:
            descriptor = os.open(one, _WHERE, dir_fd=folder)
            try:
                target.mkdir(mode=0o700, exist_ok=True)
                self._folder(descriptor, name, target)
            finally:
                os.close(descriptor)
        else:
            descriptor = os.open(one, _SOURCE, dir_fd=folder)
            try:
                self._file(descriptor, name, target)
            finally:
                os.close(descriptor)

    def _file(self, descriptor: int, name: str, target: Path) -> None:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            return  # somebody changed it meanwhile
        if not self._is_same(descriptor, found, name, target):
            digest = _write(descriptor, target)
            _same_extras(descriptor, target)
            self._batch.files.append(_Written(target, digest, found))
            self._batch.size += found.st_size
            self._copied += found.st_size
            if self._batch.size >= _BATCH_BYTES or len(self._batch.files) >= _BATCH_FILES:
                self._believe()
        self._heard(found.st_size)

    def _is_same(self, descriptor: int, found: os.stat_result, name: str, target: Path) -> bool:
        try:
            copy = target.lstat()
        except FileNotFoundError:
            return False
        if (found.st_size, found.st_mtime_ns) != (copy.st_size, copy.st_mtime_ns):
            return False
        if self._is_last and not self._is_settled(name):
            with target.open("rb") as file:
                if _digest(descriptor) != _digest(file.fileno()):
                    return False
        if _owner(found) != _owner(copy):
            _same(found, target)
        return True

    def _is_settled(self, name: str) -> bool:
        return any(name.startswith(f"{folder}/") for folder in self._settled)

    def _believe(self) -> None:
        """What was written is on the medium and read again; only now it has its original's time."""
        if not self._batch.files:
            return
        self._sync(self._target)
        for one in self._batch.files:
            with one.path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                if _digest(file.fileno()) != one.digest:
                    raise MachineRefused(
                        "the new disk does not give back what was written to it",
                        hint="it is broken: take another one",
                    )
        for one in self._batch.files:
            _same(one.original, one.path)
        self._batch = _Batch()


def _write(source: int, target: Path) -> bytes:
    """Write the bytes of a file; their digest. What is nothing but zeros takes no room."""
    digest, at = hashlib.sha256(), 0
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(target, flags, 0o600)
    try:
        os.utime(descriptor, ns=_NO_TIME)
        while piece := os.pread(source, _PIECE, at):
            digest.update(piece)
            if piece.strip(b"\0"):
                rest, to = memoryview(piece), at
                while rest:
                    count = os.pwrite(descriptor, rest, to)
                    rest, to = rest[count:], to + count
            at += len(piece)
        os.ftruncate(descriptor, at)
        os.utime(descriptor, ns=_NO_TIME)
    finally:
        os.close(descriptor)
    return digest.digest()


def _digest(descriptor: int) -> bytes:
    digest, at = hashlib.sha256(), 0
    while piece := os.pread(descriptor, _PIECE, at):
        digest.update(piece)
        at += len(piece)
    return digest.digest()


def _link(text: str, found: os.stat_result, target: Path) -> None:
    if not target.is_symlink() or target.readlink() != Path(text):
        _remove(target)
        target.symlink_to(text)
    _same(found, target)


def _owner(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_uid, found.st_gid, found.st_mode


def _same(original: os.stat_result, target: Path) -> None:
    """Owner, mode and time; the time last."""
    os.chown(target, original.st_uid, original.st_gid, follow_symlinks=False)
    if not stat.S_ISLNK(original.st_mode):
        target.chmod(stat.S_IMODE(original.st_mode))
    times = (original.st_atime_ns, original.st_mtime_ns)
    os.utime(target, ns=times, follow_symlinks=False)


def _same_extras(source: int, target: Path) -> None:
    """Extended attributes, access lists among them: the journal has some."""
    for name in os.listxattr(source):
        os.setxattr(target, name, os.getxattr(source, name))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
