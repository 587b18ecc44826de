"""Bytes that must wait on the disk for what they belong to, sealed like everything there.

The file loses its name as soon as it is made, and its key is never written down: whatever ends the
process ends them too, and nobody has to clean up. Content is sealed and opened in worker threads, a
piece at a time.
"""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from edge.crypto.sealed import CHUNK, KEY_ID_LENGTH, Algorithm, Header, Opener, Sealer
from edge.errors import StorageFull

__all__ = ["Spool"]

T = TypeVar("T")

_PIECE: Final = 16 * CHUNK
"""Bytes that are sealed or opened at once."""


class Spool:
    """Written to its end, then read as often as need be. Close it on every path.

    Args:
        workers: Seal, write, read and open.
        folder: Of the disk that it waits on.
        algorithm: What it is sealed with.
    """

    def __init__(self, workers: ThreadPoolExecutor, folder: Path, algorithm: Algorithm) -> None:
        self._workers = workers
        self._folder = folder
        self._name = secrets.token_hex(16)
        self._secret = secrets.token_bytes(32)
        self._header = Header.new(algorithm, bytes(KEY_ID_LENGTH))
        self._sealer = Sealer(self._header, self._secret, bytes.fromhex(self._name))
        self._opener: Opener | None = None
        self._descriptor = -1
        self._waiting = bytearray()
        self.length = 0
        """Bytes of content."""

    async def write(self, data: bytes | memoryview) -> None:
        """Take the next bytes.

        Raises:
            StorageFull: The disk is full.
        """
        self._waiting += data
        self.length += len(data)
        if len(self._waiting) >= _PIECE:
            await self._run(self._write)

    async def finish(self) -> None:
        """There is no more; from now on it can be read.

        Raises:
            StorageFull: The disk is full.
        """
        await self._run(self._finish)

    async def read(self, offset: int, length: int) -> bytes:
        """Content from *offset*, *length* bytes of it or what there is."""
        opener = self._opener
        if opener is None:
            raise RuntimeError("it is not finished")
        return await self._run(lambda: opener.read(offset, length))

    async def close(self) -> None:
        """Let go of the disk's space."""
        await self._run(self._close)

    async def _run(self, step: Callable[[], T]) -> T:
        """Do it in a worker; who is cancelled waits for it, so that nothing is closed under it."""
        job = asyncio.get_running_loop().run_in_executor(self._workers, step)
        try:
            return await asyncio.shield(job)
        except asyncio.CancelledError:
            await asyncio.wait([job])
            raise
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise StorageFull("the disk is full") from error
            raise

    def _write(self) -> None:
        if self._descriptor < 0:
            path = self._folder / self._name
            flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC
            self._descriptor = os.open(path, flags, 0o600)
            path.unlink()
            self._put(self._header.to_bytes())
        self._put(b"".join(self._sealer.seal(self._waiting)))
        self._waiting.clear()

    def _put(self, data: bytes | bytearray | memoryview) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]

    def _finish(self) -> None:
        self._write()
        self._put(self._sealer.finish())
        descriptor = self._descriptor
        length = os.fstat(descriptor).st_size

        def read_at(offset: int, count: int) -> bytes:
            return os.pread(descriptor, count, offset)

        name = bytes.fromhex(self._name)
        self._opener = Opener(self._header, self._secret, name, length, read_at)

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
