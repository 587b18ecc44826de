"""Logging in at the identity provider, over HTTP: ``/login/oidc``, and the way back.

Owns what a browser sees of it: where it is sent, the cookie that it brings back, and a page of few
words at the end. Promises that it is sent to the provider or to ``/``, and to no place that a
request names; that the provider is told to send it to a name of this box alone; and that the cookie
of the session goes out by a page of ours, for a browser that comes from another site does not show
a strict one yet. Decides nothing: `edge.access.oidc` does.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence

from aiohttp import hdrs, web

from edge.access.login import Opened
from edge.access.oidc.login import PENDING_SECONDS, Begun, ProviderLogIn
from edge.access.sessions import secret_in
from edge.admin.entrance import Entrance, visitor_of
from edge.admin.login_witness import LogInWitness
from edge.errors import AccessDenied, EdgeError, IssuerUnreachable, TooManyAttempts, UserRefused

__all__ = ["BACK", "ProviderRoutes", "pending_cookie_name"]

BACK = "/login/oidc/back"
_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>{head}</head>
<body><h1>{title}</h1><p>{text}</p><p><a href="{link}">{onward}</a></p></body></html>
"""
_ONWARD = '<meta http-equiv="refresh" content="0; url=/">'
_AFTER_SECONDS = 30


class ProviderRoutes:
    """Of ``/login/oidc``.

    Args:
        login: Lets people in.
        door: Gives sessions to browsers.
        is_ours: Whether a ``Host`` is a name of the box.
        witness: Sees who came, and who did not.
        tls: Whether TLS is spoken.
    """

    def __init__(
        self,
        login: ProviderLogIn,
        door: Entrance,
        is_ours: Callable[[str], bool],
        witness: LogInWitness,
        *,
        tls: bool,
    ) -> None:
        self._login = login
        self._is_ours = is_ours
        self._witness = witness
        self._door = door
        self._tls = tls
        self._cookie = pending_cookie_name(tls=tls)

    def routes(self) -> Sequence[web.RouteDef]:
        """All of them; a HEAD would begin or end what nobody sees."""
        return [
            web.get("/login/oidc", self._begin, allow_head=False),
            web.get(BACK, self._end, allow_head=False),
        ]

    async def _begin(self, request: web.Request) -> web.Response:
        try:
            if not self._is_ours(request.host):
                raise UserRefused(
                    "the box is not called by this name",
                    hint="call it by its address or its name, or add this one to http.names",
                )
            scheme = "https" if self._tls else "http"
            begun = await self._login.begin(f"{scheme}://{request.host.lower()}{BACK}")
        except EdgeError as error:
            return _words(error)
        return self._send(begun)

    async def _end(self, request: web.Request) -> web.Response:
        said = request.query
        cookie = secret_in(request.headers, self._cookie)
        try:
            if len(said) != len(set(said)):
                raise AccessDenied("the identity provider's answer says a thing twice", known=True)
            ended = await self._login.end(dict(said), cookie, visitor_of(request))
        except EdgeError as error:
            if isinstance(error, AccessDenied):
                self._witness.turned_away(request.remote or "", BACK, error)
            response = _words(error)
            if not isinstance(error, TooManyAttempts):
                self._set_pending(response, "", max_age=0)
            return response
        if isinstance(ended, Begun):
            return self._send(ended)
        self._witness.arrived(ended.session, BACK)
        response = self._welcome(ended)
        self._set_pending(response, "", max_age=0)
        return response

    def _send(self, begun: Begun) -> web.Response:
        """To the provider."""
        response = web.Response(status=303, headers={hdrs.LOCATION: begun.url})
        self._set_pending(response, begun.cookie, max_age=PENDING_SECONDS)
        return response

    def _welcome(self, opened: Opened) -> web.Response:
        name = opened.session.display_name or opened.session.name
        response = _page("Logged in", f"You are {name}.", "/", "Go on", head=_ONWARD)
        self._door.give(response, opened.secret)
        return response

    def _set_pending(self, response: web.Response, value: str, *, max_age: int) -> None:
        # Lax: the provider is another site, from which this browser comes back by a link.
        response.set_cookie(
            self._cookie,
            value,
            path="/",
            max_age=max_age,
            secure=self._tls,
            httponly=True,
            samesite="Lax",
        )


def pending_cookie_name(*, tls: bool) -> str:
    """What the cookie of a log-in under way is called; see `edge.access.sessions.cookie_name`."""
    return "__Host-edge-oidc" if tls else "edge-oidc"


def _words(error: EdgeError) -> web.Response:
    """What went wrong, for whoever sits before it."""
    headers = {}
    if isinstance(error, TooManyAttempts):
        status = 429
        headers[hdrs.RETRY_AFTER] = str(max(1, math.ceil(error.retry_after)))
    elif isinstance(error, IssuerUnreachable):
        status = 503
        headers[hdrs.RETRY_AFTER] = str(_AFTER_SECONDS)
    elif isinstance(error, AccessDenied):
        status = 403
    elif isinstance(error, UserRefused):
        status = 421
    else:
        status = 502
    text = f"{error}." + (f" What can be done: {error.hint}." if error.hint else "")
    response = _page("Not logged in", text[:1].upper() + text[1:], "/login/oidc", "Begin again")
    response.set_status(status)
    response.headers.update(headers)
    return response


def _page(title: str, text: str, link: str, onward: str, head: str = "") -> web.Response:
    filled = {"title": title, "text": html.escape(text), "link": link, "onward": onward}
    return web.Response(
        text=_PAGE.format(**filled, head=head),
        content_type="text/html",
        headers={hdrs.CACHE_CONTROL: "no-store"},
    )
