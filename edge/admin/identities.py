"""People whom the identity provider vouches for, over HTTP, for admins.

Their roles are the provider's to give. What a program may not do to users, it may not do to them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from aiohttp import web

from edge.access.acts import Act
from edge.access.oidc.people import Known, ProviderPeople
from edge.access.roles import Identity, needs
from edge.access.sessions import Sessions
from edge.admin.asking import body
from edge.admin.entrance import as_json
from edge.admin.narrowed import Narrowed, narrowed, scope_of
from edge.admin.openapi import operation
from edge.admin.users import Named, Removed, check_changes
from edge.errors import UserRefused

__all__ = ["KnownIdentity", "identity_routes", "known_identity"]


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
    narrowed: Narrowed
    """What is left of the role here."""


class IdentityList(msgspec.Struct, forbid_unknown_fields=True):
    """Everybody who logged in by a provider."""

    identities: list[KnownIdentity]


class IdentityChange(msgspec.Struct, forbid_unknown_fields=True):
    """What to change; what is left out stays."""

    disabled: bool | None = None
    narrowed: Narrowed | None = None
    """Leave so much of the role; of an empty one, all of it."""


def known_identity(one: Known) -> KnownIdentity:
    """Somebody, as programs read it."""
    return KnownIdentity(
        one.name,
        one.display_name,
        one.issuer,
        one.role,
        one.state,
        one.vouched,
        narrowed(one.scope),
    )


def identity_routes(
    people: ProviderPeople, sessions: Sessions, identity: Callable[[web.Request], Identity]
) -> Sequence[web.RouteDef]:
    """``/identities``.

    Args:
        people: Whom a provider vouches for.
        sessions: Who is logged in.
        identity: Who asks.
    """

    @operation("Everybody who logged in by an identity provider.", answer=IdentityList)
    @needs(Act.ADMINISTER)
    async def listed(_: web.Request) -> web.Response:
        return as_json(IdentityList([known_identity(one) for one in await people.list()]))

    @operation(
        "Keep somebody out, let them in, or narrow them.",
        answer=KnownIdentity,
        body=IdentityChange,
        path=Named,
    )
    @needs(Act.ADMINISTER)
    async def change(request: web.Request) -> web.Response:
        wish = await body(request, IdentityChange)
        check_changes(identity(request))
        name = request.match_info["name"]
        if wish.disabled is None and wish.narrowed is None:
            raise UserRefused(
                "nothing is named that is to be changed", hint="disabled, or narrowed"
            )
        scope = None if wish.narrowed is None else scope_of(wish.narrowed)
        changed = await people.change(name, disabled=wish.disabled, scope=scope)
        sessions.forget()
        return as_json(known_identity(changed))

    @operation("Forget somebody, until they log in again.", answer=Removed, path=Named)
    @needs(Act.ADMINISTER)
    async def remove(request: web.Request) -> web.Response:
        check_changes(identity(request))
        removed = await people.remove(request.match_info["name"])
        sessions.forget()
        return as_json(Removed(removed))

    return [
        web.get("/identities", listed),
        web.post("/identities/{name}", change),
        web.delete("/identities/{name}", remove),
    ]
