"""Pictures of instances: rendered at most once, then kept.

Owns which frame stands for an instance, a series or a study, what the worker must know to show it,
and that whoever asks for the same picture at the same time gets the same one. Every picture is of
the bytes that the index knows now: what replaces an instance has other pictures. An instance is
opened, and perhaps fetched, only if its picture is not here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

from edge.cache.opened import InstanceEntry, OpenInstance
from edge.cache.pictures import PictureCache
from edge.cache.retrieval import Retrieval
from edge.errors import InstanceNotFound, NotAnImage
from edge.pixels import syntaxes
from edge.pixels.description import ImageDescription
from edge.pixels.display import Display
from edge.pixels.presentation import Picture, Presentation, Viewport
from edge.pixels.workers import PixelWorkers

__all__ = ["Rendering"]

_SEGMENTATION: Final = "1.2.840.10008.5.1.4.1.1.66.4"
_PROFILES: Final = ("00282000", "00480105/0/00282000")
"""ICC Profile: of the image, or of its first optical path (PS3.3 C.11.15, C.8.12.5)."""
_LONGEST_PROFILE: Final = 4 * 1024**2
_MOST_FRAMES: Final = 500
"""Of an animation; of a longer one, every second or third frame is shown."""
_ANIMATED_PIXELS: Final = 1 << 25
"""Of all frames together, if nobody asked for a size."""
_FRAME_SECONDS: Final = 0.1
_BRIEF: Final = 64 * 1024
"""Bytes beside its frame that an instance may have, to be described without a thread."""
_DOCUMENTS: Final = 2
_DOCUMENT_SECONDS: Final = 30.0


@dataclass(slots=True)
class _Flight:
    """A picture that is being made."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0
    picture: Picture | None = None


class Rendering:
    """Makes pictures, or finds them."""

    def __init__(
        self,
        retrieval: Retrieval,
        workers: PixelWorkers,
        pictures: PictureCache,
    ) -> None:
        self._retrieval = retrieval
        self._workers = workers
        self._pictures = pictures
        self._flights: dict[object, _Flight] = {}
        self._documents = _Documents()

    async def frame(self, entry: InstanceEntry, number: int, wanted: Presentation) -> Picture:
        """One frame as a picture (PS3.18 10.4.1.1.3).

        Args:
            entry: The instance.
            number: Counts from 1.
            wanted: How it shall be shown.

        Raises:
            InstanceNotFound: There is no such instance any more, or no such frame.
            PixelError: It can't be shown, or not now.
            CloudError: It must be fetched, and can't be now.
        """

        async def make(opened: OpenInstance) -> Picture:
            image, display, _ = await self._described(opened, number, wanted)

            async def read() -> bytes:
                return await opened.whole_frame(number, self._workers.most_frame_bytes)

            return await self._workers.render(image, display, read, wanted)

        return await self._once(entry, ("frame", number, wanted), make)

    async def animation(self, entry: InstanceEntry, wanted: Presentation) -> Picture:
        """All frames as an animated GIF.

        Args:
            entry: The instance.
            wanted: How it shall be shown; its media type does not count.

        Raises:
            InstanceNotFound: There is no such instance any more.
            PixelError: It can't be shown, or not now.
            CloudError: It must be fetched, and can't be now.
        """

        async def make(opened: OpenInstance) -> Picture:
            image, display, frame_seconds = await self._described(opened, 1, wanted)
            step = -(-image.frames // _MOST_FRAMES)
            numbers = range(1, image.frames + 1, step)

            async def frames() -> AsyncIterator[bytes]:
                for number in numbers:
                    yield await opened.whole_frame(number, self._workers.most_frame_bytes)

            return await self._workers.animate(
                image,
                display,
                frames(),
                _sized(image, wanted, len(numbers)),
                count=len(numbers),
                frame_seconds=frame_seconds * step,
            )

        return await self._once(entry, ("animation", wanted), make)

    async def representative(
        self, study_uid: str, series_uid: str | None = None, sop_uid: str | None = None
    ) -> tuple[InstanceEntry, int]:
        """The instance and the frame that stand for a study, a series or an instance.

        The middle frame of the middle image of the middle series that has images: the first ones
        are mostly localisers, or outside the body (PS3.18 10.4.1.1.4 leaves it to the server).

        Raises:
            InstanceNotFound: There is no such resource.
            NotAnImage: It has no images.
            CloudError: It is not known here, and the archive can't be asked now.
        """
        entries = await self._retrieval.instances(study_uid, series_uid, sop_uid)
        if not entries:
            raise InstanceNotFound(f"there is no instance of study {study_uid}")
        # What was never here may be an image: to see it is to fetch it.
        images = [entry for entry in entries if _is_image(entry)]
        images = images or [entry for entry in entries if not entry.transfer_syntax]
        images = [one for one in images if one.sop_class_uid != _SEGMENTATION] or images
        if not images:
            raise NotAnImage("there are no images in it")
        series = list(dict.fromkeys(entry.ref.series_uid for entry in images))
        middle = series[len(series) // 2]
        images = [entry for entry in images if entry.ref.series_uid == middle]
        entry = images[len(images) // 2]
        return entry, max(1, (entry.number_of_frames + 1) // 2)

    async def _described(
        self, opened: OpenInstance, number: int, wanted: Presentation
    ) -> tuple[ImageDescription, Display, float]:
        """What the pixels are, how the data set says a frame is shown, and for how long."""
        profile = b""
        if wanted.icc_profile != "no":
            profile = await _icc_profile(opened)
        document = await self._documents.of(opened)

        def read() -> tuple[ImageDescription, Display, float]:
            attributes = opened.attributes() if document is None else document
            image = ImageDescription.of(attributes, opened.entry.transfer_syntax)
            display = Display.of(attributes, number, icc_profile=profile)
            return image, display, _frame_seconds(attributes)

        # A thousand functional groups take their time; a slice takes less than to wake a thread.
        return read() if _is_brief(opened) else await asyncio.to_thread(read)

    async def _once(
        self,
        entry: InstanceEntry,
        what: tuple[object, ...],
        make: Callable[[OpenInstance], Awaitable[Picture]],
    ) -> Picture:
        """Find a picture, wait for who makes it, or make it."""
        name = self._pictures.name(entry.version, *what)
        if entry.version and (found := await self._pictures.get(name)) is not None:
            return found
        async with self._flight((entry.instance_id, what)) as flight:
            if flight.picture is None:
                deletions = self._pictures.deletions
                async with self._retrieval.open_instance(entry) as opened:
                    flight.picture = await make(opened)
                known = opened.entry
                if known.version != entry.version:
                    name = self._pictures.name(known.version, *what)
                if known.key_id:
                    self._pictures.keep(name, known.key_id, flight.picture, deletions)
            return flight.picture

    @asynccontextmanager
    async def _flight(self, what: object) -> AsyncIterator[_Flight]:
        """The making of one picture: the first does it, and if that one goes away, the next."""
        flight = self._flights.setdefault(what, _Flight())
        flight.waiting += 1
        try:
            async with flight.lock:
                yield flight
        finally:
            flight.waiting -= 1
            if not flight.waiting:
                del self._flights[what]


class _Documents:
    """Attributes of the last instances of many frames: a viewer asks for one frame after the other.

    A few, for a short while: those of a thousand frames take tens of megabytes.
    """

    def __init__(self) -> None:
        self._decoding = asyncio.Lock()
        self._kept: dict[tuple[int, str], dict[str, Any]] = {}

    async def of(self, opened: OpenInstance) -> dict[str, Any] | None:
        """The data set of an open instance in the DICOM JSON model; not to be changed.

        None of one that is not worth keeping.
        """
        entry = opened.entry
        if entry.number_of_frames <= 1 or not entry.version:
            return None
        key = (entry.instance_id, entry.version)
        async with self._decoding:
            if (attributes := self._kept.get(key)) is None:
                attributes = await asyncio.to_thread(opened.attributes)
                while len(self._kept) >= _DOCUMENTS:
                    del self._kept[next(iter(self._kept))]
                self._kept[key] = attributes
                forget = partial(self._kept.pop, key, None)
                asyncio.get_running_loop().call_later(_DOCUMENT_SECONDS, forget)
        return attributes


async def _icc_profile(opened: OpenInstance) -> bytes:
    """The profile of the image; empty if it has none that is of any use."""
    for path in _PROFILES:
        value = opened.layout.bulk.get(path)
        if value is not None and value.length > _LONGEST_PROFILE:
            continue
        try:
            profile = b"".join([piece async for piece in opened.bulk(path)])
        except InstanceNotFound:
            continue
        if len(profile) >= 128:
            return profile
    return b""


def _is_brief(opened: OpenInstance) -> bool:
    """There is little in it beside its one frame, so its attributes are few."""
    if opened.entry.number_of_frames != 1 or opened.layout.deflated:
        return False
    return opened.size - opened.frame_length(1) <= _BRIEF


def _is_image(entry: InstanceEntry) -> bool:
    return entry.number_of_frames > 0 and not syntaxes.is_video(entry.transfer_syntax)


def _sized(image: ImageDescription, wanted: Presentation, count: int) -> Presentation:
    """The presentation of an animation: small enough, if nobody said how large."""
    pixels = image.rows * image.columns * count
    if wanted.viewport is not None or pixels <= _ANIMATED_PIXELS:
        return wanted
    scale = (_ANIMATED_PIXELS / pixels) ** 0.5
    width, height = max(1, int(image.columns * scale)), max(1, int(image.rows * scale))
    return replace(wanted, viewport=Viewport(width, height))


def _frame_seconds(attributes: dict[str, Any]) -> float:
    """How long a frame is shown (PS3.3 C.7.6.5): Frame Time, or a rate."""
    for key, is_rate in (("00181063", False), ("00082144", True), ("00180040", True)):
        values = attributes.get(key, {}).get("Value") or [0]
        if isinstance(values[0], int | float) and values[0] > 0:
            seconds = 1 / values[0] if is_rate else values[0] / 1000
            return min(max(seconds, 0.02), 5.0)
    return _FRAME_SECONDS
