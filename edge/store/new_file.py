"""A new file, written from its beginning to its end, past the page cache where that pays.

To copy a slice into the page cache and have it written back takes more processor time than to seal
it, and turns out of memory what is read and searched; so whole pages go to the disk straight from
memory of our own (``O_DIRECT``, open(2)). The end of a file is no whole page and goes through the
cache, and so does a short file, which would wait for the disk twice, and all of one that lies where
nothing else is possible. Promises that the bytes on the disk are the same either way, and that they
are there, and all of them, when ``sync`` returns. Knows nothing of seals.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import os
import threading
from collections.abc import Callable, Iterator
from typing import Final

__all__ = ["NewFile"]

_PAGE: Final = mmap.PAGESIZE
"""Bytes to which memory, places in a file and lengths are aligned; no disk asks for more."""
_SHORT: Final = 128 * 1024
"""Bytes up to which what is written first goes through the page cache, and all that follows."""
_STAGE: Final = 1024 * 1024 + 64 * 1024
"""Bytes of memory: a mebibyte of content, sealed, is written at once."""

_FLAGS: Final = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC


class _Stages(threading.local):
    """Memory that begins at a page, for each thread some."""

    def __init__(self) -> None:
        self.own = memoryview(mmap.mmap(-1, _STAGE))


_STAGES = _Stages()


class NewFile:
    """A file that is made when its first bytes are written. ``close`` it, whatever happens.

    Args:
        path: Where; nothing may be there.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._descriptor = -1
        self._is_direct = False
        self._stage = memoryview(b"")
        self._filled = 0
        self._rest = b""
        """The beginning of a page, which waits for its end."""
        self.length = 0
        """Bytes so far, on the disk or not."""

    @contextlib.contextmanager
    def filling(self) -> Iterator[Callable[[int], memoryview]]:
        """Write what the caller fills in.

        Yields:
            A function of a number of bytes, 128 KiB at the most: memory for the next ones, which
            is valid until it is called again.

        Raises:
            OSError: The disk is full, or failed.
        """
        self._stage = _STAGES.own
        self._filled = len(self._rest)
        self._stage[: self._filled] = self._rest
        yield self._room
        self._write_pages()
        self._rest = bytes(self._stage[: self._filled])

    def sync(self) -> None:
        """Write the end; all of it is durable when this returns.

        Raises:
            OSError: The disk is full, or failed.
        """
        if self._is_direct:
            self._go_through_the_cache()
        self._write(memoryview(self._rest))
        os.fsync(self._descriptor)
        written = os.fstat(self._descriptor).st_size
        if written != self.length:
            raise OSError(errno.EIO, f"a file has {written} bytes, not the {self.length} given")

    def close(self) -> None:
        """Let go of it, written or not.

        Raises:
            OSError: Something of it could not be written after all.
        """
        # Whatever close says, the number is free, and soon another file's: it is closed but once.
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _room(self, size: int) -> memoryview:
        if self._filled + size > len(self._stage):
            self._write_pages()
        start = self._filled
        self._filled += size
        self.length += size
        return self._stage[start : self._filled]

    def _write_pages(self) -> None:
        """Write what can be written now; the rest of the stage moves to its beginning."""
        if self._descriptor < 0:
            self._open()
        pages = self._filled // _PAGE * _PAGE
        self._write(self._stage[:pages])
        self._stage[: self._filled - pages] = self._stage[pages : self._filled]
        self._filled -= pages

    def _open(self) -> None:
        self._descriptor = os.open(self._path, _FLAGS, 0o600)
        if self._filled > _SHORT:
            with contextlib.suppress(OSError):  # not every filesystem can
                fcntl.fcntl(self._descriptor, fcntl.F_SETFL, os.O_DIRECT)
                self._is_direct = True

    def _write(self, data: memoryview) -> None:
        while data:
            try:
                written = os.write(self._descriptor, data)
            except OSError as error:
                if error.errno != errno.EINVAL or not self._is_direct:
                    raise
                written = 0
            data = data[written:]
            if data and self._is_direct:
                self._go_through_the_cache()  # it can't be written so, or not all of it

    def _go_through_the_cache(self) -> None:
        fcntl.fcntl(self._descriptor, fcntl.F_SETFL, 0)
        self._is_direct = False
