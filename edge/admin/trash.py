"""The trash over the admin API.

Listing is for who may read images, for it names patients; restoring for who may ``decide``, and
emptying, which destroys bytes, for who may ``delete``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Literal

import msgspec
from aiohttp import web

from edge.access.roles import Act, Identity, needs
from edge.admin.asking import About, Paged, body, wanted
from edge.admin.openapi import operation
from edge.cache.listing import Page
from edge.cache.trash import InTrash, Query, StudyInTrash, Trash
from edge.errors import DecisionRefused

__all__ = ["trash_routes"]


class TrashDecision(About):
    """What shall become of images in the trash: by their UIDs, or all of a study, or all."""

    decision: Literal["restore", "empty"]
    confirmed: bool = False
    """Of ``empty``: the archive has these images no more, and then nobody has."""


class TrashOutcome(msgspec.Struct):
    """What became of it."""

    done: int
    """Instances that are shown again, and that the archive is owed; or that will be erased now."""


def trash_routes(trash: Trash, identity: Callable[[web.Request], Identity]) -> list[web.RouteDef]:
    """``/trash``.

    Args:
        trash: Lists, and takes decisions.
        identity: Who asks.
    """

    @operation(
        "Images that the archive deleted and that are kept for some days, the newest first.",
        answer=Page[InTrash],
        query=Paged,
    )
    async def contents(request: web.Request) -> web.Response:
        asked = wanted(request, Paged)
        page = await trash.contents(Query(limit=asked.limit, offset=asked.offset))
        return web.json_response(asdict(page))

    @operation(
        "The studies that these images are of, the newest first.",
        answer=Page[StudyInTrash],
        query=Paged,
    )
    async def by_study(request: web.Request) -> web.Response:
        asked = wanted(request, Paged)
        return web.json_response(asdict(await trash.studies(asked.limit, asked.offset)))

    @operation("Restore images, or have them erased.", answer=TrashOutcome, body=TrashDecision)
    @needs(Act.DECIDE)
    async def decide(request: web.Request) -> web.Response:
        wish = await body(request, TrashDecision)
        query = wish.query()
        if wish.decision == "restore":
            done = await trash.restore(query)
        else:
            identity(request).require(Act.DELETE)
            if not wish.confirmed:
                raise DecisionRefused(
                    "the archive has these images no more, and then nobody has",
                    hint="say confirmed: true",
                )
            done = await trash.empty(query)
        return web.json_response({"done": done})

    return [
        web.get("/trash", contents),
        web.get("/trash/studies", by_study),
        web.post("/trash", decide),
    ]
