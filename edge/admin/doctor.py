"""The association doctor over the admin API: what went wrong with DICOM devices, and what to do.

For who may ``administer``, as all about peers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated

import msgspec
from aiohttp import web

from edge.access.roles import Act, needs
from edge.admin.asking import wanted
from edge.admin.entrance import as_json
from edge.admin.openapi import operation
from edge.cache.associations import Diagnosis

__all__ = ["doctor_routes"]


class Examining(msgspec.Struct, forbid_unknown_fields=True):
    """Whom to examine."""

    peer: Annotated[str, msgspec.Meta(max_length=253)] = ""
    """Its name, its AE title, or its address; empty: all of them."""


def doctor_routes(examine: Callable[[str], Awaitable[Diagnosis]]) -> Sequence[web.RouteDef]:
    """``/peers/doctor``.

    Args:
        examine: Says what is known of the peer of that name, AE title or address.
    """

    @operation(
        "What went wrong with associations, of whom, and what to change on which side.",
        answer=Diagnosis,
        query=Examining,
    )
    @needs(Act.ADMINISTER)
    async def doctor(request: web.Request) -> web.Response:
        return as_json(await examine(wanted(request, Examining).peer))

    return [web.get("/peers/doctor", doctor)]
