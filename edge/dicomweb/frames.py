"""WADO-RS: frames (PS3.18 10.4.1.1.6).

Owns lists of frames, and how frames leave: as they are stored, or made anew one at a time. Promises
that a frame which is not there is refused before the first byte, that a stored one passes in
pieces, whatever its size, and that one which can't be decoded is given as it is stored, unless
another transfer syntax was named.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from aiohttp import hdrs, web

from edge.dicomweb.bodies import Body, send_body
from edge.dicomweb.forms import MADE, as_kept, frame_offers
from edge.dicomweb.media_types import FRAME_MEDIA_TYPES
from edge.dicomweb.negotiation import MediaRange, Offer, accepted_by, choose
from edge.dicomweb.resources import target_of
from edge.dicomweb.responses import OCTET_STREAM, MultipartWriter, Refused
from edge.dicomweb.retrieve import entry_of
from edge.dicomweb.transactions import transaction
from edge.dicomweb.validators import Validators, unchanged, validators_of
from edge.dicomweb.weighing import instead
from edge.errors import InstanceNotFound, PixelError

if TYPE_CHECKING:
    from edge.cache.opened import InstanceEntry, OpenInstance
    from edge.cache.retrieval import Retrieval
    from edge.cache.transcoding import Transcoding
    from edge.dicomweb.weighing import Offers, Weighing

__all__ = ["OFFERED", "FrameList", "Frames"]

OFFERED = tuple(
    Offer(media_type, multipart)
    for media_type in (
        OCTET_STREAM,
        *dict.fromkeys(name for names in FRAME_MEDIA_TYPES.values() for name in names[:1]),
    )
    for multipart in (True, False)
)
"""Each that could be there, as it is stored."""

_MOST = 1_000_000
"""Frames that a list may name; an instance as a whole is the better way to more."""
_SPAN = "[1-9][0-9]{0,8}(?:-[1-9][0-9]{0,8})?"
_LIST = re.compile(f"{_SPAN}(?:,{_SPAN})*")


@dataclass(frozen=True, slots=True)
class FrameList:
    """The frames of a request, in its order: numbers from 1, and ranges of them."""

    spans: tuple[range, ...]

    @classmethod
    def parse(cls, text: str) -> FrameList:
        """Read ``1,3,7-9``; the Standard knows numbers only, ranges are for long ones.

        Raises:
            Refused: 400.
        """
        spans = []
        for item in text.split(",") if _LIST.fullmatch(text) else ():
            first, _, last = item.partition("-")
            spans.append(range(int(first), int(last or first) + 1))
        if not spans or not all(spans):
            raise Refused(
                400,
                "the frame list is not understood",
                hint="numbers from 1, or ranges such as 5-9, separated by commas",
            )
        if sum(map(len, spans)) > _MOST:
            raise Refused(400, f"the frame list names more than {_MOST} frames")
        return cls(tuple(spans))

    def __iter__(self) -> Iterator[int]:
        return chain.from_iterable(self.spans)

    @property
    def alone(self) -> bool:
        """It is one frame."""
        return len(self.spans) == 1 and len(self.spans[0]) == 1

    @property
    def highest(self) -> int:
        """The largest number."""
        return max(span[-1] for span in self.spans)


class Frames:
    """The handler of frames, and whoever else sends some.

    Args:
        retrieval: The one way out.
        transcoding: Makes frames that are not stored so.
        weighing: Chooses forms.
    """

    def __init__(self, retrieval: Retrieval, transcoding: Transcoding, weighing: Weighing) -> None:
        self._retrieval = retrieval
        self._transcoding = transcoding
        self._weighing = weighing

    @transaction("Retrieve Frames", "10.4.1.1.6", produces=OFFERED)
    async def frames(self, request: web.Request) -> web.StreamResponse:
        """The frames of a list."""
        target = target_of(request)
        frames = FrameList.parse(request.match_info["frames"])
        accepted = accepted_by(request)
        entry = await entry_of(self._retrieval, target)
        if request.method == hdrs.METH_HEAD and entry.transfer_syntax:
            _see(entry, frames)
            offers = frame_offers(entry.transfer_syntax, MADE, alone=frames.alone)
            return await self._head(request, choose(accepted, offers))
        async with self._retrieval.open_instance(entry) as opened:
            return await self.send(request, opened, frames, accepted)

    async def send(
        self,
        request: web.Request,
        opened: OpenInstance,
        frames: FrameList,
        accepted: Sequence[MediaRange],
    ) -> web.StreamResponse:
        """Answer with frames of an open instance.

        Raises:
            InstanceNotFound: One of them is not there.
            Refused: 406.
            PixelError: They can't be given as they were asked for.
        """
        length = opened.frame_length(frames.highest)  # if it is there, all below it are
        offer = await self.form(opened, accepted, alone=frames.alone)
        form = ("frames", str(offer), frames.spans)
        exact = not offer.multipart and self._is_kept(opened, offer)
        validators = validators_of([opened.entry], *form, exact=exact)
        if (answer := unchanged(request, validators)) is not None:
            return answer
        if request.method == hdrs.METH_HEAD:
            return await self._head(request, offer, validators)
        if not offer.multipart:
            offer, pieces = await self.given(opened, frames.highest, offer, accepted)
            said = length if self._is_kept(opened, offer) else None
            body = Body(offer.content_type, lambda *_: pieces, said, validators, ranged=False)
            return await send_body(request, body)
        writer = MultipartWriter(request, offer.media_type, validators.headers())
        if frames.alone and self._is_kept(opened, offer):
            writer.announce([({hdrs.CONTENT_TYPE: offer.content_type}, length)])
        for number in frames:
            given, pieces = await self.given(opened, number, offer, accepted)
            writer.open_part({hdrs.CONTENT_TYPE: given.content_type})
            async for piece in pieces:
                await writer.write(piece)
        return await writer.end()

    async def form(
        self, opened: OpenInstance, accepted: Sequence[MediaRange], *, alone: bool = False
    ) -> Offer:
        """How frames of an open instance are given.

        Raises:
            Refused: 406.
        """
        return await self._weighing.of_open(accepted, opened, _offers(alone=alone))

    async def given(
        self, opened: OpenInstance, number: int, offer: Offer, accepted: Sequence[MediaRange]
    ) -> tuple[Offer, AsyncIterator[bytes]]:
        """A frame in that form; or as it is stored, if it can't be made and no other was named.

        Raises:
            PixelError: It can't be given.
        """
        if not self._is_kept(opened, offer):
            try:
                made = await self._transcoding.frame(opened, number, offer.transfer_syntax)
            except PixelError as error:
                stored, offers = opened.entry.transfer_syntax, _offers(alone=not offer.multipart)
                offer = instead(accepted, stored, offers, offer, error)
            else:
                return offer, _alone(made)
        return offer, opened.frame(number)

    @staticmethod
    def _is_kept(opened: OpenInstance, offer: Offer) -> bool:
        return offer.transfer_syntax == as_kept(opened.entry.transfer_syntax)

    @staticmethod
    async def _head(
        request: web.Request, offer: Offer, validators: Validators | None = None
    ) -> web.StreamResponse:
        headers = (validators or Validators()).headers()
        if offer.multipart:
            return MultipartWriter(request, offer.media_type, headers).head()
        return web.StreamResponse(headers={**headers, hdrs.CONTENT_TYPE: offer.content_type})


def _offers(*, alone: bool) -> Offers:
    return partial(frame_offers, alone=alone)


async def _alone(piece: bytes) -> AsyncIterator[bytes]:
    yield piece


def _see(entry: InstanceEntry, frames: FrameList) -> None:
    """Without opening it: whether it has such frames.

    Raises:
        InstanceNotFound: It has not.
    """
    if frames.highest > entry.number_of_frames:
        raise InstanceNotFound(f"there is no frame {frames.highest} of {entry.number_of_frames}")
