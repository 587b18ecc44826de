"""What an instance looks like: a picture, a video, a document, a report (PS3.18 8.7.4).

Owns which media types an instance can be rendered to, and the rendering of one instance, for both
services that offer it (WADO-RS and WADO-URI). Promises that what came from outside as a document is
never a page that runs scripts: only types that are known to be harmless keep their name, and all
but PDF are put into a sandbox. Pictures are made elsewhere, once (``edge.cache.rendering``).
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final

from aiohttp import hdrs, web

from edge.dicom.report_html import is_report, report_html
from edge.dicom.report_text import report_text
from edge.dicom.xml_model import to_xml
from edge.dicomweb import safety
from edge.dicomweb.bodies import Body, nothing, send_body
from edge.dicomweb.media_types import FRAME_MEDIA_TYPES
from edge.dicomweb.responses import OCTET_STREAM, Refused
from edge.dicomweb.validators import unchanged, validators_of
from edge.errors import InstanceNotFound, NotAnImage
from edge.pixels import syntaxes
from edge.pixels.presentation import MEDIA_TYPES, Picture, Presentation

if TYPE_CHECKING:
    from edge.cache.opened import InstanceEntry, OpenInstance
    from edge.cache.rendering import Rendering
    from edge.cache.retrieval import Retrieval

__all__ = ["GIF", "HTML", "PDF", "TEXT", "XML", "Kind", "Look", "Renditions", "check_profile"]

GIF: Final = "image/gif"
HTML: Final = "text/html"
TEXT: Final = "text/plain"
XML: Final = "text/xml"
PDF: Final = "application/pdf"

_DOCUMENT: Final = "00420011"
_DOCUMENT_TYPE: Final = "00420012"
_DOCUMENT_LENGTH: Final = "00420015"
_DOCUMENT_TYPES: Final = frozenset(
    {PDF, XML, TEXT, "application/xml", "model/stl", "model/obj", "model/mtl"}
)
"""Of Encapsulated Document (PS3.3 C.24.2) that are given by their own name."""
_CHARSET: Final = "; charset=utf-8"
_SANDBOX: Final = {safety.POLICY_HEADER: safety.SANDBOX}
_UNBOXED: Final = {safety.POLICY_HEADER: safety.DOCUMENT}


class Kind(Enum):
    """What there is to see."""

    IMAGE = auto()
    VIDEO = auto()
    DOCUMENT = auto()
    REPORT = auto()


@dataclass(frozen=True, slots=True)
class Look:
    """How one instance can be rendered."""

    kind: Kind
    entry: InstanceEntry
    """As it is known by now."""
    media_types: tuple[str, ...]
    """The default first."""


class Renditions:
    """Renders instances.

    Args:
        retrieval: The one way out.
        rendering: Makes pictures.
    """

    def __init__(self, retrieval: Retrieval, rendering: Rendering) -> None:
        self._retrieval = retrieval
        self._rendering = rendering

    async def look(self, entry: InstanceEntry) -> Look:
        """Find out how an instance can be rendered; what was never here is fetched for it.

        Raises:
            NotAnImage: It can't.
            InstanceNotFound: It is not there any more.
            CloudError: It must be fetched, and can't be now.
        """
        if (found := _of_pixels(entry)) is not None:
            return found
        async with self._retrieval.open_instance(entry) as opened:
            if (found := _of_pixels(opened.entry)) is not None:
                return found
            attributes = await asyncio.to_thread(opened.attributes)
        if _DOCUMENT in attributes:
            return Look(Kind.DOCUMENT, opened.entry, (_document_type(attributes),))
        if is_report(attributes):
            return Look(Kind.REPORT, opened.entry, (HTML, TEXT, XML))
        raise NotAnImage(
            "there is nothing in this instance that could be shown",
            hint="retrieve it as application/dicom, or its metadata",
        )

    async def send(
        self,
        request: web.Request,
        look: Look,
        wanted: Presentation,
        *,
        frame: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> web.StreamResponse:
        """Answer with one instance, or a frame of it.

        Args:
            request: What is answered.
            look: From `look`.
            wanted: Its media type is one of those of *look*.
            frame: Counts from 1; None for the instance, of which a GIF shows all frames.
            headers: Further ones.

        Raises:
            InstanceNotFound: There is no such instance any more, or no such frame.
            PixelError: It can't be shown, or not now.
        """
        entry = look.entry
        if look.kind is Kind.IMAGE:
            form = ("picture", frame, wanted)
            validators = validators_of([entry], *form, exact=True)
            if (answer := unchanged(request, validators)) is not None:
                return answer
            if request.method == hdrs.METH_HEAD:
                body = Body(wanted.media_type, nothing, None, validators, headers=headers or {})
                return await send_body(request, body)
            picture = await self.picture(entry, wanted, frame)
            return await send_body(
                request, Body.of(picture.media_type, picture.data, validators, headers)
            )
        async with self._retrieval.open_instance(entry) as opened:
            if look.kind is Kind.VIDEO:
                body = _video(opened, wanted.media_type)
            elif look.kind is Kind.DOCUMENT:
                body = await _document(opened, wanted.media_type)
            else:
                body = await _report(opened, wanted.media_type)
            validators = validators_of(
                [entry],
                "rendition",
                wanted.media_type,
                exact=True,
                edited=look.kind is Kind.REPORT,
            )
            body = replace(body, validators=validators, headers={**body.headers, **(headers or {})})
            return await send_body(request, body)

    async def picture(
        self, entry: InstanceEntry, wanted: Presentation, frame: int | None = None
    ) -> Picture:
        """A picture of an image: of a frame, or of the instance.

        Raises:
            InstanceNotFound: There is no such instance any more, or no such frame.
            PixelError: It can't be shown, or not now.
            CloudError: It must be fetched, and can't be now.
        """
        if frame is not None:
            if not 1 <= frame <= max(entry.number_of_frames, 1):
                raise InstanceNotFound(f"there is no frame {frame} of {entry.number_of_frames}")
            return await self._rendering.frame(entry, frame, wanted)
        if wanted.media_type == GIF and entry.number_of_frames > 1:
            return await self._rendering.animation(entry, wanted)
        return await self._rendering.frame(entry, (entry.number_of_frames + 1) // 2 or 1, wanted)

    async def representative(
        self, study_uid: str, series_uid: str | None = None, sop_uid: str | None = None
    ) -> tuple[InstanceEntry, int]:
        """The image, and the frame of it, that stand for a resource.

        Raises:
            InstanceNotFound: There is no such resource.
            NotAnImage: It has no images.
        """
        return await self._rendering.representative(study_uid, series_uid, sop_uid)


def check_profile(wanted: Presentation) -> None:
    """See that the media type can hold the ICC profile that is asked for (PS3.18 8.3.5.1.5).

    Raises:
        Refused: 400, it can't.
    """
    if wanted.media_type == GIF and wanted.icc_profile != "no":
        raise Refused(400, "a GIF can hold no ICC profile", hint="ask for image/png or image/jpeg")


def _of_pixels(entry: InstanceEntry) -> Look | None:
    """What an instance with frames looks like; None if it has none, or that is not known yet."""
    if not entry.transfer_syntax or entry.number_of_frames == 0:
        return None
    if syntaxes.is_video(entry.transfer_syntax):
        return Look(Kind.VIDEO, entry, FRAME_MEDIA_TYPES[entry.transfer_syntax][:1])
    return Look(Kind.IMAGE, entry, MEDIA_TYPES)


def _video(opened: OpenInstance, media_type: str) -> Body:
    pixels = opened.layout.pixels
    length = sum(pixels.fragments) if pixels is not None else None
    return Body(media_type, opened.video, length)


async def _document(opened: OpenInstance, media_type: str) -> Body:
    """The document without the byte that makes its length even (PS3.3 C.24.2)."""
    attributes = await asyncio.to_thread(opened.attributes)
    value = opened.layout.bulk.get(_DOCUMENT)
    inline = attributes[_DOCUMENT].get("InlineBinary", "")
    length = value.length if value is not None else len(base64.b64decode(inline))
    said = attributes.get(_DOCUMENT_LENGTH, {}).get("Value")
    if said == [length - 1]:
        length -= 1

    def pieces(offset: int, wanted: int | None) -> Any:
        return opened.bulk(_DOCUMENT, offset, length - offset if wanted is None else wanted)

    headers = _UNBOXED if media_type == PDF else _SANDBOX
    return Body(media_type, pieces, length, headers=headers)


async def _report(opened: OpenInstance, media_type: str) -> Body:
    attributes = await asyncio.to_thread(opened.edited_attributes)
    if media_type == XML:
        return Body.of(
            XML + _CHARSET, await asyncio.to_thread(to_xml, attributes), headers=_SANDBOX
        )
    make = report_html if media_type == HTML else report_text
    text = await asyncio.to_thread(make, attributes)
    return Body.of(media_type + _CHARSET, text.encode(errors="replace"), headers=_SANDBOX)


def _document_type(attributes: Mapping[str, Any]) -> str:
    """MIME Type of Encapsulated Document (0042,0012), if it may be said aloud."""
    values = attributes.get(_DOCUMENT_TYPE, {}).get("Value") or [""]
    said = str(values[0]).strip().lower()
    return said if said in _DOCUMENT_TYPES else OCTET_STREAM
