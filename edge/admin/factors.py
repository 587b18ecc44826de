"""Second factors over HTTP: everybody's own, below ``/login``.

What is made here is shown once. Decides nothing: `edge.access.factors` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from aiohttp import web

from edge.access.factors import Factors
from edge.access.sessions import Proved
from edge.admin.entrance import Entrance, as_json, said
from edge.admin.login import Password

__all__ = ["Confirming", "factor_routes"]


class Confirming(msgspec.Struct, forbid_unknown_fields=True):
    """Somebody who wants to change what they log in with."""

    password: Password = ""
    """Theirs, again, where the log-in was more than ten minutes ago."""


class ShownCode(msgspec.Struct, forbid_unknown_fields=True):
    """What an app shows."""

    code: Annotated[str, msgspec.Meta(max_length=64)]


class TotpSecret(msgspec.Struct, forbid_unknown_fields=True):
    """What an app needs; it is not in force before a code of it was sent."""

    secret: str
    uri: str
    picture: str
    """A QR code, SVG."""


class RecoveryCodes(msgspec.Struct, forbid_unknown_fields=True):
    """Each stands in for the second factor, once."""

    recovery_codes: list[str]


class Gone(msgspec.Struct, forbid_unknown_fields=True):
    """Whether there was such a second factor."""

    removed: bool


def factor_routes(door: Entrance, factors: Factors) -> Sequence[web.RouteDef]:
    """``/login/totp`` and ``/login/recovery-codes``.

    Args:
        door: Knows whose session it is.
        factors: Enrols, and removes.
    """

    async def begin_totp(request: web.Request) -> web.Response:
        session, wish = await door.session(request), await said(request, Confirming)
        new = await factors.begin_totp(session, wish.password)
        return as_json(TotpSecret(new.secret, new.uri, new.picture))

    async def confirm_totp(request: web.Request) -> web.Response:
        session, wish = await door.session(request), await said(request, ShownCode)
        given = await factors.confirm_totp(session, wish.code)
        opened = await door.login.enrolled(session, Proved.TOTP)
        return door.begin(opened, recovery_codes=given)

    async def remove_totp(request: web.Request) -> web.Response:
        session, wish = await door.session(request), await said(request, Confirming)
        return as_json(Gone(await factors.remove_totp(session, wish.password)))

    async def renew_codes(request: web.Request) -> web.Response:
        session, wish = await door.session(request), await said(request, Confirming)
        fresh = await factors.renew_codes(session, wish.password)
        return as_json(RecoveryCodes(list(fresh)))

    return [
        web.post("/login/totp/begin", begin_totp),
        web.post("/login/totp", confirm_totp),
        web.post("/login/totp/remove", remove_totp),
        web.post("/login/recovery-codes", renew_codes),
    ]
