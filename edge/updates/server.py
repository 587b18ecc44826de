"""Where bundles are: a folder that a web server shows, or one bundle on it.

A folder has a file ``index.json`` beside its bundles, ``{"updates": [{"version", "machine",
"file"}]}``. Nothing in it is believed: it says which heads are worth reading, and those are signed.
So a server that lies can withhold an update, and nothing else. Requests carry nothing of the box
but its address. Promises that what is read is bounded, that a download goes on where it was cut,
and that one of which the server has another file by now begins anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Self

import httpx
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from edge import config
from edge.cloud.decoding import PIECE, content_of
from edge.cloud.pace import Way, steady
from edge.cloud.transport import Timeouts, new_client
from edge.cloud.words import words_for
from edge.errors import CloudRefused, CloudUnreachable, ConfigError, UpdateRefused
from edge.updates.bundle import FIRST, SUFFIX, Head, head_length, read_head
from edge.updates.versions import Version, check_version

__all__ = ["Listed", "Seen", "UpdateServer"]

_INDEX: Final = "index.json"
_MOST_INDEX: Final = 1024**2
_TIMEOUTS: Final = Timeouts(connect=15.0, read=60.0)
_PATIENCE: Final = 60.0
"""Seconds for an index or a head, whole."""
_LOOK: Final = 600.0
"""Seconds for all heads that one look reads."""
_ETAG: Final = re.compile(r'(?:W/)?"[\x21\x23-\x7e]{0,256}"')
"""RFC 9110 8.8.3, of ASCII alone: what else a server calls its file can't be asked for."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.~^_-]{0,120}")


class Listed(msgspec.Struct, frozen=True):
    """A bundle of the folder."""

    version: Annotated[str, msgspec.Meta(max_length=64)]
    machine: str
    file: Annotated[str, msgspec.Meta(max_length=160)]
    """Its name in the folder."""


class _Index(msgspec.Struct, frozen=True):
    updates: Annotated[list[Listed], msgspec.Meta(max_length=1000)]


@dataclass(frozen=True, slots=True)
class Seen:
    """A bundle on the server whose head was proven."""

    url: str
    head: Head
    etag: str


class UpdateServer:
    """It. Use it as an async context manager.

    Args:
        settings: ``[update]``, its secrets as they are used.
        way: Its bytes are counted as those that come from archives.
    """

    def __init__(self, settings: config.Update, way: Way | None = None) -> None:
        self._settings = settings
        self._way = way
        login = (settings.proxy_user, settings.proxy_password) if settings.proxy_user else None
        self._proxy = httpx.Proxy(settings.proxy, auth=login) if settings.proxy else None

    async def __aenter__(self) -> Self:
        ca = self._settings.tls_ca
        try:
            self._client = new_client(
                None, str(ca) if ca.name else None, _TIMEOUTS, encrypted=True, proxy=self._proxy
            )
        except ConfigError as error:
            raise ConfigError(
                f"update.tls_ca: {ca} can't be used",
                hint="it must be a file with the CA certificate of the server in PEM form",
            ) from error
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def newest(
        self, url: str, machine: str, running: str, keys: Sequence[Ed25519PublicKey]
    ) -> Seen | None:
        """The newest that this machine may take; None if there is nothing newer.

        Args:
            url: Of a folder, or of a bundle.
            machine: Its kind.
            running: Its version.
            keys: That are believed.

        One that can't be used, or is not there, hides no older one.

        Raises:
            CloudUnreachable: No answer.
            CloudRefused: There is no such thing.
            UpdateRefused: What is there can't be used.
        """
        try:
            async with asyncio.timeout(_LOOK):
                return await self._newest(url, machine, running, keys)
        except TimeoutError:
            raise CloudUnreachable(
                "the server of updates is too slow to be asked",
                hint="the line may be bad; put the update onto a stick, or try again later",
            ) from None

    async def _newest(
        self, url: str, machine: str, running: str, keys: Sequence[Ed25519PublicKey]
    ) -> Seen | None:
        if url.endswith(SUFFIX):
            seen = await self.head(url, keys)
            if not Version(running) < Version(seen.head.manifest.version):
                return None
            seen.head.manifest.check_for(machine, running)
            return seen
        folder = url if url.endswith("/") else f"{url}/"
        refused: UpdateRefused | CloudRefused | None = None
        for one in await self._index(folder, machine, running):
            try:
                seen = await self.head(folder + one.file, keys)
                if seen.head.manifest.version != one.version:
                    continue  # the index is of another day than the file
                seen.head.manifest.check_for(machine, running)
            except (UpdateRefused, CloudRefused) as error:
                # An older one may be the step that is missing: it brings the key of this one, say.
                refused = refused or error
                continue
            return seen
        if refused is not None:
            raise refused
        return None

    async def _index(self, folder: str, machine: str, running: str) -> list[Listed]:
        """What is worth a look, the newest first."""
        data = bytearray()
        async with self._get(folder + _INDEX, {}) as answer, asyncio.timeout(_PATIENCE):
            async for piece in content_of(answer):
                data += piece
                self._count(len(piece))
                if len(data) > _MOST_INDEX:
                    raise UpdateRefused(f"{folder}{_INDEX} is longer than any list of updates")
        try:
            found = msgspec.json.decode(data, type=_Index).updates
            for one in found:
                check_version(one.version)
                if not _NAME.fullmatch(one.file) or not one.file.endswith(SUFFIX):
                    raise UpdateRefused(f"{folder}{_INDEX} names a file that is no update")
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise UpdateRefused(
                f"{folder}{_INDEX} can't be understood: {error}",
                hint="check update.url: it must be a folder with updates, or one of them",
            ) from error
        newer = [
            one
            for one in found
            if one.machine == machine and Version(running) < Version(one.version)
        ]
        return sorted(newer, key=lambda one: Version(one.version), reverse=True)

    async def head(self, url: str, keys: Sequence[Ed25519PublicKey]) -> Seen:
        """Read the head of a bundle, and prove it.

        Raises:
            CloudUnreachable, CloudRefused, UpdateRefused: As ``newest``.
        """
        first, _ = await self._range(url, 0, FIRST)
        length = head_length(first)
        rest, etag = await self._range(url, FIRST, length)
        return Seen(url, read_head(first + rest, keys), etag)

    async def _range(self, url: str, begin: int, end: int) -> tuple[bytes, str]:
        """Some bytes, and the tag of the file."""
        data = bytearray()
        headers = {"Range": f"bytes={begin}-{end - 1}"}
        async with self._get(url, headers) as answer, asyncio.timeout(_PATIENCE):
            if answer.status_code != httpx.codes.PARTIAL_CONTENT and begin:
                raise _no_ranges(url)
            async for piece in answer.aiter_raw(PIECE):
                data += piece
                self._count(len(piece))
                if len(data) >= end - begin:
                    break
            etag = answer.headers.get("ETag", "")
            return bytes(data[: end - begin]), etag if _ETAG.fullmatch(etag) else ""

    async def rest(self, url: str, begin: int, etag: str) -> AsyncGenerator[bytes]:
        """A bundle from a byte on.

        Raises:
            CloudUnreachable: It breaks off, or is too slow.
            CloudRefused: The server refuses.
            UpdateRefused: It has another file by now, or knows no ranges: begin at 0.
        """
        headers = {"Range": f"bytes={begin}-"} if begin else {}
        if begin and etag and not etag.startswith("W/"):
            headers["If-Range"] = etag
        async with self._get(url, headers) as answer:
            if begin and answer.status_code != httpx.codes.PARTIAL_CONTENT:
                raise _no_ranges(url)
            pieces = steady(
                answer.aiter_raw(PIECE), least=_TIMEOUTS.slowest / 8, window=_TIMEOUTS.slow
            )
            async for piece in pieces:
                self._count(len(piece))
                yield piece

    @contextlib.asynccontextmanager
    async def _get(self, url: str, headers: dict[str, str]) -> AsyncIterator[httpx.Response]:
        address = httpx.URL(url)
        sent = {"Accept-Encoding": "identity", "User-Agent": "edge", **headers}
        try:
            async with self._client.stream("GET", address, headers=sent) as answer:
                self._refuse(url, answer)
                yield answer
        except (httpx.HTTPError, httpx.StreamError, TimeoutError) as error:
            words, hint = words_for(error, address, self._proxy, whose="the server of updates")
            raise CloudUnreachable(f"the server of updates: {words}", hint=hint) from error

    @staticmethod
    def _refuse(url: str, answer: httpx.Response) -> None:
        status = answer.status_code
        if answer.is_success:
            return
        says = f"the server of updates answered {status} for {url}"
        if status in (408, 425, 429) or status >= 500:
            raise CloudUnreachable(says, hint="it is busy, or being restarted")
        raise CloudRefused(
            says,
            status=status,
            hint="check update.url: a folder with index.json, or a file *.edgeupdate",
        )

    def _count(self, count: int) -> None:
        if self._way is not None:
            self._way.gauge.moved("down", count)


def _no_ranges(url: str) -> UpdateRefused:
    return UpdateRefused(f"{url} can't be read from its middle on", hint="it is fetched anew")
