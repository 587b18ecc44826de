"""Who is expected, and what shall always be here, over the admin API.

Programs announce patients (who may ``store``); people pin (who may ``decide``). Lists are for who
may read images, for they name patients. Each program takes back only what it announced itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import asdict
from datetime import date as Date  # noqa: N812 - the field is called date
from typing import Annotated, Literal

import msgspec
from aiohttp import web

from edge.access.roles import Act, Identity, needs
from edge.admin.asking import Paged, body, only, wanted
from edge.admin.openapi import operation
from edge.cache.expected import Expectations, Expected
from edge.cache.listing import Page
from edge.cache.pins import Pin, Pins

__all__ = ["prefetch_routes"]

# LO, PS3.5 6.2: no backslash, no control characters, not only blanks.
_LO = r"[^\\\x00-\x1f\x7f-\x9f]*"
_SAID = rf"{_LO}[^\\\x00-\x20\x7f-\x9f]{_LO}"
_Text = Annotated[str, msgspec.Meta(max_length=64, pattern=only(_LO))]
_Said = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=only(_SAID))]
_Code = Annotated[str, msgspec.Meta(max_length=16, pattern=only("[A-Z0-9_ ]*"))]
_Day = Annotated[str, msgspec.Meta(pattern=only("([0-9]{4}-[0-9]{2}-[0-9]{2})?"))]


class Announced(msgspec.Struct, forbid_unknown_fields=True):
    """A patient who will come."""

    patient_id: _Said
    date: Date | None = None
    """Of the box's own clock; tomorrow, if it is not said."""
    issuer: _Text = ""
    modality: _Code = ""
    body_part: _Code = ""


Announcement = Annotated[list[Announced], msgspec.Meta(max_length=10_000)]


class TakenBack(msgspec.Struct, forbid_unknown_fields=True):
    """What of that a program announced; empty is all of it."""

    patient_id: _Text = ""
    date: _Day = ""


class Pinning(msgspec.Struct, forbid_unknown_fields=True):
    """A study by its UID, or a patient by his ID."""

    kind: Literal["study", "patient"]
    value: _Said
    issuer: _Text = ""


class Unpinning(msgspec.Struct, forbid_unknown_fields=True):
    """The same, of a pin that goes."""

    kind: Literal["study", "patient"] = "study"
    value: _Text = ""
    issuer: _Text = ""


class Changed(msgspec.Struct, forbid_unknown_fields=True):
    """How many were added or removed."""

    changed: int


def _expected(announced: Iterable[Announced], tomorrow: Date, source: str) -> list[Expected]:
    return [
        Expected(
            patient_id=one.patient_id.strip(" "),
            date=f"{one.date or tomorrow:%Y%m%d}".rjust(8, "0"),
            issuer=one.issuer.strip(),
            modality=one.modality.strip(),
            body_part=one.body_part.strip(),
            source=source,
        )
        for one in announced
    ]


def prefetch_routes(
    expectations: Expectations,
    pins: Pins,
    identity: Callable[[web.Request], Identity],
    wake: Callable[[], None],
) -> list[web.RouteDef]:
    """``/expected`` and ``/pins``.

    Args:
        expectations: Of patients.
        pins: Of people.
        identity: Who asks.
        wake: Has every part look at the index.
    """

    @operation("Patients who are expected, the earliest first.", answer=Page[Expected], query=Paged)
    async def expected(request: web.Request) -> web.Response:
        asked = wanted(request, Paged)
        total, items = await expectations.page(limit=asked.limit, offset=asked.offset)
        return web.json_response(asdict(Page(total, items)))

    @operation(
        "Announce patients: their priors come before they do.",
        answer=Changed,
        body=Announcement,
    )
    @needs(Act.STORE)
    async def announce(request: web.Request) -> web.Response:
        who = identity(request)
        announced = await body(request, Announcement)
        # Ten thousand of them would hold up whoever else asks.
        patients = await asyncio.to_thread(_expected, announced, expectations.tomorrow, who.name)
        return _changed(await expectations.announce(patients))

    @operation("Take back what this program announced.", answer=Changed, query=TakenBack)
    @needs(Act.STORE)
    async def take_back(request: web.Request) -> web.Response:
        who = identity(request)
        asked = wanted(request, TakenBack)
        return _changed(
            await expectations.take_back(
                who.name,
                patient_id=asked.patient_id.strip(" "),
                day=asked.date.replace("-", ""),
            )
        )

    @operation("What people pinned, the oldest first.", answer=list[Pin])
    async def pinned(_: web.Request) -> web.Response:
        return web.json_response([asdict(one) for one in await pins.all()])

    @operation("Have a study or a patient here at all times.", answer=Changed, body=Pinning)
    @needs(Act.DECIDE)
    async def pin(request: web.Request) -> web.Response:
        who = identity(request)
        wish = await body(request, Pinning)
        return _changed(await pins.add(wish.kind, wish.value, wish.issuer, who.name))

    @operation("Let a pin go.", answer=Changed, query=Unpinning)
    @needs(Act.DECIDE)
    async def unpin(request: web.Request) -> web.Response:
        wish = wanted(request, Unpinning)
        return _changed(await pins.remove(wish.kind, wish.value, wish.issuer))

    def _changed(count: int) -> web.Response:
        wake()
        return web.json_response({"changed": int(count)})

    return [
        web.get("/expected", expected),
        web.post("/expected", announce),
        web.delete("/expected", take_back),
        web.get("/pins", pinned),
        web.post("/pins", pin),
        web.delete("/pins", unpin),
    ]
