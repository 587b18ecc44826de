"""The lock-down over the admin API: a box that is being carried away is shut from wherever one is.

Only locking is here. What opens the box again is asked for on the machine, or on the page of the
locked box (`unlocking`): nobody who is far away has a reason to.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from edge.access.acts import Act
from edge.access.roles import Identity, needs
from edge.admin.asking import body
from edge.admin.local_keys import LockAsked
from edge.admin.openapi import operation
from edge.errors import DecisionRefused

__all__ = ["key_routes"]


class LockWanted(msgspec.Struct, forbid_unknown_fields=True):
    """That the box shall be locked; it does not open again by anything that is asked for here."""

    confirmed: bool = False
    """Must be true: every door closes, and somebody must open the box on the machine."""
    force: bool = False
    """Even if no recovery key was made; then what opens the box stays in it."""


class LockDone(msgspec.Struct):
    """It is locked; the doors close now."""

    locked: bool = True
    not_destroyed: str = ""
    """What opens the box and could not be destroyed, and why; each start tries again."""


def key_routes(
    lock: Callable[[LockAsked], Awaitable[str]], identity: Callable[[web.Request], Identity]
) -> list[web.RouteDef]:
    """``/keys/lock``.

    Args:
        lock: Locks the box, and says what could not be destroyed.
        identity: Who asks.
    """

    @operation(
        "Lock the box: its keys are forgotten, and its doors close, until it is opened on purpose.",
        answer=LockDone,
        body=LockWanted,
    )
    @needs(Act.ADMINISTER)
    async def post_lock(request: web.Request) -> web.Response:
        wish = await body(request, LockWanted)
        if not wish.confirmed:
            raise DecisionRefused(
                "the box was not locked", hint="say confirmed: true; it can't be opened from afar"
            )
        by = f"{identity(request).name} over the network"
        left = await lock(LockAsked(by, force=wish.force))
        return web.json_response(msgspec.to_builtins(LockDone(not_destroyed=left)))

    return [web.post("/keys/lock", post_lock)]
