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
from edge.cache.disk_paper import DiskPaper
from edge.cache.recovery_key import RecoveryPaper
from edge.errors import AccessDenied, DecisionRefused, SecretError

__all__ = ["recovery_routes"]

_FILE = "application/octet-stream"
_MAKES = "makes a recovery key", ", or use edge key recovery"


class RecoveryState(msgspec.Struct, forbid_unknown_fields=True):
    """Whether there is a recovery key."""

    made: float | None
    """When it was made, in POSIX seconds; null: there is none."""
    trouble: str = ""
    """What is wrong with what the box keeps of it."""
    disk: bool = False
    """Whether the disk of this machine has a recovery key of its own, beside its TPM."""


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


class DiskKey(msgspec.Struct, forbid_unknown_fields=True):
    """The recovery key of the disk, which is typed at the machine when its TPM does not open it."""

    groups: list[str]


class Typed(msgspec.Struct, forbid_unknown_fields=True):
    """The recovery key, from paper."""

    key: Annotated[str, msgspec.Meta(max_length=400)]


def recovery_routes(
    paper: RecoveryPaper,
    backups: Backups,
    identity: Callable[[web.Request], Identity],
    box: str,
    disk: DiskPaper,
) -> list[web.RouteDef]:
    """``/keys/recovery``, ``/keys/disk`` and ``/backup``.

    Args:
        paper: Makes recovery keys.
        backups: Makes backups.
        identity: Who asks.
        box: What the box is called.
        disk: Shows the recovery key of the disk.
    """

    def person(request: web.Request, does: str, otherwise: str = "") -> str:
        """Who asks, so that only they end what they began.

        Raises:
            AccessDenied: It is a program, or somebody who was narrowed.
        """
        asking = identity(request)
        if asking.proof is Proof.TOKEN:
            raise AccessDenied(f"no token {does}", hint=f"log in{otherwise}", known=True)
        if asking.scope != ANYTHING:
            raise AccessDenied(
                f"{asking.name} was narrowed: nobody who was {does}",
                hint=f"have another admin do it{otherwise}",
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
        found.disk = await disk.has_key()
        return as_json(found)

    @operation(
        "Show the recovery key of the disk, which is typed at the machine if its TPM fails.",
        answer=DiskKey,
    )
    @needs(Act.ADMINISTER)
    async def show_disk_key(request: web.Request) -> web.Response:
        person(request, "sees the recovery key of the disk")
        groups = await disk.show()
        if not groups:
            raise DecisionRefused(
                "the disk of this machine has no recovery key",
                hint="it gets one where a TPM opens it; else its key is on a stick, or on the disk",
            )
        return as_json(DiskKey(groups))

    @operation(
        "Make a recovery key; it is in this answer alone, and not in force yet.",
        answer=ShownKey,
        body=Wish,
    )
    @needs(Act.ADMINISTER)
    async def begin(request: web.Request) -> web.Response:
        wish = await body(request, Wish)
        shown = await paper.begin(person(request, *_MAKES), renew=wish.renew)
        picture = await asyncio.to_thread(picture_of, " ".join(shown.groups))
        return as_json(ShownKey(list(shown.groups), picture, shown.until))

    @operation("Type it back: from now on the box seals for it.", answer=RecoveryState, body=Typed)
    @needs(Act.ADMINISTER)
    async def confirm(request: web.Request) -> web.Response:
        wish = await body(request, Typed)
        return as_json(RecoveryState(await paper.confirm(person(request, *_MAKES), wish.key)))

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
        web.post("/keys/disk", show_disk_key),
        web.get("/backup", backup),
    ]
