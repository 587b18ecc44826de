"""WADO-RS: rendered resources and thumbnails (PS3.18 10.4.1.1.3, 10.4.1.1.4).

Owns what is answered at each level. Promises that parameters are read before anything else, that
pictures of several images leave one by one, without those that can't be shown, and that a single
picture of a study or series is the one that stands for it, or another if that can't be shown. What
one instance looks like is known by ``renditions``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from aiohttp import hdrs, web

from edge.dicomweb.frames import FrameList
from edge.dicomweb.media_types import FRAME_MEDIA_TYPES
from edge.dicomweb.negotiation import MediaRange, Offer, accepted_by, choose
from edge.dicomweb.presentation import (
    RENDERED_PARAMETERS,
    THUMBNAIL,
    THUMBNAIL_PARAMETERS,
    annotation_headers,
    presentation_of,
)
from edge.dicomweb.renditions import HTML, PDF, TEXT, XML, Kind, Look, Renditions, check_profile
from edge.dicomweb.resources import Target, target_of
from edge.dicomweb.responses import MultipartWriter, Refused
from edge.dicomweb.retrieve import entries_of, entry_of
from edge.dicomweb.transactions import transaction
from edge.dicomweb.validators import unchanged, validators_of
from edge.errors import InstanceNotFound, NotAnImage, PixelError, PixelWorkersBusy
from edge.pixels.presentation import MEDIA_TYPES, Presentation
from edge.pixels.syntaxes import is_video

if TYPE_CHECKING:
    from edge.cache.opened import InstanceEntry
    from edge.cache.retrieval import Retrieval

__all__ = ["Rendered"]

_SINGLE: Final = tuple(Offer(media_type) for media_type in MEDIA_TYPES)
_MANY: Final = tuple(Offer(media_type, multipart=True) for media_type in MEDIA_TYPES)
_VIDEOS: Final = dict.fromkeys(
    names[0] for names in FRAME_MEDIA_TYPES.values() if names[0].startswith("video/")
)
_OF_INSTANCE: Final = (*_SINGLE, *map(Offer, (*_VIDEOS, HTML, TEXT, XML, PDF)), *_MANY)
_TRIES: Final = 4
"""Images of which one may stand for a resource, if others can't be shown."""

_SEEN: Final = (
    "1.2.840.10008.5.1.4.1.1.104.",  # encapsulated documents
    "1.2.840.10008.5.1.4.1.1.88.",  # structured reports
    "1.2.840.10008.5.1.4.1.1.77.1.1.1",  # video
    "1.2.840.10008.5.1.4.1.1.77.1.2.1",
    "1.2.840.10008.5.1.4.1.1.77.1.4.1",
)
"""How SOP classes begin that are no images, and can be rendered."""


class Rendered:
    """The handlers of rendered resources and thumbnails.

    Args:
        retrieval: Finds instances.
        renditions: Shows them.
    """

    def __init__(self, retrieval: Retrieval, renditions: Renditions) -> None:
        self._retrieval = retrieval
        self._renditions = renditions

    @transaction(
        "Retrieve Rendered Instance",
        "10.4.1.1.3",
        produces=_OF_INSTANCE,
        parameters=RENDERED_PARAMETERS,
    )
    async def instance(self, request: web.Request) -> web.StreamResponse:
        """An instance: by default, of an image a picture, of others what they are."""
        target = target_of(request)
        wanted, headers = presentation_of(request.query), annotation_headers(request.query)
        accepted = accepted_by(request)
        entry = await entry_of(self._retrieval, target)
        look = await self._renditions.look(entry)
        offers = [Offer(media_type) for media_type in look.media_types]
        if look.kind is Kind.IMAGE:
            offers += _MANY
        offer = choose(accepted, offers)
        wanted = _in(offer, wanted)
        if offer.multipart:
            return await self._many(request, [look.entry], wanted, headers)
        return await self._renditions.send(request, look, wanted, headers=headers)

    @transaction(
        "Retrieve Rendered Frames",
        "10.4.1.1.3",
        produces=(*_SINGLE, *_MANY),
        parameters=RENDERED_PARAMETERS,
    )
    async def frames(self, request: web.Request) -> web.StreamResponse:
        """Frames of a list: one as a picture, several as multipart."""
        target, frames = target_of(request), FrameList.parse(request.match_info["frames"])
        wanted, headers = presentation_of(request.query), annotation_headers(request.query)
        accepted = accepted_by(request)
        look = await self._look_at_image(target, frames)
        offer = choose(accepted, (*_SINGLE, *_MANY) if frames.alone else _MANY)
        wanted = _in(offer, wanted)
        if offer.multipart:
            return await self._many(request, [look.entry], wanted, headers, frames)
        return await self._renditions.send(
            request, look, wanted, frame=frames.highest, headers=headers
        )

    @transaction(
        "Retrieve Rendered Instances",
        "10.4.1.1.3",
        produces=(*_MANY, *_SINGLE),
        parameters=RENDERED_PARAMETERS,
    )
    async def instances(self, request: web.Request) -> web.StreamResponse:
        """A study or a series: a picture of every image; without multipart, one for all."""
        target, accepted = target_of(request), accepted_by(request)
        wanted, headers = presentation_of(request.query), annotation_headers(request.query)
        offer = choose(accepted, (*_MANY, *_SINGLE))
        wanted = _in(offer, wanted)
        if not offer.multipart:
            return await self._one(request, target, wanted, headers)
        entries = await entries_of(self._retrieval, target)
        images = [one for one in entries if _may_be_image(one)]
        if not images:
            raise _no_image(entries)
        return await self._many(request, images, wanted, headers)

    @transaction(
        "Retrieve Thumbnail", "10.4.1.1.4", produces=_SINGLE, parameters=THUMBNAIL_PARAMETERS
    )
    async def thumbnail(self, request: web.Request) -> web.StreamResponse:
        """A small picture that stands for a study, a series or an instance."""
        wanted = _thumbnail(request, accepted_by(request))
        return await self._one(request, target_of(request), wanted, {})

    @transaction(
        "Retrieve Thumbnail", "10.4.1.1.4", produces=_SINGLE, parameters=THUMBNAIL_PARAMETERS
    )
    async def thumbnail_of_frames(self, request: web.Request) -> web.StreamResponse:
        """A small picture of a frame, the first one of a list."""
        wanted = _thumbnail(request, accepted_by(request))
        frames = FrameList.parse(request.match_info["frames"])
        look = await self._look_at_image(target_of(request), frames)
        return await self._renditions.send(request, look, wanted, frame=next(iter(frames)))

    async def _look_at_image(self, target: Target, frames: FrameList) -> Look:
        """An instance that has such frames.

        Raises:
            InstanceNotFound: It has not.
            NotAnImage: It is no image.
        """
        look = await self._renditions.look(await entry_of(self._retrieval, target))
        if look.kind is not Kind.IMAGE:
            raise NotAnImage(
                "the instance has no frames that could be shown one by one",
                hint="ask for /rendered of the instance, without frames",
            )
        if frames.highest > look.entry.number_of_frames:
            raise InstanceNotFound(
                f"there is no frame {frames.highest} of {look.entry.number_of_frames}"
            )
        return look

    async def _one(
        self,
        request: web.Request,
        target: Target,
        wanted: Presentation,
        headers: Mapping[str, str],
    ) -> web.StreamResponse:
        """The picture that stands for a resource; of many, if it can't be shown, another."""
        entries = await entries_of(self._retrieval, target)
        if not any(map(_may_be_image, entries)):
            raise _no_image(entries)
        entry, frame = await self._renditions.representative(*target.uids)
        others = [one for one in entries if one.ref != entry.ref and _may_be_image(one)]
        failed = None
        for one in (entry, *others[: _TRIES - 1]):
            try:
                look = await self._renditions.look(one)
                if look.kind is not Kind.IMAGE:
                    raise _no_image([look.entry])
                if one is not entry or not one.transfer_syntax:
                    frame = max((look.entry.number_of_frames + 1) // 2, 1)
                return await self._renditions.send(
                    request, look, wanted, frame=frame, headers=headers
                )
            except PixelWorkersBusy:
                raise
            except PixelError as error:
                failed = failed or error
        raise failed or _no_image(entries)

    async def _many(
        self,
        request: web.Request,
        entries: Sequence[InstanceEntry],
        wanted: Presentation,
        headers: Mapping[str, str],
        frames: FrameList | None = None,
    ) -> web.StreamResponse:
        """A part for each image, or for each frame of the only one."""
        form = ("pictures", wanted, frames)
        validators = validators_of(entries, *form)
        if (answer := unchanged(request, validators)) is not None:
            return answer
        writer = MultipartWriter(request, wanted.media_type, {**validators.headers(), **headers})
        if request.method == hdrs.METH_HEAD:
            return writer.head()
        failed: PixelError = _no_image(entries)
        for entry in entries:
            try:
                await self._write(writer, entry, wanted, frames)
            except PixelError as error:
                # Among many, one that can't be shown is left out; a frame of a list never is.
                if frames is not None or isinstance(error, PixelWorkersBusy):
                    raise
                failed = error
        if writer.is_empty:
            raise failed
        return await writer.end()

    async def _write(
        self,
        writer: MultipartWriter,
        entry: InstanceEntry,
        wanted: Presentation,
        frames: FrameList | None,
    ) -> None:
        """The parts of one image; none for what is no image."""
        look = await self._renditions.look(entry)
        if look.kind is not Kind.IMAGE:
            return
        for frame in frames or (None,):
            picture = await self._renditions.picture(look.entry, wanted, frame)
            writer.open_part({hdrs.CONTENT_TYPE: picture.media_type})
            await writer.write(picture.data)


def _in(offer: Offer, wanted: Presentation) -> Presentation:
    """What is wanted, in the media type that was chosen."""
    wanted = replace(wanted, media_type=offer.media_type)
    check_profile(wanted)
    return wanted


def _thumbnail(request: web.Request, accepted: Sequence[MediaRange]) -> Presentation:
    """What is asked of a thumbnail: its size, and no more (PS3.18 8.3.5.2).

    Raises:
        Refused: 400 or 406.
    """
    viewport = presentation_of(request.query).viewport or THUMBNAIL
    if viewport.source is not None:
        raise Refused(400, "a thumbnail shows the whole image", hint="viewport=vw,vh")
    return Presentation(media_type=choose(accepted, _SINGLE).media_type, viewport=viewport)


def _may_be_image(entry: InstanceEntry) -> bool:
    """What was never here may be one: to see it is to fetch it."""
    if not entry.transfer_syntax:
        return True
    return entry.number_of_frames > 0 and not is_video(entry.transfer_syntax)


def _no_image(entries: Sequence[InstanceEntry]) -> NotAnImage:
    """There is no picture of these; of one that can be seen otherwise, where."""
    seen = (one for one in entries if one.sop_class_uid.startswith(_SEEN))
    if (one := next(seen, None)) is None:
        return NotAnImage("there are no images in it", hint="retrieve it as application/dicom")
    return NotAnImage(
        "there are no images in it",
        hint=f"see what there is as .../instances/{one.ref.sop_uid}/rendered",
    )
