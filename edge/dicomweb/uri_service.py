"""WADO-URI: one instance, by query parameters (PS3.18 9).

Owns ``/wado``: how a request is read, and which representation it is given. Promises that it stands
behind the same authorisation as DICOMweb, that what is ill-formed is a 400 before anything is read,
and that nothing is done differently here than there: instances, pictures and reports come from the
same hands. Never anonymises: a request for that is refused rather than half met.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from aiohttp import web
from multidict import MultiMapping

from edge.access.acts import Act, Service
from edge.access.roles import narrows
from edge.dicom.uids import is_uid
from edge.dicomweb.bodies import Body, Pieces, send_body
from edge.dicomweb.forms import instance_offers
from edge.dicomweb.middleware import IDENTITY, Authorise, Witness, access
from edge.dicomweb.negotiation import MediaRange, Offer, accepted_by, choose, parse_accept
from edge.dicomweb.presentation import (
    LONGEST_SIDE,
    MOST_PIXELS,
    annotation_headers,
    decimal,
    integer,
    quality_of,
    size_of,
    window_of,
)
from edge.dicomweb.renditions import Kind, Look, Renditions, check_profile
from edge.dicomweb.resources import Target
from edge.dicomweb.responses import DICOM, Refused
from edge.dicomweb.retrieve import entry_of
from edge.dicomweb.sight import Sees, check_study
from edge.dicomweb.validators import validators_of
from edge.dicomweb.weighing import Weighing
from edge.errors import NotAnImage
from edge.pixels.description import ImageDescription
from edge.pixels.presentation import Presentation, Region, Viewport

if TYPE_CHECKING:
    from edge.cache.opened import InstanceEntry
    from edge.cache.rendering import Rendering
    from edge.cache.retrieval import Retrieval
    from edge.cache.transcoding import Transcoding

__all__ = ["UriService", "create_application"]

_OF_PICTURES: Final = (
    "frameNumber",
    "windowCenter",
    "windowWidth",
    "rows",
    "columns",
    "region",
    "presentationUID",
    "presentationSeriesUID",
)
"""Not to be asked for along with application/dicom (PS3.18 9.5.1)."""

Query = MultiMapping[str]


def create_application(
    *,
    retrieval: Retrieval,
    rendering: Rendering,
    transcoding: Transcoding,
    authorise: Authorise,
    witness: Witness | None = None,
    sees: Sees | None = None,
) -> web.Application:
    """Build the application that is mounted at ``/wado``.

    Args:
        retrieval: The one way out.
        rendering: Makes pictures.
        transcoding: Makes instances that are not stored so.
        authorise: Says who sends a request, by its headers, or raises ``AccessDenied``.
        witness: Sees every request.
        sees: Which studies are whose, for who was narrowed to some.
    """
    service = UriService(
        retrieval,
        transcoding,
        Weighing(retrieval, transcoding),
        Renditions(retrieval, rendering),
        sees,
    )
    application = web.Application(middlewares=[access(authorise, Service.DICOMWEB, witness, sees)])
    application.router.add_get("", service.instance)
    return application


class UriService:
    """The handler of the URI Service.

    Args:
        retrieval: The one way out.
        transcoding: Makes instances that are not stored so.
        weighing: Chooses forms.
        renditions: Shows instances.
        sees: Which studies are whose.
    """

    def __init__(
        self,
        retrieval: Retrieval,
        transcoding: Transcoding,
        weighing: Weighing,
        renditions: Renditions,
        sees: Sees | None = None,
    ) -> None:
        self._retrieval = retrieval
        self._transcoding = transcoding
        self._weighing = weighing
        self._renditions = renditions
        self._sees = sees

    @narrows
    async def instance(self, request: web.Request) -> web.StreamResponse:
        """``/wado?requestType=WADO&studyUID=…&seriesUID=…&objectUID=…``."""
        query = request.query
        if query.get("requestType") != "WADO":
            raise Refused(400, "requestType is not WADO")
        target = Target(*(_uid(query, name) for name in ("studyUID", "seriesUID", "objectUID")))
        _refuse_what_is_not_done(query)
        accepted, wanted = _accepted(request), _presentation(query)
        headers = annotation_headers(query)
        corners = _corners(query["region"]) if "region" in query else ()
        await check_study(target.uids[0], request[IDENTITY], Act.READ, self._sees)
        entry = await entry_of(self._retrieval, target)
        try:
            look = await self._renditions.look(entry)
        except NotAnImage:
            look = None
        kinds = look.media_types if look is not None else ()
        offer = choose(accepted, [Offer(kind) for kind in (*kinds, DICOM)])
        if offer.media_type == DICOM or look is None:
            return await self._dicom(request, entry, query)
        frame = _frame(query, look)
        wanted = replace(wanted, media_type=offer.media_type)
        if corners and look.kind is Kind.IMAGE:
            viewport = await self._region(look.entry, corners, wanted.viewport)
            wanted = replace(wanted, viewport=viewport)
        check_profile(wanted)
        return await self._renditions.send(request, look, wanted, frame=frame, headers=headers)

    async def _dicom(
        self, request: web.Request, entry: InstanceEntry, query: Query
    ) -> web.StreamResponse:
        """The instance itself (PS3.18 9.4)."""
        if any(name in query for name in _OF_PICTURES):
            raise Refused(
                400,
                "parameters of pictures can't be applied to application/dicom",
                hint="ask for contentType=image/jpeg, or leave them out",
            )
        wanted = _transfer_syntax(query)
        async with self._retrieval.open_instance(entry) as opened:
            offer = await self._weighing.of_open(wanted, opened, _offers)
            pieces: Pieces = opened.stream
            length: int | None = opened.size
            exact = offer.transfer_syntax == opened.entry.transfer_syntax
            if not exact:
                syntax = offer.transfer_syntax
                pieces, length = lambda *_: self._transcoding.instance(opened, syntax), None
            form = ("instance", offer.transfer_syntax)
            validators = validators_of([opened.entry], *form, exact=exact)
            return await send_body(request, Body(DICOM, pieces, length, validators))

    async def _region(
        self, entry: InstanceEntry, corners: tuple[float, ...], viewport: Viewport | None
    ) -> Viewport:
        """A region in parts of the image, as pixels of it (PS3.18 9.5.2.4)."""
        async with self._retrieval.open_instance(entry) as opened:
            attributes = await asyncio.to_thread(opened.attributes)
            image = ImageDescription.of(attributes, opened.entry.transfer_syntax)
        left, top, right, bottom = corners
        width, height = (right - left) * image.columns, (bottom - top) * image.rows
        region = Region(left * image.columns, top * image.rows, width, height)
        if viewport is not None:
            return replace(viewport, source=region)
        return Viewport(*size_of(max(1, round(width)), max(1, round(height)), "region"), region)


def _offers(stored: str, made: Sequence[str]) -> list[Offer]:
    """The forms of an instance, but for those that only DICOMweb has."""
    offers = instance_offers(stored, made, alone=True)
    return [offer for offer in offers if offer.container == (DICOM, False)]


def _uid(query: Query, name: str) -> str:
    text = query.get(name, "")
    if not is_uid(text):
        raise Refused(400, f"{name} is missing" if not text else f"{name} is not a UID (PS3.5 9.1)")
    return text


def _refuse_what_is_not_done(query: Query) -> None:
    if query.get("anonymize", "no") != "no":
        raise Refused(
            406,
            "instances are not anonymised here",
            hint="ask without anonymize, and use a tool that is made for it",
        )
    if "presentationUID" in query or "presentationSeriesUID" in query:
        raise Refused(
            400,
            "presentation states are not applied to images here",
            hint="use windowCenter, windowWidth and region",
        )
    charsets = {one.strip().lower() for one in query.get("charset", "utf-8").split(",")}
    if not charsets & {"utf-8", "utf8", "*"}:
        raise Refused(406, "text is given in UTF-8 only", hint="charset=utf-8")


def _accepted(request: web.Request) -> list[MediaRange]:
    """What is acceptable: ``contentType`` goes before Accept (PS3.18 9.1.2.2.1).

    Raises:
        Refused: 400, contentType has a transfer syntax, or none of it is a media type.
    """
    text = request.query.get("contentType")
    if not text:
        return accepted_by(request)
    ranges = parse_accept(text)
    if not ranges:
        raise Refused(400, "contentType is not a media type")
    if any("transfer-syntax" in one.parameters for one in ranges):
        raise Refused(
            400,
            "contentType must not have a transfer-syntax",
            hint="use the parameter transferSyntax",
        )
    return ranges


def _transfer_syntax(query: Query) -> list[MediaRange]:
    """The transfer syntaxes that are acceptable (PS3.18 9.4.2.4): by default the default one.

    Raises:
        Refused: 400, it is no UID.
    """
    text = query.get("transferSyntax")
    if text is None:
        return [MediaRange(DICOM, {})]
    if text != "*" and not is_uid(text):
        raise Refused(400, "transferSyntax is not a UID (PS3.5 9.1)")
    return [MediaRange(DICOM, {"transfer-syntax": text})]


def _frame(query: Query, look: Look) -> int | None:
    """The frame that is asked for; None for the instance.

    Raises:
        Refused: 400, there is no such frame.
    """
    if "frameNumber" not in query:
        return None
    number = integer(query["frameNumber"], "frameNumber")
    if look.kind is not Kind.IMAGE or not 1 <= number <= look.entry.number_of_frames:
        raise Refused(400, f"there is no frame {number}")
    return number


def _presentation(query: Query) -> Presentation:
    """How a picture is wanted, but for its media type and a region.

    Raises:
        Refused: 400.
    """
    found = Presentation(quality=quality_of(query.get("imageQuality", "90"), "imageQuality"))
    center, width = query.get("windowCenter"), query.get("windowWidth")
    if (center is None) != (width is None):
        raise Refused(400, "windowCenter and windowWidth go together")
    if center is not None and width is not None:
        window = window_of(center, width, "linear", "windowCenter and windowWidth")
        found = replace(found, window=window)
    rows, columns = (
        integer(query[name], name) if name in query else None for name in ("rows", "columns")
    )
    if rows is not None or columns is not None:
        # Without the other one, the picture is as wide or as high as it gets.
        free = MOST_PIXELS // max(rows or columns or 1, 1)
        size = size_of(
            min(free, LONGEST_SIDE) if columns is None else columns,
            min(free, LONGEST_SIDE) if rows is None else rows,
            "rows and columns",
        )
        found = replace(found, viewport=Viewport(*size))
    return found


def _corners(text: str) -> tuple[float, ...]:
    """Left, top, right and bottom, as parts of the image (PS3.18 9.5.2.4).

    Raises:
        Refused: 400.
    """
    found = tuple(decimal(part, "region") for part in text.split(",", 4))
    if len(found) == 4:
        left, top, right, bottom = found
        if 0 <= left < right <= 1 and 0 <= top < bottom <= 1:
            return found
    raise Refused(400, "region is none", hint="xmin,ymin,xmax,ymax, from 0 to 1")
