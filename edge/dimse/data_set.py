"""The data set of a message that is still arriving: a short queue between two speeds.

The upper layer feeds it as bytes come from the wire, a handler takes them out. Owns the memory
bound: when the handler is behind, reading from the peer stops, and the peer waits. Promises that
whoever iterates gets either every byte of the data set or a `PeerError`; never a silent end. It
never looks into the bytes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

from edge.errors import How, PeerError

__all__ = ["Flow", "IncomingDataSet", "Intake"]

PIECE = 64 * 1024
"""Smaller fragments are joined up to about this size: sealing and hashing like large pieces."""
HIGH_WATER = 256 * 1024
"""So much may wait for a handler before reading from the peer stops."""
RECEIVE = 256 * 1024
"""How much is read from a socket at once."""
RECEIVE_WHEN_TIGHT = 16 * 1024


class Intake:
    """What all associations of a server hold together, received and not yet taken by handlers.

    Owns the one receive buffer too: asyncio fills and hands it over within one callback, so idle
    associations need none of their own.

    Args:
        limit: Beyond so many bytes each association keeps just the piece it has.
    """

    def __init__(self, limit: int = 64 * 1024 * 1024) -> None:
        self.held = 0
        self._limit = limit
        self._buffer = memoryview(bytearray(RECEIVE))

    @property
    def is_tight(self) -> bool:
        """Whether many slow handlers have used up the common limit."""
        return self.held > self._limit

    @property
    def buffer(self) -> memoryview:
        """Where the next bytes of any association are received."""
        return self._buffer[:RECEIVE_WHEN_TIGHT] if self.is_tight else self._buffer


class Flow(Protocol):
    """Who stops and starts the reading from the peer (an `UpperLayer`, or a fake)."""

    def pause_reading(self) -> None:
        """Read no further for now."""

    def resume_reading(self) -> None:
        """Go on."""


class IncomingDataSet:
    """An asynchronous iterator over the bytes of one data set, in pieces of 64 KiB and more.

    Args:
        flow: Reading from the peer.
        intake: The common account of memory.
        max_bytes: A longer data set is a `PeerError`.
    """

    def __init__(self, flow: Flow, intake: Intake, max_bytes: int) -> None:
        self.received = 0
        """Bytes that came so far, taken or not."""
        self.is_complete = False
        """Whether the last fragment has come."""
        self._flow = flow
        self._intake = intake
        self._max_bytes = max_bytes
        self._pieces: deque[bytes] = deque()
        # What came in small fragments, after those pieces: as objects they would weigh more.
        self._crumbs = bytearray()
        self._held = 0
        self._is_paused = False
        self._is_discarded = False
        self._error: PeerError | None = None
        self._waiter: asyncio.Future[None] | None = None

    @property
    def error(self) -> PeerError | None:
        """Why the rest will never come, if it will not."""
        return self._error

    def feed(self, data: memoryview) -> None:
        """Take the next bytes from the wire; *data* is copied.

        Raises:
            PeerError: The data set is longer than allowed.
        """
        self.received += len(data)
        if self.received > self._max_bytes:
            why = f"a data set is longer than {self._max_bytes} bytes"
            raise PeerError(why, how=How.TOO_LONG)
        if self._is_discarded or not data:
            return
        if len(data) < PIECE:
            self._crumbs += data
            if len(self._crumbs) >= PIECE:
                self._gather()
        else:
            self._gather()
            self._pieces.append(bytes(data))
        self._held += len(data)
        self._intake.held += len(data)
        if self._held >= HIGH_WATER or self._intake.is_tight:
            self._pause()
        if self._held >= PIECE or self._is_paused:
            self._wake()

    def end(self) -> None:
        """The last fragment has come."""
        self.is_complete = True
        self._wake()

    def fail(self, error: PeerError) -> None:
        """The rest will never come; what waits is thrown away. Harmless after `end`."""
        if not self.is_complete and self._error is None:
            self._error = error
            self._clear()
            self._wake()

    def discard(self) -> None:
        """Nobody wants it: throw away what waits, and whatever still comes."""
        self._is_discarded = True
        self._clear()

    async def drain(self) -> None:
        """Throw away what is left, as it comes, until the last fragment.

        Raises:
            PeerError: It never comes.
        """
        self.discard()
        while not self.is_complete:
            if self._error is not None:
                raise self._error
            await self._wait()

    def __aiter__(self) -> IncomingDataSet:
        return self

    async def __anext__(self) -> bytes:
        while self._held < PIECE and not self.is_complete and not self._is_paused:
            if self._error is not None:
                raise self._error
            await self._wait()
        if not self._held:
            raise StopAsyncIteration
        return self._take()

    def _take(self) -> bytes:
        parts: list[bytes] = []
        size = 0
        while size < PIECE and size < self._held:
            if not self._pieces:
                self._gather()
            parts.append(self._pieces.popleft())
            size += len(parts[-1])
        self._release(size)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _gather(self) -> None:
        if self._crumbs:
            self._pieces.append(bytes(self._crumbs))
            self._crumbs.clear()

    def _release(self, size: int) -> None:
        self._held -= size
        self._intake.held -= size
        if self._is_paused and self._held < PIECE:
            self._is_paused = False
            self._flow.resume_reading()

    def _pause(self) -> None:
        if not self._is_paused:
            self._is_paused = True
            self._flow.pause_reading()

    def _clear(self) -> None:
        self._pieces.clear()
        self._crumbs.clear()
        self._release(self._held)

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
