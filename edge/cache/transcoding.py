"""An instance, or a frame of it, in another transfer syntax than it is stored in.

Owns which transfer syntaxes an instance can be given in, and the making of them while they are
sent: one frame is in memory at a time, and the data set passes by in pieces. Values keep their
bytes; group 0002 is written anew, with our Implementation Class UID, since what it describes is our
doing. What was stored is never touched, and never replaced by what is made here. No pixel is lost
on the way: from a lossy form there is only one to the uncompressed. An instance that broke off at a
damaged frame is remembered for a while: who asks again is told before the first piece.
"""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import Final
from weakref import WeakKeyDictionary

from edge.cache.content import InflatedContent, Ranges
from edge.cache.opened import OpenInstance
from edge.dicom.codec import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, Codec
from edge.dicom.part10 import FileMetaReader, file_meta
from edge.dicom.recoder import PixelElement, Recoder, Replacement, swapped
from edge.dicom.uids import encoding_of
from edge.errors import NotAnImage, PixelError, UndecodablePixels
from edge.pixels import syntaxes
from edge.pixels.description import ImageDescription
from edge.pixels.workers import EncodedFrame, PixelWorkers

__all__ = ["Transcoding", "syntaxes_for"]

_PLAIN: Final = (syntaxes.EXPLICIT_LITTLE, syntaxes.IMPLICIT_LITTLE)
_UNCOMPRESSED: Final = (*_PLAIN, syntaxes.DEFLATED, syntaxes.EXPLICIT_BIG)
_COMPRESSED: Final = (
    syntaxes.JPEG_LS_LOSSLESS,
    syntaxes.JPEG_2000_LOSSLESS,
    syntaxes.RLE,
    syntaxes.JPEG_LOSSLESS_SV1,
)
_PHOTOMETRIC: Final = 0x00280004
_PLANAR: Final = 0x00280006
_LOSSY: Final = 0x00282110
_UNDEFINED: Final = 0xFFFFFFFF
_ITEM: Final = b"\xfe\xff\x00\xe0"
_DELIMITER: Final = b"\xfe\xff\xdd\xe0" + bytes(4)
_DAMAGED_SECONDS: Final = 600.0
_MOST_DAMAGED: Final = 1024


def syntaxes_for(image: ImageDescription | None, stored: str) -> tuple[str, ...]:
    """The transfer syntaxes that an instance can be given in, the best first: as it is stored.

    Args:
        image: Its pixels; None if it has none, or none that we understand.
        stored: How it is stored.
    """
    offered: tuple[str, ...] = ()
    if image is None and stored in syntaxes.NATIVE:
        offered = _UNCOMPRESSED
    elif image is not None and _is_decodable(stored):
        offered = (*_UNCOMPRESSED, *_COMPRESSED) if stored in syntaxes.LOSSLESS else _PLAIN
    fitting = (syntax for syntax in offered if image is None or image.fits(syntax))
    return (stored, *(syntax for syntax in fitting if syntax != stored))


def _is_decodable(stored: str) -> bool:
    known = syntaxes.NATIVE | syntaxes.JPEG | syntaxes.JPEG_2000
    return stored in known or stored in (syntaxes.RLE, syntaxes.DEFLATED_FRAME)


class Transcoding:
    """Gives instances and frames in other transfer syntaxes."""

    def __init__(self, workers: PixelWorkers) -> None:
        self._workers = workers
        self._images: WeakKeyDictionary[OpenInstance, ImageDescription | None] = WeakKeyDictionary()
        self._damaged: dict[tuple[int, str], float] = {}
        """Until when to remember instances that broke off, the oldest first."""

    async def syntaxes(self, opened: OpenInstance) -> tuple[str, ...]:
        """What an open instance can be given in, the best first."""
        image = await self._image_of(opened)
        return syntaxes_for(image, opened.entry.transfer_syntax)

    async def frame(self, opened: OpenInstance, number: int, transfer_syntax: str) -> bytes:
        """A frame as it stands in another transfer syntax (PS3.18 8.7.3.3.2).

        Args:
            opened: The instance.
            number: Counts from 1.
            transfer_syntax: One of ``syntaxes``. Uncompressed frames are little endian.

        Raises:
            InstanceNotFound: There is no such frame.
            PixelError: It can't be given so, or not now, or is too long to be held in memory.
        """
        stored = opened.entry.transfer_syntax
        unchanged = transfer_syntax == stored or (
            {transfer_syntax, stored} <= syntaxes.NATIVE and stored not in syntaxes.BIG_ENDIAN
        )
        if unchanged:
            return await opened.whole_frame(number, self._workers.most_frame_bytes)
        image = await self._image_of(opened)
        if image is None:
            raise NotAnImage("the instance has no frames that can be transcoded")
        _refuse(image, stored, transfer_syntax)
        return (await self._encoded(opened, image, number, transfer_syntax)).data

    async def instance(
        self,
        opened: OpenInstance,
        transfer_syntax: str,
        supplied: Mapping[int, Replacement] | None = None,
    ) -> AsyncGenerator[bytes]:
        """The whole instance as a Part 10 stream in another transfer syntax.

        Args:
            opened: The instance.
            transfer_syntax: One of ``syntaxes``.
            supplied: Attributes that the data set lacks; with them it is written anew in any case.

        Raises:
            InstanceNotFound: It has fewer frames than it says; before the first piece.
            PixelError: It can't be given so, or not now; mostly before the first piece.
            NotDicom: The data set can't be understood.
        """
        stored = opened.entry.transfer_syntax
        if transfer_syntax == stored and not supplied:
            async for piece in opened.stream():
                yield piece
            return
        image = await self._image_of(opened)
        _refuse(image, stored, transfer_syntax)
        version = opened.entry.instance_id, opened.entry.version
        if self._damaged.get(version, 0.0) > time.monotonic():
            raise UndecodablePixels("a frame of the instance can't be decoded")
        begun = False
        data_set = self._data_set(opened, image, transfer_syntax, supplied or {})
        if transfer_syntax == syntaxes.DEFLATED:
            data_set = _deflated(data_set)
        try:
            async for piece in data_set:
                if not begun:
                    # The first frame could be decoded: only now there is something to send.
                    begun = True
                    yield file_meta(
                        sop_class_uid=opened.entry.sop_class_uid,
                        sop_uid=opened.entry.ref.sop_uid,
                        transfer_syntax=transfer_syntax,
                    )
                yield piece
        except UndecodablePixels:
            if begun:
                self._remember(version)
            raise

    def _remember(self, version: tuple[int, str]) -> None:
        self._damaged.pop(version, None)
        self._damaged[version] = time.monotonic() + _DAMAGED_SECONDS
        if len(self._damaged) > _MOST_DAMAGED:
            del self._damaged[next(iter(self._damaged))]

    async def _data_set(
        self,
        opened: OpenInstance,
        image: ImageDescription | None,
        transfer_syntax: str,
        supplied: Mapping[int, Replacement],
    ) -> AsyncIterator[bytes]:
        stored = opened.entry.transfer_syntax
        content, start = await _content_of(opened)
        kept = stored == transfer_syntax or {stored, transfer_syntax} <= syntaxes.NATIVE
        first: EncodedFrame | None = None
        replaced: dict[int, Replacement] = {}
        if image is not None and not kept:
            opened.frame_length(image.frames)  # or there are fewer than the data set says
            # Codestreams may know better what their colours are, and attributes come before pixels.
            first = await self._encoded(opened, image, 1, transfer_syntax)
            replaced = _replaced(image, first.description)
        turned = (stored in syntaxes.BIG_ENDIAN) != (transfer_syntax in syntaxes.BIG_ENDIAN)
        recoder = Recoder(
            _codec(stored),
            _codec(transfer_syntax),
            start,
            apart=first is not None,
            replaced={**supplied, **replaced},
            cell_bytes=_cell_bytes(image),
            swapped_pixels=turned,
        )
        end: int | None = None
        async with aclosing(content.stream(start)) as pieces:
            async for piece in pieces:
                yield await asyncio.to_thread(recoder.feed, piece)
                if recoder.pixels is not None:
                    break
        if (pixels := recoder.pixels) is not None and image is not None and first is not None:
            make = _Pixels(recoder, image, pixels, transfer_syntax)
            yield make.header()
            yield make.frame(first)
            for number in range(2, image.frames + 1):
                yield make.frame(await self._encoded(opened, image, number, transfer_syntax))
            yield make.end()
            end = pixels.position + pixels.length
            if pixels.length == _UNDEFINED:
                value = opened.layout.bulk[f"{pixels.tag:08X}"]
                end = value.offset + value.length + len(_DELIMITER)
            recoder.resume(end)
            async with aclosing(content.stream(end)) as pieces_behind:
                async for piece in pieces_behind:
                    yield await asyncio.to_thread(recoder.feed, piece)
        yield recoder.finish()

    async def _image_of(self, opened: OpenInstance) -> ImageDescription | None:
        """What its pixels are; None if it has none, or none that we understand.

        Found out once for all frames: the attributes of some have megabytes.
        """
        if opened.layout.pixels is None:
            return None
        if opened not in self._images:
            self._images[opened] = await asyncio.to_thread(_described, opened)
        return self._images[opened]

    async def _encoded(
        self, opened: OpenInstance, image: ImageDescription, number: int, transfer_syntax: str
    ) -> EncodedFrame:
        async def read() -> bytes:
            return await opened.whole_frame(number, self._workers.most_frame_bytes)

        if transfer_syntax in syntaxes.NATIVE:
            return await self._workers.decode(image, read)
        return await self._workers.encode(image, read, transfer_syntax)


class _Pixels:
    """Pixel Data that is made frame by frame."""

    def __init__(
        self, recoder: Recoder, image: ImageDescription, element: PixelElement, transfer_syntax: str
    ) -> None:
        self._recoder = recoder
        self._image = image
        self._tag = element.tag
        self._encapsulated = transfer_syntax not in syntaxes.NATIVE
        self._word = 1
        if transfer_syntax in syntaxes.BIG_ENDIAN:
            self._word = _cell_bytes(image)
        self._length = 0

    def header(self) -> bytes:
        """Of the element; encapsulated, with an empty offset table (PS3.5 A.4)."""
        if self._encapsulated:
            header = self._recoder.pixel_header(self._tag, "OB", _UNDEFINED)
            return header + _ITEM + bytes(4)
        length = self._image.decoded_frame_bytes * self._image.frames
        vr = "OW" if self._image.words or self._image.bits_allocated > 8 else "OB"
        return self._recoder.pixel_header(self._tag, vr, length + length % 2)

    def frame(self, frame: EncodedFrame) -> bytes:
        """One frame, which is one fragment."""
        data = frame.data
        self._length += len(data)
        if not self._encapsulated:
            return swapped(data, self._word)
        data += bytes(len(data) % 2)
        return _ITEM + len(data).to_bytes(4, "little") + data

    def end(self) -> bytes:
        """Behind the last frame."""
        return _DELIMITER if self._encapsulated else bytes(self._length % 2)


def _described(opened: OpenInstance) -> ImageDescription | None:
    try:
        return ImageDescription.of(opened.attributes(), opened.entry.transfer_syntax)
    except NotAnImage:
        return None


def _refuse(image: ImageDescription | None, stored: str, wanted: str) -> None:
    """Raise if an instance can't be given so.

    Raises:
        PixelError: It can't.
    """
    if wanted not in syntaxes_for(image, stored):
        raise PixelError(
            f"an instance in transfer syntax {stored} can't be given in {wanted}",
            hint='ask for transfer-syntax="*" to get it as it is stored',
        )


async def _deflated(data_set: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Deflated, and filled up to an even number of bytes (PS3.5 A.5)."""
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    length = 0
    async for piece in data_set:
        deflated = await asyncio.to_thread(deflater.compress, piece)
        length += len(deflated)
        yield deflated
    rest = deflater.flush()
    yield rest + bytes((length + len(rest)) % 2)


async def _content_of(opened: OpenInstance) -> tuple[Ranges, int]:
    """What the layout's offsets count in, and where the data set begins in it."""
    if opened.layout.deflated:
        return InflatedContent(opened), 0
    meta = FileMetaReader()
    async with aclosing(opened.stream()) as pieces:
        async for piece in pieces:
            if meta.feed(piece):
                break
    return opened, meta.length


def _codec(transfer_syntax: str) -> Codec:
    encoding = encoding_of(transfer_syntax)
    if encoding.implicit_vr:
        return IMPLICIT_LITTLE
    return EXPLICIT_LITTLE if encoding.little_endian else EXPLICIT_BIG


def _cell_bytes(image: ImageDescription | None) -> int:
    """Bytes whose order is turned in native pixels: of a cell, or of the word it stands in."""
    if image is None:
        return 1
    return max(image.bits_allocated // 8, 2 if image.words else 1)


def _replaced(before: ImageDescription, after: ImageDescription) -> dict[int, Replacement]:
    """What the data set says otherwise of its pixels than before."""
    found = {}
    if after.photometric != before.photometric:
        text = after.photometric.encode("ascii")
        found[_PHOTOMETRIC] = Replacement("CS", text + b" " * (len(text) % 2))
    if after.planar != before.planar:
        found[_PLANAR] = Replacement("US", after.planar.to_bytes(2, "little"))
    if before.transfer_syntax in syntaxes.LOSSY:
        found[_LOSSY] = Replacement("CS", b"01")
    return found
