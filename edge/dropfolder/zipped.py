"""ZIP archives, read as a stream: nothing of them is ever written to the disk in the clear.

An archive is hostile until shown otherwise. Its directory, the number of its entries and the bytes
that they would become are bounded before the first entry is opened; every entry is bounded by what
it declared, and by its checksum. Archives inside archives are not opened.

Everything here blocks: call it in a thread.
"""

from __future__ import annotations

import contextlib
import io
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, BinaryIO

__all__ = ["BadArchive", "ZipArchive", "ZipEntry", "ZipLimits"]

_ENCRYPTED = 0x1
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_DIRECTORY_BYTES = 8 * 1024 * 1024
"""Of the central directory, which is held in memory."""


class BadArchive(Exception):
    """The archive, or an entry of it, can't be read or may not be; the message says why."""


@dataclass(frozen=True, slots=True)
class ZipLimits:
    """What an archive may ask for."""

    entries: int = 50_000
    total_bytes: int = 256 * 1024**3
    """Of all entries, unpacked."""
    ratio: int = 100
    """Unpacked bytes for each byte of the archive…"""
    free_bytes: int = 1024**3
    """…beyond so many: empty pictures may well shrink to a thousandth."""


class ZipArchive:
    """An open archive.

    Args:
        file: Seekable; stays the caller's to close.
        size: Of the file, in bytes.
        limits: What it may ask for.

    Raises:
        BadArchive: It is none, or asks for too much.
    """

    def __init__(self, file: BinaryIO, size: int, limits: ZipLimits) -> None:
        with _translated():
            self._zip = zipfile.ZipFile(_Bounded(file))
        # Not by is_dir(), which stumbles over one without a name.
        self._entries = [info for info in self._zip.infolist() if not info.filename.endswith("/")]
        if len(self._zip.infolist()) > limits.entries:
            raise BadArchive(f"the archive has more than {limits.entries} entries")
        unpacked = sum(info.file_size for info in self._entries)
        allowed = min(limits.total_bytes, limits.free_bytes + limits.ratio * size)
        if unpacked > allowed:
            raise BadArchive(
                f"the archive of {size} bytes would become {unpacked}; {allowed} are allowed"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its files, as they stand in the archive, in its order."""
        return tuple(info.filename for info in self._entries)

    def open(self, index: int) -> ZipEntry:
        """The file of ``names[index]``.

        Raises:
            BadArchive: It is encrypted, or packed in a way that is not taken.
        """
        info = self._entries[index]
        if info.flag_bits & _ENCRYPTED:
            raise BadArchive("is encrypted with a password")
        if info.compress_type not in _METHODS:
            raise BadArchive("is compressed in a way that is not taken (only deflate is)")
        with _translated():
            return ZipEntry(self._zip.open(info))

    def close(self) -> None:
        """Let go of the archive; the file stays open."""
        self._zip.close()


class _Bounded(io.BufferedIOBase):
    """The file, but that a central directory of any length is not read into memory at once."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            size = _DIRECTORY_BYTES + 1
        data = self._file.read(min(size, _DIRECTORY_BYTES + 1))
        if len(data) > _DIRECTORY_BYTES:
            raise BadArchive("the directory of the archive is too large")
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        if whence == io.SEEK_SET and offset < 0:
            raise BadArchive("the directory of the archive names a place before its beginning")
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


class ZipEntry:
    """One open file of an archive."""

    def __init__(self, entry: IO[bytes]) -> None:
        self._entry = entry

    def read(self, size: int) -> bytes:
        """The next *size* bytes at the most; empty at the end.

        Never more in all than the archive's directory declared.

        Raises:
            BadArchive: It is damaged, or its checksum does not fit.
        """
        with _translated():
            return self._entry.read(size)

    def close(self) -> None:
        """Let go of it."""
        self._entry.close()


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except zipfile.BadZipFile as error:
        raise BadArchive(f"can't be read: {error}") from error
    except (zlib.error, EOFError) as error:
        raise BadArchive("is damaged") from error
    except (BadArchive, OSError):
        raise
    except Exception as error:
        # What zipfile lets through of a directory that lies: one of these would stop the folder.
        raise BadArchive(f"can't be read: {error}") from error
