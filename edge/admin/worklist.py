"""What is scheduled, over the admin API.

Programs and people add steps and take them back (who may ``store``). Lists are for who may read
images, for they name patients. What other sources brought is taken back there, never here.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import msgspec
from aiohttp import web

from edge.access.roles import Act, needs
from edge.admin.asking import body, only, wanted
from edge.admin.openapi import operation
from edge.admin.worklist_form import ToSchedule, day_wanted, form_of, step_of
from edge.cache.listing import Page
from edge.cache.worklist import Scheduled, SourceState, Worklist
from edge.dicom.scheduled import Step, steps_of
from edge.dicom.scheduled_check import flaws_of, repeated
from edge.errors import InvalidInstance

__all__ = ["worklist_routes"]

_DICOM_JSON = "application/dicom+json"
_MOST_ITEMS = 1000
"""Of one request in DICOM JSON."""
_Day = Annotated[str, msgspec.Meta(pattern=only(r"([0-9]{4}-[0-9]{2}-[0-9]{2})?"))]
_Text = Annotated[str, msgspec.Meta(max_length=64)]
_Short = Annotated[str, msgspec.Meta(max_length=16)]


class Added(msgspec.Struct, forbid_unknown_fields=True):
    """A step that was added; by these it is taken back."""

    study_uid: str
    step_id: str
    flaws: str = ""
    """What is wrong with it, though it is on the list; empty: nothing."""


class Named(msgspec.Struct, forbid_unknown_fields=True):
    """A step, or all steps of a study."""

    study_uid: _Text = ""
    step_id: _Short = ""


class Changed(msgspec.Struct, forbid_unknown_fields=True):
    """How many were removed."""

    changed: int


class DayPaged(msgspec.Struct, forbid_unknown_fields=True):
    """A page of the list, of a day if one is named."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100
    offset: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0
    date: _Day = ""


def worklist_routes(worklist: Worklist) -> list[web.RouteDef]:
    """``/worklist`` and ``/worklist/sources``.

    Args:
        worklist: All of it.
    """

    @operation("What is scheduled, by day and time.", answer=Page[Scheduled], query=DayPaged)
    async def listed(request: web.Request) -> web.Response:
        day = day_wanted(request.query.get("date", ""))
        asked = wanted(request, DayPaged)
        page = await worklist.page(limit=asked.limit, offset=asked.offset, day=day)
        return web.json_response(asdict(page))

    @operation(
        "Where it comes from: when each source last answered, and what hinders it.",
        answer=list[SourceState],
    )
    async def sources(_: web.Request) -> web.Response:
        return web.json_response([asdict(one) for one in await worklist.sources()])

    @operation(
        "Schedule a step; one of the same study and step ID is replaced.",
        answer=list[Added],
        body=ToSchedule,
    )
    @needs(Act.STORE)
    async def add(request: web.Request) -> web.Response:
        if request.content_type == _DICOM_JSON:
            steps = await _items(request)
        else:
            form = form_of(await body(request, dict[str, Any]))
            steps = [step_of(form, worklist.today)]
        await worklist.add(steps)
        return web.json_response(
            [
                msgspec.to_builtins(Added(step.study_uid, step.step_id, flaws_of(step)))
                for step in steps
            ]
        )

    @operation("Take back what was added here.", answer=Changed, query=Named)
    @needs(Act.STORE)
    async def remove(request: web.Request) -> web.Response:
        asked = wanted(request, Named)
        removed = await worklist.remove(asked.study_uid, asked.step_id)
        return web.json_response({"changed": removed})

    return [
        web.get("/worklist", listed),
        web.post("/worklist", add),
        web.delete("/worklist", remove),
        web.get("/worklist/sources", sources),
    ]


_Items = Annotated[list[dict[str, Any]], msgspec.Meta(min_length=1, max_length=_MOST_ITEMS)]


async def _items(request: web.Request) -> list[Step]:
    """Items in DICOM JSON: one, or a list of some.

    Raises:
        QueryError: It is no JSON of that kind.
        InvalidInstance: One is no item of a worklist, can't be taken back by its UID, has a date
            that is none, or the UIDs of another.
    """
    given = await body(request, dict[str, Any] | _Items)
    items = given if isinstance(given, list) else [given]
    steps = [step for item in items for step in steps_of(item)]
    for step in steps:
        if not (step.study_uid and step.step_id):
            raise InvalidInstance(
                "it has no Study Instance UID (0020,000D), or no Scheduled Procedure Step ID"
                " (0040,0009)"
            )
        if step.of_step("00400002") and not step.day:
            raise InvalidInstance(
                "its Scheduled Procedure Step Start Date (0040,0002) can't be read: write it such"
                " as 20261129"
            )
    if any(repeated(("", step) for step in steps)):
        raise InvalidInstance(
            "two of them have the same Study Instance UID and Scheduled Procedure Step ID"
        )
    return steps
