"""What is scheduled, over the admin API.

Programs and people add steps and take them back (who may ``store``). Lists are for who may read
images, for they name patients. What other sources brought is taken back there, never here.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import date as Date  # noqa: N812 - the field is called date
from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web

from edge.access.roles import Act, needs
from edge.admin.asking import body, only, wanted
from edge.admin.openapi import operation
from edge.cache.listing import Page
from edge.cache.worklist import Scheduled, SourceState, Worklist
from edge.dicom.scheduled import Request, Step, step_for, steps_of
from edge.errors import InvalidInstance

__all__ = ["ToSchedule", "step_of", "worklist_routes"]

_DICOM_JSON = "application/dicom+json"
_MOST_ITEMS = 1000
"""Of one request in DICOM JSON."""
_Day = Annotated[str, msgspec.Meta(pattern=only(r"([0-9]{4}-[0-9]{2}-[0-9]{2})?"))]
# PS3.5 6.2: no backslash, no control characters; where a value must be there, not only blanks.
_LO = only(r"[^\\\x00-\x1f\x7f]*")
_SAID = only(r"[^\\\x00-\x1f\x7f]*[^\\\x00-\x20\x7f][^\\\x00-\x1f\x7f]*")
_Text = Annotated[str, msgspec.Meta(max_length=64, pattern=_LO)]
_Short = Annotated[str, msgspec.Meta(max_length=16, pattern=_LO)]
_Said = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=_SAID)]
_Uid = Annotated[
    str, msgspec.Meta(max_length=64, pattern=only(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))*"))
]


class ToSchedule(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A step, in the words that people have.

    As application/dicom+json an item is taken as worklists have it, too, or a list of them.
    """

    patient_name: _Said
    patient_id: _Said
    modality: Annotated[str, msgspec.Meta(min_length=1, max_length=16, pattern=only(r"[A-Z0-9_]+"))]
    station_ae_title: Annotated[
        str,
        msgspec.Meta(
            min_length=1, max_length=16, pattern=only(r"[!-\[\]-~]([ -\[\]-~]*[!-\[\]-~])?")
        ),
    ]
    """By which the scanner asks."""
    date: Date | None = None
    """Of the box's own clock; today, if it is not said."""
    time: Annotated[str, msgspec.Meta(pattern=only(r"([01][0-9]|2[0-3]):[0-5][0-9]"))] = "00:00"
    birth_date: Date | None = None
    sex: Literal["", "F", "M", "O"] = ""
    issuer: _Text = ""
    accession_number: _Short = ""
    description: _Text = ""
    physician: _Text = ""
    study_uid: _Uid | None = None
    """Made, if none is given."""
    step_id: _Short = ""
    procedure_id: _Short = ""


class Added(msgspec.Struct, forbid_unknown_fields=True):
    """A step that was added; by these it is taken back."""

    study_uid: str
    step_id: str


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
        asked = wanted(request, DayPaged)
        day = asked.date.replace("-", "")
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
            steps = [step_of(await body(request, ToSchedule), worklist.today)]
        await worklist.add(steps)
        return web.json_response(
            [{"study_uid": step.study_uid, "step_id": step.step_id} for step in steps]
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
        InvalidInstance: One is no item of a worklist, or can't be taken back by its UID.
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
    return steps


def step_of(form: ToSchedule, today: Date) -> Step:
    """The step that a form describes; *today* is its day if it names none."""
    born = form.birth_date
    return step_for(
        Request(
            patient_name=form.patient_name.strip(),
            patient_id=form.patient_id.strip(),
            modality=form.modality,
            station_ae_title=form.station_ae_title,
            date=_dicom_date(form.date or today),
            time=form.time.replace(":", ""),
            birth_date="" if born is None else _dicom_date(born),
            sex=form.sex,
            issuer=form.issuer.strip(),
            accession_number=form.accession_number.strip(),
            description=form.description.strip(),
            physician=form.physician.strip(),
            study_uid=form.study_uid or "",
            step_id=form.step_id.strip(),
            procedure_id=form.procedure_id.strip(),
        )
    )


def _dicom_date(day: Date) -> str:
    return f"{day:%Y%m%d}".rjust(8, "0")
