"""The sealing process, seen from the service: started, given pieces, replaced when it ended.

Owns the socket, the common memory and the life of the process. A piece is copied into free slots of
that memory, told of, and answered; if there are not enough slots it waits its turn, in the order of
asking. A process that ends is an error of everything that it had, and the next object has another
one. Never looks into what it passes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import logging
import mmap
import os
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Self

import msgspec

import edge
from edge.errors import EdgeError, StorageFull
from edge.store.messages import ARENA, LONGEST, READY, SLOT, Begin, Outcome, Piece

__all__ = ["Sealing", "SealingProcess", "alone_in"]

log = logging.getLogger(__name__)

_STARTING: Final = 60.0
"""Seconds that a process has until it is ready."""
_ENDING: Final = 30.0
"""Seconds that one has to end, once its service is gone."""
_LOOK: Final = 0.02
_PAUSE: Final = 1.0
"""Seconds between two looks at it, and before the next start."""
_SILENT: Final = 60.0
"""Seconds without an answer after which it is taken to hang: no disk takes so long."""
_WORKER: Final = ("-m", "edge.store.sealing_worker")
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

Buffer = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A piece that waits for room in the common memory."""

    number: int
    content: Sequence[Buffer]
    begin: Begin | None
    end: Literal["", "commit", "discard"]

    @property
    def slots(self) -> int:
        """So many does it take."""
        return -(-sum(map(len, self.content)) // SLOT)


class SealingProcess:
    """A running process."""

    def __init__(
        self, process: subprocess.Popen[bytes], connection: socket.socket, memory: mmap.mmap
    ) -> None:
        self._process = process
        self._connection = connection
        self._mapped = memory
        self._memory = memoryview(memory)
        self._free = list(range(0, ARENA, SLOT))
        self._numbers = READY
        self._waiting: deque[_Waiting] = deque()
        self._under_way: dict[int, tuple[asyncio.Future[Outcome], list[int]]] = {}
        self.ended = asyncio.Event()
        """It takes no more pieces."""
        self.is_stopped = False
        """It ended because ``stop`` was asked for."""
        self._heard = asyncio.get_running_loop().time()
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(Outcome)

    @classmethod
    async def start(cls, incoming: Path) -> Self:
        """Start one, and wait until it is ready.

        Args:
            incoming: The folder of what arrives.

        Raises:
            EdgeError: It can't be started now.
        """
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        spawning = loop.run_in_executor(None, _spawn, theirs, incoming)
        try:
            process, memory = await asyncio.shield(spawning)
        except OSError as error:
            ours.close()
            raise EdgeError(f"the sealing process can't be started: {error.strerror}") from error
        except asyncio.CancelledError:
            ours.close()  # by which it ends, once it is there
            spawning.add_done_callback(_abandon)
            raise
        started = cls(process, ours, memory)
        ready = loop.create_future()
        started._under_way[READY] = ready, []
        loop.add_reader(ours, started._readable)
        try:
            async with asyncio.timeout(_STARTING):
                await ready
        except TimeoutError as error:
            await started.stop()
            raise EdgeError("the sealing process does not become ready") from error
        except BaseException:
            await started.stop()
            raise
        return started

    @property
    def silence(self) -> float:
        """Seconds for which it has owed an answer, and given none."""
        return asyncio.get_running_loop().time() - self._heard if self._under_way else 0.0

    def new_object(self) -> int:
        """The number of an object that is about to begin."""
        self._numbers += 1
        return self._numbers

    def submit(
        self,
        number: int,
        content: Sequence[Buffer],
        *,
        begin: Begin | None = None,
        end: Literal["", "commit", "discard"] = "",
    ) -> asyncio.Future[Outcome]:
        """Give it the next piece of an object; at most ``ARENA`` bytes, one piece at a time.

        Returns:
            A future of the outcome. It raises StorageFull if the disk is full, OSError if it
            failed otherwise, and EdgeError if the process ended.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Outcome] = loop.create_future()
        if self.ended.is_set():
            answer.set_exception(EdgeError("the sealing process has ended; send it again"))
            return answer
        if not self._under_way:
            self._heard = loop.time()
        self._under_way[number] = answer, []
        self._waiting.append(_Waiting(number, content, begin, end))
        self._send()
        return answer

    async def stop(self) -> None:
        """End it at once, and wait until it has; what it had is left as it is."""
        self.is_stopped |= not self.ended.is_set()
        self._lose()
        await asyncio.to_thread(self._process.wait)

    def _send(self) -> None:
        """Tell of what waits, as long as there is room for it."""
        loop = asyncio.get_running_loop()
        loop.remove_writer(self._connection)
        while self._waiting and self._waiting[0].slots <= len(self._free):
            piece = self._waiting[0]
            taken = self._free[len(self._free) - piece.slots :]
            try:
                parts = self._copy(piece.content, taken)
                message = self._encoder.encode(Piece(piece.number, parts, piece.begin, piece.end))
                self._connection.send(message)
            except BlockingIOError:
                loop.add_writer(self._connection, self._send)  # it has much to read already
                return
            except OSError:
                self._lose()
                return
            except ValueError as error:
                self._waiting.popleft()
                self._under_way.pop(piece.number)[0].set_exception(EdgeError(str(error)))
                continue
            del self._free[len(self._free) - piece.slots :]
            self._under_way[piece.number][1].extend(taken)
            self._waiting.popleft()

    def _copy(self, content: Sequence[Buffer], slots: Sequence[int]) -> list[tuple[int, int]]:
        """Put content into slots; (offset, length) of each part."""
        parts: list[tuple[int, int]] = []
        left = iter(slots)
        start, used = 0, SLOT
        for buffer in content:
            view = memoryview(buffer)
            while view:
                if used == SLOT:
                    start, used = next(left), 0
                    parts.append((start, 0))
                now = view[: SLOT - used]
                self._memory[start + used : start + used + len(now)] = now
                used += len(now)
                parts[-1] = start, used
                view = view[len(now) :]
        return parts

    def _readable(self) -> None:
        try:
            message = self._connection.recv(LONGEST)
        except BlockingIOError:
            return
        except OSError:
            message = b""
        if not message:
            self._lose()
            return
        self._heard = asyncio.get_running_loop().time()
        outcome = self._decoder.decode(message)
        answer, slots = self._under_way.pop(outcome.number)
        self._free += slots
        if not answer.done():
            if (error := _meaning(outcome)) is None:
                answer.set_result(outcome)
            else:
                answer.set_exception(error)
        self._send()

    def _lose(self) -> None:
        """It is gone, with all that it had."""
        if self.ended.is_set():
            return
        self.ended.set()
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._connection)
        loop.remove_writer(self._connection)
        self._connection.close()
        self._process.kill()
        self._memory.release()
        self._mapped.close()
        self._waiting.clear()
        for answer, _ in self._under_way.values():
            if not answer.done():
                answer.set_exception(EdgeError("the sealing process ended; send it again"))
                answer.exception()  # nobody may be waiting for it any more
        self._under_way.clear()


class Sealing:
    """Has a sealing process whenever one is needed.

    Args:
        incoming: The folder of what arrives.
    """

    def __init__(self, incoming: Path) -> None:
        self._incoming = incoming
        self._process: SealingProcess | None = None
        self._starting = asyncio.Lock()

    async def run(self) -> None:
        """Have one ready, until cancelled; one that does not answer is ended."""
        while True:
            try:
                process = await self.process()
            except EdgeError as error:
                log.error("%s; it is tried again", error)
                await asyncio.sleep(_PAUSE)
                continue
            while not process.ended.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(process.ended.wait(), _PAUSE)
                if process.silence > _SILENT:
                    log.error("the sealing process does not answer, and is ended")
                    await process.stop()
            if not process.is_stopped:
                log.error("the sealing process ended; what was arriving failed, another is started")
                await asyncio.sleep(_PAUSE)

    async def process(self) -> SealingProcess:
        """The one that runs; started if there is none.

        Raises:
            EdgeError: It can't be started now.
        """
        async with self._starting:
            if self._process is None or self._process.ended.is_set():
                await self.stop()
                self._process = await SealingProcess.start(self._incoming)
            return self._process

    async def stop(self) -> None:
        """End it, if there is one."""
        if self._process is not None:
            await self._process.stop()

    @contextlib.asynccontextmanager
    async def stopped(self) -> AsyncIterator[None]:
        """End it, and start none as long as this lasts."""
        async with self._starting:
            await self.stop()
            yield


@contextlib.contextmanager
def alone_in(incoming: Path) -> Iterator[None]:
    """Wait until no sealing process works in the folder: that of a service that was killed, too.

    Raises:
        EdgeError: One still does, after so long that it will not end by itself.
    """
    descriptor = os.open(incoming, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        deadline = time.monotonic() + _ENDING
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    raise EdgeError(
                        f"a sealing process of an earlier run still works in {incoming}",
                        hint="end it (edge.store.sealing_worker), or restart the machine",
                    ) from error
                time.sleep(_LOOK)
        yield
    finally:
        os.close(descriptor)


def _abandon(spawning: asyncio.Future[tuple[subprocess.Popen[bytes], mmap.mmap]]) -> None:
    """Nobody waits any more for a process that was being started."""
    if not spawning.cancelled() and spawning.exception() is None:
        process, memory = spawning.result()
        process.kill()
        memory.close()


def _meaning(outcome: Outcome) -> Exception | None:
    if not outcome.error:
        return None
    if outcome.errno in _FULL:
        return StorageFull("the disk is full")
    if outcome.errno:
        return OSError(outcome.errno, outcome.error)
    return EdgeError(outcome.error)


def _spawn(connection: socket.socket, incoming: Path) -> tuple[subprocess.Popen[bytes], mmap.mmap]:
    """Start the process, whose the connection is then; it and the memory that it shares."""
    environment = {
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(Path(edge.__file__).parents[1]),
        "PYTHONPYCACHEPREFIX": sys.pycache_prefix or "",
        "PYTHONDONTWRITEBYTECODE": "1" if sys.dont_write_bytecode else "",
    }
    with contextlib.ExitStack() as stack:
        stack.enter_context(connection)
        descriptor = os.memfd_create("edge-sealing", os.MFD_CLOEXEC)
        stack.callback(os.close, descriptor)
        os.ftruncate(descriptor, ARENA)
        memory = mmap.mmap(descriptor, ARENA)
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, *_WORKER, str(incoming), str(descriptor)],
            stdin=connection.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env=environment,
            pass_fds=[descriptor],
            process_group=0,  # Ctrl-C is for the service, which ends this one itself
        )
        return process, memory
