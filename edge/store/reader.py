"""An open sealed object: its content by range, and as a stream.

Promises that a range opens the chunks that it touches and no others, in worker threads, and that
what is read ahead shares a bound with all other streams.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from edge.crypto.sealed import CHUNK, Opener
from edge.store.allowance import Allowance

__all__ = ["PIECE", "FileReader", "ObjectReader", "WholeReader"]


PIECE = 16 * CHUNK
"""Content that is sealed or opened in one go, at the most (1 MiB)."""


class ObjectReader(Protocol):
    """An open object. Close it when done."""

    @property
    def length(self) -> int:
        """Bytes of its content."""
        ...

    @property
    def content(self) -> bytes | None:
        """All of it, if it was opened as a whole."""
        ...

    @property
    def key_id(self) -> bytes:
        """Of the study key that it is sealed with."""
        ...

    async def read(self, offset: int, length: int) -> bytes:
        """Content from *offset*, *length* bytes of it or what there is.

        Raises:
            SealBroken: A chunk of this range does not open.
        """
        ...

    def stream(self, offset: int = 0, length: int | None = None) -> AsyncGenerator[bytes]:
        """The content of a range in pieces of a mebibyte at the most.

        Raises:
            SealBroken: A chunk does not open; what came before it was whole.
        """
        ...

    async def close(self) -> None:
        """Let go of it, after the last read that was begun."""
        ...

    def abandon(self) -> None:
        """Let go of it; nothing was read from it."""
        ...


class WholeReader:
    """One that was opened as a whole. It holds no file: many may read it, each of which closes it.

    Args:
        content: All of it.
        key_id: Of the study key that it is sealed with.
    """

    def __init__(self, content: bytes, key_id: bytes) -> None:
        self._content = content
        self.length = len(content)
        self.key_id = key_id

    @property
    def content(self) -> bytes:
        """All of it."""
        return self._content

    async def read(self, offset: int, length: int) -> bytes:
        """Content from *offset*, *length* bytes of it or what there is."""
        return self._content[offset : offset + length]

    async def stream(self, offset: int = 0, length: int | None = None) -> AsyncGenerator[bytes]:
        """The content of a range, in one piece."""
        if piece := self._content[offset : None if length is None else offset + length]:
            yield piece

    async def close(self) -> None:
        """Nothing is held."""

    def abandon(self) -> None:
        """Nothing is held."""


class FileReader:
    """One whose chunks are opened when they are asked for.

    Args:
        workers: Read and open.
        descriptor: Of its file; the reader's to close.
        opener: Opens its chunks.
        key_id: Of the study key that it is sealed with.
        streaming: What all streams may have opened and not given yet.
        begun: The beginning of its content, opened already: whole chunks.
    """

    def __init__(
        self,
        workers: ThreadPoolExecutor,
        descriptor: int,
        opener: Opener,
        key_id: bytes,
        streaming: Allowance,
        begun: bytes = b"",
    ) -> None:
        self._workers = workers
        self._streaming = streaming
        self._descriptor = descriptor
        self._opener = opener
        self._begun = begun
        self._jobs: set[asyncio.Future[bytes]] = set()
        self.length = opener.length
        self.key_id = key_id
        self.content = None

    async def read(self, offset: int, length: int) -> bytes:
        """Content from *offset*, *length* bytes of it or what there is.

        Raises:
            SealBroken: A chunk of this range does not open.
        """
        return await self._start(offset, length)

    async def stream(self, offset: int = 0, length: int | None = None) -> AsyncGenerator[bytes]:
        """The content of a range in pieces, aligned to chunks; one is read ahead.

        A piece is a mebibyte at the most, and less while many streams are read.

        Raises:
            SealBroken: A chunk does not open; what came before it was whole.
        """
        end = self.length if length is None else min(offset + length, self.length)
        ahead: asyncio.Future[bytes] | None = None
        with self._streaming:
            begun, self._begun = self._begun, b""
            if piece := begun[offset:end]:
                ahead = asyncio.get_running_loop().create_future()
                ahead.set_result(piece)
                offset += len(piece)
            while offset < end or ahead is not None:
                whole = min(self._streaming.each, PIECE) // CHUNK * CHUNK
                step = min(whole - offset % CHUNK, end - offset)
                following = self._start(offset, step) if step > 0 else None
                offset += step
                if ahead is not None:
                    yield await ahead
                ahead = following

    async def close(self) -> None:
        """Close the file, after the last read that was begun."""
        if self._descriptor < 0:
            return
        descriptor, self._descriptor = self._descriptor, -1
        try:
            if self._jobs:
                await asyncio.wait(self._jobs)
        finally:
            os.close(descriptor)

    def abandon(self) -> None:
        """Close the file; nothing was read from it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _start(self, offset: int, length: int) -> asyncio.Future[bytes]:
        loop = asyncio.get_running_loop()
        job = loop.run_in_executor(self._workers, self._opener.read, offset, length)
        self._jobs.add(job)
        job.add_done_callback(self._done)
        return job

    def _done(self, job: asyncio.Future[bytes]) -> None:
        self._jobs.discard(job)
        if not job.cancelled():
            job.exception()  # a read ahead that nobody waits for any more is not an error
