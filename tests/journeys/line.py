"""The line between the box and its cloud: it can be cut, and it remembers what was uploaded.

A cut line is not a cloud that is down: connections under way break in the middle, and what went
through may have arrived although no answer came back.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import h11

from tests.fakes.orthanc import Orthanc
from tests.journeys.viewer import Part10, parts_of


class Request(NamedTuple):
    """A request of the box to its cloud."""

    method: str
    path: str
    content_type: str
    body: bytes


class Line:
    """A relay; for a box it stands where the cloud is."""

    def __init__(self, cloud: Orthanc) -> None:
        self.auth = cloud.auth
        self.dicomweb = ""
        self.is_up = True
        self.cut_after: int | None = None
        """Bytes towards the cloud after which the line breaks, once."""
        self.loses_the_answer = False
        """The line breaks when the answer to an upload comes, once."""
        self._far_port = cloud.http_port
        self._streams: list[bytearray] = []
        self._relays: set[asyncio.Task[object]] = set()

    def cut(self) -> None:
        """Break all connections; no new one is possible."""
        self.is_up = False
        for relay in self._relays:
            relay.cancel()

    def restore(self) -> None:
        self.is_up = True

    def uploads(self) -> Counter[str]:
        """How often each instance went through whole, by SOP Instance UID."""
        found: Counter[str] = Counter()
        for request in self._requests():
            if request.method == "POST":
                parts = parts_of(request.content_type, request.body)
                found.update(Part10.of(part).sop_uid for part in parts)
        return found

    def downloads(self) -> Counter[str]:
        """How often an instance was asked for by itself, by SOP Instance UID."""
        paths = [request.path.split("/") for request in self._requests()]
        return Counter(path[-1] for path in paths if path[-2] == "instances")

    def _requests(self) -> Iterator[Request]:
        return itertools.chain.from_iterable(_requests(bytes(one)) for one in self._streams)

    async def relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection of the box."""
        task = asyncio.current_task()
        assert task is not None
        self._relays.add(task)
        try:
            if self.is_up:
                far = await asyncio.open_connection("127.0.0.1", self._far_port)
                try:
                    await self._copy_both(reader, writer, *far)
                finally:
                    far[1].transport.abort()
        except (asyncio.CancelledError, OSError):
            pass  # It is cut, or one end is gone: so is the other.
        finally:
            self._relays.discard(task)
            writer.transport.abort()

    async def _copy_both(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        far_reader: asyncio.StreamReader,
        far_writer: asyncio.StreamWriter,
    ) -> None:
        seen = bytearray()
        self._streams.append(seen)
        ends = [
            asyncio.ensure_future(self._copy(reader, far_writer, seen)),
            asyncio.ensure_future(self._copy(far_reader, writer, None)),
        ]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()
            await asyncio.gather(*ends, return_exceptions=True)

    async def _copy(
        self,
        source: asyncio.StreamReader,
        target: asyncio.StreamWriter,
        seen: bytearray | None,
    ) -> None:
        while data := await source.read(1 << 16):
            if seen is not None:
                seen += data
                self._count(len(data))
            elif self.loses_the_answer and self._is_upload_answered():
                self.loses_the_answer = False
                self.cut()
            target.write(data)
            await target.drain()

    def _count(self, size: int) -> None:
        if self.cut_after is not None:
            self.cut_after -= size
            if self.cut_after <= 0:
                self.cut_after = None
                self.cut()

    def _is_upload_answered(self) -> bool:
        return bool(self.uploads())


@asynccontextmanager
async def line_to(cloud: Orthanc) -> AsyncIterator[Line]:
    """Lay a line; it lies on the same port however often it is cut."""
    line = Line(cloud)
    server = await asyncio.start_server(line.relay, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    line.dicomweb = f"http://127.0.0.1:{port}/dicom-web"
    try:
        yield line
    finally:
        server.close()
        line.cut()


def _requests(stream: bytes) -> Iterator[Request]:
    """Every request that went through whole."""
    while stream:
        connection = h11.Connection(h11.SERVER)
        connection.receive_data(stream)
        connection.receive_data(b"")
        method = path = content_type = ""
        body = bytearray()
        try:
            while not isinstance(event := connection.next_event(), h11.EndOfMessage):
                if isinstance(event, h11.Request):
                    method = event.method.decode()
                    path = event.target.decode().partition("?")[0]
                    content_type = dict(event.headers).get(b"content-type", b"").decode()
                elif isinstance(event, h11.Data):
                    body += event.data
                else:
                    return
        except h11.RemoteProtocolError:
            return  # It was cut.
        yield Request(method, path, content_type, bytes(body))
        stream = connection.trailing_data[0]
