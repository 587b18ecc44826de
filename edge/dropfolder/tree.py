"""The files below one folder, reached without ever leaving it.

Every path is walked from the root by file descriptors that follow no symbolic link, so nobody who
can write into the folder can make the edge read, move or delete anything outside. Names that were
found are used for nothing but that, and for the same relative path below ``rejected/``.

Everything here blocks: call it in a thread.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path, PurePath

from edge.dropfolder.moving import move

__all__ = ["REJECTED", "Changed", "DropTree", "Entry", "Listing", "Parts"]

REJECTED = "rejected"
"""The folder, right below the root, that is never looked into."""

Parts = tuple[str, ...]
"""A path relative to the root."""

_MAX_DEPTH = 32
_MOST = 200_000
"""Files and folders that are listed at a time; each takes some 400 bytes. The others follow when
these are gone."""
_LOST_AND_FOUND = ("lost+found",)
"""At the top of a file system of its own, and root's."""
_NAME_MAX = 255
_REASON = ".reason.txt"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Changed(Exception):
    """The file is no longer the one that was listed."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A regular file, as it was when it was listed."""

    parts: Parts
    device: int
    inode: int
    size: int
    mtime_ns: int

    def is_still(self, status: os.stat_result) -> bool:
        """Whether that is the same file, unchanged."""
        return stat.S_ISREG(status.st_mode) and self == _entry(self.parts, status)


@dataclass(frozen=True, slots=True)
class Listing:
    """What is below the root, but for ``rejected/``."""

    files: tuple[Entry, ...]
    strange: dict[Parts, str]
    """What is neither a file nor a folder, or lies too deep: why it is not taken."""
    empty: dict[Parts, float]
    """Folders with nothing in them -> when that last changed, in POSIX seconds."""
    folders: frozenset[Parts]
    """All that were looked into."""
    unreadable: int
    """Folders that are there, and whose content can't be seen."""
    root: tuple[int, int]
    """Device and inode of the root: another one after a disk was put in or taken out."""
    unwritable: frozenset[Parts]
    """Folders that nothing may be taken out of; the root is one without parts."""
    is_cut: bool = False
    """There are more files than are listed at a time."""


@dataclass(slots=True)
class _Found:
    """A listing that is being made."""

    files: list[Entry] = field(default_factory=list)
    strange: dict[Parts, str] = field(default_factory=dict)
    empty: dict[Parts, float] = field(default_factory=dict)
    folders: list[Parts] = field(default_factory=list)
    unwritable: list[Parts] = field(default_factory=list)
    unreadable: int = 0
    seen: int = 0

    @property
    def is_cut(self) -> bool:
        """No more may be listed, and there is more."""
        return self.seen > _MOST


class DropTree:
    """The folder.

    Args:
        root: Of all paths here. It may itself be a symbolic link: the operator's choice.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def identity(self) -> tuple[int, int] | None:
        """Device and inode of the root; None if it is not there."""
        try:
            status = self._root.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def scan(self) -> Listing:
        """List everything.

        Raises:
            OSError: The root can't be read.
        """
        found = _Found()
        with self._folder(()) as handle:
            status = os.fstat(handle)
        pending: list[Parts] = [()]
        while pending and not found.is_cut:
            folder = pending.pop()
            try:
                pending += self._scan_folder(folder, found)
            except (FileNotFoundError, NotADirectoryError):
                if not folder:
                    raise
                # Any other went away meanwhile.
            except OSError:
                if not folder:
                    raise
                found.unreadable += folder != _LOST_AND_FOUND
        return Listing(
            tuple(found.files),
            found.strange,
            found.empty,
            frozenset(found.folders),
            found.unreadable,
            (status.st_dev, status.st_ino),
            frozenset(found.unwritable),
            found.is_cut,
        )

    def _scan_folder(self, folder: Parts, found: _Found) -> list[Parts]:
        folders: list[Parts] = []
        is_empty = True
        with self._folder(folder) as handle, os.scandir(handle) as items:
            for item in items:
                is_empty = False
                found.seen += 1
                if found.is_cut:
                    break
                parts = (*folder, item.name)
                if parts == (REJECTED,):
                    continue
                try:
                    status = item.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue  # went away meanwhile
                if stat.S_ISREG(status.st_mode):
                    found.files.append(_entry(parts, status))
                elif not stat.S_ISDIR(status.st_mode):
                    is_link = stat.S_ISLNK(status.st_mode)
                    what = "is a symbolic link" if is_link else "is not a regular file"
                    found.strange[parts] = what
                elif len(parts) >= _MAX_DEPTH:
                    found.strange[parts] = f"is a folder more than {_MAX_DEPTH} levels deep"
                else:
                    folders.append(parts)
            changed = os.fstat(handle).st_mtime
            if not _may_write(handle):
                found.unwritable.append(folder)
        if folder:
            found.folders.append(folder)
            if is_empty:
                found.empty[folder] = changed
        return folders

    def open_file(self, entry: Entry) -> BufferedReader:
        """The file for reading; the caller closes it.

        Raises:
            Changed: It is another one now, or gone.
            OSError: It can't be read.
        """
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            with self._folder(entry.parts[:-1]) as folder:
                handle = os.open(entry.parts[-1], flags, dir_fd=folder)
        except FileNotFoundError as error:
            raise Changed from error
        with contextlib.ExitStack() as unless_returned:
            unless_returned.callback(os.close, handle)
            if not entry.is_still(os.fstat(handle)):
                raise Changed
            unless_returned.pop_all()
        return os.fdopen(handle, "rb")

    def digest(self, entry: Entry) -> bytes:
        """SHA-256 of the file.

        Raises:
            Changed: It is another one now, or gone.
            OSError: It can't be read.
        """
        with self.open_file(entry) as file:
            digest = hashlib.file_digest(file, "sha256").digest()
            if not entry.is_still(os.fstat(file.fileno())):
                raise Changed
        return digest

    def remove(self, entry: Entry) -> None:
        """Delete the file if it is still the one that was listed; else leave it.

        Raises:
            OSError: It may not be deleted.
        """
        with contextlib.suppress(FileNotFoundError), self._folder(entry.parts[:-1]) as folder:
            status = os.stat(entry.parts[-1], dir_fd=folder, follow_symlinks=False)
            if entry.is_still(status):
                os.unlink(entry.parts[-1], dir_fd=folder)

    def reject(self, parts: Parts, reason: str) -> None:
        """Move a file, or whatever it is, to ``rejected/`` and write the reason beside it.

        Both or neither: a file whose reason can't be written goes back. Only a power cut in between
        leaves a file without one.

        Raises:
            OSError: It can't be moved, or the reason not be written.
        """
        *folders, name = parts
        with contextlib.suppress(FileNotFoundError), self._folder(parts[:-1]) as source:
            os.stat(name, dir_fd=source, follow_symlinks=False)
            try:
                with self._make_folders((REJECTED, *folders)) as target:
                    new = _free_name(name, target)
                    move(name, source, new, target)
                    try:
                        _write(_reason_name(new), target, reason)
                    except OSError:
                        if not _exists(name, source):  # else another one came meanwhile
                            move(new, target, name, source)
                        raise
            except OSError:
                for depth in range(len(folders), 0, -1):
                    self.remove_folder((REJECTED, *folders[:depth]))
                raise

    def remove_folders(self, folder: Parts) -> None:
        """Remove a folder and those below it, as far as they are empty."""
        below: list[Parts] = []
        pending = [folder]
        while pending:
            parts = pending.pop()
            below.append(parts)
            with (
                contextlib.suppress(OSError),
                self._folder(parts) as handle,
                os.scandir(handle) as found,
            ):
                pending += [
                    (*parts, item.name)
                    for item in found
                    if item.is_dir(follow_symlinks=False) and len(parts) < _MAX_DEPTH
                ]
        for parts in reversed(below):
            self.remove_folder(parts)

    def remove_folder(self, folder: Parts) -> bool:
        """Remove a folder below the root if it is empty; whether that was done."""
        try:
            with self._folder(folder[:-1]) as parent:
                os.rmdir(folder[-1], dir_fd=parent)
        except OSError:
            return False
        return True

    @contextlib.contextmanager
    def _folder(self, parts: Parts) -> Iterator[int]:
        """A descriptor of the folder."""
        handle = os.open(self._root, _FOLDER & ~os.O_NOFOLLOW)
        try:
            for part in parts:
                below = os.open(part, _FOLDER, dir_fd=handle)
                os.close(handle)
                handle = below
            yield handle
        finally:
            os.close(handle)

    @contextlib.contextmanager
    def _make_folders(self, parts: Parts) -> Iterator[int]:
        for depth in range(1, len(parts) + 1):
            with (
                self._folder(parts[: depth - 1]) as handle,
                contextlib.suppress(FileExistsError),
            ):
                os.mkdir(parts[depth - 1], dir_fd=handle)
        with self._folder(parts) as handle:
            yield handle


def _entry(parts: Parts, status: os.stat_result) -> Entry:
    return Entry(parts, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def _may_write(folder: int) -> bool:
    return os.access(".", os.W_OK | os.X_OK, dir_fd=folder, effective_ids=True)


def _exists(name: str, folder: int) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _write(name: str, folder: int, text: str) -> None:
    """Make a file; nothing is left of it if that fails."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    handle = os.open(name, flags, 0o666, dir_fd=folder)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="replace") as file:
            file.write(text)
    except OSError:
        os.unlink(name, dir_fd=folder)
        raise


def _reason_name(name: str) -> str:
    cut = os.fsencode(name)[: _NAME_MAX - len(_REASON)]
    # A character that was cut in two is dropped, so that every file system takes the name.
    return cut.decode("utf-8", "ignore") + _REASON


def _free_name(name: str, folder: int) -> str:
    """The name, or ``name (2)`` and so on, such that neither it nor its reason is there."""
    taken = set(os.listdir(folder))
    suffix = PurePath(name).suffix
    if len(suffix) > 32:
        suffix = ""  # a dot within a long name
    stem = os.fsencode(name.removesuffix(suffix))
    new, number = name, 1
    while new in taken or _reason_name(new) in taken:
        number += 1
        tail = f" ({number}){suffix}"
        new = os.fsdecode(stem[: _NAME_MAX - len(os.fsencode(tail + _REASON))]) + tail
    return new
