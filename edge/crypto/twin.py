"""A small file of fixed places that is kept twice, so that damage to either copy costs nothing.

What it owns is a file and its copy beside it (``keys.db``, ``keys.db.copy``): places of 128 bytes,
which no sector of a disk divides. What a place holds, and how its soundness is told, is the
caller's business.

Crash order of a change: first copy -> fsync -> second copy -> fsync. At any moment one of the two
is whole, place by place. An empty place (zeros) that faces a sound one is filled from it, and so is
one that counts less: a write that was cut short is finished that way, and a removal that was cut
short has not happened.

Calls block. Nothing here is safe from several threads at once.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

from edge.crypto.durable import sync_folder

__all__ = ["EMPTY", "PLACE", "Compared", "TwinFile", "copies"]

PLACE = 128
"""Bytes of a place."""
EMPTY = bytes(PLACE)
_BLOCK = 4096
"""Bytes that are read in one go: a sector that can't be read spoils no more than that."""


@dataclass(frozen=True, slots=True)
class Compared:
    """What two copies hold between them."""

    content: bytes
    """Of all places, one after the other."""
    repairs: dict[int, bytes]
    """Places that are sound in one copy only, and what belongs there (``TwinFile.write``)."""
    damaged: set[int]
    """Places in which the copies differ and neither is sound."""


class TwinFile:
    """Both copies, open.

    Args:
        path: The first copy; the second is beside it.
        owned: This process alone may write. Others read what is there, and repair nothing.

    Raises:
        OSError: A copy can't be opened or, if *owned*, made.
    """

    def __init__(self, path: Path, *, owned: bool) -> None:
        self._descriptors: list[int] = []
        flags = os.O_CLOEXEC | (os.O_RDWR | os.O_CREAT if owned else os.O_RDONLY)
        try:
            for copy in copies(path):
                if owned or copy.exists():
                    self._descriptors.append(os.open(copy, flags, 0o600))
            if owned:
                sync_folder(path.parent)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close both."""
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors.clear()

    def read(self, place: int, count: int = 1) -> list[bytes]:
        """What each copy holds in this place, or in so many; damage may make them differ."""
        return [
            _read_long(descriptor, place * PLACE, count * PLACE) for descriptor in self._descriptors
        ]

    def read_all(self) -> list[bytes]:
        """Each copy, whole, and all of the same length."""
        sizes = [os.fstat(descriptor).st_size for descriptor in self._descriptors]
        length = -(-max(sizes, default=0) // PLACE) * PLACE
        return [_read_long(descriptor, 0, length) for descriptor in self._descriptors]

    def write(self, contents: Mapping[int, bytes]) -> None:
        """Give places their contents, durably; at any moment one copy is whole.

        Raises:
            OSError: It could not be written; either copy may have it or not.
        """
        for descriptor in self._descriptors:
            for place, content in contents.items():
                _write(descriptor, place, content)
            os.fsync(descriptor)

    def compare(self, soundness: Callable[[int, bytes], int]) -> Compared:
        """Read both, and decide where they differ.

        Args:
            soundness: Of a content in a place; 0 if that is not sound. The most counts, then the
                first copy.
        """
        contents = self.read_all()
        if len(set(contents)) == 1:
            return Compared(contents[0], {}, set())
        content = bytearray(contents[0])
        repairs: dict[int, bytes] = {}
        damaged: set[int] = set()
        for place in range(len(content) // PLACE):
            where = slice(place * PLACE, (place + 1) * PLACE)
            versions = [each[where] for each in contents]
            if len(set(versions)) == 1:
                continue
            found = [(soundness(place, each) if each != EMPTY else 0, each) for each in versions]
            most, best = max(found, key=itemgetter(0))
            if most:
                repairs[place] = content[where] = best
            else:
                damaged.add(place)
        return Compared(bytes(content), repairs, damaged)


def copies(path: Path) -> tuple[Path, Path]:
    """Where the two copies lie."""
    return path, path.with_name(f"{path.name}.copy")


def _read_long(descriptor: int, offset: int, length: int) -> bytes:
    end = offset + length
    return b"".join(
        _read(descriptor, at, min(_BLOCK, end - at)) for at in range(offset, end, _BLOCK)
    )


def _read(descriptor: int, offset: int, length: int) -> bytes:
    """Bytes of a copy; zeros where it ends or can't be read."""
    try:
        return os.pread(descriptor, length, offset).ljust(length, b"\0")
    except OSError:
        return bytes(length)


def _write(descriptor: int, place: int, content: bytes) -> None:
    if os.pwrite(descriptor, content, place * PLACE) < len(content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
