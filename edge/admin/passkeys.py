"""Passkeys over HTTP, below ``/login``: logging in with one, and everybody's own.

What goes to a browser and comes back is JSON as ``PublicKeyCredential`` writes it (WebAuthn 5.1).
Decides nothing: `edge.access.passkeys` does.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from aiohttp import web

from edge.access.passkeys import Passkeys
from edge.access.sessions import Proved
from edge.access.webauthn import Site
from edge.admin.entrance import Entrance, as_json, said, visitor_of
from edge.admin.factors import Confirming, Gone
from edge.admin.login import Password
from edge.errors import QueryError

__all__ = ["passkey_routes"]

_Label = Annotated[str, msgspec.Meta(max_length=64)]
_Id = Annotated[str, msgspec.Meta(max_length=1400)]


class Nothing(msgspec.Struct, forbid_unknown_fields=True):
    """An empty object."""


class Answer(msgspec.Struct, forbid_unknown_fields=True):
    """What an authenticator answered, that was asked."""

    credential: dict[str, Any]


class Made(msgspec.Struct, forbid_unknown_fields=True):
    """What an authenticator answered, that made a passkey."""

    credential: dict[str, Any]
    label: _Label = ""
    """What its holder calls it."""


class Removing(msgspec.Struct, forbid_unknown_fields=True):
    """Which one to remove."""

    id: _Id
    password: Password = ""


class OwnPasskey(msgspec.Struct, forbid_unknown_fields=True):
    """A passkey. Times are POSIX seconds."""

    id: str
    label: str
    rp_id: str
    created: float
    last_used: float | None


class OwnPasskeys(msgspec.Struct, forbid_unknown_fields=True):
    """All of who is logged in."""

    passkeys: list[OwnPasskey]


def passkey_routes(door: Entrance, passkeys: Passkeys) -> Sequence[web.RouteDef]:
    """``/login/passkey`` and ``/login/passkeys``.

    Args:
        door: Gives sessions to browsers.
        passkeys: All of them.
    """

    async def ask(request: web.Request) -> web.Response:
        await said(request, Nothing)
        return as_json(passkeys.ask(_site(request)))

    async def log_in(request: web.Request) -> web.Response:
        wish, visitor = await said(request, Answer), visitor_of(request)
        row = await passkeys.proved(_site(request), wish.credential, visitor.address)
        return door.begin(await door.login.proved(row, Proved.PASSKEY, visitor))

    async def begin(request: web.Request) -> web.Response:
        session, wish = await door.session(request), await said(request, Confirming)
        return as_json(await passkeys.begin(session, wish.password, _site(request)))

    async def add(request: web.Request) -> web.Response:
        session, wish = await door.session(request), await said(request, Made)
        given = await passkeys.add(session, _site(request), wish.credential, wish.label)
        opened = await door.login.enrolled(session, Proved.PASSKEY)
        return door.begin(opened, recovery_codes=given)

    async def listed(request: web.Request) -> web.Response:
        found = await passkeys.list(await door.session(request))
        own = [
            OwnPasskey(_text(one.credential_id), one.label, one.rp_id, one.created, one.last_used)
            for one in found
        ]
        return as_json(OwnPasskeys(own))

    async def remove(request: web.Request) -> web.Response:
        session, wish = await door.session(request), await said(request, Removing)
        return as_json(Gone(await passkeys.remove(session, _bytes(wish.id), wish.password)))

    return [
        web.post("/login/passkey/begin", ask),
        web.post("/login/passkey", log_in),
        web.get("/login/passkeys", listed),
        web.post("/login/passkeys/begin", begin),
        web.post("/login/passkeys", add),
        web.post("/login/passkeys/remove", remove),
    ]


def _site(request: web.Request) -> Site:
    return Site(request.host)


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    try:
        return urlsafe_b64decode(f"{text}===")
    except ValueError as error:
        raise QueryError("id is no base64url") from error
