"""One worker: a process that does nothing but decode, encode and render what it is sent.

It is started by `edge.pixels.workers` with a socket as its standard input and its `Limits` as its
argument. Before the first frame it gives up what it does not need: memory beyond a limit, priority,
and all that `edge.cage` takes from it: files, network, programs, threads. So everything is imported
here, at the start. It ends when the socket does. It logs nothing and writes nothing: what it works
on are patients' images.
"""

from __future__ import annotations

import contextlib
import math
import os
import resource
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
from PIL import GifImagePlugin, Image, ImageCms, JpegImagePlugin, PngImagePlugin

from edge.cage import entry, policies
from edge.errors import EdgeError
from edge.pixels.decoding import decode
from edge.pixels.description import ImageDescription
from edge.pixels.encoding import encode
from edge.pixels.messages import PREFIX, Limits, Reply, Request, pack, unpack
from edge.pixels.native import Array, bytes_of
from edge.pixels.presentation import Picture
from edge.pixels.raster import native_frames
from edge.pixels.rendering import MOST_PIXELS, animate, picture_of, render, steady

__all__ = ["main"]

_LOADED: Final = (GifImagePlugin, ImageCms, JpegImagePlugin, PngImagePlugin)
"""Pillow finds its plugins when they are needed; afterwards there are no files to open."""
_HEAD: Final = 32 * 1024**2
"""Bytes of the longest head: palettes and a colour profile."""
_NICE: Final = 10

Answer = tuple[Reply, bytes]


class _Worker:
    def __init__(
        self, connection: socket.socket, limits: Limits, lacks: Sequence[str] = ()
    ) -> None:
        self._connection = connection
        self._limits = limits
        self._lacks = lacks
        self._decoded = False
        """Of the request that is being answered: its frame is whole."""

    def run(self) -> None:
        """Answer until the other side is gone."""
        self._send(Reply(error="; ".join(self._lacks)), b"")
        while (received := self._receive()) is not None:
            head, body = received
            request = unpack(head, Request)
            reply, pixels = self._answer(request, body)
            del received, body
            self._send(reply, pixels)

    def _answer(self, request: Request, body: bytes) -> Answer:
        self._decoded = False
        try:
            self._grant()
            return _KINDS[request.kind](self, request, body)
        except EdgeError as error:
            reason = str(error)
        except MemoryError:
            reason = "the frame takes more memory than a worker may have"
        except BaseException as error:  # noqa: BLE001 - a panic in Rust is not even an Exception
            reason = f"the frame can't be decoded ({type(error).__name__})"
        return Reply(error=reason, damaged=not self._decoded), b""

    def decode(self, request: Request, body: bytes) -> Answer:
        """Native, little endian, colour by pixel."""
        image, pixels = self._pixels(request, body)
        return Reply(image=image), bytes_of(image, pixels)

    def encode(self, request: Request, body: bytes) -> Answer:
        """In another transfer syntax, without loss."""
        decoded, pixels = self._pixels(request, body)
        image, frame = encode(decoded, pixels, request.transfer_syntax)
        return Reply(image=image), frame

    def render(self, request: Request, body: bytes) -> Answer:
        """As a picture."""
        if request.display is None or request.presentation is None:
            raise EdgeError("a picture of nothing was asked for")
        image, pixels = self._pixels(request, body)
        return _of(render(image, pixels, request.display, request.presentation))

    def animate(self, request: Request, body: bytes) -> Answer:
        """As one picture of several frames."""
        frames = self._frames(request, body)
        try:
            shown = self._pictures(request, frames)
            return _of(animate(shown, request.frames, request.frame_seconds))
        finally:
            for _ in frames:
                pass  # whatever went wrong, the next message is a request again

    def convert(self, request: Request, body: bytes) -> Answer:
        """All frames of a PNG or a GIF, native."""
        return Reply(image=request.image), native_frames(request.image, body)

    def _pixels(self, request: Request, body: bytes) -> tuple[ImageDescription, Array]:
        found = decode(request.image, body)
        self._decoded = True
        return found

    def _frames(self, request: Request, first: bytes) -> Iterator[bytes]:
        yield first
        for _ in range(1, request.frames):
            received = self._receive()
            if received is None or not received[1]:
                return
            self._grant()
            yield received[1]
        self._receive()

    def _pictures(self, request: Request, frames: Iterator[bytes]) -> Iterator[Image.Image]:
        if request.display is None or request.presentation is None:
            raise EdgeError("a picture of nothing was asked for")
        total, wanted = 0, request.presentation
        for frame in frames:
            image, pixels = self._pixels(request, frame)
            wanted = steady(image, pixels, request.display, wanted)
            shown = picture_of(image, pixels, request.display, wanted)
            total += shown.width * shown.height
            if total > MOST_PIXELS:
                raise EdgeError(
                    "the frames make too large an animation: ask for a smaller viewport"
                )
            yield shown

    def _grant(self) -> None:
        """Give the next frame its time; the kernel ends the process when it is over."""
        until = math.ceil(time.process_time()) + self._limits.cpu_seconds
        resource.setrlimit(resource.RLIMIT_CPU, (until, resource.RLIM_INFINITY))

    def _receive(self) -> tuple[bytes, bytes] | None:
        prefix = self._take(PREFIX.size)
        if len(prefix) < PREFIX.size:
            return None
        head_length, body_length = PREFIX.unpack(prefix)
        if head_length > _HEAD or body_length > self._limits.body_bytes:
            return None
        return self._take(head_length), self._take(body_length)

    def _take(self, length: int) -> bytes:
        """So many bytes, or fewer if the other side is gone; in one call, without a copy."""
        return self._connection.recv(length, socket.MSG_WAITALL) if length else b""

    def _send(self, reply: Reply, body: bytes) -> None:
        head = pack(reply, len(body))
        sent = self._connection.sendmsg([head, body])
        if (rest := sent - len(head)) < len(body):
            self._connection.sendall(memoryview(body)[max(rest, 0) :])


_KINDS: Final[dict[str, Callable[[_Worker, Request, bytes], Answer]]] = {
    "decode": _Worker.decode,
    "encode": _Worker.encode,
    "render": _Worker.render,
    "animate": _Worker.animate,
    "convert": _Worker.convert,
}


def _of(picture: Picture) -> Answer:
    reply = Reply(media_type=picture.media_type, width=picture.width, height=picture.height)
    return reply, picture.data


def _give_up(limits: Limits) -> Sequence[str]:
    """Keep only what it takes to turn bytes into bytes; what the kernel refused to take."""
    Image.preinit()  # or Pillow would look for more plugins once it is asked for a picture
    os.nice(_NICE)
    with contextlib.suppress(OSError):
        # When memory is short, a picture goes before anything else does.
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    memory = pages * resource.getpagesize() + limits.memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    return entry.enter(policies.pixels())


def main(arguments: list[str]) -> None:
    """Work on the socket that standard input is."""
    limits = msgspec.json.decode(arguments[0], type=Limits)
    for descriptor in list(Path("/proc/self/fd").iterdir()):
        if int(descriptor.name) > 2:  # whoever started this may have left some open
            with contextlib.suppress(OSError):
                os.close(int(descriptor.name))
    with socket.socket(fileno=0) as connection:
        lacks = _give_up(limits)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            _Worker(connection, limits, lacks).run()


if __name__ == "__main__":
    main(sys.argv[1:])
