"""Logging in over HTTP: ``/login`` and ``/logout``, for the web page and for programs.

Owns the cookie of a session. Promises that it goes out only with a session that has just begun, or
proved more, that every body is JSON by its Content-Type, which no form of another site can send,
and that no answer is kept by anybody on its way. Decides nothing: `edge.access.login` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

import msgspec
from aiohttp import hdrs, web

from edge.access.gate import Gate
from edge.access.login import LogIn, Opened
from edge.access.passwords import MOST_CHARACTERS
from edge.access.roles import Role
from edge.access.sessions import Session, Sessions, Visitor
from edge.admin.asking import body
from edge.admin.users import Ended, LoggedIn, logged_in
from edge.errors import AccessDenied, QueryError

__all__ = ["LogInRoutes"]

T = TypeVar("T")
_Password = Annotated[str, msgspec.Meta(max_length=4 * MOST_CHARACTERS)]
_Short = Annotated[str, msgspec.Meta(max_length=256)]


class LoggingIn(msgspec.Struct, forbid_unknown_fields=True):
    """Who wants to log in."""

    name: _Short
    password: _Password


class Redeeming(msgspec.Struct, forbid_unknown_fields=True):
    """Somebody with a code that was handed to them."""

    code: _Short
    password: _Password
    name: _Short = ""
    """Of the first admin, who chooses it."""
    display_name: _Short = ""


class ChangingPassword(msgspec.Struct, forbid_unknown_fields=True):
    """Somebody who wants another password."""

    password: _Password
    new_password: _Password


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


class LoggedOut(msgspec.Struct, forbid_unknown_fields=True):
    """What became of a request after which nobody is logged in."""

    logged_in: bool = False


class OwnSessions(msgspec.Struct, forbid_unknown_fields=True):
    """Where somebody is logged in."""

    this: str
    """The session in which that is asked."""
    sessions: list[LoggedIn]


class LogInRoutes:
    """Of ``/login`` and ``/logout``.

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
        self._gate = gate
        self._login = login
        self._sessions = sessions
        self._cookie = cookie
        self._tls = tls

    def routes(self) -> Sequence[web.RouteDef]:
        """All of them."""
        return [
            web.get("/login", self._who_am_i),
            web.post("/login", self._log_in),
            web.post("/login/redeem", self._redeem),
            web.post("/login/password", self._change_password),
            web.get("/login/sessions", self._own_sessions),
            web.delete("/login/sessions/{id}", self._end_session),
            web.post("/logout", self._log_out),
        ]

    async def _who_am_i(self, request: web.Request) -> web.Response:
        if not self._gate.is_required:
            anyone = await self._gate.authorise({})
            return _json(WhoAmI(anyone.name, "", anyone.role, "nothing", False, None, None))
        return _json(_who(await self._session(request)))

    async def _log_in(self, request: web.Request) -> web.Response:
        said = await _said(request, LoggingIn)
        visitor = _visitor(request)
        opened = await self._login.with_password(said.name, said.password, visitor)
        return self._begin(opened)

    async def _redeem(self, request: web.Request) -> web.Response:
        said = await _said(request, Redeeming)
        opened = await self._login.redeem(
            said.code,
            said.password,
            _visitor(request),
            name=said.name,
            display_name=said.display_name,
        )
        return _json(LoggedOut()) if opened is None else self._begin(opened)

    async def _change_password(self, request: web.Request) -> web.Response:
        said = await _said(request, ChangingPassword)
        session = await self._session(request)
        changed = await self._login.change_password(session, said.password, said.new_password)
        return self._begin(changed)

    async def _own_sessions(self, request: web.Request) -> web.Response:
        session = await self._session(request)
        found = await self._sessions.list(session.name, session.issuer)
        return _json(OwnSessions(session.session_id, [logged_in(one) for one in found]))

    async def _end_session(self, request: web.Request) -> web.Response:
        session = await self._session(request)
        ended = await self._sessions.end(request.match_info["id"], session.name, session.issuer)
        return _json(Ended(int(ended)))

    async def _log_out(self, request: web.Request) -> web.Response:
        session = await self._gate.session(request.headers)
        if session is not None:
            await self._sessions.end(session.session_id, session.name, session.issuer)
        response = _json(LoggedOut())
        # With the attributes that it was set with, or a browser keeps it (RFC 6265bis 5.7).
        self._set(response, "", max_age=0)
        return response

    async def _session(self, request: web.Request) -> Session:
        """Whose cookie it is, also of a session that opens nothing yet.

        Raises:
            AccessDenied: Nobody's.
        """
        session = await self._gate.session(request.headers)
        if session is None:
            raise AccessDenied("nobody is logged in", hint="POST /login with name and password")
        return session

    def _begin(self, opened: Opened) -> web.Response:
        """Say who is in, and give the browser what it shows from now on."""
        response = _json(_who(opened.session))
        self._set(response, opened.secret)
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


async def _said(request: web.Request, kind: type[T]) -> T:
    """What a body says.

    Raises:
        QueryError: It does not say that it is JSON, or can't be understood.
    """
    if request.content_type != "application/json":
        raise QueryError(
            "the body does not say that it is JSON", hint='send "Content-Type: application/json"'
        )
    return await body(request, kind)


def _visitor(request: web.Request) -> Visitor:
    return Visitor(request.remote or "", request.headers.get(hdrs.USER_AGENT, ""))


def _who(session: Session) -> WhoAmI:
    return WhoAmI(
        session.name,
        session.display_name,
        session.role,
        session.proved,
        session.is_limited,
        session.idle_until,
        session.until,
    )


def _json(document: Any) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(document),
        content_type="application/json",
        headers={hdrs.CACHE_CONTROL: "no-store"},
    )
