"""Pages of other origins: which of them may use this service from a browser (Fetch, 3.2).

Owns the answer to preflight requests, and the headers that let a page read an answer. Promises that
only the origins of the configuration are let in, by exact comparison, and that none is unless
configured. It gives nobody rights: a preflight request has no token and needs none, every other one
does.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from edge.dicomweb.compression import vary

__all__ = ["Cors"]

_METHODS: Final = "DELETE, GET, HEAD, OPTIONS, POST"
_REQUEST_HEADERS: Final = (
    "Accept, Authorization, Cache-Control, Content-Type, If-Match, If-Modified-Since,"
    " If-None-Match, If-Range, Range, X-Request-ID"
)
_EXPOSED: Final = (
    "Accept-Ranges, Allow, Content-Disposition, Content-Encoding, Content-Length, Content-Location,"
    " Content-Range, ETag, Location, Retry-After, Warning, WWW-Authenticate, X-Request-ID"
)
_MAX_AGE: Final = "600"
"""Seconds that a browser may remember the answer to a preflight request."""


class Cors:
    """Lets pages of some other origins in.

    Args:
        origins: Those that may, as browsers write them: ``https://viewer.example.org``.
    """

    def __init__(self, origins: Iterable[str]) -> None:
        self._origins = frozenset(origins)

    @web.middleware
    async def preflight(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer the browser's question before the request itself; leave all others alone."""
        if (
            request.method == hdrs.METH_OPTIONS
            and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers
            and self._admits(request)
        ):
            return web.Response(
                status=204,
                headers={
                    hdrs.ACCESS_CONTROL_ALLOW_METHODS: _METHODS,
                    hdrs.ACCESS_CONTROL_ALLOW_HEADERS: _REQUEST_HEADERS,
                    hdrs.ACCESS_CONTROL_MAX_AGE: _MAX_AGE,
                },
            )
        return await handler(request)

    async def finish_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        """To be called when any answer begins (``on_response_prepare``): errors are read, too."""
        if not self._origins:
            return
        vary(response, hdrs.ORIGIN)
        if self._admits(request):
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = request.headers[hdrs.ORIGIN]
            response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = _EXPOSED

    def _admits(self, request: web.Request) -> bool:
        return request.headers.get(hdrs.ORIGIN) in self._origins
