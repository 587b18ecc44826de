"""The trash over the admin API.

Listing is for who may read images, for it names patients; restoring for who may ``decide``, and
emptying, which destroys bytes, for who may ``delete``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Literal

import msgspec
from aiohttp import web

from edge.access.roles import Act, Identity
from edge.admin.openapi import operation
from edge.cache.listing import Page
from edge.cache.trash import InTrash, Query, Trash
from edge.errors import DecisionRefused, QueryError

__all__ = ["trash_routes"]


class TrashWanted(msgspec.Struct, forbid_unknown_fields=True):
    """A page of the trash."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100
    offset: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0


class TrashDecision(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What shall become of images in the trash: by their UIDs, or all of a study, or all."""

    decision: Literal["restore", "empty"]
    sop_uids: list[str] = []
    study_uid: str | None = None
    all: bool = False
    confirmed: bool = False
    """Of ``empty``: the archive has these images no more, and then nobody has."""

    def query(self) -> Query:
        """The same for the cache.

        Raises:
            DecisionRefused: Nothing is named, or too much.
        """
        if [bool(self.sop_uids), self.study_uid is not None, self.all].count(True) != 1:
            raise DecisionRefused(
                "it is not clear about which images that is",
                hint="name sop_uids, or else study_uid, or else all: true",
            )
        return Query(tuple(self.sop_uids), self.study_uid)


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
        query=TrashWanted,
    )
    async def contents(request: web.Request) -> web.Response:
        try:
            wanted = msgspec.convert(dict(request.query), TrashWanted, strict=False)
        except msgspec.ValidationError as error:
            raise QueryError(f"a parameter can't be understood: {error}") from error
        page = await trash.contents(Query(limit=wanted.limit, offset=wanted.offset))
        return web.json_response(asdict(page))

    @operation("Restore images, or have them erased.", answer=TrashOutcome, body=TrashDecision)
    async def decide(request: web.Request) -> web.Response:
        identity(request).require(Act.DECIDE)
        try:
            wish = msgspec.json.decode(await request.read(), type=TrashDecision)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise QueryError(f"the decision can't be understood: {error}") from error
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

    return [web.get("/trash", contents), web.post("/trash", decide)]
