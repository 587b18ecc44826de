"""``/viewer/``: OHIF, the page that waits for a study, and the one that shows it without OHIF.

Owns what is answered below ``/viewer/``, and what browsers may do there. Promises that nothing is
answered to whom nobody knows: a page leads to the log-in and back, anything else is refused; that
pages reach no other host; and that no answer holds anything of a patient. What pages show they ask
DICOMweb for, with the session of who looks at them.

Files are the same for everybody and have their version in their address: browsers keep them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from edge.access.roles import narrows
from edge.errors import AccessDenied, TooManyAttempts
from edge.viewer.shelf import MEDIA_TYPES, Shelf

__all__ = ["Policies", "create_application"]

Face = Callable[[web.Request, str, Mapping[str, object]], Awaitable[str]]

_POLICY: Final = "Content-Security-Policy"
_FOR_EVER: Final = "private, max-age=31536000, immutable"
_ASK_AGAIN: Final = "no-cache"
_PLAIN: Final = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Policies:
    """What browsers may do (Content-Security-Policy), as the other doors say it, too."""

    page: str
    """Pages of ours."""
    viewer: str
    """OHIF."""
    decoder: str
    """Its scripts, as far as they are workers."""


def create_application(
    shelf: Shelf, guard: Middleware, policies: Policies, face: Face, *, log_in: str
) -> web.Application:
    """Build the application.

    Args:
        shelf: What can be served.
        guard: Lets in who may see images.
        policies: What pages may.
        face: Makes a page of its template, in the language of who looks.
        log_in: The page where people log in; it gets the way back as ``to``.
    """
    door = _Door(shelf, policies, face)
    application = web.Application(middlewares=[_leading_to(log_in), guard])
    application.add_routes(
        [
            web.get("", door.into),
            web.get("/open", door.open),
            web.get("/plain", door.plain),
            web.get("/own/{name}", door.own),
            web.get("/{path:.*}", door.viewer),
        ]
    )
    return application


def _leading_to(log_in: str) -> Middleware:
    """Whom the guard turns away is led to where people log in, if somebody sits there."""

    @web.middleware
    async def lead(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except TooManyAttempts:
            raise
        except AccessDenied as error:
            # Whoever is known, and may not, would be led in a circle; who brings a proof of their
            # own is told that it opens nothing.
            if error.known or hdrs.AUTHORIZATION in request.headers or not _is_page(request):
                raise
            return _led_to(303, f"{log_in}?to={quote(request.path_qs, safe='')}")

    return lead


def _is_page(request: web.Request) -> bool:
    """Whether somebody sits before it."""
    mode = request.headers.get("Sec-Fetch-Mode")
    if mode is not None:
        return mode == "navigate"
    return "text/html" in request.headers.get(hdrs.ACCEPT, "")


def _led_to(status: int, address: str) -> web.Response:
    # Not raised: what is raised becomes the answer to a program.
    return web.Response(status=status, headers={hdrs.LOCATION: address})


class _Door:
    def __init__(self, shelf: Shelf, policies: Policies, face: Face) -> None:
        self._shelf = shelf
        self._policies = policies
        self._face = face

    @narrows
    async def into(self, _: web.Request) -> web.Response:
        """``/viewer``: what pages name is below it."""
        return _led_to(308, "/viewer/")

    @narrows
    async def open(self, request: web.Request) -> web.Response:
        """Where a study is opened: it leads on as soon as there is something to see."""
        return await self._page(request, "open")

    @narrows
    async def plain(self, request: web.Request) -> web.Response:
        """A study without OHIF."""
        return await self._page(request, "plain")

    @narrows
    async def own(self, request: web.Request) -> web.Response:
        """A style sheet or script of ours."""
        if (own := self._shelf.own.get(request.match_info["name"])) is None:
            raise web.HTTPNotFound
        headers = {hdrs.CONTENT_TYPE: own.media_type, hdrs.CACHE_CONTROL: _FOR_EVER}
        return web.Response(body=own.data, headers=headers)

    @narrows
    async def viewer(self, request: web.Request) -> web.StreamResponse:
        """A file of OHIF; a path without an extension is a page, that OHIF itself finds."""
        path = request.match_info["path"]
        if file := self._shelf.made.get(path):
            headers = {
                hdrs.CONTENT_TYPE: MEDIA_TYPES.get(file.suffix, _PLAIN),
                hdrs.CACHE_CONTROL: _FOR_EVER,
                _POLICY: self._policies.decoder,
            }
            return web.FileResponse(file, headers=headers)
        if "." in path.rpartition("/")[2]:
            raise web.HTTPNotFound
        if not self._shelf.made:
            return await self._page(request, "missing", status=503)
        return await self._page(request, "viewer", self._policies.viewer)

    async def _page(
        self, request: web.Request, name: str, policy: str = "", status: int = 200
    ) -> web.Response:
        headers = {
            hdrs.CONTENT_TYPE: MEDIA_TYPES[".html"],
            hdrs.CACHE_CONTROL: _ASK_AGAIN,
            _POLICY: policy or self._policies.page,
        }
        text = await self._face(request, f"viewer/{name}.html", self._shelf.values)
        return web.Response(body=text.encode(), headers=headers, status=status)
