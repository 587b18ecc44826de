"""What the archive does not have any more, over the admin API.

Listing is for who may read images, for it names patients. To have them sent again is for who may
``decide``; to take them for deleted, also for who may ``delete``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Literal

import msgspec
from aiohttp import web

from edge.access.roles import Act, Identity, needs
from edge.admin.asking import Paged, body, wanted
from edge.admin.openapi import operation
from edge.cache.absences import Absences, AbsentStudy, State
from edge.cache.listing import Page
from edge.errors import DecisionRefused

__all__ = ["absence_routes"]


class AbsenceDecision(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What shall become of studies that the archive does not have any more."""

    decision: Literal["accept-deletions", "send-again"]
    study_uids: list[str] = []
    all: bool = False


class AbsenceOutcome(msgspec.Struct):
    """What became of it."""

    done: int
    """Studies of which this was news; it is carried out once the archive can be asked."""


def absence_routes(
    absences: Absences, identity: Callable[[web.Request], Identity]
) -> list[web.RouteDef]:
    """``/sync/absent``.

    Args:
        absences: Lists, and takes decisions.
        identity: Who asks.
    """

    @operation(
        "Studies that the archive does not have any more, and a person decides about.",
        answer=Page[AbsentStudy],
        query=Paged,
    )
    async def absent(request: web.Request) -> web.Response:
        asked = wanted(request, Paged)
        page = await absences.absent(limit=asked.limit, offset=asked.offset)
        return web.json_response(asdict(page))

    @operation(
        "Take studies for deleted on purpose, or have them sent again.",
        answer=AbsenceOutcome,
        body=AbsenceDecision,
    )
    @needs(Act.DECIDE)
    async def decide(request: web.Request) -> web.Response:
        wish = await body(request, AbsenceDecision)
        if bool(wish.study_uids) == wish.all:
            raise DecisionRefused(
                "it is not clear about which studies that is",
                hint="name study_uids, or else all: true",
            )
        state = State.AGAIN
        if wish.decision == "accept-deletions":
            identity(request).require(Act.DELETE)
            state = State.TRASH
        done = await absences.decide(None if wish.all else wish.study_uids, state)
        return web.json_response({"done": done})

    return [web.get("/sync/absent", absent), web.post("/sync/absent", decide)]
