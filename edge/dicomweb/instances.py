"""WADO-RS: studies, series and instances, in any transfer syntax, or as a ZIP (PS3.18 10.4.1.1.1).

Owns how whole instances leave. Promises that what is given as it is stored leaves byte for byte,
that memory stays bounded whatever is asked for (a piece at a time), that a study never comes back
with instances silently missing, and that an error before the first byte is a status. An instance
that turns out to be damaged is given as it is stored, unless another transfer syntax was named.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import hdrs, web

from edge.dicom.instance import Availability
from edge.dicomweb.bodies import Body, Pieces, nothing, send_body
from edge.dicomweb.forms import MADE, instance_offers, zip_offers
from edge.dicomweb.medium import ZIP, MediumFile, attached, medium
from edge.dicomweb.negotiation import MediaRange, Offer, accepted_by, choose
from edge.dicomweb.resources import Target, target_of
from edge.dicomweb.responses import DICOM, OCTET_STREAM, MultipartWriter
from edge.dicomweb.retrieve import entries_of
from edge.dicomweb.transactions import transaction
from edge.dicomweb.validators import Validators, unchanged, validators_of
from edge.dicomweb.weighing import instead
from edge.errors import InstanceNotFound, NotDicom, PixelError

if TYPE_CHECKING:
    from edge.cache.opened import InstanceEntry, OpenInstance
    from edge.cache.retrieval import Retrieval
    from edge.cache.transcoding import Transcoding
    from edge.dicomweb.bulkdata import Bulkdata
    from edge.dicomweb.weighing import Offers, Weighing

__all__ = ["Instances"]

_OFFERED = (Offer(DICOM, multipart=True), Offer(OCTET_STREAM, multipart=True), Offer(ZIP))

Forms = Mapping[str, Offer]
"""By SOP Instance UID; those that nothing is known of yet are missing."""


@dataclass(frozen=True, slots=True)
class _Wish:
    """What is asked for, of each instance."""

    accepted: Sequence[MediaRange]
    offers: Offers


class Instances:
    """The handlers of whole instances.

    Args:
        retrieval: The one way out.
        transcoding: Makes what is not stored so.
        weighing: Chooses forms.
        bulkdata: Gives the bulk values of instances.
    """

    def __init__(
        self,
        retrieval: Retrieval,
        transcoding: Transcoding,
        weighing: Weighing,
        bulkdata: Bulkdata,
    ) -> None:
        self._retrieval = retrieval
        self._transcoding = transcoding
        self._weighing = weighing
        self._bulkdata = bulkdata

    @transaction("Retrieve Instance", "10.4.1.1.1", produces=(*_OFFERED[:2], Offer(DICOM)))
    async def instance(self, request: web.Request) -> web.StreamResponse:
        """One instance."""
        return await self.instances(request)

    @transaction("Retrieve Instances", "10.4.1.1.1", produces=_OFFERED)
    async def instances(self, request: web.Request) -> web.StreamResponse:
        """A study or a series."""
        target, accepted = target_of(request), accepted_by(request)
        entries = await entries_of(self._retrieval, target)
        kind, offers = await self._kind(accepted, entries[0], target)
        if kind.media_type == OCTET_STREAM:
            return await self._bulkdata.send_all(request, target, accepted)
        # All are weighed before the first is sent: a study leaves whole, or not at all.
        forms = await self._weighing.of_all(accepted, entries, target, offers)
        validators = _validators(entries, forms, kind)
        if (answer := unchanged(request, validators)) is not None:
            return answer
        wish = _Wish(accepted, offers)
        if kind.media_type == ZIP:
            return await self._zip(request, entries, wish, validators)
        if kind.multipart:
            return await self._parts(request, entries, forms, wish, validators)
        return await self._alone(request, entries[0], forms, wish, validators)

    async def _kind(
        self, accepted: Sequence[MediaRange], first: InstanceEntry, target: Target
    ) -> tuple[Offer, Offers]:
        """As what the answer is sent, decided by the first instance, and the forms it may have."""
        alone = target.sop_uid is not None

        def offers(stored: str, made: Sequence[str]) -> list[Offer]:
            found = instance_offers(stored, made, alone=alone)
            return found if alone else [*found, *zip_offers(stored, made)]

        def of_kind(stored: str, made: Sequence[str]) -> list[Offer]:
            return [offer for offer in offers(stored, made) if offer.container == kind.container]

        one = Target(first.ref.study_uid, first.ref.series_uid, first.ref.sop_uid)
        forms = await self._weighing.of_all(accepted, [first], one, offers)
        # Of what was never here, nothing is known: whatever can be made is taken for possible.
        kind = forms.get(first.ref.sop_uid) or choose(accepted, offers("", MADE))
        return kind, of_kind

    async def _parts(
        self,
        request: web.Request,
        entries: Sequence[InstanceEntry],
        forms: Forms,
        wish: _Wish,
        validators: Validators,
    ) -> web.StreamResponse:
        """All of them, a part for each."""
        writer = MultipartWriter(request, DICOM, validators.headers())
        # Of what must be fetched the length is not known: an archive may have rewritten group 0002.
        announced = all(_is_exact(entry, forms) for entry in entries)
        if announced:
            writer.announce([(_part(forms[entry.ref.sop_uid]), entry.size) for entry in entries])
        if request.method == hdrs.METH_HEAD:
            return writer.head()
        if announced:
            await self._write_stored(writer, entries, forms)
        else:
            await self._write_made(writer, entries, wish)
        return await writer.end()

    async def _write_stored(
        self, writer: MultipartWriter, entries: Sequence[InstanceEntry], forms: Forms
    ) -> None:
        """Parts of announced lengths, each as it is stored."""
        async with aclosing(self._retrieval.whole_instances(entries)) as wholes:
            expected = iter(entries)
            async for whole in wholes:
                entry = next(expected)
                if whole.size != entry.size or whole.entry.version != entry.version:
                    raise InstanceNotFound(f"instance {entry.ref.sop_uid} changed meanwhile")
                writer.open_part(_part(forms[entry.ref.sop_uid]))
                await whole.pass_to(writer.write)

    async def _write_made(
        self, writer: MultipartWriter, entries: Sequence[InstanceEntry], wish: _Wish
    ) -> None:
        """Parts of which some must be fetched or transcoded first."""
        for entry in entries:
            async with self._retrieval.open_instance(entry) as opened:
                # Of what was not here yet, the syntax is known only now.
                offer, pieces = await self._given(opened, wish)
                writer.open_part(_part(offer))
                async for piece in pieces(0, None):
                    await writer.write(piece)

    async def _alone(
        self,
        request: web.Request,
        entry: InstanceEntry,
        forms: Forms,
        wish: _Wish,
        validators: Validators,
    ) -> web.StreamResponse:
        """One, without multipart: ranges of it can be had, if it is given as it is stored."""
        if request.method == hdrs.METH_HEAD and (offer := forms.get(entry.ref.sop_uid)):
            size = entry.size if _is_exact(entry, forms) else None
            return await send_body(request, Body(offer.content_type, nothing, size, validators))
        async with self._retrieval.open_instance(entry) as opened:
            offer, pieces = await self._given(opened, wish)
            exact = offer.transfer_syntax == opened.entry.transfer_syntax
            length = opened.size if exact else None
            return await send_body(request, Body(offer.content_type, pieces, length, validators))

    async def _weigh(self, opened: OpenInstance, wish: _Wish) -> Offer:
        return await self._weighing.of_open(wish.accepted, opened, wish.offers)

    async def _given(self, opened: OpenInstance, wish: _Wish) -> tuple[Offer, Pieces]:
        """The form of an open instance, and its bytes, of which the first piece is sure to come."""
        offer = await self._weigh(opened, wish)
        stored = opened.entry.transfer_syntax
        if offer.transfer_syntax == stored:
            return offer, opened.stream
        made = self._transcoding.instance(opened, offer.transfer_syntax)
        try:
            first = await anext(made, b"")
        except (PixelError, NotDicom, InstanceNotFound) as error:
            offer = instead(wish.accepted, stored, wish.offers, offer, error)
            return offer, opened.stream

        async def pieces(*_range: int | None) -> AsyncIterator[bytes]:
            yield first
            async for piece in made:
                yield piece

        return offer, pieces

    async def _zip(
        self,
        request: web.Request,
        entries: Sequence[InstanceEntry],
        wish: _Wish,
        validators: Validators,
    ) -> web.StreamResponse:
        """All of them as files of a medium, with its directory."""

        @asynccontextmanager
        async def open_file(entry: InstanceEntry) -> AsyncIterator[MediumFile]:
            async with self._retrieval.open_instance(entry) as opened:
                syntax = (await self._weigh(opened, wish)).transfer_syntax
                size = opened.size if syntax == opened.entry.transfer_syntax else None
                attributes = await asyncio.to_thread(opened.edited_attributes)
                made = self._transcoding.instance(opened, syntax)
                yield MediumFile(attributes, syntax, size, made)

        def pieces(*_range: int | None) -> AsyncIterator[bytes]:
            return medium(entries, open_file)

        headers = attached(*target_of(request).uids)
        return await send_body(request, Body(ZIP, pieces, validators=validators, headers=headers))


def _validators(entries: Sequence[InstanceEntry], forms: Forms, kind: Offer) -> Validators:
    """Strong if the bytes are those that are stored, and nothing else."""
    exact = kind.container == (DICOM, False) and all(_is_exact(one, forms) for one in entries)
    chosen = [str(forms.get(entry.ref.sop_uid)) for entry in entries]
    # The directory of a medium names the patient.
    is_zip = kind.media_type == ZIP
    return validators_of(entries, "instances", kind.container, *chosen, exact=exact, edited=is_zip)


def _is_exact(entry: InstanceEntry, forms: Forms) -> bool:
    """Whether it is here, and given as it is stored."""
    form = forms.get(entry.ref.sop_uid)
    here = entry.availability is Availability.ONLINE
    return here and form is not None and form.transfer_syntax == entry.transfer_syntax


def _part(offer: Offer) -> dict[str, str]:
    return {hdrs.CONTENT_TYPE: offer.content_type}
