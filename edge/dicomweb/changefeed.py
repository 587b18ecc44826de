"""The change feed over HTTP: what came, changed and went, for another edge or anyone's script.

Owns ``/changefeed`` and ``/changefeed/latest``. Their shape is the one that Azure's DICOM service
documents for version 2 of its API. Promises the order of commit, that following it misses nothing,
and that a piece of metadata is in memory at a time. Never waits for the archive: of an instance
whose attributes were never seen here there is no Metadata.

A follower asks for ``since=`` the Sequence that it saw last; Azure's clients count with ``offset``,
or ask for spans of time. Spans go by the box's clock, which may have been wrong.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import msgspec
from aiohttp import hdrs, web

from edge.access.acts import Service
from edge.dicomweb.documents import send_text, with_bulk_urls
from edge.dicomweb.middleware import Authorise, Witness, access
from edge.dicomweb.negotiation import Offer, accepted_by, choose
from edge.dicomweb.resources import Target, origin_of
from edge.dicomweb.responses import JSON
from edge.errors import QueryError

if TYPE_CHECKING:
    from edge.cache.feed import Change, ChangeFeed

__all__ = ["DEFAULT_LIMIT", "MAX_LIMIT", "create_application"]

DEFAULT_LIMIT: Final = 100
MAX_LIMIT: Final = 200

_OFFERS = (Offer(JSON),)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_NUMBER = re.compile(r"[0-9]{1,18}")
_KNOWN = ("offset", "limit", "since", "startTime", "endTime", "includeMetadata")


@dataclass(frozen=True, slots=True)
class _Asked:
    """The parameters of a request, read."""

    limit: int = DEFAULT_LIMIT
    offset: int = 0
    since: int | None = None
    span: tuple[float, float] | None = None
    metadata: bool = True


def create_application(
    feed: ChangeFeed, *, authorise: Authorise, witness: Witness | None = None
) -> web.Application:
    """Build the application that is mounted at ``/changefeed``.

    Args:
        feed: The changes.
        authorise: Says who sends a request, by its headers, or raises ``AccessDenied``.
        witness: Sees every request.
    """
    changes = Changes(feed)
    application = web.Application(middlewares=[access(authorise, Service.CHANGEFEED, witness)])
    application.router.add_get("", changes.changes)
    application.router.add_get("/latest", changes.latest)
    return application


class Changes:
    """The handlers of the feed.

    Args:
        feed: The changes.
        service: Path of the DICOMweb service, which bulk values are read from.
    """

    def __init__(self, feed: ChangeFeed, *, service: str = "/dicom-web") -> None:
        self._feed = feed
        self._service = service

    async def changes(self, request: web.Request) -> web.StreamResponse:
        """``/changefeed``: a JSON array, the lowest number first."""
        choose(accepted_by(request), _OFFERS)
        asked = _read(request.query)
        limit = asked.limit
        if asked.since is not None:
            found = await self._feed.after(asked.since, limit=limit)
        elif asked.span is not None:
            found = await self._feed.between(*asked.span, offset=asked.offset, limit=limit)
        else:
            found = await self._feed.skip(asked.offset, limit=limit)
        if request.method == hdrs.METH_HEAD:
            return web.Response(headers={hdrs.CONTENT_TYPE: JSON})
        return await send_text(request, JSON, self._array(request, found, metadata=asked.metadata))

    async def latest(self, request: web.Request) -> web.StreamResponse:
        """``/changefeed/latest``: the last change, or 204 if nothing ever changed."""
        choose(accepted_by(request), _OFFERS)
        asked = _read(request.query, only=("includeMetadata",))
        change = await self._feed.latest()
        if change is None:
            return web.Response(status=204)
        if request.method == hdrs.METH_HEAD:
            return web.Response(headers={hdrs.CONTENT_TYPE: JSON})
        return await send_text(request, JSON, self._entry(request, change, metadata=asked.metadata))

    async def _array(
        self, request: web.Request, changes: list[Change], *, metadata: bool
    ) -> AsyncIterator[bytes]:
        separator = b""
        yield b"["
        for change in changes:
            yield separator
            separator = b","
            async for piece in self._entry(request, change, metadata=metadata):
                yield piece
        yield b"]"

    async def _entry(
        self, request: web.Request, change: Change, *, metadata: bool
    ) -> AsyncIterator[bytes]:
        """One entry, in pieces."""
        ref = change.ref
        entry = msgspec.json.encode(
            {
                "Sequence": change.sequence,
                "StudyInstanceUid": ref.study_uid,
                "SeriesInstanceUid": ref.series_uid,
                "SopInstanceUid": ref.sop_uid,
                "Action": change.action,
                "Timestamp": _written(change.at),
                "State": change.state,
            }
        )
        document = await self._feed.metadata(change) if metadata else None
        if document is None:
            yield entry
            return
        base = origin_of(request) + self._service
        place = f"{Target(ref.study_uid, ref.series_uid, ref.sop_uid).url(base)}/bulkdata/"
        yield entry[:-1] + b',"Metadata":'
        for piece in with_bulk_urls(document, place.encode()):
            yield piece
        yield b"}"


def _read(query: Mapping[str, str], *, only: tuple[str, ...] = _KNOWN) -> _Asked:
    """Read the parameters; their names are understood in any case, as Azure's are.

    Raises:
        QueryError: A parameter is unknown, or can't be understood; the message names it.
    """
    names = {name.lower(): name for name in only}
    given: dict[str, str] = {}
    for written, value in query.items():
        name = names.get(written.lower())
        if name is None:
            if written.lower() == "accept":
                continue
            raise QueryError(
                "a parameter of the change feed is not known",
                hint=f"those that are: {', '.join(only)}",
            )
        if given.setdefault(name, value) != value:
            raise QueryError(f"{name} is given twice, with different values")
    if "since" in given and given.keys() & {"offset", "startTime", "endTime"}:
        raise QueryError("since goes without offset, startTime and endTime")
    asked: dict[str, Any] = {}
    for name in given.keys() & {"offset", "limit", "since"}:
        asked[name] = _number(name, given[name])
    if not 1 <= asked.get("limit", DEFAULT_LIMIT) <= MAX_LIMIT:
        raise QueryError(f"limit must be between 1 and {MAX_LIMIT}")
    if given.keys() & {"startTime", "endTime"}:
        start = _time("startTime", given["startTime"]) if "startTime" in given else _FIRST
        end = _time("endTime", given["endTime"]) if "endTime" in given else _LAST
        if start >= end:
            raise QueryError("startTime must be before endTime")
        asked["span"] = _seconds(start), _seconds(end)
    if "includeMetadata" in given:
        flag = given["includeMetadata"].lower()
        if flag not in ("true", "false"):
            raise QueryError("includeMetadata must be true or false")
        asked["metadata"] = flag == "true"
    return _Asked(**asked)


def _number(name: str, value: str) -> int:
    if not _NUMBER.fullmatch(value):
        raise QueryError(f"{name} must be a whole number, not negative")
    return int(value)


def _time(name: str, value: str) -> datetime:
    """ISO 8601; without an offset it is UTC."""
    try:
        # A plus that was not escaped arrives as a space.
        time = datetime.fromisoformat(value.strip().replace(" ", "+"))
    except ValueError:
        raise QueryError(f"{name} must be a time like 2026-03-04T01:03:08Z") from None
    if time.tzinfo is None:
        return time.replace(tzinfo=UTC)
    try:
        return time.astimezone(UTC)
    except OverflowError:
        return _FIRST if time.year == 1 else _LAST


def _seconds(time: datetime) -> float:
    return (time - _EPOCH) / timedelta(seconds=1)


def _written(at: float) -> str:
    """Cut to microseconds, so that a span which begins at a Timestamp holds its change."""
    microseconds = int(Fraction(at) * 1_000_000)
    return f"{(_EPOCH + timedelta(microseconds=microseconds)).replace(tzinfo=None).isoformat()}Z"
