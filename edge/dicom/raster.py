"""What a PNG or a GIF says of itself: the Image Pixel Module of the pixels that are made of it.

DICOM has no transfer syntax for either, so they are kept as native pixels (PS3.18 table 10.5.2-1).
Owns the structure of both (PNG 5 and 11, GIF89a 15 to 27): that a file is whole to its end and, as
far as it has checksums, undamaged; what its pixels are; and whether native pixels can hold them
without loss. No pixel is decoded here, and the decoder checks all of it again.

Grey stays grey, in 8 bits or in 16. A palette becomes RGB, or grey if all of its colours are. An
alpha channel has no place in DICOM: where it hides nothing it is left away, which the decoder sees.
Colour profiles, gamma, texts and times are not taken over.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final

from edge.dicom.picture import Picture
from edge.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN
from edge.errors import InvalidInstance

__all__ = ["RASTERS", "raster_of"]

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_GREY, _COLOUR, _PALETTE, _GREY_ALPHA, _COLOUR_ALPHA = 0, 2, 3, 4, 6
_DEPTHS: Final = {
    _GREY: (1, 2, 4, 8, 16),
    _COLOUR: (8, 16),
    _PALETTE: (1, 2, 4, 8),
    _GREY_ALPHA: (8, 16),
    _COLOUR_ALPHA: (8, 16),
}
"""Colour type -> bits of a sample (PNG 11.2.1)."""
_GIF: Final = (b"GIF87a", b"GIF89a")
_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, 0x3B
_MOST_BLOCKS: Final = 1 << 20
"""Of a GIF these make 256 MiB, if it is no picture that was made to take time."""
_INSTEAD: Final = "send its pixels uncompressed, as application/octet-stream"


def raster_of(data: bytes, media_type: str) -> Picture:
    """Read the structure of a picture.

    Args:
        data: The whole file; bytes behind its end are not looked at.
        media_type: One of ``RASTERS``.

    Raises:
        InvalidInstance: It is none, it is damaged, or native pixels can't hold it without loss.
    """
    try:
        picture = RASTERS[media_type](data)
    except (struct.error, IndexError) as error:
        raise InvalidInstance(f"a picture of type {media_type} ends early") from error
    if not picture.rows or not picture.columns or max(picture.rows, picture.columns) > 0xFFFF:
        raise InvalidInstance("a picture of a size that no data set can have")
    return picture


def _png(data: bytes) -> Picture:
    if not data.startswith(_PNG):
        raise InvalidInstance("a picture is no PNG, though its media type says so")
    steps = _Steps()
    view, at, kind = memoryview(data), len(_PNG), b""
    columns, rows, bits, colour_type = struct.unpack_from(">IIBB", data, at + 8)
    colours, keyed = b"", False
    if data[at : at + 8] != b"\0\0\0\rIHDR" or bits not in _DEPTHS.get(colour_type, ()):
        raise InvalidInstance("a PNG with a header that makes no sense")
    while kind != b"IEND":
        steps.take()
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 8 + length
        (checksum,) = struct.unpack_from(">I", data, end)
        if zlib.crc32(view[at + 4 : end]) != checksum:
            raise InvalidInstance("a PNG is damaged: a checksum is wrong")
        if kind == b"PLTE":
            colours = data[at + 8 : end]
        elif kind == b"tRNS":
            keyed = colour_type != _PALETTE
        elif kind == b"acTL":
            raise InvalidInstance("a PNG is animated", hint="send a GIF, or one PNG for each frame")
        at = end + 4
    if bits == 16 and colour_type != _GREY:
        raise InvalidInstance("a PNG of 16 bits that is not plain grey", hint=_INSTEAD)
    if keyed:
        raise InvalidInstance("one colour of a PNG is transparent", hint=_INSTEAD)
    is_grey = colour_type in (_GREY, _GREY_ALPHA)
    return _picture(rows, columns, max(8, bits), is_grey=is_grey or _are_grey(colours))


def _gif(data: bytes) -> Picture:
    if not data.startswith(_GIF):
        raise InvalidInstance("a picture is no GIF, though its media type says so")
    columns, rows, flags = struct.unpack_from("<HHB", data, 6)
    at, shared = _colours(data, 13, flags)
    frames, is_grey, steps = 0, True, _Steps()
    while (kind := data[at]) != _TRAILER:
        if kind == _EXTENSION:
            at = _behind_blocks(data, at + 2, steps)
            continue
        if kind != _IMAGE:
            raise InvalidInstance("a GIF is damaged: a block of no known kind")
        left, top, width, height, flags = struct.unpack_from("<HHHHB", data, at + 1)
        at, own = _colours(data, at + 10, flags)
        at = _behind_blocks(data, at + 1, steps)
        if left + width > columns or top + height > rows:
            raise InvalidInstance("a frame of a GIF is larger than the GIF")
        if not frames and (width, height) != (columns, rows):
            raise InvalidInstance("the first frame of a GIF leaves pixels without a colour")
        if not own and not shared:
            raise InvalidInstance("a GIF has no table of colours")
        is_grey = is_grey and _are_grey(own or shared)
        frames += 1
    if not frames:
        raise InvalidInstance("a GIF has no frame")
    return _picture(rows, columns, 8, is_grey=is_grey, frames=frames)


RASTERS: Final = {"image/png": _png, "image/gif": _gif}
"""Media types of what is transformed."""


def _picture(rows: int, columns: int, bits: int, *, is_grey: bool, frames: int = 1) -> Picture:
    samples, photometric = (1, "MONOCHROME2") if is_grey else (3, "RGB")
    syntax = EXPLICIT_VR_LITTLE_ENDIAN
    return Picture(syntax, rows, columns, samples, bits, False, photometric, frames)


def _are_grey(colours: bytes) -> bool:
    """Whether a table of colours is there, and all of them are grey."""
    return bool(colours) and colours[0::3] == colours[1::3] == colours[2::3]


def _colours(data: bytes, at: int, flags: int) -> tuple[int, bytes]:
    """A table of colours, if the flags say that there is one, and where it ends."""
    end = at + (3 << (flags & 7) + 1) if flags & 0x80 else at
    return end, data[at:end]


def _behind_blocks(data: bytes, at: int, steps: _Steps) -> int:
    """Where a chain of blocks ends, each with its length before it (GIF89a 15)."""
    steps.take()
    while length := data[at]:
        steps.take()
        at += length + 1
    return at + 1


class _Steps:
    """A bound of time."""

    def __init__(self) -> None:
        self._left = _MOST_BLOCKS

    def take(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise InvalidInstance("a picture is made of too many blocks", hint=_INSTEAD)
