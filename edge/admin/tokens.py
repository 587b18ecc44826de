"""API tokens over the admin API, for who may administer.

The secret stands in one answer, that to the request which made it, and nobody may keep that answer.
Whoever uses a token here sees and revokes, and makes none: that is for admins who log in, and for
the command line.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final

import msgspec
from aiohttp import hdrs, web

from edge.access.acts import Act, Service
from edge.access.roles import Identity, Role, needs
from edge.access.scope import Scope
from edge.access.tokens import LIFETIME_DAYS, MOST_DAYS, TokenInfo, Tokens
from edge.admin.asking import body, wanted
from edge.admin.openapi import operation
from edge.errors import DecisionRefused

__all__ = ["token_routes"]

_PRINTABLE: Final = r"^[^\x00-\x1f\x7f-\x9f]*$(?!\n)"


class ToMake(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A token that is wanted."""

    role: Role
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=_PRINTABLE)]
    """Who or what will hold it."""
    days: Annotated[float, msgspec.Meta(gt=0, le=MOST_DAYS)] | None = LIFETIME_DAYS
    """It ends after so many; null: it does not end by itself."""
    services: list[Service] = []
    """It is for these; none named means for every one."""
    acts: list[Act] = []
    """It may do these, as far as its role may; none named means all that this may."""
    ae_title: str = ""
    """What it stores comes from this application entity."""
    networks: list[str] = []
    """Addresses and networks that it may be used from; none named means anywhere."""
    studies_from: list[str] = []
    """It sees only studies of which one of these sent something; none named means all."""


class Made(msgspec.Struct):
    """A token that was made."""

    token_id: str
    secret: str
    """It can't be shown again."""
    expires: float | None
    """POSIX seconds; null if it does not end by itself."""


class Token(msgspec.Struct):
    """A token that there is, without its secret."""

    token_id: str
    role: Role
    name: str
    created: float
    expires: float | None
    ended: bool
    services: list[Service]
    acts: list[Act]
    ae_title: str
    networks: list[str]
    studies_from: list[str]
    used_day: str
    """The last day on which it was used; empty if that is not known."""
    used_from: str


class Named(msgspec.Struct, forbid_unknown_fields=True):
    """Which token."""

    token_id: Annotated[str, msgspec.Meta(max_length=64)] = ""


class Revoked(msgspec.Struct):
    """Whether there was such a token; it is worthless now."""

    revoked: bool


def token_routes(tokens: Tokens, identity: Callable[[web.Request], Identity]) -> list[web.RouteDef]:
    """``/tokens``.

    Args:
        tokens: Those of the box.
        identity: Who asks.
    """

    @operation("The tokens that there are, the oldest first, without secrets.", answer=list[Token])
    @needs(Act.ADMINISTER)
    async def listed(_: web.Request) -> web.Response:
        shown = [_shown(info, ended=tokens.has_ended(info)) for info in await tokens.list()]
        return web.json_response(msgspec.to_builtins(shown))

    @operation("Make a token; its secret is in this answer alone.", answer=Made, body=ToMake)
    @needs(Act.ADMINISTER)
    async def make(request: web.Request) -> web.Response:
        wish = await body(request, ToMake)
        try:
            scope = Scope(
                frozenset(wish.services),
                frozenset(wish.acts),
                wish.ae_title.strip(),
                tuple(wish.networks),
                frozenset(one.strip() for one in wish.studies_from),
            )
            made = await tokens.issue(
                wish.role, wish.name, days=wish.days, scope=scope, maker=identity(request)
            )
        except ValueError as error:
            raise DecisionRefused(str(error), hint="nothing was made") from error
        answer = Made(made.info.token_id, made.secret, made.info.expires)
        return web.json_response(
            msgspec.to_builtins(answer), headers={hdrs.CACHE_CONTROL: "no-store"}
        )

    @operation("Make a token worthless, at once.", answer=Revoked, query=Named)
    @needs(Act.ADMINISTER)
    async def revoke(request: web.Request) -> web.Response:
        asked = wanted(request, Named)
        return web.json_response({"revoked": await tokens.revoke(asked.token_id)})

    return [
        web.get("/tokens", listed),
        web.post("/tokens", make),
        web.delete("/tokens", revoke),
    ]


def _shown(info: TokenInfo, *, ended: bool) -> Token:
    return Token(
        token_id=info.token_id,
        role=info.role,
        name=info.name,
        created=info.created,
        expires=info.expires,
        ended=ended,
        services=sorted(info.scope.services),
        acts=sorted(info.scope.acts),
        ae_title=info.scope.ae_title,
        networks=list(info.scope.networks),
        studies_from=sorted(info.scope.studies_from),
        used_day=info.used_day,
        used_from=info.used_from,
    )
