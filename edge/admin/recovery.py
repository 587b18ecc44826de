"""The recovery key and backups over the admin API, for who may administer.

The key stands in one answer, that to who began, and nobody may keep that answer. No token makes
one, nor does an admin who was narrowed: whoever has it can read all that the box keeps.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from typing import Annotated

import msgspec
from aiohttp import hdrs, web

from edge.access.acts import Act
from edge.access.picturing import picture_of
from edge.access.roles import Identity, Proof, needs
from edge.access.scope import ANYTHING
from edge.admin.asking import body
from edge.admin.entrance import as_json
from edge.admin.openapi import operation
from edge.cache.backup import Backups
from edge.cache.recovery_key import RecoveryPaper
from edge.errors import AccessDenied, DecisionRefused, SecretError

__all__ = ["recovery_routes"]

_FILE = "application/octet-stream"


class RecoveryState(msgspec.Struct, forbid_unknown_fields=True):
    """Whether there is a recovery key."""

    made: float | None
    """When it was made, in POSIX seconds; null: there is none."""
    trouble: str = ""
    """What is wrong with what the box keeps of it."""


class Wish(msgspec.Struct, forbid_unknown_fields=True):
    """That a recovery key is to be made."""

    renew: bool = False
    """Even if there is one: that opens older backups only, then."""


class ShownKey(msgspec.Struct, forbid_unknown_fields=True):
    """A recovery key; it can't be shown again, and is in force once it was typed back."""

    groups: list[str]
    picture: str
    """The same as a code to be scanned (SVG)."""
    until: float
    """POSIX seconds."""


class Typed(msgspec.Struct, forbid_unknown_fields=True):
    """The recovery key, from paper."""

    key: Annotated[str, msgspec.Meta(max_length=400)]


def recovery_routes(
    paper: RecoveryPaper,
    backups: Backups,
    identity: Callable[[web.Request], Identity],
    box: str,
) -> list[web.RouteDef]:
    """``/keys/recovery`` and ``/backup``.

    Args:
        paper: Makes recovery keys.
        backups: Makes backups.
        identity: Who asks.
        box: What the box is called.
    """

    def person(request: web.Request) -> str:
        """Who asks, so that only they end what they began.

        Raises:
            AccessDenied: It is a program, or somebody who was narrowed.
        """
        asking = identity(request)
        if asking.proof is Proof.TOKEN:
            raise AccessDenied(
                "no token makes a recovery key", hint="log in, or use edge key recovery", known=True
            )
        if asking.scope != ANYTHING:
            raise AccessDenied(
                f"{asking.name} was narrowed, and makes no recovery key",
                hint="have another admin do it, or use edge key recovery",
                known=True,
            )
        return asking.session_id or asking.name

    @operation("Whether there is a recovery key.", answer=RecoveryState)
    @needs(Act.ADMINISTER)
    async def state(_: web.Request) -> web.Response:
        try:
            found = RecoveryState(await paper.made())
        except SecretError as error:
            found = RecoveryState(None, str(error))
        return as_json(found)

    @operation(
        "Make a recovery key; it is in this answer alone, and not in force yet.",
        answer=ShownKey,
        body=Wish,
    )
    @needs(Act.ADMINISTER)
    async def begin(request: web.Request) -> web.Response:
        wish = await body(request, Wish)
        shown = await paper.begin(person(request), renew=wish.renew)
        picture = await asyncio.to_thread(picture_of, " ".join(shown.groups))
        return as_json(ShownKey(list(shown.groups), picture, shown.until))

    @operation("Type it back: from now on the box seals for it.", answer=RecoveryState, body=Typed)
    @needs(Act.ADMINISTER)
    async def confirm(request: web.Request) -> web.Response:
        wish = await body(request, Typed)
        return as_json(RecoveryState(await paper.confirm(person(request), wish.key)))

    @operation(
        "A backup, made now, as a file that only the recovery key opens.",
        answer=bytes,
        media_types=(_FILE,),
    )
    @needs(Act.ADMINISTER)
    async def backup(_: web.Request) -> web.Response:
        if await paper.made() is None:
            raise DecisionRefused(
                "there is no recovery key, so nobody could open a backup", hint="make one first"
            )
        sealed, made = await backups.make()
        called = re.sub(r"[^A-Za-z0-9]+", "-", box).strip("-").lower() or "edge"
        day = time.strftime("%Y%m%d-%H%M%S", time.gmtime(made))
        headers = {
            hdrs.CONTENT_DISPOSITION: f'attachment; filename="{called}-backup-{day}.edge"',
            hdrs.CACHE_CONTROL: "no-store",
        }
        return web.Response(body=sealed, content_type=_FILE, headers=headers)

    return [
        web.get("/keys/recovery", state),
        web.post("/keys/recovery", begin),
        web.post("/keys/recovery/typed", confirm),
        web.get("/backup", backup),
    ]
