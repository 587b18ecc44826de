"""Whether the machine is on a network, over the admin API; for who may ``administer``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import msgspec
from aiohttp import web

from edge.access.roles import Act, needs
from edge.admin.entrance import as_json
from edge.admin.openapi import operation
from edge.cache.network import Look, look

__all__ = ["network_routes"]


class Network(msgspec.Struct, forbid_unknown_fields=True):
    """What the machine can tell by itself."""

    looks: list[Look]
    is_set: bool
    """Whether somebody set it: by a stick, or at the screen. False: it is as a new box has it."""


def network_routes(is_set: Callable[[], bool]) -> Sequence[web.RouteDef]:
    """``/network``.

    Args:
        is_set: Whether the machine was given settings of its own; blocks.
    """

    @operation("Whether this machine is on a network; nothing is sent.", answer=Network)
    @needs(Act.ADMINISTER)
    async def network(_: web.Request) -> web.Response:
        return as_json(Network(*await asyncio.to_thread(lambda: (look(), is_set()))))

    return [web.get("/network", network)]
