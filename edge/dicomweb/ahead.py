"""Reading ahead: the next instance is opened and read while one is being sent.

Opening an instance is a few steps of waiting, for the index, for the disk, perhaps for the archive;
a client would wait for their sum. Promises the order that was asked for, that no more than
``DEPTH`` instances are open and of each only a piece or two are held, and that an error comes when
its instance's turn does. Owns the tasks that read, and never leaves one behind.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from edge.cache.opened import InstanceEntry
    from edge.cache.retrieval import Retrieval

__all__ = ["ReadAhead"]

DEPTH: Final = 2
"""Instances that are open at a time."""


class _Reader:
    """One instance, read by a task of its own: what it is, then its pieces, then None."""

    def __init__(self, retrieval: Retrieval, entry: InstanceEntry) -> None:
        self._retrieval = retrieval
        self._entry = entry
        self._found: asyncio.Future[InstanceEntry] = asyncio.get_running_loop().create_future()
        self._pieces: asyncio.Queue[bytes | Exception | None] = asyncio.Queue(1)

    async def run(self) -> None:
        try:
            async with self._retrieval.open_instance(self._entry) as opened:
                self._found.set_result(opened.entry)
                async for piece in opened.stream():
                    await self._pieces.put(piece)
            await self._pieces.put(None)
        except Exception as error:  # noqa: BLE001  (raised where the client's turn comes)
            if self._found.done():
                await self._pieces.put(error)
            else:
                self._found.set_exception(error)
                self._found.exception()  # its turn may never come

    async def entry(self) -> InstanceEntry:
        """What was opened.

        Raises:
            EdgeError: It can't be.
        """
        return await self._found

    async def pieces(self) -> AsyncIterator[bytes]:
        """Its bytes.

        Raises:
            EdgeError: They can't be read further.
        """
        while (piece := await self._pieces.get()) is not None:
            if isinstance(piece, Exception):
                raise piece
            yield piece


class ReadAhead:
    """Instances in their order, opened ahead. Use it as a context, and iterate over it once.

    Args:
        retrieval: Opens them.
        entries: Which, and in which order.
    """

    def __init__(self, retrieval: Retrieval, entries: Sequence[InstanceEntry]) -> None:
        self._retrieval = retrieval
        self._entries = iter(entries)
        self._tasks = asyncio.TaskGroup()
        self._running: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for task in list(self._running):
            task.cancel()
        # The readers never fail; what failed here goes on to the caller as it is.
        await self._tasks.__aexit__(None, None, None)

    async def __aiter__(self) -> AsyncIterator[tuple[InstanceEntry, AsyncIterator[bytes]]]:
        """Each instance as it was opened, and its bytes, to be read before the next is asked for.

        Raises:
            EdgeError: An instance can't be had.
        """
        readers: deque[_Reader] = deque()
        while True:
            while len(readers) < DEPTH and (entry := next(self._entries, None)) is not None:
                reader = _Reader(self._retrieval, entry)
                task = self._tasks.create_task(reader.run(), name="read ahead")
                self._running.add(task)
                task.add_done_callback(self._running.discard)
                readers.append(reader)
            if not readers:
                return
            reader = readers[0]
            yield await reader.entry(), reader.pieces()
            readers.popleft()
