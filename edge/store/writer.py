"""A sealed object while it arrives: how its content reaches the disk.

Owns the crash order of a put: write incoming -> fsync file -> rename -> fsync directory. A crash
before the rename leaves a file in incoming, which the next start removes; one after it leaves an
object that nobody names. Promises that content is sealed before it reaches the disk, in worker
threads, and that memory stays bounded whatever the size.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from edge.crypto.sealed import Header, Sealer
from edge.errors import StorageFull
from edge.store.allowance import Allowance

__all__ = ["ObjectWriter", "StoredObject", "sync_folder"]

_CRUMB = 4096
"""Smaller pieces of content are joined: as objects they would weigh more than their bytes."""
_VECTOR = 256
"""Buffers that one writev is given; Linux takes 1024."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """What became of a put."""

    name: str
    key_id: bytes
    content_bytes: int
    sealed_bytes: int


class ObjectWriter:
    """An object while it arrives. Exactly one of ``commit`` and ``discard`` ends it.

    At most one piece is being sealed while the next is collected; a faster sender waits.
    """

    def __init__(
        self,
        workers: ThreadPoolExecutor,
        incoming: Path,
        final: Path,
        sealer: Sealer,
        header: Header,
        observe: Callable[[bytes | bytearray | memoryview], object],
        allowance: Allowance,
    ) -> None:
        self._workers = workers
        self._allowance = allowance
        self._incoming = incoming
        self._final = final
        self._sealer = sealer
        self._header = header
        self._observe = observe
        self._descriptor = -1
        self._content = 0
        self._sealed = 0
        self._waiting: list[bytes | bytearray] = []
        self._waiting_bytes = 0
        self._job: asyncio.Future[None] | None = None

    async def write(self, data: bytes) -> None:
        """Take the next bytes of content.

        Raises:
            StorageFull: The disk is full.
        """
        last = self._waiting[-1] if self._waiting else b""
        if len(data) >= _CRUMB:
            self._waiting.append(data)
        elif isinstance(last, bytearray):
            last += data
        else:
            self._waiting.append(bytearray(data))
        self._waiting_bytes += len(data)
        if self._waiting_bytes >= self._allowance.each:
            await self._settle()
            self._job = self._start(self._write)

    async def begin_commit(self) -> None:
        """Take no more content, and make the object durable while the caller does other things.

        Raises:
            StorageFull: The disk is full; the caller discards.
        """
        await self._settle()
        self._job = self._start(self._commit)

    async def commit(self) -> StoredObject:
        """Wait until the object is whole and durable, after ``begin_commit``.

        Raises:
            StorageFull: The disk is full; the caller discards.
        """
        await self._settle()
        return StoredObject(self._final.name, self._header.key_id, self._content, self._sealed)

    async def discard(self) -> None:
        """Leave nothing behind, whatever happened before."""
        with contextlib.suppress(StorageFull, OSError):
            await self._settle()
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._workers, self._discard)

    def _start(self, step: Callable[[list[bytes | bytearray]], None]) -> asyncio.Future[None]:
        pieces, self._waiting, self._waiting_bytes = self._waiting, [], 0
        return asyncio.get_running_loop().run_in_executor(self._workers, step, pieces)

    async def _settle(self) -> None:
        """Wait for the piece under way; a caller that is cancelled leaves it running."""
        if (job := self._job) is None:
            return
        await asyncio.wait([job])
        self._job = None
        try:
            job.result()
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise StorageFull("the disk is full") from error
            raise

    def _write(self, pieces: list[bytes | bytearray]) -> None:
        if self._descriptor < 0:
            flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
            self._descriptor = os.open(self._incoming, flags, 0o600)
            self._put([self._header.to_bytes()])
        sealed: list[bytes] = []
        for piece in pieces:
            self._content += len(piece)
            self._observe(piece)
            sealed += self._sealer.seal(piece)
        self._put(sealed)

    def _put(self, parts: list[bytes]) -> None:
        for first in range(0, len(parts), _VECTOR):
            vector = parts[first : first + _VECTOR]
            total = sum(map(len, vector))
            written = os.writev(self._descriptor, vector)
            self._sealed += total
            if written < total:
                rest = memoryview(b"".join(vector))[written:]
                while rest:
                    rest = rest[os.write(self._descriptor, rest) :]

    def _commit(self, pieces: list[bytes | bytearray]) -> None:
        self._write(pieces)
        self._put([self._sealer.finish()])
        os.fsync(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = -1
        self._incoming.rename(self._final)
        sync_folder(self._final.parent)

    def _discard(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        self._incoming.unlink(missing_ok=True)
        self._final.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
