"""An object while it arrives: its content on the way to the store's process.

Promises that content is sealed before it reaches the disk, that memory stays bounded whatever the
size, and that a discarded object leaves nothing. The crash order of a put is that of
`edge.store.worker`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edge.errors import EdgeError
from edge.store.allowance import Allowance
from edge.store.keeper import ProcessKeeper
from edge.store.messages import Begin, Outcome
from edge.store.process import StoreProcess

__all__ = ["ObjectWriter", "StoredObject"]

log = logging.getLogger(__name__)

_PATIENCE = 15.0
"""Seconds that the store's process has to let go of an object."""
_CRUMB = 4096
"""Smaller pieces of content are joined: as objects they would weigh more than their bytes."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """What became of a put."""

    name: str
    key_id: bytes
    content_bytes: int
    sealed_bytes: int
    meta_digest: bytes
    """SHA-256 of preamble and group 0002."""
    dataset_digest: bytes
    """SHA-256 of what is behind them."""


class ObjectWriter:
    """An object while it arrives. Exactly one of ``commit`` and ``discard`` ends it.

    At most one piece is being sealed while the next is collected; a faster sender waits.

    Args:
        keeper: Has the process that seals.
        workers: Remove what was discarded.
        begin: The object, as the process is told of it.
        key_id: Of the study key.
        allowance: How much content may wait.
    """

    def __init__(
        self,
        keeper: ProcessKeeper,
        workers: ThreadPoolExecutor,
        begin: Begin,
        key_id: bytes,
        allowance: Allowance,
    ) -> None:
        self._keeper = keeper
        self._workers = workers
        self._allowance = allowance
        self._begin = begin
        self._key_id = key_id
        self._waiting: list[bytes | bytearray] = []
        self._waiting_bytes = 0
        self._process: StoreProcess | None = None
        self._number = 0
        self._job: asyncio.Future[Outcome] | None = None
        self._outcome: Outcome | None = None

    async def write(self, data: bytes) -> None:
        """Take the next bytes of content.

        Raises:
            StorageFull: The disk is full.
            EdgeError: The store's process ended.
        """
        view = memoryview(data)
        while view:
            now = view[: max(_CRUMB, self._allowance.each - self._waiting_bytes)]
            self._collect(data if len(now) == len(data) else bytes(now))
            view = view[len(now) :]
            if self._waiting_bytes >= self._allowance.each:
                await self._settle()
                await self._start("")

    def _collect(self, data: bytes) -> None:
        last = self._waiting[-1] if self._waiting else b""
        if len(data) >= _CRUMB:
            self._waiting.append(data)
        elif isinstance(last, bytearray):
            last += data
        else:
            self._waiting.append(bytearray(data))
        self._waiting_bytes += len(data)

    async def begin_commit(self) -> None:
        """Take no more content, and make the object durable while the caller does other things.

        Raises:
            StorageFull: The disk is full; the caller discards.
            EdgeError: The store's process ended; likewise.
        """
        await self._settle()
        await self._start("commit")

    async def commit(self) -> StoredObject:
        """Wait until the object is whole and durable, after ``begin_commit``.

        Raises:
            StorageFull: The disk is full; the caller discards.
            EdgeError: The store's process ended; likewise.
        """
        await self._settle()
        done = self._outcome
        if done is None:
            raise EdgeError("an object that was not committed can't be stored")
        return StoredObject(
            self._begin.name,
            self._key_id,
            done.content_bytes,
            done.sealed_bytes,
            done.meta_digest,
            done.dataset_digest,
        )

    async def discard(self) -> None:
        """Leave nothing behind, whatever happened before; it goes on even if who waits gives up."""
        await asyncio.shield(self._discard())

    async def _discard(self) -> None:
        process = self._process
        try:
            async with asyncio.timeout(_PATIENCE):
                with contextlib.suppress(EdgeError, OSError):
                    await self._settle()
                if process is not None and self._outcome is None:
                    self._waiting.clear()
                    with contextlib.suppress(EdgeError, OSError):
                        await self._start("discard")
                        await self._settle()
        except TimeoutError:
            log.error("the store's process does not answer, and is ended")
            if process is not None:
                await process.stop()
        if process is not None and process.ended.is_set():
            await process.stop()  # until it has really ended, it may still make the file
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._workers, self._remove)

    async def _start(self, end: Literal["", "commit", "discard"]) -> None:
        begin = None
        if self._process is None:
            self._process = await self._keeper.process()
            self._number = self._process.new_object()
            begin = self._begin
        content: Sequence[bytes | bytearray] = self._waiting
        self._waiting, self._waiting_bytes = [], 0
        self._job = self._process.seal(self._number, content, begin=begin, end=end)

    async def _settle(self) -> None:
        """Wait for the piece under way; a caller that is cancelled leaves it running."""
        if (job := self._job) is None:
            return
        try:
            outcome = await asyncio.shield(job)
        except Exception:
            self._job = None
            raise
        self._job = None
        if outcome.sealed_bytes:
            self._outcome = outcome

    def _remove(self) -> None:
        for path in (self._begin.incoming, self._begin.final):
            Path(path).unlink(missing_ok=True)
