"""Logging in over HTTP: ``/login`` and ``/logout``, for the web page and for programs.

Decides nothing: `edge.access.login` does. What an answer sets is `edge.admin.entrance`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from aiohttp import web

from edge.access.login import MoreNeeded
from edge.access.passwords import MOST_CHARACTERS
from edge.admin.entrance import Entrance, WhoAmI, as_json, said, visitor_of, who_is
from edge.admin.users import Ended, LoggedIn, logged_in

__all__ = ["Password", "log_in_routes"]

Password = Annotated[str, msgspec.Meta(max_length=4 * MOST_CHARACTERS)]
_Short = Annotated[str, msgspec.Meta(max_length=256)]


class LoggingIn(msgspec.Struct, forbid_unknown_fields=True):
    """Who wants to log in."""

    name: _Short
    password: Password
    second: _Short = ""
    """The code of an app, or a recovery code, once that was asked for."""


class Redeeming(msgspec.Struct, forbid_unknown_fields=True):
    """Somebody with a code that was handed to them."""

    code: _Short
    password: Password
    name: _Short = ""
    """Of the first admin, who chooses it."""
    display_name: _Short = ""


class ChangingPassword(msgspec.Struct, forbid_unknown_fields=True):
    """Somebody who wants another password."""

    password: Password
    new_password: Password


class NotYet(msgspec.Struct, forbid_unknown_fields=True):
    """After this request, nobody is logged in."""

    logged_in: bool = False
    second_factors: list[str] = []
    """The password was right, and any one of these is needed, too."""


class OwnSessions(msgspec.Struct, forbid_unknown_fields=True):
    """Where somebody is logged in."""

    this: str
    """The session in which that is asked."""
    sessions: list[LoggedIn]


def log_in_routes(door: Entrance) -> Sequence[web.RouteDef]:
    """``/login`` and ``/logout``.

    Args:
        door: Gives sessions to browsers.
    """
    login, sessions = door.login, door.sessions

    async def who_am_i(request: web.Request) -> web.Response:
        if not door.gate.is_required:
            anyone = await door.gate.authorise({})
            return as_json(WhoAmI(anyone.name, "", anyone.role, "nothing", False, None, None))
        return as_json(who_is(await door.session(request)))

    async def log_in(request: web.Request) -> web.Response:
        wish = await said(request, LoggingIn)
        opened = await login.with_password(
            wish.name, wish.password, visitor_of(request), second=wish.second
        )
        if isinstance(opened, MoreNeeded):
            return as_json(NotYet(second_factors=list(opened.factors)))
        return door.begin(opened)

    async def redeem(request: web.Request) -> web.Response:
        wish = await said(request, Redeeming)
        opened = await login.redeem(
            wish.code,
            wish.password,
            visitor_of(request),
            name=wish.name,
            display_name=wish.display_name,
        )
        return as_json(NotYet()) if opened is None else door.begin(opened)

    async def change_password(request: web.Request) -> web.Response:
        session = await door.session(request)
        wish = await said(request, ChangingPassword)
        changed = await login.change_password(session, wish.password, wish.new_password)
        return door.begin(changed)

    async def own_sessions(request: web.Request) -> web.Response:
        session = await door.session(request)
        found = await sessions.list(session.name, session.issuer)
        return as_json(OwnSessions(session.session_id, [logged_in(one) for one in found]))

    async def end_session(request: web.Request) -> web.Response:
        session = await door.session(request)
        ended = await sessions.end(request.match_info["id"], session.name, session.issuer)
        return as_json(Ended(int(ended)))

    async def log_out(request: web.Request) -> web.Response:
        session = await door.gate.session(request.headers)
        if session is not None:
            await sessions.end(session.session_id, session.name, session.issuer)
        return door.end(as_json(NotYet()))

    return [
        web.get("/login", who_am_i),
        web.post("/login", log_in),
        web.post("/login/redeem", redeem),
        web.post("/login/password", change_password),
        web.get("/login/sessions", own_sessions),
        web.delete("/login/sessions/{id}", end_session),
        web.post("/logout", log_out),
    ]
