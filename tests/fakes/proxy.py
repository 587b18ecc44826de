"""A clinic's HTTP proxy: CONNECT and forwarding, with Basic authentication if wanted.

Owns a log of what it was asked for, and names that only it can resolve. Listens on loopback only.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
from typing import Self
from urllib.parse import urlsplit

_CHUNK = 65536


class Proxy:
    """``async with Proxy() as proxy``.

    Args:
        login: User and password that it wants; None: nobody need log in.
        names: Hosts that nobody else knows, and the addresses behind them.
    """

    def __init__(
        self, login: tuple[str, str] | None = None, names: dict[str, str] | None = None
    ) -> None:
        self.login = login
        self.names = names or {}
        self.asked: list[str] = []
        """Method and target of each request."""
        self.heads: list[bytes] = []
        """What stood above each request's body, the request line included."""
        self.forbidden: set[int] = set()
        """Ports that nobody may reach."""
        self.silent = False
        """Take the connection, and say nothing."""
        self.port = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """As it stands in a configuration."""
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
                await self._serve(reader, writer)
        finally:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, target, _ = head.split(b"\r\n")[0].decode().split(" ")
        self.asked.append(f"{method} {target}")
        self.heads.append(head)
        if self.silent:
            await reader.read()
            return
        if not self._lets_in(head):
            extra = b'Proxy-Authenticate: Basic realm="clinic"\r\n'
            await _say(writer, b"407 Proxy Authentication Required", extra)
            return
        if method == "CONNECT":
            host, _, port = target.rpartition(":")
            path = ""
        else:
            url = urlsplit(target)
            host, port = url.hostname or "", str(url.port or 80)
            path = url.path + (f"?{url.query}" if url.query else "")
        if int(port) in self.forbidden:
            await _say(writer, b"403 Forbidden")
            return
        try:
            there = await asyncio.open_connection(self.names.get(host, host.strip("[]")), int(port))
        except OSError:
            await _say(writer, b"502 Bad Gateway")
            return
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            there[1].write(_without_proxy_fields(head, method, path))
        await _join(reader, writer, *there)

    def _lets_in(self, head: bytes) -> bool:
        if self.login is None:
            return True
        wanted = base64.b64encode(":".join(self.login).encode())
        return b"\r\nproxy-authorization: basic " + wanted.lower() + b"\r\n" in head.lower()


def _without_proxy_fields(head: bytes, method: str, path: str) -> bytes:
    """As the archive gets it; one request a connection."""
    lines = head.rstrip(b"\r\n").split(b"\r\n")[1:]
    kept = [it for it in lines if not it.lower().startswith((b"proxy-", b"connection:"))]
    first = f"{method} {path} HTTP/1.1".encode()
    return b"\r\n".join([first, *kept, b"Connection: close"]) + b"\r\n\r\n"


async def _say(writer: asyncio.StreamWriter, status: bytes, fields: bytes = b"") -> None:
    writer.write(b"HTTP/1.1 " + status + b"\r\n" + fields + b"Content-Length: 0\r\n\r\n")
    await writer.drain()


async def _join(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    far_reader: asyncio.StreamReader,
    far_writer: asyncio.StreamWriter,
) -> None:
    """Pass on what comes, both ways, until both have ended."""
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_pump(reader, far_writer))
            group.create_task(_pump(far_reader, writer))
    except* OSError:
        pass
    finally:
        far_writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
    with contextlib.suppress(OSError):
        writer.write_eof()
