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
A part is worth something once its list is there. Of deleting: the envelope goes last, so that a box
knows its own bundle, and whoever was interrupted can repeat it.

What lies on a disk was made by anybody: lengths are bounded before memory is taken, no link is
followed (`disk` is the one way to it), and no name that is found there is used but those above.
Calls block.

Where the disk knows owners (ext4), the service's user of another box has another number: everybody
may read the files, and add receipts to the folder of a bundle. That gives nothing away, for all of
it is sealed and signed; and who has the disk in his hands could do as much.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path

from edge.cache.disk import DiskUnusable, Folder
from edge.crypto.courier import MAX_ENVELOPE
from edge.errors import EdgeError, SealBroken

__all__ = [
    "FOLDER",
    "UNFINISHED",
    "Bundle",
    "BundleForbidden",
    "bundles_on",
    "is_ours",
    "root_of",
]

FOLDER = "EDGE-COURIER"
_BUNDLE = re.compile(r"[0-9a-f]{16}")
_FILE = re.compile(r"key|key\.copy|complete|[0-9]{4}\.(part|list|[0-9a-f]{16}\.receipt)")
_ENVELOPE = ("key", "key.copy")
UNFINISHED = ".new"
"""Behind the name of a file that is not whole yet."""
_MAX_STATEMENT = 64 * 1024**2
"""Bytes; a list of so many entries is a tenth of it."""
_SHARED = 0o1777
"""Of the folder of all bundles: everybody may add one."""
_OPEN = 0o777
"""Of the folder of a bundle: everybody may add receipts, and replace his own of an earlier run."""


class BundleForbidden(EdgeError):
    """This user may not read a bundle; others on the disk may be another matter."""


def root_of(disk: Path) -> Path:
    """The folder that bundles' own folder is in; *disk* may be their own folder, too."""
    return disk.parent if disk.name.upper() == FOLDER else disk


def bundles_on(disk: Path) -> list[Bundle]:
    """The bundles on a disk, by their numbers; *disk* may be their own folder, too.

    Raises:
        DiskUnusable: What has the name of their folder is none.
        OSError: The disk can't be read.
    """
    if not disk.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    try:
        opened = _open_folder(disk)
    except FileNotFoundError:
        return []
    with opened as folder:
        found = [
            Bundle(disk, name)
            for name in folder.names()
            if _BUNDLE.fullmatch(name.lower()) and folder.is_folder(name)
        ]
    return sorted(found, key=lambda bundle: bundle.number)


def _open_folder(disk: Path) -> Folder:
    """The bundles' own folder."""
    with Folder.named(root_of(disk)) as root:
        return _inside(root, disk)


def _inside(root: Folder, disk: Path) -> Folder:
    name = _name_on(disk)
    try:
        return root.folder(name)
    except OSError as error:
        if error.errno not in (errno.ENOTDIR, errno.ELOOP):
            raise
        raise DiskUnusable(
            f"the disk {disk} can't be used: {name} on it is no folder, but a link or a file",
            hint="no link is followed there: look who made it, and delete it",
        ) from error


def _name_on(disk: Path) -> str:
    return disk.name if disk.name.upper() == FOLDER else FOLDER


class Bundle:
    """The folder of one.

    Args:
        disk: It is on this.
        name: Of the folder.
    """

    def __init__(self, disk: Path, name: str) -> None:
        self.path = root_of(disk) / _name_on(disk) / name
        self.number = name.lower()
        self._disk = disk
        self._name = name
        # Who is cancelled while a thread writes for him may write again before that is done.
        self._writing = threading.Lock()

    @classmethod
    def make(cls, disk: Path, number: str) -> Bundle:
        """A new one on a disk.

        Raises:
            FileExistsError: It is there.
            DiskUnusable: What has the name of the bundles' folder is none.
            OSError: The disk can't be written.
        """
        with Folder.named(root_of(disk)) as root:
            with contextlib.suppress(FileExistsError):
                root.make_folder(_name_on(disk), _SHARED).close()
            with _inside(root, disk) as folder:
                folder.make_folder(number, _OPEN).close()
                folder.sync()
            root.sync()
        return cls(disk, number)

    @contextlib.contextmanager
    def opened(self) -> Iterator[Folder]:
        """Its folder."""
        with _open_folder(self._disk) as folder, folder.folder(self._name) as own:
            yield own

    def names(self) -> dict[str, str]:
        """Its files as they are called there, by their names in lower case."""
        with self.opened() as folder:
            return _names(folder)

    def parts(self) -> list[int]:
        """The numbers of the parts that have a list."""
        return sorted(int(name[:4]) for name in self.names() if name.endswith(".list"))

    def receipts(self) -> list[str]:
        """The names of its receipts."""
        return sorted(name for name in self.names() if name.endswith(".receipt"))

    def size(self) -> int:
        """Bytes on the disk."""
        with self.opened() as folder:
            return sum(folder.size(name) for name in _names(folder).values())

    def length(self, name: str) -> int:
        """Bytes of one of its files; 0 if it is not there, or no file."""
        with self.opened() as folder:
            return folder.size(_names(folder).get(name, name))

    def strange(self) -> list[str]:
        """What has the name of one of its files, and is none: a link, a folder, a pipe."""
        with self.opened() as folder:
            return [name for name, real in _names(folder).items() if not folder.is_file(real)]

    def envelopes(self) -> list[bytes]:
        """Those that can be read, the first one first.

        Raises:
            BundleForbidden: This user may read none of them.
        """
        found = []
        forbidden: OSError | None = None
        for name in _ENVELOPE:
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
            SealBroken: It is longer than that, or no file.
            FileNotFoundError: There is none.
            OSError: It can't be read.
        """
        with open(self.open(name), "rb") as file:  # noqa: PTH123 - a descriptor
            data = file.read(most + 1)
        if len(data) > most:
            raise SealBroken(f"{name} of a bundle is too long")
        return data

    def open(self, name: str) -> int:
        """A descriptor of a regular file of it, to be read.

        Raises:
            SealBroken: It is no file.
            FileNotFoundError: There is none.
            OSError: It can't be opened.
        """
        real = self.names().get(name)
        if real is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
        with self.opened() as folder:
            return folder.open(real)

    def create(self, name: str) -> int:
        """A descriptor of a new file, which has the name once `finish` gave it that."""
        with self.opened() as folder:
            return folder.create(f"{name}{UNFINISHED}")

    def finish(self, name: str) -> None:
        """What was created and is on the disk has the name from now on."""
        with self.opened() as folder:
            folder.rename(f"{name}{UNFINISHED}", name)
            folder.sync()

    def write(self, name: str, content: bytes) -> None:
        """Make or replace a small file; see the crash order above."""
        with self._writing:
            with open(self.create(name), "wb") as file:  # noqa: PTH123 - a descriptor
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            self.finish(name)

    def remove(self, *names: str) -> None:
        """Remove files, those that are there."""
        with self.opened() as folder:
            there = _names(folder)
            for name in names:
                folder.remove(there.get(name, name))

    def sweep(self) -> None:
        """Remove what was not finished."""
        with self.opened() as folder:
            _sweep(folder)

    def delete(self) -> list[str]:
        """Remove all of it, lists first and the envelope last; see the crash order above.

        Returns:
            What is left, for it is no file of a bundle. If it is in the place of one, the envelope
            is left, too: once it was removed by hand, this can be repeated.
        """
        with self.opened() as folder:
            _sweep(folder)
            names = sorted(_names(folder).items(), key=lambda item: _order(item[0]))
            kept = [real for name, real in names if name not in _ENVELOPE and not _go(folder, real)]
            if not kept:
                for name, real in names:
                    if name in _ENVELOPE:
                        folder.remove(real)
            left = [name for name in folder.names() if name.lower() not in _ENVELOPE]
        if not left:
            self._remove_folders()
        return left

    def _remove_folders(self) -> None:
        with contextlib.suppress(OSError), Folder.named(root_of(self._disk)) as root:
            with _inside(root, self._disk) as folder:
                folder.remove(self._name)
            root.remove(_name_on(self._disk))


def _names(folder: Folder) -> dict[str, str]:
    # Names in lower case come last, and win where both are.
    return {
        name: real
        for real in folder.names()
        if real.isascii() and _FILE.fullmatch(name := real.lower())
    }


def is_ours(name: str) -> bool:
    """Whether something in the folder of a bundle has the name of a file of it."""
    return name.isascii() and bool(_FILE.fullmatch(name.lower().removesuffix(UNFINISHED)))


def _order(name: str) -> tuple[bool, str]:
    return not name.endswith(".list"), name


def _sweep(folder: Folder) -> None:
    for name in folder.names():
        if name.lower().endswith(UNFINISHED) and is_ours(name):
            _go(folder, name)


def _go(folder: Folder, name: str) -> bool:
    """Remove it; False if it is a folder with something in it."""
    try:
        folder.remove(name)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        return False
    return True
