"""One connection to an archive's door, made step by step, to see which step fails.

Owns name, TCP, the proxy's tunnel, the TLS handshake and one HEAD request, each by itself; errors
are those that ``transport.translated`` puts into words. Promises that the archive's credentials are
never sent (the proxy's are, to the proxy), and that a certificate which is looked at without being
trusted is followed by nothing but that HEAD. Reads no more than the head of an answer.
"""

from __future__ import annotations

import _ssl
import asyncio
import base64
import contextlib
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self

import httpx

from edge.cloud.certificate import Certificate
from edge.cloud.dates import posix_time
from edge.cloud.route import Route, address_of

__all__ = ["Head", "Knock", "Look", "look_at"]

_MOST_HEAD = 64 * 1024
_REFUSAL = 0.25
"""Seconds, and some round trips: so long an alert may take that TLS 1.3 sends after the handshake.
Who writes into a connection that is being refused may never get to read why."""


@dataclass(frozen=True, slots=True)
class Head:
    """Of an answer."""

    status: int
    reason: str
    headers: httpx.Headers

    @property
    def date(self) -> float | None:
        """POSIX seconds by the clock of who answered (RFC 9110 6.6.1)."""
        return posix_time(self.headers.get("Date"))


class Knock:
    """Use it as an async context manager; call its steps in their order.

    Args:
        route: To the archive.
        patience: Seconds that a step may take.
    """

    def __init__(self, route: Route, *, patience: float) -> None:
        self._route = route
        self._patience = patience
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._round_trip = 0.0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.transport.abort()

    async def resolve(self) -> list[str]:
        """The addresses of the first host: the archive's, or the proxy's."""
        host, port = self._route.first
        with contextlib.suppress(ValueError):
            return [str(ipaddress.ip_address(host))]
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._patience):
            try:
                found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            except OSError as error:
                raise httpx.ConnectError(str(error)) from error
        return list(dict.fromkeys(str(address[0]) for *_, address in found))

    async def connect(self, addresses: Sequence[str]) -> str:
        """TCP to the first address that takes it; which one that is."""
        _, port = self._route.first
        loop = asyncio.get_running_loop()
        failure: OSError | None = None
        for address in addresses:
            began = loop.time()
            try:
                async with asyncio.timeout(self._patience):
                    streams = await asyncio.open_connection(address, port, limit=_MOST_HEAD)
            except OSError as error:
                failure = failure or error
                continue
            self._reader, self._writer = streams
            self._round_trip = loop.time() - began
            return address
        if isinstance(failure, TimeoutError):
            raise httpx.ConnectTimeout("") from failure
        raise httpx.ConnectError(failure.strerror or "" if failure else "") from failure

    async def tunnel(self) -> None:
        """CONNECT to the archive (RFC 9110 9.3.6); only for https, and if there is a proxy."""
        host, port = address_of(self._route.url)
        target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        answer = await self._ask(f"CONNECT {target}", target)
        if not 200 <= answer.status < 300:
            said = f"{answer.status} {answer.reason}".strip()
            offers = _printable(answer.headers.get("Proxy-Authenticate", "").partition(" ")[0])
            raise httpx.ProxyError(f"{said}; it offers {offers}" if offers else said)

    async def secure(self, context: ssl.SSLContext) -> Certificate:
        """The TLS handshake; whose certificate it is."""
        _, writer = self._streams()
        try:
            await writer.start_tls(
                context,
                server_hostname=self._route.url.host,
                ssl_handshake_timeout=self._patience,
            )
        except (ssl.SSLError, TimeoutError):
            raise
        except ConnectionAbortedError as error:  # So asyncio says that it takes too long.
            raise httpx.ReadTimeout(str(error)) from error
        except OSError as error:
            raise httpx.ReadError(str(error)) from error
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return Certificate.of(der)

    def chain(self) -> list[Certificate]:
        """The certificates by which it was trusted: the server's, and up to an authority of ours.

        After a handshake of a context that trusts not everybody.
        """
        _, writer = self._streams()
        tls = writer.get_extra_info("ssl_object")
        # What Python 3.13 has as SSLObject.get_verified_chain(), and 3.11 below that.
        verified = tls._sslobj.get_verified_chain()  # noqa: SLF001
        return [Certificate.of(each.public_bytes(_ssl.ENCODING_DER)) for each in verified]

    async def stay(self) -> None:
        """Wait a moment for the word that our own certificate is refused (RFC 8446 4.4.2.4)."""
        reader, _ = self._streams()
        try:
            async with asyncio.timeout(_REFUSAL + 3 * self._round_trip):
                if not await reader.read(1):
                    raise httpx.ReadError("closed after the handshake")
        except TimeoutError:
            return
        except ssl.SSLError:
            raise
        except OSError as error:
            raise httpx.ReadError(str(error)) from error

    async def head(self) -> Head:
        """Ask for the head of ``/``, as nobody in particular."""
        url, proxy = self._route.url, self._route.proxy
        host = url.netloc.decode("ascii")
        forwarded = proxy is not None and not self._route.encrypted
        return await self._ask(f"HEAD {f'http://{host}/' if forwarded else '/'}", host)

    async def _ask(self, request: str, host: str) -> Head:
        reader, writer = self._streams()
        lines = [f"{request} HTTP/1.1", f"Host: {host}", "Accept: */*", "User-Agent: edge"]
        if not request.startswith("CONNECT"):
            lines.append("Connection: close")
        if (login := self._proxy_login(request)) is not None:
            lines.append(f"Proxy-Authorization: Basic {login}")
        try:
            async with asyncio.timeout(self._patience):
                writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("ascii"))
                await writer.drain()
                return _head_of(await reader.readuntil(b"\r\n\r\n"))
        except (ssl.SSLError, TimeoutError):
            raise
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
            raise httpx.RemoteProtocolError(str(error)) from error

    def _proxy_login(self, request: str) -> str | None:
        proxy = self._route.proxy
        if proxy is None or proxy.raw_auth is None:
            return None
        if self._route.encrypted and not request.startswith("CONNECT"):
            return None
        return base64.b64encode(b":".join(proxy.raw_auth)).decode("ascii")

    def _streams(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        assert self._reader is not None
        assert self._writer is not None
        return self._reader, self._writer


@dataclass(frozen=True, slots=True)
class Look:
    """What is seen at a door without trusting it: good for words, and for nothing else."""

    certificate: Certificate | None = None
    date: float | None = None


async def look_at(route: Route, *, patience: float) -> Look:
    """Look at the certificate of an archive that can't be trusted, and at its clock."""
    certificate = date = None
    with contextlib.suppress(OSError, httpx.HTTPError, ValueError):
        async with _untrusting(route, patience) as (knock, context):
            certificate = await knock.secure(context)
            date = (await knock.head()).date
    return Look(certificate, date)


@asynccontextmanager
async def _untrusting(route: Route, patience: float) -> AsyncIterator[tuple[Knock, ssl.SSLContext]]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    async with Knock(route, patience=patience) as knock:
        await knock.connect(await knock.resolve())
        if route.proxy is not None:
            await knock.tunnel()
        yield knock, context


def _head_of(text: bytes) -> Head:
    """The status line and the fields of an answer.

    Raises:
        ValueError: It is no HTTP.
    """
    status_line, *lines = text.decode("latin_1").split("\r\n")
    version, _, rest = status_line.partition(" ")
    status, _, reason = rest.partition(" ")
    if not version.startswith("HTTP/") or not status.isdecimal():
        raise ValueError("no HTTP")
    fields = [line.partition(":") for line in lines if ":" in line]
    return Head(
        int(status),
        _printable(reason),
        httpx.Headers([(name.strip(), value.strip()) for name, _, value in fields]),
    )


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text[:100]).strip()
