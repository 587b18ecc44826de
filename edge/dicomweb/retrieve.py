"""WADO-RS: the Retrieve transaction of the Studies Service (PS3.18 10.4).

Owns how instances, metadata, frames and bulk values leave. Promises that bytes leave as they came
in, that memory stays bounded whatever is asked for (a piece at a time), that a study never comes
back with instances silently missing, and that an error before the first byte is a status. Never
opens an object itself: everything comes through ``open_instance``.

Transfer syntaxes: the offers below are what is stored. Whoever learns to transcode adds offers and
acts on the one that was chosen.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Final

from aiohttp import hdrs, web

from edge.dicom.instance import Availability
from edge.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, GE_PRIVATE_IMPLICIT_VR, encoding_of
from edge.dicomweb.documents import send_text, with_bulk_urls
from edge.dicomweb.media_types import FRAME_MEDIA_TYPES
from edge.dicomweb.negotiation import MediaRange, Offer, accepted_by, choose
from edge.dicomweb.resources import Target, base_url, target_of
from edge.dicomweb.responses import (
    DICOM,
    DICOM_JSON,
    JSON,
    OCTET_STREAM,
    MultipartWriter,
    Refused,
    single_part,
)
from edge.dicomweb.transactions import transaction
from edge.errors import InstanceNotFound

if TYPE_CHECKING:
    from edge.cache.opened import InstanceEntry, OpenInstance
    from edge.cache.retrieval import Retrieval

__all__ = ["Retrieve"]

PIXEL_DATA: Final = "7FE00010"

_METADATA_OFFERS = (Offer(DICOM_JSON), Offer(JSON))
_INSTANCE_OFFERS = (Offer(DICOM, multipart=True), Offer(DICOM))
_FRAME_OFFERS = tuple(
    Offer(media_type, multipart)
    for media_type in (
        OCTET_STREAM,
        *dict.fromkeys(name for names in FRAME_MEDIA_TYPES.values() for name in names[:1]),
    )
    for multipart in (True, False)
)
"""As stored, each that could be there."""
_FRAME_LIST = re.compile(r"[1-9][0-9]{0,8}(,[1-9][0-9]{0,8})*")
_BULK_PATH = re.compile(r"[0-9A-F]{8}(/[0-9]{1,9}/[0-9A-F]{8})*")


class Retrieve:
    """The handlers of the Retrieve transaction.

    Args:
        retrieval: The one way out.
    """

    def __init__(self, retrieval: Retrieval) -> None:
        self._retrieval = retrieval

    @transaction("Retrieve Instance", "10.4.1.1.3", produces=_INSTANCE_OFFERS)
    async def instance(self, request: web.Request) -> web.StreamResponse:
        """One instance, as a Part 10 file."""
        return await self.instances(request)

    @transaction("Retrieve Instances", "10.4.1.1", produces=_INSTANCE_OFFERS[:1])
    async def instances(self, request: web.Request) -> web.StreamResponse:
        """A study or a series, as Part 10 files (PS3.18 10.4.1.1.1, 10.4.1.1.2)."""
        target = target_of(request)
        accepted = accepted_by(request)
        entries = await self._entries(target)
        # All are weighed before the first is sent: a study leaves whole, or not at all.
        offers = {
            entry.transfer_syntax: _choose_instance(accepted, entry.transfer_syntax, target)
            for entry in entries
        }
        if not next(iter(offers.values())).multipart:
            return await self._instance_alone(request, entries[0], accepted, target)
        writer = MultipartWriter(request, DICOM)
        # Of what must be fetched the length is not known: an archive may have rewritten group 0002.
        announced = all(entry.availability is Availability.ONLINE for entry in entries)
        if announced:
            writer.announce(
                [(_part(offers[entry.transfer_syntax]), entry.size) for entry in entries]
            )
        if request.method == hdrs.METH_HEAD:
            return writer.head()
        for entry in entries:
            async with self._retrieval.open_instance(entry) as opened:
                # Of what is not here yet, the syntax is known only now.
                offer = _choose_instance(accepted, opened.entry.transfer_syntax, target)
                if announced and (opened.size, opened.entry.transfer_syntax) != (
                    entry.size,
                    entry.transfer_syntax,
                ):
                    raise InstanceNotFound(f"instance {entry.ref.sop_uid} changed meanwhile")
                writer.open_part(_part(offer))
                async for piece in opened.stream():
                    await writer.write(piece)
        return await writer.end()

    async def _instance_alone(
        self,
        request: web.Request,
        entry: InstanceEntry,
        accepted: list[MediaRange],
        target: Target,
    ) -> web.StreamResponse:
        if request.method == hdrs.METH_HEAD:
            offer = _choose_instance(accepted, entry.transfer_syntax, target)
            return _head(offer.content_type, entry.size or None)
        async with self._retrieval.open_instance(entry) as opened:
            offer = _choose_instance(accepted, opened.entry.transfer_syntax, target)
            return await single_part(
                request, offer.content_type, opened.stream(), length=opened.size
            )

    @transaction("Retrieve Metadata", "10.4.1.1.4", produces=_METADATA_OFFERS)
    async def metadata(self, request: web.Request) -> web.StreamResponse:
        """Everything but the bulk values, one JSON object per instance (PS3.18 10.4.1.1.4, F)."""
        target = target_of(request)
        offer = choose(accepted_by(request), _METADATA_OFFERS)
        if request.method == hdrs.METH_HEAD:
            await self._entries(target)
            return _head(offer.media_type, None)
        return await send_text(
            request, offer.media_type, self._documents(target, base_url(request))
        )

    async def _documents(self, target: Target, base: str) -> AsyncIterator[bytes]:
        """Metadata as one JSON array, in pieces."""
        separator = b"["
        async for ref, document in self._retrieval.metadata(*target.uids):
            yield separator
            separator = b","
            place = f"{Target(ref.study_uid, ref.series_uid, ref.sop_uid).url(base)}/bulkdata/"
            for piece in with_bulk_urls(document, place.encode()):
                yield piece
        if separator == b"[":
            raise _unknown(target)
        yield b"]"

    @transaction("Retrieve Frames", "10.4.1.1.6", produces=_FRAME_OFFERS)
    async def frames(self, request: web.Request) -> web.StreamResponse:
        """Frames as they are stored (PS3.18 10.4.1.1.6)."""
        target = target_of(request)
        listed = request.match_info["frames"]
        if not _FRAME_LIST.fullmatch(listed):
            raise Refused(
                400, "the frame list is not understood", hint="numbers from 1, separated by commas"
            )
        numbers = [int(number) for number in listed.split(",")]
        accepted = accepted_by(request)
        [entry] = await self._entries(target)
        if request.method == hdrs.METH_HEAD:
            offer = choose(accepted, _frame_offers(entry.transfer_syntax, alone=len(numbers) == 1))
            return _head_of_parts(request, offer)
        async with self._retrieval.open_instance(entry) as opened:
            return await _send_frames(request, opened, numbers, accepted)

    @transaction("Retrieve Bulkdata", "10.4.1.1.5", produces=_FRAME_OFFERS)
    async def bulkdata(self, request: web.Request) -> web.StreamResponse:
        """One bulk value, by the path that metadata gives it (PS3.18 10.4.1.1.5)."""
        target = target_of(request)
        path = request.match_info["path"].upper()
        if not _BULK_PATH.fullmatch(path):
            raise Refused(400, "the path of the bulk value is not understood")
        accepted = accepted_by(request)
        [entry] = await self._entries(target)
        async with self._retrieval.open_instance(entry) as opened:
            value = opened.layout.bulk.get(path)
            types: tuple[str, ...] = (OCTET_STREAM,)
            pieces, length = opened.bulk(path), value.length if value is not None else None
            if value is not None and value.encapsulated and path == PIXEL_DATA:
                # Fragments mean nothing to a client: a video is one stream, and pictures are
                # frames (PS3.18 8.7.3.3.2).
                types = (*FRAME_MEDIA_TYPES.get(opened.entry.transfer_syntax, ()), OCTET_STREAM)
                if not types[0].startswith("video/"):
                    return await _send_frames(request, opened, _frames_of(opened), accepted)
                pieces, length = opened.video(), None
            syntax = _syntax_of_bytes(opened.entry.transfer_syntax)
            offers = [Offer(kind, many, syntax) for many in (False, True) for kind in types]
            offer = choose(accepted, offers)
            if not offer.multipart:
                if request.method == hdrs.METH_HEAD:
                    return _head(offer.content_type, length)
                return await single_part(request, offer.content_type, pieces, length=length)
            writer = MultipartWriter(request, offer.media_type)
            if request.method == hdrs.METH_HEAD:
                return writer.head()
            # PS3.18 10.4.3.3.5: what metadata calls the value.
            location = f"{target.url(base_url(request))}/bulkdata/{path}"
            writer.open_part({**_part(offer), hdrs.CONTENT_LOCATION: location})
            async for piece in pieces:
                await writer.write(piece)
            return await writer.end()

    async def _entries(self, target: Target) -> list[InstanceEntry]:
        entries = await self._retrieval.instances(*target.uids)
        if not entries:
            raise _unknown(target)
        return entries


def _unknown(target: Target) -> InstanceNotFound:
    return InstanceNotFound(
        f"{target} is not known here", hint="search for it: /studies, /series or /instances"
    )


def _choose_instance(accepted: list[MediaRange], syntax: str, target: Target) -> Offer:
    offers = [Offer(DICOM, True, syntax)]
    if target.sop_uid is not None:
        # Without multipart only an instance by itself can be had (PS3.18 10.4.4).
        offers.append(Offer(DICOM, False, syntax))
    return choose(accepted, offers)


def _frame_offers(syntax: str, *, alone: bool) -> list[Offer]:
    """The forms of frames of such a transfer syntax; a single one needs no multipart."""
    shown = _syntax_of_bytes(syntax)
    types = (*FRAME_MEDIA_TYPES.get(syntax, ()), OCTET_STREAM)
    offers = [Offer(media_type, True, shown) for media_type in types]
    if alone:
        offers += [Offer(media_type, False, shown) for media_type in types]
    return offers


def _syntax_of_bytes(syntax: str) -> str:
    """The transfer syntax that tells how to read the bytes of a value.

    Values of the little endian syntaxes differ in nothing, once taken out of the data set; the
    implicit and the deflated one are not used on the web (PS3.18 8.7.3).
    """
    encoding = encoding_of(syntax)
    if encoding.encapsulated or not encoding.little_endian or syntax == GE_PRIVATE_IMPLICIT_VR:
        return syntax
    return EXPLICIT_VR_LITTLE_ENDIAN


async def _send_frames(
    request: web.Request, opened: OpenInstance, numbers: Sequence[int], accepted: list[MediaRange]
) -> web.StreamResponse:
    alone = len(numbers) == 1
    offer = choose(accepted, _frame_offers(opened.entry.transfer_syntax, alone=alone))
    if request.method == hdrs.METH_HEAD:
        return _head_of_parts(request, offer)
    if not offer.multipart:
        frame, length = opened.frame(numbers[0]), opened.frame_length(numbers[0])
        return await single_part(request, offer.content_type, frame, length=length)
    writer = MultipartWriter(request, offer.media_type)
    part = _part(offer)
    if alone:
        writer.announce([(part, opened.frame_length(numbers[0]))])
    for number in numbers:
        pieces = opened.frame(number)
        writer.open_part(part)
        async for piece in pieces:
            await writer.write(piece)
    return await writer.end()


def _frames_of(opened: OpenInstance) -> Sequence[int]:
    """All its frames, as far as there are bytes for them: the number is only what it claims."""
    pixels = opened.layout.pixels
    fragments = len(pixels.fragments) if pixels is not None else 0
    return range(1, max(min(opened.entry.number_of_frames, fragments), 1) + 1)


def _part(offer: Offer) -> dict[str, str]:
    return {hdrs.CONTENT_TYPE: offer.content_type}


def _head(content_type: str, length: int | None) -> web.StreamResponse:
    response = web.StreamResponse(headers={hdrs.CONTENT_TYPE: content_type})
    response.content_length = length
    return response


def _head_of_parts(request: web.Request, offer: Offer) -> web.StreamResponse:
    if offer.multipart:
        return MultipartWriter(request, offer.media_type).head()
    return _head(offer.content_type, None)
