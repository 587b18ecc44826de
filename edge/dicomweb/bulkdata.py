"""WADO-RS: bulk data (PS3.18 10.4.1.1.5) and pixel data (10.4.1.1.6): one value, or all there are.

Owns the paths of bulk values, and what they are outside of their data set. Promises that a value
passes in pieces, and that ranges of it can be had. Fragments mean nothing to a client: encapsulated
pictures leave as frames, a video as one stream (8.7.3.3.2).
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Collection, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from aiohttp import hdrs, web

from edge.dicomweb.bodies import Body, send_body
from edge.dicomweb.forms import BULK_OFFERS, as_kept
from edge.dicomweb.frames import OFFERED, FrameList, Frames
from edge.dicomweb.media_types import FRAME_MEDIA_TYPES
from edge.dicomweb.negotiation import MediaRange, Offer, accepted_by, choose
from edge.dicomweb.resources import Target, base_url, target_of
from edge.dicomweb.responses import OCTET_STREAM, MultipartWriter, Refused
from edge.dicomweb.retrieve import entries_of, entry_of
from edge.dicomweb.transactions import transaction
from edge.dicomweb.validators import unchanged, validators_of
from edge.errors import InstanceNotFound
from edge.pixels import syntaxes

if TYPE_CHECKING:
    from edge.cache.opened import OpenInstance
    from edge.cache.retrieval import Retrieval

__all__ = ["Bulkdata"]

_PIXEL_DATA: Final = "7FE00010"
_PIXELS: Final = frozenset({_PIXEL_DATA, "7FE00008", "7FE00009"})
"""Pixel Data; Float and Double Float Pixel Data."""
_PATH = re.compile(r"[0-9A-F]{8}(/[0-9]{1,9}/[0-9A-F]{8})*")


class Bulkdata:
    """The handlers of bulk data.

    Args:
        retrieval: The one way out.
        frames: Sends encapsulated pictures.
    """

    def __init__(self, retrieval: Retrieval, frames: Frames) -> None:
        self._retrieval = retrieval
        self._frames = frames

    @transaction("Retrieve Bulkdata", "10.4.1.1.5", produces=OFFERED)
    async def value(self, request: web.Request) -> web.StreamResponse:
        """One value, by the path that metadata gives it.

        It has ranges only without multipart: a range is one of the whole answer (RFC 9110 14.2).
        """
        target = target_of(request)
        path = request.match_info["path"].upper()
        if not _PATH.fullmatch(path):
            raise Refused(400, "the path of the bulk value is not understood")
        accepted = accepted_by(request)
        entry = await entry_of(self._retrieval, target)
        async with self._retrieval.open_instance(entry) as opened:
            stored = opened.entry.transfer_syntax
            if _is_encapsulated(opened, path) and not syntaxes.is_video(stored):
                return await self._frames.send(request, opened, _frames_of(opened), accepted)
            kinds: tuple[str, ...] = (OCTET_STREAM,)
            if _is_encapsulated(opened, path):
                kinds = (*FRAME_MEDIA_TYPES[stored], OCTET_STREAM)
            offers = [
                Offer(kind, many, as_kept(stored)) for many in (False, True) for kind in kinds
            ]
            offer = choose(accepted, offers)
            exact = not offer.multipart
            validators = validators_of([opened.entry], "bulkdata", path, str(offer), exact=exact)
            body = await _body(opened, path)
            if exact:
                body = Body(offer.content_type, body.pieces, body.length, validators)
                return await send_body(request, body)
            if (answer := unchanged(request, validators)) is not None:
                return answer
            writer = MultipartWriter(request, offer.media_type, validators.headers())
            if request.method == hdrs.METH_HEAD:
                return writer.head()
            location = f"{target.url(base_url(request))}/bulkdata/{path}"
            await _write(writer, offer.content_type, location, body.pieces(0, body.length))
            return await writer.end()

    @transaction("Retrieve Bulkdata", "10.4.1.1.5", produces=BULK_OFFERS[1:])
    async def all_values(self, request: web.Request) -> web.StreamResponse:
        """All values of a study, a series or an instance."""
        return await self.send_all(request, target_of(request), accepted_by(request))

    @transaction("Retrieve Pixel Data", "10.4.1.1.6", produces=BULK_OFFERS[1:])
    async def pixel_data(self, request: web.Request) -> web.StreamResponse:
        """The pixels of a study, a series or an instance."""
        return await self.send_all(request, target_of(request), accepted_by(request), only=_PIXELS)

    async def send_all(
        self,
        request: web.Request,
        target: Target,
        accepted: Sequence[MediaRange],
        *,
        only: Collection[str] = (),
    ) -> web.StreamResponse:
        """Answer with every bulk value, or those of some paths; a part for each.

        Raises:
            InstanceNotFound: There are none.
            Refused: 406.
        """
        offer, base = choose(accepted, BULK_OFFERS), base_url(request)
        entries = await entries_of(self._retrieval, target)
        validators = validators_of(entries, "all", base, offer.transfer_syntax, sorted(only))
        if (answer := unchanged(request, validators)) is not None:
            return answer
        writer = MultipartWriter(request, OCTET_STREAM, validators.headers())
        if request.method == hdrs.METH_HEAD:
            return writer.head()
        for entry in entries:
            place = Target(entry.ref.study_uid, entry.ref.series_uid, entry.ref.sop_uid).url(base)
            async with self._retrieval.open_instance(entry) as opened:
                kept = as_kept(opened.entry.transfer_syntax)
                kind = Offer(OCTET_STREAM, True, kept).content_type
                for path in opened.layout.bulk:
                    if only and path not in only:
                        continue
                    if _is_encapsulated(opened, path):
                        await self._write_pixels(writer, opened, accepted, place)
                    else:
                        location = f"{place}/bulkdata/{path}"
                        await _write(writer, kind, location, opened.bulk(path))
        if writer.is_empty:
            raise InstanceNotFound(f"{target} has no bulk data")
        return await writer.end()

    async def _write_pixels(
        self,
        writer: MultipartWriter,
        opened: OpenInstance,
        accepted: Sequence[MediaRange],
        place: str,
    ) -> None:
        """Encapsulated pixels: a video, or each frame."""
        stored = opened.entry.transfer_syntax
        if syntaxes.is_video(stored):
            kind = Offer(OCTET_STREAM, True, stored).content_type
            await _write(writer, kind, f"{place}/bulkdata/{_PIXEL_DATA}", opened.video())
            return
        offer = await self._frames.form(opened, accepted)
        for number in _frames_of(opened):
            given, pieces = await self._frames.given(opened, number, offer, accepted)
            await _write(writer, given.content_type, f"{place}/frames/{number}", pieces)


async def _body(opened: OpenInstance, path: str) -> Body:
    """A value as it is: from the object, or from the metadata if it is small."""
    if _is_encapsulated(opened, path):
        pixels = opened.layout.pixels
        length = sum(pixels.fragments) if pixels is not None else None
        return Body("", opened.video, length)
    if (value := opened.layout.bulk.get(path)) is not None:
        return Body("", partial(opened.bulk, path), value.length)
    return Body.of("", b"".join([piece async for piece in opened.bulk(path)]))


async def _write(
    writer: MultipartWriter, kind: str, location: str, pieces: AsyncIterator[bytes]
) -> None:
    """One part, with what its resource is called (PS3.18 8.6.1.2.2)."""
    writer.open_part({hdrs.CONTENT_TYPE: kind, hdrs.CONTENT_LOCATION: location})
    async for piece in pieces:
        await writer.write(piece)


def _is_encapsulated(opened: OpenInstance, path: str) -> bool:
    value = opened.layout.bulk.get(path)
    return path == _PIXEL_DATA and value is not None and value.encapsulated


def _frames_of(opened: OpenInstance) -> FrameList:
    """All its frames, as far as there are bytes for them: the number is only what it claims."""
    pixels = opened.layout.pixels
    fragments = len(pixels.fragments) if pixels is not None else 0
    count = max(min(opened.entry.number_of_frames, fragments), 1)
    return FrameList((range(1, count + 1),))
