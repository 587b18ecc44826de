"""Compression of answers: gzip of text, for those who ask (RFC 9110 8.4.1, 12.5.3).

Owns which answers are compressed. Promises that image bytes never are (they hardly shrink, and the
processor is needed elsewhere), that whatever is longer than a packet is compressed off the event
loop, a piece at a time, and that caches are told. Never looks at what a body means.
"""

from __future__ import annotations

import re
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler
from aiohttp.web import ContentCoding

__all__ = ["accepts_gzip", "compress", "compression", "vary"]

_TEXT = re.compile(
    r"(application/(.+\+)?(json|xml)|text/.+"
    r"|multipart/related; *type=\"?application/dicom\+(json|xml)\"?)(;|$)"
)
_MEMBER = re.compile(r"([\w*.+-]+)(?:;q=([01](?:\.[0-9]{0,3})?))?")
_SHORTEST: Final = 1024
"""Bytes of a body that is compressed: a shorter one fits into a packet as it is."""


def accepts_gzip(header: str) -> bool:
    """Whether a client with this Accept-Encoding is better off with gzip."""
    weights: dict[str, float] = {}
    for member in header.lower().replace(" ", "").split(","):
        if match := _MEMBER.fullmatch(member):
            weights[match[1]] = float(match[2] or 1)
    gzip = weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0)))
    return gzip > 0 and gzip >= weights.get("identity", 0.0)


def compress(request: web.Request, response: web.StreamResponse) -> None:
    """Have an answer that has not begun compressed, if it is text and the client asks for it.

    Its length is not announced then, and its entity tag becomes a weak one (RFC 9110 8.8.3.3).
    """
    headers = response.headers
    if hdrs.CONTENT_ENCODING in headers or not _TEXT.match(headers.get(hdrs.CONTENT_TYPE, "")):
        return
    vary(response, hdrs.ACCEPT_ENCODING)
    if not accepts_gzip(",".join(request.headers.getall(hdrs.ACCEPT_ENCODING, []))):
        return
    tag = headers.get(hdrs.ETAG, "W/")
    if not tag.startswith("W/"):
        headers[hdrs.ETAG] = f"W/{tag}"
    response.enable_compression(ContentCoding.gzip)


@web.middleware
async def compression(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Compress answers whose body is whole; those that are streamed ask for it themselves."""
    response = await handler(request)
    if (
        isinstance(response, web.Response)
        and not response.prepared
        and isinstance(response.body, bytes)
        and len(response.body) >= _SHORTEST
    ):
        compress(request, response)
    return response


def vary(response: web.StreamResponse, name: str) -> None:
    """Tell caches that the answer depends on a header of the request (RFC 9110 12.5.5)."""
    named = response.headers.get(hdrs.VARY, "")
    if name.lower() not in named.lower().replace(" ", "").split(","):
        response.headers[hdrs.VARY] = f"{named}, {name}" if named else name
