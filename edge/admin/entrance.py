"""What all of ``/login`` shares: whose cookie it is, the cookie itself, and bodies.

Owns the cookie of a session. Promises that it goes out only with a session that has just begun, or
proved more, that every body is JSON by its Content-Type, which no form of another site can send,
and that no answer is kept by anybody on its way.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec
from aiohttp import hdrs, web

from edge.access.gate import Gate
from edge.access.login import LogIn, Opened
from edge.access.roles import Role
from edge.access.sessions import Session, Sessions, Visitor
from edge.admin.asking import STRANGERS_SECONDS, body
from edge.errors import AccessDenied, QueryError

__all__ = ["Entrance", "WhoAmI", "as_json", "said", "visitor_of", "who_is"]

T = TypeVar("T")


class WhoAmI(msgspec.Struct, forbid_unknown_fields=True):
    """Who is logged in. Times are POSIX seconds."""

    name: str
    display_name: str
    role: Role
    proved: str
    second_factor_needed: bool
    """Nothing can be done before one is enrolled."""
    idle_until: float | None
    until: float | None
    """When the session ends; null where nobody needs to log in."""
    logged_in: bool = True
    recovery_codes: list[str] = []
    """That have just been made; they can't be shown again."""


class Entrance:
    """Gives sessions to browsers, and knows them again.

    Args:
        gate: Knows whose cookie it is.
        login: Lets people in.
        sessions: Who is in.
        cookie: Its name.
        tls: Whether it is for connections over TLS alone.
    """

    def __init__(
        self, gate: Gate, login: LogIn, sessions: Sessions, *, cookie: str, tls: bool
    ) -> None:
        self.gate = gate
        self.login = login
        self.sessions = sessions
        self._cookie = cookie
        self._tls = tls

    async def session(self, request: web.Request) -> Session:
        """Whose cookie it is, also of a session that opens nothing yet.

        Raises:
            AccessDenied: Nobody's, or that of who came by a link, of whom nothing is known.
        """
        session = await self.gate.session(request.headers)
        if session is None:
            raise AccessDenied("nobody is logged in", hint="POST /login with name and password")
        if session.is_link:
            raise AccessDenied(
                "who came by a link has no log-in",
                hint="POST /login with name and password",
                known=True,
            )
        return session

    def begin(self, opened: Opened, *, recovery_codes: Sequence[str] = ()) -> web.Response:
        """Say who is in, and give the browser what it shows from now on."""
        who = who_is(opened.session)
        who.recovery_codes = list(recovery_codes)
        response = as_json(who)
        self.give(response, opened.secret)
        return response

    def give(self, response: web.Response, secret: str) -> None:
        """Have the browser show this from now on."""
        self._set(response, secret)

    def end(self, response: web.Response) -> web.Response:
        """Take the cookie away."""
        # With the attributes that it was set with, or a browser keeps it (RFC 6265bis 5.7).
        self._set(response, "", max_age=0)
        return response

    def _set(self, response: web.Response, value: str, max_age: int | None = None) -> None:
        response.set_cookie(
            self._cookie,
            value,
            path="/",
            max_age=max_age,
            secure=self._tls,
            httponly=True,
            samesite="Strict",
        )


async def said(request: web.Request, kind: type[T]) -> T:
    """What a body says.

    Raises:
        QueryError: It does not say that it is JSON, or can't be understood.
    """
    if request.content_type != "application/json":
        raise QueryError(
            "the body does not say that it is JSON", hint='send "Content-Type: application/json"'
        )
    return await body(request, kind, seconds=STRANGERS_SECONDS)


def visitor_of(request: web.Request) -> Visitor:
    """Who sends it."""
    return Visitor(request.remote or "", request.headers.get(hdrs.USER_AGENT, ""))


def who_is(session: Session) -> WhoAmI:
    """A session, as its holder reads it."""
    return WhoAmI(
        session.name,
        session.display_name,
        session.role,
        session.proved,
        session.is_limited,
        session.idle_until,
        session.until,
    )


def as_json(document: Any) -> web.Response:
    """An answer that nobody keeps."""
    return web.Response(
        body=msgspec.json.encode(document),
        content_type="application/json",
        headers={hdrs.CACHE_CONTROL: "no-store"},
    )
