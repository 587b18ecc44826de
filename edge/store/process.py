"""The store's process, seen from the service: started, asked to seal and to open, ended.

Owns its life and its two lanes. A process that ends is an error of everything that it had; whoever
keeps one ready starts another. Never looks into what it passes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, Self

from edge.child import spawn
from edge.errors import EdgeError, StorageFull
from edge.store.lane import Lane
from edge.store.messages import READY, SLOT, Begin, Opened, Outcome, Piece, Sealed, Sought

__all__ = ["PROMPT", "TOGETHER", "Enclosed", "StoreProcess"]

_STARTING: Final = 60.0
"""Seconds that a process has until it is ready."""
PROMPT: Final = 2.0
"""Seconds within which objects are opened; a disk that was asleep takes longer."""
_WORKER: Final = ("-m", "edge.store.worker")
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
TOGETHER: Final = 32
"""Slots of content that one message asks to open (4 MiB); so many objects, at the most."""

Buffer = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class _Piece:
    """The next content of an object that is sealed."""

    number: int
    content: Sequence[Buffer]
    begin: Begin | None
    end: Literal["", "commit", "discard"]

    @property
    def slots(self) -> int:
        return -(-sum(map(len, self.content)) // SLOT)

    def tell(self, memory: memoryview, slots: Sequence[int]) -> Piece:
        """Copy the content into slots."""
        parts: list[tuple[int, int]] = []
        left = iter(slots)
        start, used = 0, SLOT
        for buffer in self.content:
            view = memoryview(buffer)
            while view:
                if used == SLOT:
                    start, used = next(left), 0
                    parts.append((start, 0))
                now = view[: SLOT - used]
                memory[start + used : start + used + len(now)] = now
                used += len(now)
                parts[-1] = start, used
                view = view[len(now) :]
        return Piece(self.number, parts, self.begin, self.end)

    @staticmethod
    def settle(_memory: memoryview, _slots: Sequence[int], answer: Outcome) -> Outcome:
        """The answer; the content was copied, and need not be kept until it comes."""
        if not answer.error:
            return answer
        if answer.errno in _FULL:
            raise StorageFull("the disk is full")
        if answer.errno:
            raise OSError(answer.errno, answer.error)
        raise EdgeError(answer.error)


class _Ready(_Piece):
    """What the process says unasked: that it is ready, and what its cage lacks."""

    @staticmethod
    def settle(_memory: memoryview, _slots: Sequence[int], answer: Outcome) -> Outcome:
        """Lacking something is no failure."""
        return answer


@dataclass(frozen=True, slots=True)
class Enclosed:
    """A small object that is to be opened."""

    name: str
    secret: bytes = field(repr=False)
    """The study key."""
    length: int
    """Bytes of its content."""

    @property
    def slots(self) -> int:
        """That its content takes."""
        return max(1, -(-self.length // SLOT))


@dataclass(frozen=True, slots=True)
class _Opening:
    """Some that are opened by one message."""

    number: int
    objects: Sequence[Enclosed]

    @property
    def slots(self) -> int:
        return sum(one.slots for one in self.objects)

    def tell(self, _memory: memoryview, slots: Sequence[int]) -> Sought:
        left = iter(slots)
        return Sought(
            self.number,
            [
                Sealed(one.name, one.secret, one.length, [next(left) for _ in range(one.slots)])
                for one in self.objects
            ],
        )

    def settle(
        self, memory: memoryview, slots: Sequence[int], answer: Opened
    ) -> list[bytes | None]:
        """Copy the contents out: slots are soon free, however long somebody reads."""
        contents: list[bytes | None] = []
        first = 0
        for one, is_good in zip(self.objects, answer.good, strict=True):
            mine = slots[first : first + one.slots]
            first += one.slots
            parts = [memory[start : start + SLOT] for start in mine[:-1]]
            parts.append(memory[mine[-1] : mine[-1] + one.length - SLOT * len(parts)])
            contents.append(b"".join(parts) if is_good else None)
        return contents


class StoreProcess:
    """A running process, once ``start`` has returned.

    Raises:
        OSError: There are no descriptors or no memory for it.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._sealing = Lane("edge-sealing", Outcome, self._lose)
        try:
            self._opening = Lane("edge-opening", Opened, self._lose)
        except OSError:
            self._sealing.close()
            raise
        self._numbers = READY
        self.ended = asyncio.Event()
        """It takes nothing more."""
        self.lacks = ""
        """What the kernel refused its cage; empty if it is whole."""
        self.is_stopped = False
        """It ended because ``stop`` was asked for."""

    @classmethod
    async def start(cls, incoming: Path, shelves: Path) -> Self:
        """Start one, and wait until it is ready.

        Args:
            incoming: The folder of what arrives.
            shelves: That of the objects.

        Raises:
            EdgeError: It can't be started now.
        """
        try:
            started = cls()
        except OSError as error:
            raise EdgeError(f"the store's process can't be started: {error.strerror}") from error
        loop = asyncio.get_running_loop()
        spawning = loop.run_in_executor(None, started._spawn, incoming, shelves)
        try:
            await asyncio.shield(spawning)
        except OSError as error:
            started._lose()
            raise EdgeError(f"the store's process can't be started: {error.strerror}") from error
        except asyncio.CancelledError:
            spawning.add_done_callback(started._abandon)
            raise
        ready = started._sealing.expect(_Ready(READY, (), None, ""))
        started._sealing.begin()
        started._opening.begin()
        try:
            async with asyncio.timeout(_STARTING):
                started.lacks = (await ready).error
        except TimeoutError as error:
            await started.stop()
            raise EdgeError("the store's process does not become ready") from error
        except BaseException:
            await started.stop()
            raise
        return started

    @property
    def delay(self) -> float:
        """Seconds for which it has owed somebody an answer."""
        return max(self._sealing.delay, self._opening.delay)

    @property
    def opens_promptly(self) -> bool:
        """It does not owe anybody an object for long."""
        return self._opening.delay < PROMPT

    def new_object(self) -> int:
        """The number of an object that is about to begin."""
        self._numbers += 1
        return self._numbers

    def seal(
        self,
        number: int,
        content: Sequence[Buffer],
        *,
        begin: Begin | None = None,
        end: Literal["", "commit", "discard"] = "",
    ) -> asyncio.Future[Outcome]:
        """Give it the next piece of an object; at most ``MEMORY`` bytes, one piece at a time.

        Returns:
            A future of the outcome. It raises StorageFull if the disk is full, OSError if it
            failed otherwise, and EdgeError if the process ended.
        """
        return self._sealing.ask(_Piece(number, content, begin, end))

    def open(self, objects: Sequence[Enclosed]) -> asyncio.Future[list[bytes | None]]:
        """Have small objects opened, at most ``TOGETHER`` slots of them.

        Returns:
            A future of the content of each, None if it does not open. It raises EdgeError if the
            process ended.
        """
        return self._opening.ask(_Opening(self.new_object(), objects))

    async def stop(self) -> None:
        """End it at once, and wait until it has; what it had is left as it is."""
        self.is_stopped |= not self.ended.is_set()
        self._lose()
        if self._process is not None:
            await asyncio.to_thread(self._process.wait)

    def _lose(self) -> None:
        """It is gone, with all that it had."""
        if self.ended.is_set():
            return
        self.ended.set()
        self._sealing.close()
        self._opening.close()
        if self._process is not None:
            self._process.kill()

    def _spawn(self, incoming: Path, shelves: Path) -> None:
        descriptors = [*self._sealing.theirs, *self._opening.theirs]
        arguments = [str(incoming), str(shelves), *map(str, descriptors)]
        self._process = spawn(_WORKER, arguments, descriptors=descriptors)

    def _abandon(self, _spawning: asyncio.Future[None]) -> None:
        """Nobody waits any more for a process that was being started."""
        self._lose()
        if self._process is not None:
            with contextlib.suppress(RuntimeError):  # the loop ends, and with it who is its parent
                asyncio.get_running_loop().run_in_executor(None, self._process.wait)
