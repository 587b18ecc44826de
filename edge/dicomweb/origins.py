"""Whose pages may have a browser do something here: defence against forged requests (CSRF).

A browser adds by itself what proves who sits before it: the cookie of a session, a password that it
was told once. A stranger's page can make it send such a request, though not read the answer. Owns
the one check of that, before any door. It goes by headers that no page can set:

    Authorization: Bearer …   no browser adds it by itself, and no page of another origin may,
                              unless `cors` lets it: let through
    Host                      must be a name of the box (`hosts`), or a page that had its own name
                              lead here would count as ours: else 421
    Sec-Fetch-Site, Origin    must be our own, or an origin of the configuration: else 403. Who
                              follows a link, or types the address, may: that is a GET, which
                              changes nothing, and the page that it came from sees nothing of it

A request with a cookie that changes something must bring one of the last two; every browser does. A
program that sends user and password with each request sends neither, and need not. What has no
proof at all may be a log-in, and is held to the same rules if it is no GET. Without tokens (a
laboratory), being on the network is the proof, so every request counts as one of a browser.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from edge.dicomweb.hosts import OwnNames
from edge.dicomweb.responses import Refused

__all__ = ["Origins"]

_SAFE: Final = frozenset({hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS})
_SITE: Final = "Sec-Fetch-Site"
_OWN: Final = frozenset({"same-origin", "none"})
"""``none``: a person typed the address, or took it from the bookmarks."""
_PORTS: Final = {"http": 80, "https": 443}


def _from_elsewhere(request: web.Request) -> Refused:
    """What was wrong with where a request comes from, and what to do."""
    if hdrs.ORIGIN in request.headers or _SITE in request.headers:
        return Refused(
            403,
            "a page of another origin sent this request",
            hint="pages of http.cors_origins may, and programs that send a Bearer token",
        )
    own = f"{request.scheme}://{request.host}"
    return Refused(
        403,
        "the request does not say which page sent it",
        hint=f'programs send "Origin: {own}" with the cookie of a log-in, or a token without one',
    )


class Origins:
    """Refuses what a stranger's page had a browser send.

    Args:
        names: Of the box.
        allowed: Further origins, as browsers write them: ``https://viewer.example.org``.
        is_open: Nobody is asked who they are.
    """

    def __init__(
        self, names: OwnNames, allowed: Iterable[str] = (), *, is_open: bool = False
    ) -> None:
        self._names = names
        self._allowed = frozenset(allowed)
        self._is_open = is_open

    @web.middleware
    async def check(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let through what may be meant.

        Raises:
            Refused: 421, the box is not called so; 403, a page of another origin sent it.
        """
        is_ambient = self._is_open or _has_ambient_proof(request)
        changes = request.method not in _SAFE
        if is_ambient or (changes and (_scheme(request) != "bearer" or _lets_in(request))):
            self._check_name(request)
            if not self._is_from_here(request, changes=changes):
                raise _from_elsewhere(request)
        return await handler(request)

    def _check_name(self, request: web.Request) -> None:
        if not self._names.has(request.host):
            raise Refused(
                421,
                "the box is not called by this name",
                hint="call it by its address or its name, or add this one to http.names",
            )

    def _is_from_here(self, request: web.Request, *, changes: bool) -> bool:
        origin, site = request.headers.get(hdrs.ORIGIN), request.headers.get(_SITE)
        if request.method == hdrs.METH_OPTIONS or origin in self._allowed:
            return True  # what OPTIONS says of another origin is for `cors` to say
        if origin is not None and not self._is_own(origin, request):
            return False
        if site is not None and site not in _OWN:
            return not changes and _is_navigation(request)
        if origin is None and site is None and changes:
            return hdrs.COOKIE not in request.headers
        return True

    def _is_own(self, origin: str, request: web.Request) -> bool:
        """Whether it is the origin that the request itself goes to."""
        try:
            found, asked = urlsplit(origin), urlsplit(f"//{request.host}")
            default = _PORTS.get(found.scheme)
            same_port = (found.port or default) == (asked.port or default)
        except ValueError:
            return False
        if default is None or (found.scheme == "http" and request.secure):
            return False
        return found.hostname == asked.hostname and same_port


def _scheme(request: web.Request) -> str:
    return request.headers.get(hdrs.AUTHORIZATION, "").strip().partition(" ")[0].lower()


def _lets_in(request: web.Request) -> bool:
    """Whether it is answered by a cookie or a key, whatever token stands beside it."""
    return request.path.startswith(("/login", "/logout", "/unlock"))


def _has_ambient_proof(request: web.Request) -> bool:
    """Whether there is a proof that a browser may have added by itself."""
    scheme = _scheme(request)
    return scheme != "bearer" if scheme else hdrs.COOKIE in request.headers


def _is_navigation(request: web.Request) -> bool:
    """Whether a person follows a link, and the answer becomes a page of its own."""
    headers = request.headers
    return (
        request.method in (hdrs.METH_GET, hdrs.METH_HEAD)
        and headers.get("Sec-Fetch-Mode") == "navigate"
        and headers.get("Sec-Fetch-Dest", "document") == "document"
    )
