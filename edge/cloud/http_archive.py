"""HTTP with one archive: requests, errors that are ours, and what the line carries.

Owns the connections, and whatever stands beside DICOMweb at the same host. Promises that nothing is
asked twice by itself, but for what may be sent twice, where it hit a connection which the archive
had just closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractContextManager, aclosing, asynccontextmanager, nullcontext
from typing import Self, TypeVar

import httpx
import msgspec

from edge import others
from edge.cloud.answers import AnswerTooLarge, read_body
from edge.cloud.auth import auth_of
from edge.cloud.dates import posix_time
from edge.cloud.pace import Way
from edge.cloud.portal import intercepted
from edge.cloud.route import Route
from edge.cloud.transport import Timeouts, error_of_status, new_client, translated
from edge.errors import CloudRefused, ConfigError
from edge.week import Direction

__all__ = ["HEADS", "HttpArchive"]

T = TypeVar("T")

_MAX_WORDS = 256 * 1024
HEADS = 512
"""Bytes that the head of a request, or of its answer, counts for."""


class HttpArchive:
    """An archive at a url. Use it as an async context manager, or ``close`` it.

    Args:
        settings: Where it is and how we sign in.
        timeouts: How long it may be silent.
        way: Of the bytes: how fast stores may go, and who counts; None if nobody cares.

    Raises:
        ConfigError: The url or the credentials can't be used; on entering: its certificates can't
            be read.
    """

    def __init__(
        self,
        settings: others.Archive,
        *,
        timeouts: Timeouts | None = None,
        way: Way | None = None,
    ) -> None:
        self._settings = settings
        self._way = way
        self._timeouts = timeouts or Timeouts()
        self._http: httpx.AsyncClient | None = None
        self._auth = auth_of(settings)
        try:
            self._base = httpx.URL(settings.url.rstrip("/"))
        except httpx.InvalidURL as error:
            raise self._bad_url(str(error)) from error
        if self._base.scheme not in ("http", "https") or not self._base.host:
            raise self._bad_url("it must begin with http:// or https:// and name a host")
        if self._base.userinfo:
            raise self._bad_url("user and password belong into auth, not into the url")
        self.route = Route.of(settings, self._base)
        """The way to it."""

    @property
    def name(self) -> str:
        """Of the archive, as configured."""
        return self._settings.name

    @property
    def base(self) -> str:
        """Of its DICOMweb service, without a slash at the end."""
        return str(self._base)

    def _bad_url(self, why: str) -> ConfigError:
        return ConfigError(
            f"cloud.archive {self.name}: the url can't be used: {why}",
            hint="for example https://archive.example/dicom-web",
        )

    async def __aenter__(self) -> Self:
        self._client()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of connections; the next request makes new ones."""
        client, self._http = self._http, None
        if client is not None:
            await client.aclose()

    def _client(self) -> httpx.AsyncClient:
        if self._http is None:
            route = self.route
            self._http = new_client(
                self._auth,
                str(route.tls_ca) if route.tls_ca.name else None,
                self._timeouts,
                encrypted=route.encrypted,
                client_certificate=route.client_certificate,
                proxy=route.proxy,
                authority=route.authority,
            )
        return self._http

    def _translated(self) -> AbstractContextManager[None]:
        return translated(self.name, self._base, self.route.proxy)

    async def answers(self) -> bool:
        """See ``Archive``."""
        host, port = self.route.first
        try:
            async with asyncio.timeout(self._timeouts.connect):
                _, writer = await asyncio.open_connection(host, port)
        except OSError:
            return False
        writer.close()
        return True

    def _senseless(self, response: httpx.Response, doing: str, why: str) -> CloudRefused:
        """The archive is there, and so is the line; only this answer is good for nothing."""
        return CloudRefused(
            f"archive {self.name}: {doing}: the answer is of no use: {why}",
            status=response.status_code,
            hint="look into the archive's own log",
        )

    async def ask(
        self,
        doing: str,
        url: str,
        decode: Callable[[bytes], T],
        query: Mapping[str, str] | None = None,
        *,
        content: bytes | None = None,
        limit: int = _MAX_WORDS,
    ) -> tuple[T | None, float | None]:
        """What stands beside DICOMweb: GET, or POST with *content*; *decode* understands it.

        Returns:
            The answer, None for 204; and its Date, in POSIX seconds, if it has one.

        Raises:
            CloudRefused: Also when the answer is something else, or has more than *limit* bytes.
        """
        method = "GET" if content is None else "POST"
        with self._translated():
            async with asyncio.timeout(self._timeouts.answer):
                response, body = await self._ask(method, url, content, query, limit)
        date = _date_of(response)
        if response.status_code == 204:
            return None, date
        if error := error_of_status(self.name, response, doing, body):
            raise error
        try:
            return decode(body), date
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            if place := intercepted(self.name, response, doing, body):
                raise place from error
            raise self._senseless(response, doing, "it can't be understood") from error

    async def _ask(
        self,
        method: str,
        url: str,
        content: bytes | None = None,
        query: Mapping[str, str] | None = None,
        limit: int = _MAX_WORDS,
    ) -> tuple[httpx.Response, bytes]:
        """Send what may be sent twice, and read the whole answer, which is short."""
        client = self._client()
        request = client.build_request(method, url, content=content, params=query)
        with self._translated():
            try:
                response = await client.send(request, stream=True)
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
                # The archive closed an idle connection at the moment that we took it up again.
                response = await client.send(request, stream=True)
            async with aclosing(response):
                try:
                    body = await read_body(response, limit=limit)
                except AnswerTooLarge as large:
                    raise self._senseless(response, f"{method} {url}", str(large)) from large
        self._count("up", HEADS + len(content or b""))
        self._count("down", HEADS + response.num_bytes_downloaded)
        return response, body

    @asynccontextmanager
    async def _get(
        self,
        path: str,
        headers: Mapping[str, str],
        query: Iterable[tuple[str, str]] = (),
    ) -> AsyncIterator[httpx.Response]:
        """Send a GET; the answer's body is read, or not, inside the block."""
        client = self._client()
        self._count("up", HEADS)
        self._count("down", HEADS)
        request = client.build_request(
            "GET", f"{self._base}{path}", headers=dict(headers), params=tuple(query)
        )
        try:
            response = await client.send(request, stream=True)
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
            # The archive closed an idle connection at the moment that we took it up again.
            response = await client.send(request, stream=True)
        async with aclosing(response):
            yield response

    # The line -------------------------------------------------------------------------------------

    def _count(self, direction: Direction, count: int) -> None:
        if self._way is not None:
            self._way.gauge.moved(direction, count)

    def _busy(self, direction: Direction) -> AbstractContextManager[None]:
        return nullcontext() if self._way is None else self._way.gauge.busy(direction)


def _date_of(response: httpx.Response) -> float | None:
    return posix_time(response.headers.get("Date"))
