"""One worker process, seen from the service: started, asked, killed.

Owns its socket and its life. A worker that ends while it is asked is an error of that request,
which says by what signal; whoever owns the process replaces it then.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Final

import msgspec

from edge.child import spawn
from edge.errors import EdgeError, PixelBudgetExceeded, PixelWorkersBusy, UndecodablePixels
from edge.pixels.answers import check, longest_answer
from edge.pixels.messages import PREFIX, Limits, Reply, Request, pack, unpack

__all__ = ["WorkerProcess"]

log = logging.getLogger(__name__)

_STARTING: Final = 60.0
"""Seconds that a process has to load its codecs."""
_PIECE: Final = 1024 * 1024
_LONGEST_REASON: Final = 500
"""Characters of a reason that go on to who asked."""


class WorkerProcess:
    """A running worker."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self.lacks = ""
        """What the kernel refused its cage; empty if it is whole."""

    @classmethod
    async def start(cls, limits: Limits) -> WorkerProcess:
        """Start a worker, and wait until it is ready.

        Raises:
            PixelWorkersBusy: It can't be started now.
        """
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            # As much as the kernel gives: a frame then passes in fewer turns.
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _PIECE)
        try:
            process = await asyncio.to_thread(_spawn, theirs, limits)
        except OSError as error:
            ours.close()
            raise PixelWorkersBusy(f"no pixel worker can be started: {error.strerror}") from error
        except asyncio.CancelledError:
            ours.close()  # by which it ends, once it is there
            raise
        reader, writer = await asyncio.open_connection(sock=ours, limit=_PIECE)
        worker = cls(process, reader, writer)
        try:
            async with asyncio.timeout(_STARTING):
                ready, _ = await worker._receive(0)
                worker.lacks = ready.error
        except (EdgeError, TimeoutError) as error:
            await worker.kill()
            raise PixelWorkersBusy("a pixel worker did not start") from error
        except BaseException:
            await worker.kill()
            raise
        return worker

    @property
    def is_there(self) -> bool:
        """It has not ended, as far as is known."""
        return not self._reader.at_eof()

    async def ask(
        self, request: Request, frames: AsyncIterator[bytes], limits: Limits
    ) -> tuple[Reply, bytes]:
        """Send a request and its frames; the answer.

        Raises:
            UndecodablePixels: The worker ended instead, or is not to be believed.
            PixelBudgetExceeded: A frame is longer than any may be.
        """
        head: Request | None = request
        async for frame in frames:
            if len(frame) > limits.body_bytes:
                raise PixelBudgetExceeded(f"a frame has {len(frame)} bytes, which are too many")
            # Behind the first one, a frame without bytes would be taken for the end of them.
            await self._send(head, frame if head is not None else frame or b"\0")
            head = None
        if request.kind == "animate":
            await self._send(None, b"")
        reply, answer = await self._receive(longest_answer(limits))
        try:
            check(request, reply, answer)
        except UndecodablePixels:
            log.error("a pixel worker answered what it was not asked; keep that image")
            raise
        return reply, answer

    async def kill(self) -> int:
        """End it at once; its exit status."""
        self._writer.close()
        self._process.kill()
        return await asyncio.to_thread(self._process.wait)

    async def _send(self, head: Request | None, body: bytes) -> None:
        try:
            self._writer.write(pack(head, len(body)))
            for start in range(0, len(body), _PIECE):
                self._writer.write(body[start : start + _PIECE])
                await self._writer.drain()
        except OSError as error:
            raise await self._lost() from error

    async def _receive(self, most: int) -> tuple[Reply, bytes]:
        try:
            head, body = PREFIX.unpack(await self._reader.readexactly(PREFIX.size))
            if head > _PIECE or body > most:
                raise UndecodablePixels(f"a pixel worker answers with {body} bytes")
            reply = await self._reader.readexactly(head)
            return _understood(reply), await self._reader.readexactly(body)
        except (OSError, asyncio.IncompleteReadError) as error:
            raise await self._lost() from error

    async def _lost(self) -> UndecodablePixels:
        """Why the worker is not there any more."""
        try:
            async with asyncio.timeout(_STARTING):
                status = await asyncio.to_thread(self._process.wait, _STARTING)
        except (TimeoutError, subprocess.TimeoutExpired):
            status = 0
        reason = f"exit status {status}"
        if status < 0:
            reason = signal.Signals(-status).name
        log.warning("a pixel worker ended while it worked: %s", reason)
        if status == -signal.SIGXCPU:
            return UndecodablePixels("the pixels took too long to decode")
        if status == -signal.SIGSYS:
            # No decoder does so by mistake: somebody's image runs code of his (`edge.cage`).
            log.error("a pixel worker tried what its cage forbids; keep that image for an inquiry")
            return UndecodablePixels("the pixels made their decoder try what it may not")
        return UndecodablePixels(f"the pixels ended their decoder ({reason})")


def _understood(head: bytes) -> Reply:
    try:
        reply = unpack(head, Reply)
    except EdgeError as error:
        raise UndecodablePixels("a pixel worker answered what can't be understood") from error
    return replace(reply, error=reply.error[:_LONGEST_REASON])


def _spawn(connection: socket.socket, limits: Limits) -> subprocess.Popen[bytes]:
    """Start the process, whose the connection is then."""
    # Threads of its own would only take memory from the limit.
    environment = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    argument = msgspec.json.encode(limits).decode()
    with connection:
        return spawn(
            ("-m", "edge.pixels.worker"),
            [argument],
            stdin=connection.fileno(),
            environment=environment,
        )
