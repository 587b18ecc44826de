"""People whom the identity provider vouches for, over HTTP, for admins.

Their roles are the provider's to give. What a program may not do to users, it may not do to them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import msgspec
from aiohttp import web

from edge.access.acts import Act
from edge.access.oidc.people import ProviderPeople
from edge.access.roles import Identity, Role, needs
from edge.access.sessions import Sessions
from edge.admin.asking import body
from edge.admin.openapi import operation
from edge.admin.users import Named, Removed, check_changes

__all__ = ["KnownIdentity", "identity_routes"]


class KnownIdentity(msgspec.Struct, forbid_unknown_fields=True):
    """Somebody whom a provider vouches for. Times are POSIX seconds."""

    name: str
    display_name: str
    issuer: str
    role: str
    """As the issuer had it last."""
    state: str
    vouched: float | None
    """When the issuer said last who they are; null: it does no longer."""


class IdentityList(msgspec.Struct, forbid_unknown_fields=True):
    """Everybody who logged in by a provider."""

    identities: list[KnownIdentity]


class IdentityChange(msgspec.Struct, forbid_unknown_fields=True):
    """What to change."""

    disabled: bool


def identity_routes(
    people: ProviderPeople, sessions: Sessions, identity: Callable[[web.Request], Identity]
) -> Sequence[web.RouteDef]:
    """``/identities``.

    Args:
        people: Whom a provider vouches for.
        sessions: Who is logged in.
        identity: Who asks.
    """

    async def check(request: web.Request) -> None:
        """Raise AccessDenied if who asks may not change whom the path names."""
        name = request.match_info["name"]
        found = [one for one in await people.list() if one.name == name]
        check_changes(identity(request), {Role(one.role) for one in found})

    @operation("Everybody who logged in by an identity provider.", answer=IdentityList)
    @needs(Act.ADMINISTER)
    async def listed(_: web.Request) -> web.Response:
        return _json(IdentityList([KnownIdentity(**asdict(one)) for one in await people.list()]))

    @operation(
        "Keep somebody out, or let them in.", answer=KnownIdentity, body=IdentityChange, path=Named
    )
    @needs(Act.ADMINISTER)
    async def change(request: web.Request) -> web.Response:
        wish = await body(request, IdentityChange)
        await check(request)
        changed = await people.change(request.match_info["name"], disabled=wish.disabled)
        sessions.forget()
        return _json(KnownIdentity(**asdict(changed)))

    @operation("Forget somebody, until they log in again.", answer=Removed, path=Named)
    @needs(Act.ADMINISTER)
    async def remove(request: web.Request) -> web.Response:
        await check(request)
        removed = await people.remove(request.match_info["name"])
        sessions.forget()
        return _json(Removed(removed))

    return [
        web.get("/identities", listed),
        web.post("/identities/{name}", change),
        web.delete("/identities/{name}", remove),
    ]


def _json(document: Any) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(document),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
