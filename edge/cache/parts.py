"""The parts of a bundle: Part 10 files, one after the other, sealed. Calls block."""

from __future__ import annotations

import contextlib
import os

from edge.cache.bundle import UNFINISHED, Bundle
from edge.crypto.courier import BundleKey
from edge.crypto.sealed import CHUNK, HEADER_LENGTH, Algorithm, Opener

__all__ = ["MOST_ENTRIES", "PART", "PartReader", "PartWriter"]

PART = 1024**3
"""Bytes of content in a part: far below what FAT can hold in a file."""
MOST_ENTRIES = 20_000
"""Of a part: so its list and its receipt stay small."""
_SYNC_EVERY = 64 * 1024**2
"""Bytes: a slow disk must not have the memory full of what it has still to write."""


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
        header, self._sealer = key.sealer(self._name, algorithm)
        self._unsynced = 0
        self._file = os.fdopen(bundle.create(self._name), "wb", buffering=CHUNK * 16)
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
        self._bundle.finish(self._name)

    def abandon(self) -> None:
        """Remove what was written of it, as far as the disk lets us."""
        with contextlib.suppress(OSError):
            self._file.close()
        with contextlib.suppress(OSError):
            self._bundle.remove(f"{self._name}{UNFINISHED}", self._name)

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
