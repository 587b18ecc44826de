"""Bodies that are one representation: whole, a range of it, or not at all (RFC 9110 14, 15.3.7).

Owns HEAD, Range and conditional requests, for everything that leaves without multipart. Promises
that bytes are read only when they are sent, a piece at a time, and that a range reads no more than
itself. A request for several ranges is given the whole, as it may be.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from aiohttp import hdrs, web

from edge.dicomweb.responses import Refused, send
from edge.dicomweb.validators import NO_VALIDATORS, Validators, is_range_good, unchanged

__all__ = ["Body", "Pieces", "nothing", "send_body"]

Pieces = Callable[[int, int | None], AsyncIterator[bytes]]
"""Gives the bytes from an offset on, so many or all."""

_RANGE: Final = re.compile(r"bytes=\s*([0-9]{0,18})-([0-9]{0,18})\s*")


@dataclass(frozen=True, slots=True)
class Body:
    """What is to be sent."""

    content_type: str
    pieces: Pieces
    """Not called for HEAD."""
    length: int | None = None
    """In bytes; None if it is made while it is sent."""
    validators: Validators = NO_VALIDATORS
    ranged: bool = True
    """Ranges of it can be had, if its length is known."""
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        content_type: str,
        data: bytes,
        validators: Validators = NO_VALIDATORS,
        headers: Mapping[str, str] | None = None,
    ) -> Body:
        """One that is in memory."""

        async def pieces(offset: int, length: int | None) -> AsyncIterator[bytes]:
            yield data[offset : None if length is None else offset + length]

        return cls(content_type, pieces, len(data), validators, headers=headers or {})


async def nothing(*_range: int | None) -> AsyncIterator[bytes]:
    """The pieces of a body of which only HEAD is asked for."""
    return
    yield b""


async def send_body(request: web.Request, body: Body) -> web.StreamResponse:
    """Answer GET and HEAD.

    An error before the first piece can still become an answer of its own.

    Raises:
        Refused: 416, the range lies outside.
    """
    if (answer := unchanged(request, body.validators)) is not None:
        return answer
    headers = {**body.validators.headers(), **body.headers, hdrs.CONTENT_TYPE: body.content_type}
    response = web.StreamResponse(headers=headers)
    response.content_length = body.length
    offset, length = 0, body.length
    if length is not None and body.ranged:
        response.headers[hdrs.ACCEPT_RANGES] = "bytes"
        if request.method != hdrs.METH_HEAD and is_range_good(request, body.validators):
            span = _span(request.headers.get(hdrs.RANGE, ""), length)
            if span is not None:
                offset, response.content_length = span[0], span[1] - span[0]
                response.set_status(206)
                response.headers[hdrs.CONTENT_RANGE] = f"bytes {offset}-{span[1] - 1}/{length}"
    if request.method == hdrs.METH_HEAD:
        return response
    async for piece in body.pieces(offset, response.content_length):
        if not response.prepared:
            await response.prepare(request)
        await send(response, piece)
    await response.prepare(request)
    await response.write_eof()
    return response


def _span(header: str, length: int) -> tuple[int, int] | None:
    """First byte and the one behind the last; None if the whole is meant.

    Raises:
        Refused: 416.
    """
    match = _RANGE.fullmatch(header)
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        begin, end = max(length - int(last), 0), length
    else:
        begin, end = int(first), min(int(last) + 1, length) if last else length
        if last and int(last) < begin:
            return None  # ill-formed, so it is none (RFC 9110 14.1.1)
    if begin >= end:
        raise Refused(
            416,
            f"the range lies outside of the {length} bytes that there are",
            headers={hdrs.CONTENT_RANGE: f"bytes */{length}"},
        )
    return begin, end
