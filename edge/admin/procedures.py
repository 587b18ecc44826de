"""Performed procedure steps, studies that come in, and what peers are told, over the admin API.

Lists are for who may read images, for they name patients; who may ``decide`` has messages sent
again, or never.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any

import msgspec
from aiohttp import web

from edge.access.roles import Act, needs
from edge.admin.asking import Paged, body, only, wanted
from edge.admin.openapi import operation
from edge.cache.completeness import Arrival, Completeness
from edge.cache.listing import Page
from edge.cache.outbox import Message, Outbox, PeerTrouble
from edge.cache.procedures import Procedures, Step
from edge.errors import DecisionRefused

__all__ = ["procedure_routes"]

_Id = Annotated[str, msgspec.Meta(pattern=only(r"[1-9][0-9]*"), max_length=15)]


class StepsAsked(msgspec.Struct, forbid_unknown_fields=True):
    """A page of steps, perhaps of one study."""

    study_uid: Annotated[
        str, msgspec.Meta(pattern=only(r"([0-9]+(\.[0-9]+)*)?"), max_length=64)
    ] = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100
    offset: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0


class Waiting(msgspec.Struct, forbid_unknown_fields=True):
    """A message that was not delivered."""

    message_id: str
    peer: str
    operation: str
    sop_class_uid: str
    sop_uid: str
    study_uid: str
    queued: float
    state: str
    tries: int
    retry_at: float
    reason: str


class Untold(msgspec.Struct, forbid_unknown_fields=True):
    """What was not delivered, the oldest first, and the peers that can't be told."""

    total: int
    items: list[Waiting]
    peers: list[PeerTrouble]


class Decided(msgspec.Struct, forbid_unknown_fields=True):
    """What shall become of some messages; ``all`` has all of them sent again."""

    message_ids: Annotated[list[_Id], msgspec.Meta(max_length=10_000)] = []
    all: bool = False
    drop: bool = False


class Changed(msgspec.Struct, forbid_unknown_fields=True):
    """How many messages it was about."""

    changed: int


def procedure_routes(
    procedures: Procedures,
    completeness: Completeness,
    outbox: Outbox,
    wake: Callable[[], None],
) -> list[web.RouteDef]:
    """``/procedures``, ``/arrivals`` and ``/outbox``.

    Args:
        procedures: Keeps steps.
        completeness: Knows what comes in.
        outbox: Knows what peers are told.
        wake: Has every part look at the index.
    """

    @operation(
        "Performed procedure steps, those that changed last first.",
        answer=Page[Step],
        query=StepsAsked,
    )
    async def steps(request: web.Request) -> web.Response:
        asked = wanted(request, StepsAsked)
        found = await procedures.page(
            study_uid=asked.study_uid, limit=asked.limit, offset=asked.offset
        )
        return web.json_response(asdict(found))

    @operation("Studies that come in, the latest first.", answer=Page[Arrival], query=Paged)
    async def arrivals(request: web.Request) -> web.Response:
        asked = wanted(request, Paged)
        found = await completeness.arrivals(limit=asked.limit, offset=asked.offset)
        return web.json_response(asdict(found))

    @operation("What peers were not told yet, or would not hear.", answer=Untold, query=Paged)
    async def untold(request: web.Request) -> web.Response:
        asked = wanted(request, Paged)
        found = await outbox.page(limit=asked.limit, offset=asked.offset)
        troubles = [asdict(one) for one in await outbox.troubles()]
        items = [_shown(one) for one in found.items]
        return web.json_response({"total": found.total, "items": items, "peers": troubles})

    @operation("Have messages sent again now, or never.", answer=Changed, body=Decided)
    @needs(Act.DECIDE)
    async def decide(request: web.Request) -> web.Response:
        decided = await body(request, Decided)
        if bool(decided.message_ids) == decided.all or (decided.all and decided.drop):
            raise DecisionRefused(
                "it is not clear about which messages that is",
                hint="name message_ids, or else all: true to have all of them sent again",
            )
        chosen = [int(one) for one in decided.message_ids]
        if decided.drop:
            changed = await outbox.drop(chosen)
        else:
            changed = await outbox.retry(None if decided.all else chosen)
        wake()
        return web.json_response({"changed": changed})

    return [
        web.get("/procedures", steps),
        web.get("/arrivals", arrivals),
        web.get("/outbox", untold),
        web.post("/outbox", decide),
    ]


def _shown(message: Message) -> dict[str, Any]:
    shown = asdict(message)
    del shown["attributes"]
    return {**shown, "message_id": str(message.message_id)}
