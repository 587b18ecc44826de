"""People over the admin API: who may log in, as what, and who is logged in now.

All of it is for who may ``administer``. A code is in the answer that made it, and nowhere else.
Promises that no token changes anybody: whoever stole one would live on in the person that it
invites or resets when it is revoked. Nor does an admin who was narrowed. That is for admins who log
in, and for the command line.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Annotated

import msgspec
from aiohttp import web

from edge.access.acts import Act
from edge.access.names import NAME
from edge.access.picturing import picture_of
from edge.access.roles import Identity, Proof, Role, needs
from edge.access.scope import ANYTHING
from edge.access.sessions import Session, Sessions
from edge.access.user import User
from edge.access.users import Handed, Users
from edge.admin.asking import body, only, wanted
from edge.admin.entrance import as_json
from edge.admin.narrowed import Narrowed, narrowed, scope_of
from edge.admin.openapi import operation
from edge.errors import AccessDenied

__all__ = [
    "KnownUser",
    "LoggedIn",
    "Named",
    "Removed",
    "check_changes",
    "known_user",
    "logged_in",
    "user_routes",
]

_Typed = Annotated[
    str, msgspec.Meta(min_length=1, max_length=64, pattern=only(r"[^\x00-\x1f\x7f]*"))
]
"""As somebody types it: `Users` spells it as it is kept, or says in words what a name may have."""
_Name = Annotated[str, msgspec.Meta(max_length=64, pattern=only(NAME))]
_Shown = Annotated[str, msgspec.Meta(max_length=64, pattern=only(r"[^\x00-\x1f\x7f]*"))]


class KnownUser(msgspec.Struct, forbid_unknown_fields=True):
    """Somebody who may log in. Times are POSIX seconds."""

    name: str
    display_name: str
    role: Role
    state: str
    created: float
    last_seen: float | None
    second_factors: list[str]
    code_until: float | None
    """Until when the code that they were given holds."""
    narrowed: Narrowed
    """What is left of the role."""


class UserList(msgspec.Struct, forbid_unknown_fields=True):
    """Everybody."""

    users: list[KnownUser]


class Invitation(msgspec.Struct, forbid_unknown_fields=True):
    """Whom to invite."""

    name: _Typed
    role: Role
    display_name: _Shown = ""


class UserChange(msgspec.Struct, forbid_unknown_fields=True):
    """What to change; what is left out stays."""

    role: Role | None = None
    display_name: _Shown | None = None
    disabled: bool | None = None
    narrowed: Narrowed | None = None
    """Leave so much of the role; of an empty one, all of it."""


class Resetting(msgspec.Struct, forbid_unknown_fields=True):
    """How to reset somebody."""

    forget_factors: bool = False
    """They lost their second factor: it is forgotten, as are all passkeys."""


class HandedCode(msgspec.Struct, forbid_unknown_fields=True):
    """A code to hand to somebody; it can't be shown again."""

    name: str
    code: str
    until: float
    link: str = ""
    """Where it is used, with it in the part of an address that no browser sends."""
    picture: str = ""
    """That as a code to be scanned (SVG)."""


class Removed(msgspec.Struct, forbid_unknown_fields=True):
    """Whether there was such a user."""

    removed: bool


class LoggedIn(msgspec.Struct, forbid_unknown_fields=True):
    """A session. Times are POSIX seconds."""

    session_id: str
    name: str
    issuer: str
    """Who vouches for the name; empty: they are a user of this box."""
    role: Role
    proved: str
    began: float
    used: float
    idle_until: float
    until: float
    address: str
    agent: str


class SessionList(msgspec.Struct, forbid_unknown_fields=True):
    """Who is logged in."""

    sessions: list[LoggedIn]


class Ending(msgspec.Struct, forbid_unknown_fields=True):
    """Which session to end."""

    session_id: Annotated[str, msgspec.Meta(max_length=64)] = ""
    """Left out: all of this user."""


class Ended(msgspec.Struct, forbid_unknown_fields=True):
    """How many sessions were ended."""

    ended: int


class Named(msgspec.Struct):
    """A user."""

    name: str


def known_user(user: User) -> KnownUser:
    """A user, as programs read it."""
    return KnownUser(
        user.name,
        user.display_name,
        user.role,
        user.state,
        user.created,
        user.last_seen,
        list(user.second_factors),
        user.code_until,
        narrowed(user.scope),
    )


def logged_in(session: Session) -> LoggedIn:
    """A session, as programs read it."""
    return LoggedIn(
        session.session_id,
        session.name,
        session.issuer,
        session.role,
        session.proved,
        session.began,
        session.used,
        session.idle_until,
        session.until,
        session.address,
        session.agent,
    )


def check_changes(asking: Identity) -> None:
    """Do nothing if who asks may change people.

    Raises:
        AccessDenied: They may not.
    """
    if asking.proof is Proof.TOKEN:
        raise AccessDenied("no token changes users", hint="log in, or use edge user", known=True)
    if asking.scope != ANYTHING:
        raise AccessDenied(
            f"{asking.name} was narrowed, and changes no users",
            hint="have another admin do it, or use edge user",
            known=True,
        )


def user_routes(
    users: Users, sessions: Sessions, identity: Callable[[web.Request], Identity]
) -> Sequence[web.RouteDef]:
    """``/users``.

    Args:
        users: Everybody.
        sessions: Who is logged in.
        identity: Who asks.
    """

    @operation("Everybody who may log in.", answer=UserList)
    @needs(Act.ADMINISTER)
    async def listed(_: web.Request) -> web.Response:
        return as_json(UserList([known_user(user) for user in await users.list()]))

    @operation("Invite somebody; the code is for them.", answer=HandedCode, body=Invitation)
    @needs(Act.ADMINISTER)
    async def invite(request: web.Request) -> web.Response:
        wish = await body(request, Invitation)
        check_changes(identity(request))
        return await _handed(request, await users.add(wish.name, wish.role, wish.display_name))

    @operation("Change somebody.", answer=KnownUser, body=UserChange, path=Named)
    @needs(Act.ADMINISTER)
    async def change(request: web.Request) -> web.Response:
        wish = await body(request, UserChange)
        check_changes(identity(request))
        changed = await users.change(
            request.match_info["name"],
            role=wish.role,
            display_name=wish.display_name,
            disabled=wish.disabled,
            scope=None if wish.narrowed is None else scope_of(wish.narrowed),
        )
        sessions.forget()
        return as_json(known_user(changed))

    @operation(
        "Make somebody's password worthless; by the code they set another.",
        answer=HandedCode,
        body=Resetting,
        path=Named,
    )
    @needs(Act.ADMINISTER)
    async def reset(request: web.Request) -> web.Response:
        wish = await body(request, Resetting)
        check_changes(identity(request))
        handed = await users.reset(request.match_info["name"], forget_factors=wish.forget_factors)
        sessions.forget()
        return await _handed(request, handed)

    @operation("Remove somebody.", answer=Removed, path=Named)
    @needs(Act.ADMINISTER)
    async def remove(request: web.Request) -> web.Response:
        check_changes(identity(request))
        removed = await users.remove(request.match_info["name"])
        sessions.forget()
        return as_json(Removed(removed))

    @operation("Where somebody is logged in.", answer=SessionList, path=Named)
    @needs(Act.ADMINISTER)
    async def sessions_of(request: web.Request) -> web.Response:
        found = await sessions.list(request.match_info["name"], None)
        return as_json(SessionList([logged_in(one) for one in found]))

    @operation("Log somebody out.", answer=Ended, path=Named, query=Ending)
    @needs(Act.ADMINISTER)
    async def log_out(request: web.Request) -> web.Response:
        name, asked = request.match_info["name"], wanted(request, Ending)
        check_changes(identity(request))
        if asked.session_id:
            return as_json(Ended(int(await sessions.end(asked.session_id, name, None))))
        return as_json(Ended(await sessions.end_all(name, None)))

    async def _handed(request: web.Request, handed: Handed) -> web.Response:
        try:
            link = f"{request.url.origin()}/welcome#code={handed.code}"
        except ValueError:  # who asks calls the box by what is no name
            link = ""
        picture = await asyncio.to_thread(picture_of, link or handed.code)
        return as_json(HandedCode(handed.name, handed.code, handed.until, link, picture))

    return [
        web.get("/users", listed),
        web.post("/users", invite),
        web.post("/users/{name}", change),
        web.delete("/users/{name}", remove),
        web.post("/users/{name}/reset", reset),
        web.get("/users/{name}/sessions", sessions_of),
        web.delete("/users/{name}/sessions", log_out),
    ]
