"""What can be made of instances, found out with as little reading as will do.

Owns the question which form each of many instances is given in, before the first byte of an answer
leaves. Promises that instances which can be given as they are stored, or uncompressed without
decoding, are not looked at; of others the index is read, never the object. What only decoding
shows, that pixels are damaged, is no reason to withhold them from who named no transfer syntax.
"""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import msgspec

from edge.cache.transcoding import syntaxes_for
from edge.dicomweb.forms import MADE, as_kept, is_native
from edge.dicomweb.negotiation import MediaRange, Offer, choose
from edge.dicomweb.responses import Refused
from edge.errors import EdgeError, NotAnImage, PixelWorkersBusy
from edge.pixels.description import ImageDescription

if TYPE_CHECKING:
    from edge.cache.opened import InstanceEntry, OpenInstance
    from edge.cache.retrieval import Retrieval
    from edge.cache.transcoding import Transcoding
    from edge.dicomweb.resources import Target

__all__ = ["Offers", "Weighing", "instead"]

logger = logging.getLogger(__name__)

Offers = Callable[[str, Sequence[str]], list[Offer]]
"""The forms of an instance, by how it is stored and what can be made of it."""


class Weighing:
    """Chooses forms.

    Args:
        retrieval: Where metadata is read.
        transcoding: Knows what can be made of an open instance.
    """

    def __init__(self, retrieval: Retrieval, transcoding: Transcoding) -> None:
        self._retrieval = retrieval
        self._transcoding = transcoding

    async def of_open(
        self, accepted: Sequence[MediaRange], opened: OpenInstance, offers: Offers
    ) -> Offer:
        """The form of one that is open.

        Raises:
            Refused: 406.
        """
        stored = opened.entry.transfer_syntax
        if (offer := _settled(accepted, stored, offers)) is not None:
            return offer
        return choose(accepted, offers(stored, await self._transcoding.syntaxes(opened)))

    async def of_all(
        self,
        accepted: Sequence[MediaRange],
        entries: Iterable[InstanceEntry],
        target: Target,
        offers: Offers,
    ) -> dict[str, Offer]:
        """The form of each, by SOP Instance UID; those that nothing is known of yet are left out.

        Raises:
            Refused: 406, one of them has no acceptable form.
        """
        found: dict[str, Offer] = {}
        open_ones: dict[str, str] = {}
        by_syntax: dict[str, Offer | None] = {}
        for entry in entries:
            stored = entry.transfer_syntax
            if not stored:
                continue
            if stored not in by_syntax:
                by_syntax[stored] = _settled(accepted, stored, offers)
            if (offer := by_syntax[stored]) is not None:
                found[entry.ref.sop_uid] = offer
            else:
                open_ones[entry.ref.sop_uid] = stored
        if open_ones:
            async for ref, document in self._retrieval.metadata(*target.uids):
                if (one := open_ones.get(ref.sop_uid)) is not None:
                    made = await asyncio.to_thread(_made, document, one)
                    found[ref.sop_uid] = choose(accepted, offers(one, made))
        return found


def instead(
    accepted: Sequence[MediaRange], stored: str, offers: Offers, failed: Offer, error: EdgeError
) -> Offer:
    """The form of what turned out not to be makeable: as it is stored.

    Args:
        accepted: What the client takes.
        stored: The transfer syntax of the instance.
        offers: Its forms.
        failed: The one that can't be made; the other has the same container.
        error: Why.

    Raises:
        EdgeError: It is *error*: the client named the transfer syntax, or can try again.
    """
    if isinstance(error, PixelWorkersBusy):
        raise error
    kept = [one for one in offers(stored, (stored,)) if one.container == failed.container]
    try:
        found = choose(accepted, kept)
    except Refused:
        raise error from None
    logger.debug("given as it is stored, for want of another form: %s", type(error).__name__)
    return found


def _made(document: bytes, stored: str) -> tuple[str, ...]:
    """What can be made of an instance, by its deflated JSON object."""
    try:
        image = ImageDescription.of(msgspec.json.decode(zlib.decompress(document)), stored)
    except NotAnImage:
        image = None
    return syntaxes_for(image, stored)


def _settled(accepted: Sequence[MediaRange], stored: str, offers: Offers) -> Offer | None:
    """The form, if it is the same whatever the pixels are; None if one must look.

    Raises:
        Refused: 406, nothing that could be made is acceptable.
    """
    if not stored:
        return None
    offer = choose(accepted, offers(stored, MADE))
    sure = ("*", stored, as_kept(stored), *(MADE[:2] if is_native(stored) else ()))
    return offer if offer.transfer_syntax in sure else None
