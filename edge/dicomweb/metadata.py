"""WADO-RS: metadata, as JSON or as XML (PS3.18 10.4.1.1.2, 8.7.3.2, F).

Promises that a piece of it is in memory at a time (an object, in XML), that bulk values are named
by URLs which lead to them, and that no object is opened for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import msgspec
from aiohttp import hdrs, web

from edge.dicom.xml_model import to_xml
from edge.dicomweb.bodies import Body, send_body
from edge.dicomweb.documents import send_text, with_bulk_urls
from edge.dicomweb.negotiation import Offer, accepted_by, choose
from edge.dicomweb.resources import Target, base_url, target_of
from edge.dicomweb.responses import DICOM_JSON, DICOM_XML, JSON, MultipartWriter
from edge.dicomweb.retrieve import entries_of, unknown
from edge.dicomweb.transactions import transaction
from edge.dicomweb.validators import unchanged, validators_of

if TYPE_CHECKING:
    from edge.cache.retrieval import Retrieval
    from edge.dicom.instance import InstanceRef

__all__ = ["Metadata"]

_OFFERS = (Offer(DICOM_JSON), Offer(JSON), Offer(DICOM_XML, multipart=True))
_ALONE = Offer(DICOM_XML)


class Metadata:
    """The handlers of metadata.

    Args:
        retrieval: The one way out.
    """

    def __init__(self, retrieval: Retrieval) -> None:
        self._retrieval = retrieval

    @transaction("Retrieve Metadata", "10.4.1.1.2", produces=(*_OFFERS, _ALONE))
    async def instance(self, request: web.Request) -> web.StreamResponse:
        """Of one instance, which needs no multipart in XML either."""
        return await self._answer(request, (*_OFFERS, _ALONE))

    @transaction("Retrieve Metadata", "10.4.1.1.2", produces=_OFFERS)
    async def instances(self, request: web.Request) -> web.StreamResponse:
        """Of a study or a series."""
        return await self._answer(request, _OFFERS)

    async def _answer(self, request: web.Request, offers: tuple[Offer, ...]) -> web.StreamResponse:
        target, base = target_of(request), base_url(request)
        offer = choose(accepted_by(request), offers)
        entries = await entries_of(self._retrieval, target)
        form = ("metadata", base, offer.media_type)
        validators = validators_of(entries, *form, exact=not offer.multipart, edited=True)
        if (answer := unchanged(request, validators)) is not None:
            return answer
        headers = validators.headers()
        if offer.multipart:
            return await self._parts(request, target, base, headers)
        if request.method == hdrs.METH_HEAD:
            return web.StreamResponse(headers={**headers, hdrs.CONTENT_TYPE: offer.media_type})
        if offer.media_type == DICOM_XML:
            async for _ref, document in self._documents(target, base):
                return await send_body(request, Body.of(DICOM_XML, document, validators))
            raise unknown(target)
        return await send_text(request, offer.media_type, self._array(target, base), headers)

    async def _array(self, target: Target, base: str) -> AsyncIterator[bytes]:
        """One JSON array, in pieces."""
        separator = b"["
        async for ref, document in self._retrieval.metadata(*target.uids):
            yield separator
            separator = b","
            for piece in with_bulk_urls(document, _place(ref, base)):
                yield piece
        if separator == b"[":
            raise unknown(target)
        yield b"]"

    async def _parts(
        self, request: web.Request, target: Target, base: str, headers: dict[str, str]
    ) -> web.StreamResponse:
        writer = MultipartWriter(request, DICOM_XML, headers)
        if request.method == hdrs.METH_HEAD:
            return writer.head()
        async for ref, document in self._documents(target, base):
            location = f"{_target(ref).url(base)}/metadata"
            writer.open_part({hdrs.CONTENT_TYPE: DICOM_XML, hdrs.CONTENT_LOCATION: location})
            await writer.write(document)
        if writer.is_empty:
            raise unknown(target)
        return await writer.end()

    async def _documents(
        self, target: Target, base: str
    ) -> AsyncIterator[tuple[InstanceRef, bytes]]:
        """Each as an XML document."""
        async for ref, document in self._retrieval.metadata(*target.uids):
            yield ref, await asyncio.to_thread(_xml, document, _place(ref, base))


def _xml(document: bytes, place: bytes) -> bytes:
    return to_xml(msgspec.json.decode(b"".join(with_bulk_urls(document, place))))


def _target(ref: InstanceRef) -> Target:
    return Target(ref.study_uid, ref.series_uid, ref.sop_uid)


def _place(ref: InstanceRef, base: str) -> bytes:
    """What bulk values of an instance are below."""
    return f"{_target(ref).url(base)}/bulkdata/".encode()
