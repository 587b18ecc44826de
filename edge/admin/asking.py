"""How the admin API reads what it is asked: a page of a list, which images, and JSON.

Promises that whatever can't be understood is a ``QueryError`` that says where, and that a body is
bounded in length and in time, so that nobody holds a connection by one that never ends. Decides
nothing.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final, TypeVar, overload
from urllib.parse import parse_qsl

import msgspec
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from edge.access.audit.claim import SAID
from edge.admin.openapi import operation_of
from edge.cache.disputes import Query
from edge.errors import DecisionRefused, QueryError

__all__ = [
    "LONGEST",
    "SECONDS",
    "STRANGERS_SECONDS",
    "About",
    "Paged",
    "body",
    "form",
    "only",
    "refuse_bodies",
    "wanted",
]

T = TypeVar("T")

LONGEST: Final = 1024 * 1024
"""Bytes of a body, inflated."""
SECONDS: Final = 30.0
"""A body has so long to come, whole."""
STRANGERS_SECONDS: Final = 5.0
"""That of somebody who is nobody yet: a log-in is a few bytes, and holds a connection till then."""
_MOST_FIELDS: Final = 100
_WITH_BODY: Final = frozenset({hdrs.METH_POST, hdrs.METH_PUT, hdrs.METH_PATCH})


def only(pattern: str) -> str:
    r"""A pattern of all of a text, for both Python and JSON Schema.

    In Python ``$`` alone would let a line end stand behind it, and ``\Z`` means nothing to others.
    """
    return rf"^{pattern}$(?!\n)"


class Paged(msgspec.Struct, forbid_unknown_fields=True):
    """A page of a list."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100
    offset: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0


class About(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Which images: by their UIDs, or all of a study, or all that there are."""

    sop_uids: list[str] = []
    study_uid: str | None = None
    all: bool = False

    def query(self) -> Query:
        """The same for the cache.

        Raises:
            DecisionRefused: Nothing is named, or too much.
        """
        if [bool(self.sop_uids), self.study_uid is not None, self.all].count(True) != 1:
            raise DecisionRefused(
                "it is not clear about which images that is",
                hint="name sop_uids, or else study_uid, or else all: true",
            )
        return Query(tuple(self.sop_uids), self.study_uid)


@web.middleware
async def refuse_bodies(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse a body where none is read: it may say something that would then not hold.

    Raises:
        QueryError: There is one, and the parameters are in the query.
    """
    is_known = request.match_info.http_exception is None
    if is_known and request.body_exists and request.method not in _WITH_BODY:
        said = operation_of(request.match_info.handler)
        names = ", ".join(said.query.__struct_fields__) if said and said.query else ""
        what = f"parameters in the query, as in ?{names.split(',')[0]}=…: {names}"
        raise QueryError(
            f"{request.method} takes no body here, and nothing was done",
            hint=f"say it with {what}" if names else "leave it out",
        )
    return await handler(request)


def wanted(request: web.Request, kind: type[T]) -> T:
    """The parameters of a request.

    Raises:
        QueryError: One can't be understood.
    """
    try:
        return msgspec.convert(dict(request.query), kind, strict=False)
    except msgspec.ValidationError as error:
        raise QueryError(f"a parameter can't be understood: {error}") from error


@overload
async def body(request: web.Request, kind: type[T], *, seconds: float | None = None) -> T: ...
@overload
async def body(request: web.Request, kind: Any, *, seconds: float | None = None) -> Any: ...
async def body(request: web.Request, kind: Any, *, seconds: float | None = None) -> Any:
    """The JSON of a request, as *kind*.

    Args:
        request: It.
        kind: What it shall be.
        seconds: It has so long to come; ``SECONDS`` if that is not said.

    Raises:
        QueryError: It can't be understood.
        HTTPRequestEntityTooLarge: It is longer than any may be.
        HTTPRequestTimeout: It does not come.
    """
    text = await _read(request, LONGEST, seconds)
    request[SAID] = bytes(text)
    try:
        return _understood(text, kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise QueryError(f"what was sent can't be understood: {error}") from error
    except RecursionError as error:
        raise QueryError("what was sent is nested too deeply") from error


def _understood(text: bytes | bytearray, kind: Any) -> Any:
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.ValidationError as error:
        if "got `float`" not in str(error):
            raise
        return msgspec.convert(_with_integers(msgspec.json.decode(text)), kind)


def _with_integers(tree: Any) -> Any:
    """A tree in which 38.0 is 38, as it is in a description (JSON Schema 2020-12, 4.2.3)."""
    if isinstance(tree, dict):
        return {name: _with_integers(one) for name, one in tree.items()}
    if isinstance(tree, list):
        return [_with_integers(one) for one in tree]
    return int(tree) if isinstance(tree, float) and tree.is_integer() else tree


async def form(
    request: web.Request, longest: int, *, seconds: float | None = None
) -> dict[str, str]:
    """The fields of a form (``application/x-www-form-urlencoded``), the last of each name.

    Raises:
        QueryError: It can't be understood.
        HTTPRequestEntityTooLarge: It is longer.
        HTTPRequestTimeout: It does not come.
    """
    text = await _read(request, longest, seconds)
    try:
        fields = parse_qsl(
            text.decode(), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS
        )
    except ValueError as error:
        raise QueryError("the form can't be understood") from error
    return dict(fields)


async def _read(request: web.Request, longest: int, seconds: float | None) -> bytearray:
    """All of a body, which is nothing to wait for: whoever sends one has it."""
    text = bytearray()
    seconds = SECONDS if seconds is None else seconds
    try:
        async with asyncio.timeout(seconds):
            while piece := await request.content.readany():
                text += piece
                if len(text) > longest:
                    reason = f"the request is longer than {longest} bytes"
                    raise web.HTTPRequestEntityTooLarge(longest, len(text), reason=reason)
    except TimeoutError as error:
        reason = f"the request did not come within {seconds:.0f} s"
        raise web.HTTPRequestTimeout(reason=reason) from error
    except web.RequestPayloadError as error:
        raise QueryError("the request is not in the coding that it says") from error
    return text
