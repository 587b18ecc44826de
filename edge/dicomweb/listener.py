"""The HTTP listener: takes connections, and bounds what each of them and all together may cost.

Owns the sockets of the port and every connection on it, whichever application answers. Promises
that who holds connections without asking for anything keeps nobody out: the oldest idle one makes
room, and idle is also whose request has a body that has not come, while it is not known who that
is. No host has more than its share (an IPv6 network of 64 bits is one). A handshake or the head of
a request that does not come and an answer that nobody takes end by themselves, work for a reader
who hung up is given up, and running out of files is one line in the log. Knows no resource and no
token; of who asks, whether that is known.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from edge.access.throttle import network_of
from edge.addresses import host_and_port, not_listening
from edge.dicomweb.middleware import IDENTITY
from edge.dicomweb.protocol import Protocol

__all__ = ["Limits", "Listener"]

log = logging.getLogger(__name__)

_BACKLOG = 128
_MOST = 256
_HANDSHAKE_SECONDS = 10.0
_PAUSE = 1.0
"""Seconds to the next attempt to take a connection, when the system can give none."""
_QUIET_SECONDS = 60.0
"""It is said so often and no more."""
_WRITE_BUFFER = 64 * 1024
"""Bytes that wait for a slow reader while more of its answer is held back."""
_BUFFER = 64 * 1024
_DRAIN_SECONDS = 5.0
"""Requests under way at the end have so long to finish."""
_READING = (hdrs.METH_GET, hdrs.METH_HEAD)
_EVENTS = "text/event-stream"
_TLS_HANDSHAKE = b"\x16"
"""How a connection that speaks TLS begins (RFC 8446 5.1)."""
_PLAIN = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n"
    b"This port speaks HTTPS: write https:// instead of http://\n"
)


def _share_of_files() -> int:
    """Connections that leave enough open files for modalities, images and the index."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(8, min(_MOST, files // 4))


@dataclass(frozen=True, slots=True)
class Limits:
    """What connections may cost."""

    connections: int = field(default_factory=_share_of_files)
    """At a time; one host may have half of them."""
    head_seconds: float = 75.0
    """From the connection, or the last answer, to the whole head of the next request."""
    stall_seconds: float = 60.0
    """An answer of which the reader takes nothing for so long is given up."""


class Listener:
    """Serves an application on a port.

    Args:
        application: What answers; not frozen yet.
        listen: ``HOST:PORT``; port 0 takes a free one.
        tls: Of the port; None: plain HTTP.
    """

    def __init__(
        self,
        application: web.Application,
        listen: str,
        tls: ssl.SSLContext | None = None,
        *,
        limits: Limits | None = None,
    ) -> None:
        application.middlewares.insert(0, self._follow)
        application.on_response_prepare.append(self._begun)
        self._application = application
        self._listen = listen
        self._tls = tls
        self._limits = limits or Limits()
        self._connections: dict[web.RequestHandler, _Connection] = {}
        self._quiet_until = 0.0
        self.port = 0
        """The port that is listened on, once ``serve`` is ready."""

    @property
    def application(self) -> web.Application:
        """What answers."""
        return self._application

    @property
    def connections(self) -> int:
        """How many there are now."""
        return len(self._connections)

    @property
    def is_quiet(self) -> bool:
        """Whether an end of it would interrupt nobody who is known.

        What is answered in one piece, and a stream of events, which begins again by itself, are no
        reason to wait; neither is anybody who proved nothing.
        """
        return not any(one.is_at_work for one in self._connections.values())

    async def serve(self, *, ready: asyncio.Event | None = None) -> None:
        """Serve until cancelled; then let requests under way finish, and close every connection.

        Args:
            ready: Set as soon as connections are taken.

        Raises:
            ConfigError: The address can't be listened on.
        """
        sockets = await self._bind()
        runner = web.AppRunner(self._application, shutdown_timeout=_DRAIN_SECONDS)
        try:
            await runner.setup()
            async with asyncio.TaskGroup() as group:
                for sock in sockets:
                    group.create_task(self._accept(sock, runner, group), name="accept")
                if ready is not None:
                    ready.set()
        finally:
            for sock in sockets:
                sock.close()
            await runner.cleanup()

    async def _bind(self) -> list[socket.socket]:
        host, port = host_and_port(self._listen)
        self.port = self.port or port
        loop, sockets = asyncio.get_running_loop(), list[socket.socket]()
        try:
            found = await loop.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
            for family, address in dict.fromkeys((family, to[0]) for family, *_, to in found):
                sock = socket.create_server(
                    (str(address), self.port), family=family, backlog=_BACKLOG
                )
                sockets.append(sock)
                sock.setblocking(False)
                self.port = sock.getsockname()[1]
        except OSError as error:
            for sock in sockets:
                sock.close()
            raise not_listening("http.listen", self._listen, error) from error
        return sockets

    async def _accept(
        self, listening: socket.socket, runner: web.AppRunner, group: asyncio.TaskGroup
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, address = await loop.sock_accept(listening)
            except OSError as error:
                # Files or memory have run out: what waits in the backlog waits a little longer.
                if loop.time() > self._quiet_until:
                    log.warning("no more connections can be taken for now: %s", error.strerror)
                    self._quiet_until = loop.time() + _QUIET_SECONDS
                await asyncio.sleep(_PAUSE)
                continue
            if runner.server is None or not self._make_room(address[0]):
                sock.close()
                continue
            handler = Protocol(runner.server, head_seconds=self._limits.head_seconds)
            connection = _Connection(address[0], handler, self._connections)
            self._connections[handler] = connection
            connection.opening = group.create_task(self._open(sock, connection), name="connection")
            # A full backlog is taken without waiting: what was begun or ended gets its turn here.
            await asyncio.sleep(0)

    def _make_room(self, host: str) -> bool:
        """Whether one more connection may be had; an idle one may have to go for it."""
        crowd = list(self._connections.values())
        network = network_of(host)
        neighbours = [one for one in crowd if one.network == network]
        if len(neighbours) >= max(1, self._limits.connections // 2):
            crowd = neighbours
        elif len(crowd) < self._limits.connections:
            return True
        idle = [one for one in crowd if not one.is_busy]
        if not idle:
            return False
        min(idle, key=lambda one: one.idle_since).abort()
        return True

    async def _open(self, sock: socket.socket, connection: _Connection) -> None:
        """Begin a connection; what goes wrong is the caller's affair, not that of the port."""
        loop = asyncio.get_running_loop()
        is_ours = True
        try:
            sock.setblocking(False)
            # The kernel sees whether the reader takes anything, below TLS and all buffers.
            stall = int(self._limits.stall_seconds * 1000)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, stall)
            if self._tls is None or await _speaks_tls(sock, connection.host):
                is_ours = False
                await loop.connect_accepted_socket(
                    lambda: connection,
                    sock,
                    ssl=self._tls,
                    ssl_handshake_timeout=None if self._tls is None else _HANDSHAKE_SECONDS,
                )
        except OSError as error:
            log.debug("a connection from %s failed: %s", connection.host, type(error).__name__)
        finally:
            if is_ours:
                sock.close()
            if connection.transport is None:
                connection.forget()

    @web.middleware
    async def _follow(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """The outermost: knows which connections are waited for, and by whom."""
        connection = self._connections.get(request.protocol)
        if connection is None:
            return await handler(request)
        with connection.asked(request):
            return await handler(request)

    async def _begun(self, request: web.Request, response: web.StreamResponse) -> None:
        """Hear that an answer begins."""
        if connection := self._connections.get(request.protocol):
            connection.answered(response)


class _Connection(asyncio.Protocol):
    """One connection: hands everything on to aiohttp's protocol, and knows whether it is idle."""

    def __init__(
        self,
        host: str,
        handler: web.RequestHandler,
        connections: dict[web.RequestHandler, _Connection],
    ) -> None:
        self.host = host
        self.network = network_of(host)
        self.opening: asyncio.Task[None] | None = None
        self.transport: asyncio.Transport | None = None
        self.idle_since = asyncio.get_running_loop().time()
        self._handler = handler
        self._connections = connections
        self._reading: asyncio.Task[object] | None = None
        self._request: web.Request | None = None
        self._is_long = False

    @property
    def is_busy(self) -> bool:
        """Whether somebody is being answered who asked for something, all of it, or who is known.

        Anybody may say that there is a body to come, and send none.
        """
        request = self._request
        return request is not None and (request.content.is_eof() or IDENTITY in request)

    @property
    def is_at_work(self) -> bool:
        """Whether somebody who is known changes something, or is being sent what may take long."""
        request = self._request
        if request is None or IDENTITY not in request:
            return False
        return self._is_long or request.method not in _READING

    @contextmanager
    def asked(self, request: web.Request) -> Iterator[None]:
        """While a request is answered."""
        self._request = request
        if request.method in _READING:
            self._reading = asyncio.current_task()
        try:
            yield
        finally:
            self._request = self._reading = None
            self._is_long = False
            self.idle_since = asyncio.get_running_loop().time()

    def answered(self, response: web.StreamResponse) -> None:
        """The answer begins."""
        is_whole = isinstance(response, web.Response)
        self._is_long = not is_whole and response.content_type != _EVENTS

    def abort(self) -> None:
        """End it now."""
        if self.transport is not None:
            self.transport.abort()
        elif self.opening is not None:
            self.opening.cancel()
        self.forget()

    def forget(self) -> None:
        """It counts no more."""
        self._connections.pop(self._handler, None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.set_write_buffer_limits(high=_WRITE_BUFFER)
        self._handler.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.forget()
        reading = self._reading
        self._handler.connection_lost(exc)
        if reading is not None:
            reading.cancel()  # nobody reads the answer; what is being stored is stored all the same

    def data_received(self, data: bytes) -> None:
        self._handler.data_received(data)

    def eof_received(self) -> None:
        self._handler.eof_received()

    def pause_writing(self) -> None:
        self._handler.pause_writing()

    def resume_writing(self) -> None:
        self._handler.resume_writing()


async def _speaks_tls(sock: socket.socket, host: str) -> bool:
    """Look at the first byte without taking it; who speaks plain HTTP is told what to do."""
    loop, readable = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(sock, readable.set)
    try:
        async with asyncio.timeout(_HANDSHAKE_SECONDS):
            await readable.wait()
    finally:
        loop.remove_reader(sock)
    first = sock.recv(1, socket.MSG_PEEK)
    if first == _TLS_HANDSHAKE:
        return True
    if first.isalpha():
        log.info("%s speaks plain HTTP to the HTTPS port", host)
        sock.recv(_BUFFER)  # or the answer would be lost with what was not read
        sock.send(_PLAIN)
    return False
