"""The pool of processes that decode, encode and render.

Owns the processes: started at need, or kept ready before it, ended after some idle minutes, killed
and replaced when they take too long, crash or outgrow their memory. What happens to one is the
trouble of the frame that it worked on, and of no other. Frames and pictures travel through a socket
pair, never through files or named memory. Few requests hold a frame at a time, a bounded number
waits for its turn, the rest is told to come again. Turns go round among those who ask, and
animations, which take a process for long, have one of their own. A request that is given up while
it waits costs nothing; one that is being worked on is finished for nobody, which is cheaper than a
new process. What took long and failed is not tried again for a while.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from edge.config import Pixels
from edge.errors import EdgeError, PixelBudgetExceeded, PixelWorkersBusy, UndecodablePixels
from edge.pixels.description import ImageDescription
from edge.pixels.display import Display
from edge.pixels.failures import Failures
from edge.pixels.messages import Limits, Reply, Request
from edge.pixels.presentation import Picture, Presentation
from edge.pixels.process import WorkerProcess
from edge.pixels.turns import Turns

__all__ = ["EncodedFrame", "Frame", "PixelWorkers"]

log = logging.getLogger(__name__)

Frame = bytes | Callable[[], Awaitable[bytes]]
"""A stored frame, or what reads it once it is its turn."""

_WAITING: Final = 256
"""Requests that wait for their turn, and as many animations."""
_IDLE: Final = 300.0
"""Seconds after which an idle process is ended."""
_SLACK: Final = 1024**2
"""A stored frame may be so many bytes longer than its pixels: headers, padding, noise."""
_HEADROOM: Final = 64 * 1024**2
_COPIES: Final = 8
"""JPEG 2000 takes so many times the frame: its own 32 bits per sample, cells, input, output."""
_PATIENCE: Final = 5.0
"""A frame may take so many times its processor time, on a box that does other things first."""


@dataclass(frozen=True, slots=True)
class EncodedFrame:
    """A frame that was decoded or encoded, and what it is now."""

    data: bytes
    description: ImageDescription


@dataclass(slots=True)
class _Job:
    request: Request
    first: bytes
    """The frame, or the first of them."""
    rest: AsyncIterator[bytes]
    answer: asyncio.Future[tuple[Reply, bytes]]
    bound: bool
    """Frames are still to be read: it ends with whoever asked for it."""

    async def frames(self) -> AsyncIterator[bytes]:
        """All of them."""
        yield self.first
        async for frame in self.rest:
            yield frame


@dataclass(slots=True)
class _Lane:
    """Processes that do the same kind of work, and who waits for them."""

    processes: int
    ready: int
    """Processes of them that wait for work: they are started before there is any, and stay."""
    turns: Turns
    jobs: asyncio.Queue[_Job] = field(default_factory=asyncio.Queue)


class PixelWorkers:
    """Decodes, encodes and renders, while it runs.

    Args:
        settings: How many processes there are, and what a frame may take.
        ready: Of them so many are kept ready: to start one takes as long as a hundred pictures.
        idle_seconds: After which another process that has nothing to do is ended.
    """

    def __init__(self, settings: Pixels, *, ready: int = 0, idle_seconds: float = _IDLE) -> None:
        self._settings = settings
        self._idle = idle_seconds
        cores = len(os.sched_getaffinity(0))
        count = settings.workers or (1 if cores <= 2 else 2)
        self._limits = Limits(
            memory_bytes=_COPIES * settings.frame_bytes + _HEADROOM,
            cpu_seconds=max(1, round(settings.seconds)),
            body_bytes=settings.frame_bytes + _SLACK,
        )
        # One more than processes, so that a frame is read while another is worked on.
        self._single = _Lane(count, min(ready, count), Turns(count + 1, _WAITING))
        # Apart, or who waits for one frame would wait for five hundred of somebody else.
        self._animated = _Lane(1, 0, Turns(1, _WAITING))
        self._failures = Failures()
        self._running: set[WorkerProcess] = set()
        self.lacks = ""
        """What the kernel refused the cage of the last process; empty if it was whole."""

    @property
    def most_frame_bytes(self) -> int:
        """Of a stored frame: none that is longer than its pixels is worth reading."""
        return self._limits.body_bytes

    @property
    def processes(self) -> int:
        """That are running now."""
        return len(self._running)

    async def run(self) -> None:
        """Serve requests until cancelled; without it they wait."""
        async with asyncio.TaskGroup() as group:
            for lane in (self._single, self._animated):
                for number in range(lane.processes):
                    work = self._work(lane, ready=number < lane.ready)
                    group.create_task(work, name=f"pixels {number}")

    async def decode(self, image: ImageDescription, frame: Frame) -> EncodedFrame:
        """A frame in native form: little endian, colour by pixel, cells as they are stored.

        Raises:
            UndecodablePixels: It can't be decoded.
            PixelBudgetExceeded: It would take too much memory.
            PixelWorkersBusy: Too many wait already.
        """
        return await self._frame(Request("decode", image), frame)

    async def encode(
        self, image: ImageDescription, frame: Frame, transfer_syntax: str
    ) -> EncodedFrame:
        """A frame in a lossless transfer syntax; it was read back and compared.

        Raises:
            UndecodablePixels: It can't be decoded, or not be encoded so.
            PixelBudgetExceeded: It would take too much memory.
            PixelWorkersBusy: Too many wait already.
        """
        request = Request("encode", image, transfer_syntax=transfer_syntax)
        return await self._frame(request, frame)

    async def render(
        self, image: ImageDescription, display: Display, frame: Frame, wanted: Presentation
    ) -> Picture:
        """A frame as a picture.

        Raises:
            UndecodablePixels: It can't be decoded, or nobody says how it is shown.
            PixelBudgetExceeded: It, or the picture, would take too much memory.
            PixelWorkersBusy: Too many wait already.
        """
        request = Request("render", image, display=display, presentation=wanted)
        return _picture(*await self._ask(request, _only(frame), bound=False))

    async def animate(
        self,
        image: ImageDescription,
        display: Display,
        frames: AsyncIterator[bytes],
        wanted: Presentation,
        *,
        count: int,
        frame_seconds: float,
    ) -> Picture:
        """Several frames as one animated GIF; a process gets them one by one.

        Args:
            image: What each frame is.
            display: How the data set says they are shown.
            frames: ``count`` of them.
            wanted: How the client wants them.
            count: How many there are.
            frame_seconds: How long each is shown.

        Raises:
            UndecodablePixels: One can't be decoded, or nobody says how it is shown.
            PixelBudgetExceeded: One would take too much memory.
            PixelWorkersBusy: Too many wait already.
        """
        request = Request(
            "animate",
            image,
            display=display,
            presentation=wanted,
            frames=count,
            frame_seconds=frame_seconds,
        )
        return _picture(*await self._ask(request, frames, bound=True))

    async def convert(self, image: ImageDescription, picture: bytes) -> bytes:
        """All frames of a PNG or a GIF in native form, one behind the other.

        Args:
            image: What they are by the header of the picture; it says so before they are decoded.
            picture: The file.

        Raises:
            UndecodablePixels: The picture is damaged, lies in its header, or is transparent.
            PixelBudgetExceeded: The frames together would take more than a frame may.
            PixelWorkersBusy: Too many wait already.
        """
        needed = image.decoded_frame_bytes * image.frames
        if needed > self._settings.frame_bytes:
            raise PixelBudgetExceeded(
                f"the frames of a picture take {needed} bytes, "
                f"and {self._settings.frame_bytes} are allowed",
                hint="send the pixels uncompressed, or raise pixels.frame_bytes",
            )
        _, pixels = await self._ask(Request("convert", image), _only(picture), bound=False)
        return pixels

    async def _frame(self, request: Request, frame: Frame) -> EncodedFrame:
        reply, data = await self._ask(request, _only(frame), bound=False)
        if reply.image is None:
            raise UndecodablePixels("a pixel worker said nothing of its frame")
        return EncodedFrame(data, reply.image)

    async def _ask(
        self, request: Request, frames: AsyncIterator[bytes], *, bound: bool
    ) -> tuple[Reply, bytes]:
        request.image.check_budget(self._settings.frame_bytes)
        lane = self._animated if request.kind == "animate" else self._single
        async with lane.turns.take():
            # Read by who waits for it: what it is read from may be gone when that one is.
            first = await anext(frames)
            if reason := await self._failures.find(request, first):
                raise UndecodablePixels(reason)
            answer = asyncio.get_running_loop().create_future()
            lane.jobs.put_nowait(_Job(request, first, frames, answer, bound))
            del first
            reply, data = await answer
        if reply.error:
            raise UndecodablePixels(reply.error)
        return reply, data

    async def _work(self, lane: _Lane, *, ready: bool) -> None:
        """Have one process; none while there is nothing to do, unless it shall be ready."""
        process: WorkerProcess | None = None
        try:
            while True:
                if ready and process is None:
                    with suppress(PixelWorkersBusy):  # who needs it is told, if it is still so
                        process = await self._start()
                try:
                    async with asyncio.timeout(self._idle if process and not ready else None):
                        job = await lane.jobs.get()
                except TimeoutError:
                    await self._end(process)
                    process = None
                    continue
                process = await self._serve(process, job)
                del job  # and its frame, before the next one comes
        finally:
            await self._end(process)

    async def _start(self) -> WorkerProcess:
        process = await WorkerProcess.start(self._limits)
        self._running.add(process)
        if process.lacks != self.lacks:
            self.lacks = process.lacks
            log.warning("the cage of pixel workers lacks: %s", self.lacks or "nothing any more")
        return process

    async def _serve(self, process: WorkerProcess | None, job: _Job) -> WorkerProcess | None:
        """Answer one job; the process that is there afterwards."""
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            if job.answer.done():
                return process
            if process is not None and not process.is_there:
                # No pixels were at fault: memory had run out, or somebody ended it.
                log.warning("a pixel worker ended while it had nothing to do; another is started")
                await self._end(process)
                process = None
            if process is None:
                process = await self._start()
            began = clock()
            reply, data = await self._deal(process, job)
            if reply.error:
                await self._failures.note(
                    job.request,
                    job.first,
                    reply.error,
                    seconds=clock() - began,
                    damaged=reply.damaged,
                )
            if not job.answer.done():
                job.answer.set_result((reply, data))
            return process
        except EdgeError as error:
            await self._end(process)
            if isinstance(error, UndecodablePixels) and not (job.bound and job.answer.done()):
                # It is decoding that takes its time, whatever the picture would have looked like;
                # to encode takes longer still, and an animation is of other frames, too.
                await self._failures.note(
                    job.request,
                    job.first,
                    str(error),
                    seconds=clock() - began,
                    damaged=job.request.kind in ("decode", "render"),
                )
            if not job.answer.done():
                job.answer.set_exception(error)
            return None
        except BaseException:
            await self._end(process)
            raise
        finally:
            if not job.answer.done():
                job.answer.set_exception(PixelWorkersBusy("pixel workers are being stopped"))

    async def _deal(self, process: WorkerProcess, job: _Job) -> tuple[Reply, bytes]:
        """One job, within its time.

        Raises:
            UndecodablePixels: The process did not live to answer.
            EdgeError: A further frame can't be read.
        """
        # An animation may take a few times as long: somebody else waits for this process.
        seconds = self._settings.seconds * _PATIENCE * min(job.request.frames, 3)
        try:
            async with asyncio.timeout(seconds) as limit:
                with _ended_by(job.answer if job.bound else None, limit):
                    return await process.ask(job.request, job.frames(), self._limits)
        except TimeoutError as error:
            raise UndecodablePixels(f"the pixels took longer than {seconds:.0f} s") from error

    async def _end(self, process: WorkerProcess | None) -> None:
        if process is not None and process in self._running:
            self._running.discard(process)
            await process.kill()


@contextmanager
def _ended_by(
    answer: asyncio.Future[tuple[Reply, bytes]] | None, limit: asyncio.Timeout
) -> Iterator[None]:
    """Let time run out at once when there is an answer: then nobody waits any more."""

    def end(_: object) -> None:
        with suppress(RuntimeError):  # the block has just ended by itself
            limit.reschedule(0)

    if answer is None:
        yield
        return
    answer.add_done_callback(end)
    try:
        yield
    finally:
        answer.remove_done_callback(end)


async def _only(frame: Frame) -> AsyncIterator[bytes]:
    yield frame if isinstance(frame, bytes) else await frame()


def _picture(reply: Reply, data: bytes) -> Picture:
    return Picture(reply.media_type, data, reply.width, reply.height)
