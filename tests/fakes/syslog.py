"""A syslog server that takes nothing that is not right: RFC 5425 over TLS, RFC 5424 inside.

It keeps what it got, and can be made to hang up, to stop reading, or to be away.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from dataclasses import dataclass, field

_HEADER = re.compile(
    r"<(?P<pri>\d{1,3})>1 (?P<at>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d))"
    r" (?P<host>[!-~]{1,255}) (?P<app>[!-~]{1,48}) (?P<pid>[!-~]{1,128}) (?P<id>[!-~]{1,32})"
    r" (?P<data>(\[[!-<>-~]+( [!-<>-~]+=\"([^\"\\\]]|\\.)*\")*\])+|-) "
)


@dataclass(frozen=True)
class Received:
    """One message."""

    pri: int
    sequence: int
    message_id: str
    text: str
    """Of MSG."""


@dataclass
class SyslogServer:
    """One, on loopback."""

    context: ssl.SSLContext
    port: int = 0
    messages: list[Received] = field(default_factory=list)
    connections: int = 0
    errors: list[Exception] = field(default_factory=list)
    hang_up_after: int | None = None
    """Messages, after which a connection is torn off."""
    reads: bool = True
    _server: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def start(self) -> None:
        """Listen, at the same port as before."""
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, ssl=self.context
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Be away."""
        assert self._server is not None
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        self._server = None

    async def until(self, count: int) -> list[int]:
        """Wait for so many different messages; the numbers of all, as they came."""
        async with asyncio.timeout(60):
            while len({one.sequence for one in self.messages}) < count:  # noqa: ASYNC110 - polled
                await asyncio.sleep(0.02)
        return [one.sequence for one in self.messages]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        taken = 0
        try:
            while self.reads:
                length = await reader.readuntil(b" ")
                assert re.fullmatch(rb"[1-9][0-9]{0,9} ", length), length
                self.messages.append(_read(await reader.readexactly(int(length))))
                taken += 1
                if taken == self.hang_up_after:
                    self.hang_up_after = None
                    writer.transport.abort()
                    return
            await asyncio.Event().wait()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except Exception as error:
            self.errors.append(error)
            raise
        finally:
            self._writers.discard(writer)
            writer.close()


def _read(body: bytes) -> Received:
    head, mark, text = body.partition(b"\xef\xbb\xbf")
    assert mark, "MSG does not begin with a BOM"
    header = _HEADER.fullmatch(head.decode("ascii"))
    assert header, head
    sequence = re.search(r'\[meta sequenceId="([1-9]\d{0,9})"\]', header["data"])
    assert sequence, header["data"]
    return Received(int(header["pri"]), int(sequence[1]), header["id"], text.decode())
