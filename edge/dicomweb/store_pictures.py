"""Pixel Data that comes as PNG or GIF, and is kept as native pixels (PS3.18 10.5.2).

Owns that transformation: what the pictures say of themselves goes into the Image Pixel module where
the metadata leaves it out, and what contradicts it is refused. Promises that pictures are decoded
in a worker process only, that their size is known before, and that of all requests together one
picture is in memory at a time, with its pixels while they are written. Nothing is lost on the way:
what native pixels can't hold (``edge.dicom.raster``) is an error of its instance.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from edge.dicom.picture import Picture
from edge.dicom.raster import RASTERS, raster_of
from edge.dicomweb.store_agreement import (
    FRAMES,
    PHOTOMETRIC,
    SAMPLES,
    contradiction,
    number_of,
    said_of,
)
from edge.errors import InvalidInstance
from edge.pixels.description import ImageDescription

if TYPE_CHECKING:
    from edge.cache.spooling import Spooling
    from edge.pixels.workers import PixelWorkers

__all__ = ["TRANSFORMED", "Stored", "Transformation"]

TRANSFORMED: Final = frozenset(RASTERS)
"""Media types that no transfer syntax corresponds to."""
Stored = tuple[int, int]
"""Where a picture lies in the spool: offset and length."""

_PLANAR: Final = "00280006"
_BITS_STORED: Final = "00280101"
_HIGH_BIT: Final = "00280102"
_PIECE: Final = 256 * 1024


class Transformation:
    """Describes and transforms, for all requests.

    Args:
        workers: Decode.
    """

    def __init__(self, workers: PixelWorkers) -> None:
        self._workers = workers
        self._turn = asyncio.Lock()

    async def describe(
        self,
        spooling: Spooling,
        pictures: Sequence[Stored],
        media_type: str,
        attributes: dict[str, Any],
    ) -> list[ImageDescription]:
        """What each picture will be; their frames follow each other.

        Args:
            spooling: Where they are.
            pictures: All of one instance.
            media_type: One of ``TRANSFORMED``.
            attributes: Metadata of the instance, in which the Image Pixel module is completed.

        Raises:
            InvalidInstance: A picture can't be kept, differs from the others, or from the metadata.
        """
        found = []
        for picture in pictures:
            async with self._turn:
                data = await self._read(spooling, picture)
                found.append(await asyncio.to_thread(raster_of, data, media_type))
        # Grey can be given as RGB, which a palette that happens to be grey may have meant.
        samples = number_of(attributes, SAMPLES) or max(one.samples for one in found)
        if samples == 3:
            found = [_coloured(one) for one in found]
        frames = [one.frames for one in found]
        kinds = {replace(one, frames=sum(frames)) for one in found}
        if len(kinds) > 1:
            raise InvalidInstance("the frames of an instance differ in size or kind")
        image = _completed(attributes, kinds.pop())
        return [replace(image, frames=count) for count in frames]

    async def native(
        self, spooling: Spooling, picture: Stored, image: ImageDescription
    ) -> AsyncGenerator[bytes]:
        """The pixels of one picture, in pieces.

        Raises:
            PixelError: It is not what its header says, takes too much, or nobody has time for it.
        """
        async with self._turn:
            pixels = await self._workers.convert(image, await self._read(spooling, picture))
            for at in range(0, len(pixels), _PIECE):
                yield pixels[at : at + _PIECE]

    async def _read(self, spooling: Spooling, picture: Stored) -> bytes:
        offset, length = picture
        if length > self._workers.most_frame_bytes:
            raise InvalidInstance(
                f"a picture has {length} bytes, which are too many",
                hint="send the pixels uncompressed, or raise pixels.frame_bytes",
            )
        return await spooling.read(offset, length)


def _coloured(picture: Picture) -> Picture:
    if picture.bits > 8:
        return picture
    return replace(picture, samples=3, photometric="RGB")


def _completed(attributes: dict[str, Any], picture: Picture) -> ImageDescription:
    """Complete the Image Pixel module (PS3.3 C.7.6.3); the description that results."""
    module = dict(picture.attributes())
    allocated, *_ = module["00280100"]["Value"]
    # Who knows that 12 of 16 bits are used may say so; the decoder holds the pixels against it.
    stored = number_of(attributes, _BITS_STORED) or picture.bits
    if not 0 < stored <= allocated:
        raise contradiction(_BITS_STORED)
    module[_BITS_STORED]["Value"], module[_HIGH_BIT]["Value"] = [stored], [stored - 1]
    if picture.samples == 1 and said_of(attributes, PHOTOMETRIC) == "MONOCHROME1":
        module[PHOTOMETRIC]["Value"] = ["MONOCHROME1"]
    if said_of(attributes, FRAMES) is not None:
        module[FRAMES] = {"vr": "IS", "Value": [picture.frames]}
    # How native pixels are laid out is our own doing.
    attributes.pop(_PLANAR, None)
    for tag, element in module.items():
        (value,) = element["Value"]
        said = said_of(attributes, tag) if isinstance(value, str) else number_of(attributes, tag)
        if said not in (None, value):
            raise contradiction(tag)
        attributes[tag] = element
    return ImageDescription(
        transfer_syntax=picture.transfer_syntax,
        rows=picture.rows,
        columns=picture.columns,
        samples=picture.samples,
        photometric=picture.photometric,
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=stored - 1,
        signed=False,
        frames=picture.frames,
    )
