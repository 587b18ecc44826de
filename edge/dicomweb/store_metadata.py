"""Instances that come as metadata and bulk data, in parts of one request (PS3.18 10.5.1.4, 10.5.2).

Owns which bulk part belongs to which value, and how both become Part 10 files; how metadata is
understood is for ``store_model``. Promises that bulk data waits sealed on the disk and
never in memory, that data sets are written in worker threads, and that a value without its bulk
data is an error of its instance alone. Never fetches what a URI refers to.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urljoin

from edge.dicom.encoder import BulkReference, element_header, encoded
from edge.dicom.multipart import MediaType, Part, parse_media_type
from edge.dicom.part10 import file_meta
from edge.dicom.picture import Picture, picture_of
from edge.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, is_uid
from edge.dicomweb.media_types import FRAME_MEDIA_TYPES
from edge.dicomweb.responses import JSON, OCTET_STREAM, Refused
from edge.dicomweb.store_agreement import ROWS, check_native, check_picture
from edge.dicomweb.store_model import (
    MAX_INSTANCES,
    MAX_MEMORY,
    MAX_METADATA,
    METADATA,
    XML,
    first,
    understood,
    uris,
    weight_of,
)
from edge.dicomweb.store_pictures import TRANSFORMED, Stored, Transformation
from edge.errors import InvalidInstance, MultipartError
from edge.pixels.description import ImageDescription

if TYPE_CHECKING:
    from edge.cache.spooling import Spooling

__all__ = ["Described", "DescribedInstance"]

_TEXTS: Final = (*METADATA, JSON, *XML)
_PIXEL_DATA: Final = 0x7FE00010
_PIECE: Final = 256 * 1024
_HEADS: Final = (64 * 1024, 4 * 1024 * 1024)
"""Bytes of a picture in which its header is looked for; some have a preview in it."""
_HEADED: Final = frozenset(f"image/{kind}" for kind in "jpeg jls x-jls jp2 jpx jphc".split())
"""Media types of pictures whose header is known here."""
_ITEM: Final = b"\xfe\xff\x00\xe0"
_SEQUENCE_END: Final = b"\xfe\xff\xdd\xe0" + bytes(4)

_Images = dict[str, list[ImageDescription]]
"""BulkDataURI -> what each of its pictures will be."""


@dataclass(slots=True)
class _Bulk:
    """The parts of one Content-Location."""

    media_type: MediaType
    parts: list[Stored] = field(default_factory=list)
    """Of compressed pixels, a part is a frame; of those that are transformed, a picture."""

    @property
    def length(self) -> int:
        """Bytes of all parts."""
        return sum(size for _, size in self.parts)

    @property
    def compressed(self) -> bool:
        """Its parts are kept as they are, as fragments."""
        kind, _, _ = self.media_type.essence.partition("/")
        return kind in ("image", "video") and not self.transformed

    @property
    def transformed(self) -> bool:
        """Its parts are pictures, of which native pixels are made."""
        return self.media_type.essence in TRANSFORMED


@dataclass(frozen=True, slots=True)
class DescribedInstance:
    """An instance by its metadata."""

    attributes: Mapping[str, Any]

    @property
    def uids(self) -> tuple[str, str] | None:
        """SOP Class and Instance UID, if it names them."""
        found = [first(self.attributes, tag) for tag in ("00080016", "00080018")]
        return (found[0], found[1]) if all(map(is_uid, found)) else None


class Described:
    """What one request brought so far.

    Args:
        take: Is told of bytes of memory before metadata takes them (``MetadataBudget``).
        base: What relative URIs are relative to, the same for metadata and parts.
        spooling: Where bulk data waits.
        transformation: Makes native pixels of pictures.
    """

    def __init__(
        self,
        take: Callable[[int], None],
        base: str,
        spooling: Spooling,
        transformation: Transformation,
    ) -> None:
        self._take = take
        self._base = base
        self._spooling = spooling
        self._transformation = transformation
        self._metadata = 0
        self._memory = 0
        self._instances = 0
        self._wanted: set[str] = set()
        self._bulk: dict[str, _Bulk] = {}

    async def read_metadata(self, part: Part, default: str) -> list[DescribedInstance]:
        """Understand a part of metadata.

        Args:
            part: Its body is read to the end.
            default: Its media type, if it does not say one.

        Raises:
            Refused: 413 or 503, there is too much metadata; 400, it can't be understood.
        """
        text = bytearray()
        async for piece in part:
            self._metadata += len(piece)
            if self._metadata > MAX_METADATA:
                raise Refused(
                    413,
                    f"the metadata is longer than {MAX_METADATA} bytes",
                    hint="send fewer instances at once, and long values as bulk data",
                )
            self._take(len(piece))
            text += piece
        essence = _media_type(part).essence if part.content_type else default
        weight = await asyncio.to_thread(weight_of, text, essence)
        self._memory += weight
        if self._memory > MAX_MEMORY:
            raise Refused(
                413,
                "the metadata has more values than one request may",
                hint="send fewer instances at once, and long values as bulk data",
            )
        self._take(weight)
        most = MAX_INSTANCES - self._instances
        found = await asyncio.to_thread(understood, bytes(text), essence, most)
        self._instances += len(found)
        self._wanted |= await asyncio.to_thread(self._wanted_by, found)
        return [DescribedInstance(attributes) for attributes in found]

    def _wanted_by(self, found: Sequence[Mapping[str, Any]]) -> set[str]:
        """Where the bulk data of instances is expected."""
        return {self._resolved(uri) for attributes in found for uri in uris(attributes, 0)}

    async def read_bulk(self, part: Part) -> None:
        """Keep a part of bulk data, if metadata before it refers to it.

        Raises:
            Refused: 400, its headers can't be understood.
            StorageFull: There is no room for it.
        """
        location = part.headers.get("content-location", "").strip()
        if not location or self._resolved(location) not in self._wanted:
            return
        media_type = _media_type(part)
        bulk = self._bulk.setdefault(self._resolved(location), _Bulk(media_type))
        if bulk.media_type.essence != media_type.essence:
            raise Refused(400, "parts of one Content-Location differ in their media type")
        begin = self._spooling.length
        async for piece in part:
            await self._spooling.write(piece)
        bulk.parts.append((begin, self._spooling.length - begin))

    def is_metadata(self, part: Part) -> bool:
        """Whether a part is metadata rather than bulk data."""
        if not part.content_type:
            return "content-location" not in part.headers
        return _media_type(part).essence in _TEXTS and "content-location" not in part.headers

    async def part10(self, instance: DescribedInstance) -> AsyncGenerator[bytes]:
        """The file of an instance, in pieces, once the whole request was read.

        Raises:
            InvalidInstance: The metadata is no data set, or bulk data is missing or no fit for it.
            PixelError: A picture can't be decoded.
        """
        if instance.uids is None:
            raise InvalidInstance("the metadata names no SOP Class and SOP Instance (PS3.3 C.12.1)")
        attributes = dict(instance.attributes)
        pixels = attributes.get("7FE00010")
        syntax = EXPLICIT_VR_LITTLE_ENDIAN
        images: _Images = {}
        if isinstance(pixels, Mapping) and (uri := pixels.get("BulkDataURI")) is not None:
            uri = str(uri)
            bulk = self._find(uri)
            if bulk.compressed:
                syntax = await self._describe(bulk, attributes)
            elif bulk.transformed:
                images[uri] = await self._describe_pictures(bulk, attributes)
            else:
                check_native(attributes, bulk.length)
        sop_class, sop = instance.uids
        pending = bytearray(file_meta(sop_class_uid=sop_class, sop_uid=sop, transfer_syntax=syntax))
        pieces = await asyncio.to_thread(encoded, attributes)
        while True:
            reference = await asyncio.to_thread(_advance, pieces, pending)
            if not pending and reference is None:
                return
            yield bytes(pending)
            pending.clear()
            if reference is not None:
                async with aclosing(self._value(reference, images)) as chunks:
                    async for chunk in chunks:
                        yield chunk

    async def _describe(self, bulk: _Bulk, attributes: dict[str, Any]) -> str:
        """The transfer syntax of compressed pixels; what they say of themselves is filled in."""
        if not all(length for _, length in bulk.parts):
            raise InvalidInstance("a picture has no bytes")
        named = bulk.media_type.parameters.get("transfer-syntax", "")
        said = [named, *(first(attributes, tag) for tag in ("00020010", "00083002"))]
        essence = bulk.media_type.essence
        fitting = [uid for uid in said if essence in map(str.lower, FRAME_MEDIA_TYPES.get(uid, ()))]
        if named and named not in fitting:
            raise InvalidInstance("the transfer syntax of a part is not one of its media type")
        known = bool(fitting) and ROWS in attributes
        if known and essence not in _HEADED:
            return fitting[0]
        try:
            picture = await self._picture(bulk.parts[0], _HEADS[:1] if known else _HEADS)
        except InvalidInstance:
            if known:
                return fitting[0]
            raise
        if ROWS not in attributes:
            for tag, element in picture.attributes().items():
                attributes.setdefault(tag, element)
        check_picture(attributes, picture)
        return fitting[0] if fitting else picture.transfer_syntax

    async def _picture(self, part: Stored, heads: Sequence[int]) -> Picture:
        """What a picture says of itself in its first bytes; *heads* are numbers of them to try."""
        offset, whole = part
        for length in heads[:-1]:
            with suppress(InvalidInstance):
                return picture_of(await self._spooling.read(offset, min(whole, length)))
        return picture_of(await self._spooling.read(offset, min(whole, heads[-1])))

    async def _describe_pictures(
        self, bulk: _Bulk, attributes: dict[str, Any]
    ) -> list[ImageDescription]:
        """What pictures will be once they are native; the metadata is completed."""
        named = bulk.media_type.parameters.get("transfer-syntax", "")
        if named not in ("", EXPLICIT_VR_LITTLE_ENDIAN):
            raise InvalidInstance("the transfer syntax of a part is not one of its media type")
        return await self._transformation.describe(
            self._spooling, bulk.parts, bulk.media_type.essence, attributes
        )

    async def _value(self, reference: BulkReference, images: _Images) -> AsyncGenerator[bytes]:
        """Header and bytes of a value."""
        bulk = self._find(reference.uri)
        if (bulk.compressed or bulk.transformed) and reference.tag != _PIXEL_DATA:
            raise InvalidInstance("only Pixel Data can be a picture")
        if bulk.transformed:
            if reference.uri not in images:
                raise InvalidInstance("an icon can't be a picture", hint="send it uncompressed")
            async with aclosing(self._native(bulk, images[reference.uri])) as pieces:
                async for piece in pieces:
                    yield piece
            return
        if not bulk.compressed:
            length = bulk.length
            yield element_header(reference.tag, reference.vr, length + length % 2)
            for part in bulk.parts:
                async for piece in self._read(part):
                    yield piece
            yield bytes(length % 2)
            return
        yield element_header(reference.tag, "OB", None) + _ITEM + bytes(4)
        for offset, length in bulk.parts:
            if length >= 0xFFFFFFFE:
                raise InvalidInstance("a frame is longer than 4 GB")
            yield _ITEM + (length + length % 2).to_bytes(4, "little")
            async for piece in self._read((offset, length)):
                yield piece
            yield bytes(length % 2)
        yield _SEQUENCE_END

    async def _native(
        self, bulk: _Bulk, images: Sequence[ImageDescription]
    ) -> AsyncGenerator[bytes]:
        """Header and native pixels of pictures (PS3.5 8.1.2, A.2)."""
        length = sum(image.decoded_frame_bytes * image.frames for image in images)
        vr = "OW" if images[0].bits_allocated > 8 else "OB"
        yield element_header(_PIXEL_DATA, vr, length + length % 2)
        for picture, image in zip(bulk.parts, images, strict=True):
            pixels = self._transformation.native(self._spooling, picture, image)
            async with aclosing(pixels) as pieces:
                async for piece in pieces:
                    yield piece
        yield bytes(length % 2)

    async def _read(self, part: Stored) -> AsyncGenerator[bytes]:
        offset, length = part
        end = offset + length
        while offset < end:
            piece = await self._spooling.read(offset, min(_PIECE, end - offset))
            offset += len(piece)
            yield piece

    def _find(self, uri: str) -> _Bulk:
        bulk = self._bulk.get(self._resolved(uri))
        if bulk is None or not bulk.parts:
            raise InvalidInstance(
                "bulk data that the metadata refers to is missing",
                hint="it follows the metadata, with the BulkDataURI as its Content-Location",
            )
        return bulk

    def _resolved(self, uri: str) -> str:
        try:
            return urljoin(self._base, uri)
        except ValueError:
            return uri


def _media_type(part: Part) -> MediaType:
    try:
        return parse_media_type(part.content_type or OCTET_STREAM)
    except MultipartError as error:
        raise Refused(400, f"a part: {error}") from error


def _advance(pieces: Iterator[bytes | BulkReference], pending: bytearray) -> BulkReference | None:
    """Write on: up to a bulk value, which is returned, or until there is enough to pass on."""
    while len(pending) < _PIECE:
        piece = next(pieces, None)
        if not isinstance(piece, bytes):
            return piece
        pending += piece
    return None
