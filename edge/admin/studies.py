"""Studies as people look for them, over the admin API: what QIDO-RS has no words for.

Custody, what is here, pins and arrival beside the attributes; found as one types. For who may read
images. Whoever was narrowed to some studies finds those alone; whether a study that is named may be
seen, the middleware of `edge.dicomweb.sight` asks, for it is called ``study`` in its path.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Literal

import msgspec
from aiohttp import web

from edge.access.roles import Act, Identity, narrows, needs
from edge.admin.asking import Paged, only, wanted
from edge.admin.openapi import operation
from edge.cache.listing import Page
from edge.cache.studies import Here, Order, Studies, StudyLine, Vouched, Wanted, WholeStudy
from edge.dicom.uids import is_uid
from edge.errors import QueryError

__all__ = ["OneStudy", "named", "study_routes"]

_Day = Annotated[str, msgspec.Meta(pattern=only("([0-9]{8})?"))]
_Code = Annotated[str, msgspec.Meta(max_length=16, pattern=only("[A-Z0-9_ ]*"))]


class StudiesWanted(Paged):
    """Which studies, and in which order."""

    q: Annotated[str, msgspec.Meta(max_length=256)] = ""
    """As it was typed: each word is a part of a name, an ID, a date, a modality, a description."""
    custody: Literal["", "trouble", "only-here", "absent", "unproven"] = ""
    here: Literal["", "whole", "partly", "not"] = ""
    modality: _Code = ""
    since: _Day = ""
    until: _Day = ""
    pinned: bool = False
    order: Literal["date", "arrival"] = "date"


class OneStudy(msgspec.Struct):
    """A study, in the path."""

    study: Annotated[str, msgspec.Meta(pattern=only(r"[0-9]+(\.[0-9]+)*"), max_length=64)]


class Coming(msgspec.Struct):
    """What is on its way."""

    coming: int
    """Instances."""


def study_routes(
    studies: Studies, identity: Callable[[web.Request], Identity]
) -> list[web.RouteDef]:
    """``/studies``.

    Args:
        studies: Lists them.
        identity: Who asks.
    """

    @operation(
        "Studies, found as one types, the latest first.",
        answer=Page[StudyLine],
        query=StudiesWanted,
    )
    @narrows
    async def listing(request: web.Request) -> web.Response:
        asked = wanted(request, StudiesWanted)
        total, found = await studies.find(
            Wanted(
                text=asked.q,
                custody=Vouched(asked.custody) if asked.custody else None,
                here=Here(asked.here) if asked.here else None,
                modality=asked.modality.strip(),
                first_day=asked.since,
                last_day=asked.until,
                pinned=asked.pinned,
                order=Order(asked.order),
                limit=asked.limit,
                offset=asked.offset,
                senders=identity(request).scope_for(Act.READ).studies_from,
            )
        )
        return web.json_response(asdict(Page(total, list(found))))

    @operation(
        "One study: its series, what vouches for each, and what else its patient has.",
        answer=WholeStudy,
        path=OneStudy,
    )
    async def study(request: web.Request) -> web.Response:
        senders = identity(request).scope_for(Act.READ).studies_from
        return web.json_response(asdict(await studies.study(named(request), senders)))

    @operation("Have all of a study brought here.", answer=Coming, path=OneStudy)
    @needs(Act.READ)
    async def bring(request: web.Request) -> web.Response:
        return web.json_response({"coming": await studies.bring(named(request))})

    return [
        web.get("/studies", listing),
        web.get("/studies/{study}", study),
        web.post("/studies/{study}/fetch", bring),
    ]


def named(request: web.Request) -> str:
    """The study in the path.

    Raises:
        QueryError: It is none.
    """
    if not is_uid(uid := request.match_info["study"]):
        raise QueryError("the study in the path is not a UID (PS3.5 9.1)")
    return uid
