"""A terrible line: a TCP proxy whose faults are scripted while it runs.

For a box it stands where its archive is. It passes, or it does one of the things that lines do:
breaks after so many bytes, stalls, drips, takes connections and never answers, takes none at all,
swallows them, turns bytes over; with the bandwidth and latency that are set. Counts what it carried
each way, and for how long it was up. Like a real line it holds little: small buffers and Ethernet's
segments, so that what a sender has given away is nearly what was carried. Loopback only.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

__all__ = ["Bucket", "Fault", "TerribleLine"]

_PIECE = 4096
_BUFFER = 16 * 1024
_SEGMENT = 1460
_FIRST_LOOK = 0.01


class Fault(StrEnum):
    """What the line does."""

    NONE = "NONE"
    STALL = "STALL"
    """Connections stay, and nothing moves on them."""
    HALF_OPEN = "HALF_OPEN"
    """New connections are taken, and never answered; those under way are reset."""
    REFUSE = "REFUSE"
    """New connections are refused, and those under way are reset."""
    BLACKHOLE = "BLACKHOLE"
    """New connections hang: nobody says yes or no. Those under way stall."""


@dataclass
class Bucket:
    """Tokens: bytes that may pass now."""

    rate: float | None = None
    """Bytes a second; None: no limit."""
    burst: float = 16 * 1024
    clock: Callable[[], float] = time.monotonic
    _left: float = 0.0
    _at: float = field(default_factory=time.monotonic)

    async def take(self, size: int) -> None:
        """Wait until so many bytes may pass."""
        while self.rate is not None:
            now = self.clock()
            self._left = min(self._left + (now - self._at) * self.rate, max(self.burst, 1.0))
            self._at = now
            # A bucket that is not empty gives all that is asked for, and owes the rest.
            if self._left > 0:
                self._left -= size
                return
            await asyncio.sleep(min(0.05, (1.0 - self._left) / self.rate))


@dataclass
class Direction:
    """One way through the line."""

    bucket: Bucket = field(default_factory=Bucket)
    carried: int = 0
    """Bytes."""
    reset_after: int | None = None
    """Bytes after which all connections are reset, once."""
    corrupt_every: int | None = None
    """Of so many bytes one is turned over."""


class TerribleLine:
    """The proxy. ``async with TerribleLine(port) as line``.

    Args:
        far_port: Of loopback, where the archive listens.
    """

    def __init__(self, far_port: int, *, auth: tuple[str, str] = ("", "")) -> None:
        self.auth = auth
        """Of the archive behind it."""
        self.host = "127.0.0.1"
        """By which the box knows it."""
        self.scheme = "http"
        self.port = 0
        self.latency = 0.0
        """Seconds each way."""
        self.up, self.down = Direction(), Direction()
        self.cuts = 0
        self.fault = Fault.NONE
        self._far_port = far_port
        self._server: asyncio.Server | None = None
        self._hole: list[socket.socket] = []
        self._relays: dict[asyncio.Task[object], asyncio.StreamWriter] = {}
        self._moving = asyncio.Event()
        self._moving.set()
        self._dead = set[asyncio.Task[object]]()
        self._goal, self._reached = 0, asyncio.Event()
        self._up_for = 0.0
        self._up_since: float | None = None

    @property
    def dicomweb(self) -> str:
        """Base of the archive's DICOMweb service, as the box sees it."""
        return f"{self.scheme}://{self.host}:{self.port}/dicom-web"

    @property
    def seconds_up(self) -> float:
        """For how long it has been up in all."""
        since = self._up_since
        return self._up_for + (0.0 if since is None else time.monotonic() - since)

    @property
    def _carried(self) -> int:
        return self.up.carried + self.down.carried

    def limit(self, bytes_a_second: float | None, *, latency: float = 0.0) -> None:
        """Carry no more than this, each way."""
        for direction in (self.up, self.down):
            direction.bucket.rate = bytes_a_second
        self.latency = latency

    async def __aenter__(self) -> Self:
        await self._listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._deafen()
        self.reset()
        await asyncio.gather(*self._relays, return_exceptions=True)

    def reset(self) -> None:
        """Reset every connection (RST)."""
        for task, writer in list(self._relays.items()):
            _reset(writer)
            task.cancel()

    async def suffer(self, fault: Fault) -> None:
        """From now on do this."""
        self.fault = fault
        self._note(fault is Fault.NONE)
        if fault in (Fault.STALL, Fault.BLACKHOLE):
            self._moving.clear()
        if fault is Fault.REFUSE:
            await self._deafen()
        if fault in (Fault.REFUSE, Fault.HALF_OPEN):
            self.reset()
        if fault is Fault.BLACKHOLE:
            await self._deafen()
            await self._dig()

    async def heal(self) -> None:
        """Be a good line again; what nobody ever answered is reset, what stalled moves on."""
        self.fault = Fault.NONE
        for task in self._dead & self._relays.keys():
            _reset(self._relays[task])
            task.cancel()
        self._dead.clear()
        for one in self._hole:
            one.close()
        self._hole.clear()
        if self._server is None:
            await self._listen()
        self._moving.set()
        self._note(True)

    async def cut(self, seconds: float) -> None:
        """Break, and be down for so long."""
        self.cuts += 1
        await self.suffer(Fault.REFUSE)
        await asyncio.sleep(seconds)
        await self.heal()

    async def cut_at_random(self, seed: int, count: int, *, within: int, down_for: float) -> None:
        """Break so often, at random moments of the next *within* bytes, whichever way they go.

        Each time it is down for up to *down_for* seconds.
        """
        chance = random.Random(seed)
        begun = self._carried
        for at in sorted(chance.randrange(within) for _ in range(count)):
            self._goal, self._reached = begun + at, asyncio.Event()
            if self._carried < self._goal:
                await self._reached.wait()
            await self.cut(chance.uniform(0.0, down_for))

    # Listening -----------------------------------------------------------------------------------

    async def _listen(self) -> None:
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, _SEGMENT)
        listening.bind(("127.0.0.1", self.port))
        self.port = listening.getsockname()[1]
        self._server = await asyncio.start_server(self._relay, sock=listening, limit=_PIECE)
        self._note(True)

    async def _deafen(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()
            await asyncio.sleep(0)

    async def _dig(self) -> None:
        """Listen with a queue that is full: the kernel drops who knocks, and they hear nothing."""
        hole = socket.socket()
        hole.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        hole.bind(("127.0.0.1", self.port))
        hole.listen(0)
        self._hole.append(hole)
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect(("127.0.0.1", self.port))
            self._hole.append(filler)
        await asyncio.sleep(_FIRST_LOOK)

    def _note(self, is_up: bool) -> None:
        now = time.monotonic()
        if is_up and self._up_since is None:
            self._up_since = now
        elif not is_up and self._up_since is not None:
            self._up_for += now - self._up_since
            self._up_since = None

    # Carrying ------------------------------------------------------------------------------------

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._relays[task] = writer
        try:
            if self.fault is Fault.HALF_OPEN:
                self._dead.add(task)
                await asyncio.Event().wait()
            far_reader, far_writer = await asyncio.open_connection(
                "127.0.0.1", self._far_port, limit=_PIECE
            )
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._carry(reader, far_writer, self.up))
                    group.create_task(self._carry(far_reader, writer, self.down))
            finally:
                _reset(far_writer)
        except* (asyncio.CancelledError, OSError):
            pass  # It was reset, or one end is gone: so is the other.
        finally:
            self._relays.pop(task, None)
            self._dead.discard(task)
            writer.transport.abort()

    async def _carry(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, way: Direction
    ) -> None:
        on_the_way: deque[tuple[float, bytes]] = deque()
        more = asyncio.Event()

        async def deliver() -> None:
            while True:
                while not on_the_way:
                    more.clear()
                    await more.wait()
                due, data = on_the_way[0]
                if (left := due - time.monotonic()) > 0:
                    await asyncio.sleep(left)
                on_the_way.popleft()
                if not data:
                    # One end has nothing more to say; connections here never go on half.
                    raise ConnectionResetError
                target.write(data)
                await target.drain()

        async with asyncio.TaskGroup() as group:
            delivering = group.create_task(deliver())
            while data := await source.read(_PIECE):
                await self._moving.wait()
                await way.bucket.take(len(data))
                data = self._pass(data, way)
                on_the_way.append((time.monotonic() + self.latency, data))
                more.set()
            on_the_way.append((time.monotonic() + self.latency, b""))
            more.set()
            await delivering

    def _pass(self, data: bytes, way: Direction) -> bytes:
        """Count what passes, and do to it what is to be done."""
        before = way.carried
        way.carried += len(data)
        if way.corrupt_every is not None:
            turned = bytearray(data)
            for at in range(-before % way.corrupt_every, len(data), way.corrupt_every):
                turned[at] ^= 0x55
            data = bytes(turned)
        if self._carried >= self._goal:
            self._reached.set()
        if way.reset_after is not None:
            way.reset_after -= len(data)
            if way.reset_after <= 0:
                way.reset_after = None
                self.cuts += 1
                self.reset()
        return data


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST: what is not delivered is lost."""
    with contextlib.suppress(OSError):
        writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
    writer.transport.abort()
