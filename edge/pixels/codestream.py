"""Headers of codestreams, read before a codec sees them.

A codec takes memory for what the header says, so what it says must be what the data set says: a
frame of 512 x 512 pixels whose codestream claims 60000 x 60000 goes no further. Owns the marker
segments of JPEG and JPEG-LS (ISO/IEC 10918-1 B.2, 14495-1 C.2) and of JPEG 2000 (15444-1 A.5.1) as
far as that takes, and what JPEG says of its colours. No pixel is decoded here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from edge.errors import UndecodablePixels
from edge.pixels.description import ImageDescription

__all__ = ["JpegHeader", "Precision", "jpeg_2000_header", "jpeg_header"]

_SOF: Final = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}
_BARE: Final = frozenset({0x00, 0x01, *range(0xD0, 0xD9)})
"""Markers without a segment behind them."""
_FILL: Final = 0xFF
_APP0: Final = 0xE0
_APP14: Final = 0xEE
_START_OF_SCAN: Final = 0xDA
_JPEG_LS: Final = 0xF7
_LOSSLESS: Final = 0xC3
_J2K_START: Final = b"\xff\x4f\xff\x51"
_SIZ: Final = struct.Struct(">HHIIIIIIIIH")


@dataclass(frozen=True, slots=True)
class Precision:
    """Bits that the codestream's samples have."""

    bits: int
    signed: bool = False


@dataclass(frozen=True, slots=True)
class JpegHeader:
    """What a JPEG or JPEG-LS codestream says of itself."""

    process: int
    """Second byte of the start of frame marker."""
    precision: int
    """Bits of a sample."""
    photometric: str
    """RGB or YBR_FULL if the markers settle it (JFIF, Adobe), else empty."""
    transformed: bool
    """libjpeg would take three components for YCbCr."""

    @property
    def is_jpeg_ls(self) -> bool:
        """ISO/IEC 14495-1."""
        return self.process == _JPEG_LS

    @property
    def is_lossless(self) -> bool:
        """Process 14."""
        return self.process == _LOSSLESS


def jpeg_header(frame: bytes, image: ImageDescription) -> JpegHeader:
    """Read the header of a JPEG or JPEG-LS codestream.

    Raises:
        UndecodablePixels: It is none, or it is of another image than the data set says.
    """
    process, start = 0, b""
    transform, jfif = -1, False
    for marker, segment in _segments(frame):
        if marker in _SOF and not start:
            process, start = marker, segment
        elif marker == _APP0 and segment[:5] == b"JFIF\0":
            jfif = True
        elif marker == _APP14 and segment[:5] == b"Adobe" and len(segment) >= 12:
            transform = segment[11]
    if len(start) < 6:
        raise UndecodablePixels("the JPEG codestream has no start of frame")
    precision, rows, columns, components = struct.unpack_from(">BHHB", start)
    _compare(image, rows, columns, components)
    if not 2 <= precision <= 16:
        raise UndecodablePixels(f"a JPEG codestream of {precision} bits")
    photometric = ""
    if components == 3 and process not in (_JPEG_LS, _LOSSLESS):
        # JFIF 1.02 knows YCbCr only; without it, Adobe's marker says which it is.
        adobe = {0: "RGB", 1: "YBR_FULL"}.get(transform, "")
        photometric = "YBR_FULL" if jfif else adobe
    identifiers = start[6 : 6 + 3 * components : 3]
    transformed = photometric == "YBR_FULL" or (not photometric and identifiers != b"RGB")
    return JpegHeader(process, precision, photometric, transformed)


def _segments(frame: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and content of every segment before the first scan."""
    if frame[:2] != b"\xff\xd8":
        raise UndecodablePixels("the frame is no JPEG codestream")
    position = 2
    while 0 <= (position := frame.find(b"\xff", position)) <= len(frame) - 4:
        marker = frame[position + 1]
        if marker == _FILL:
            position += 1
        elif marker in _BARE:
            position += 2
        elif marker == _START_OF_SCAN:
            return
        else:
            length = max(2, int.from_bytes(frame[position + 2 : position + 4], "big"))
            yield marker, frame[position + 4 : position + 2 + length]
            position += 2 + length
    raise UndecodablePixels("the JPEG codestream has no start of scan")


def jpeg_2000_header(frame: bytes, image: ImageDescription) -> Precision:
    """Read the size segment of a JPEG 2000 codestream, perhaps in a JP2 file (which is wrong).

    Raises:
        UndecodablePixels: There is none, or it is of another image than the data set says.
    """
    position = 0 if frame.startswith(_J2K_START) else frame.find(_J2K_START)
    if position < 0 or len(frame) < position + 4 + _SIZ.size + 3:
        raise UndecodablePixels("the frame is no JPEG 2000 codestream")
    _, _, x1, y1, x0, y0, width, height, left, top, components = _SIZ.unpack_from(
        frame, position + 4
    )
    _compare(image, y1 - y0, x1 - x0, components)
    tiles = -(-(x1 - left) // width) * -(-(y1 - top) // height) if width and height else 0
    if not 0 < tiles <= 65535:
        raise UndecodablePixels("a JPEG 2000 codestream with an impossible number of tiles")
    depths = frame[position + 4 + _SIZ.size :][: 3 * components]
    if len(depths) < 3 * components or any(depths[i::3].strip(depths[i : i + 1]) for i in range(3)):
        raise UndecodablePixels("the components of a JPEG 2000 codestream differ")
    if depths[1:3] != b"\x01\x01":
        raise UndecodablePixels("the components of a JPEG 2000 codestream are subsampled")
    return Precision((depths[0] & 0x7F) + 1, signed=bool(depths[0] & 0x80))


def _compare(image: ImageDescription, rows: int, columns: int, components: int) -> None:
    said, found = (image.rows, image.columns, image.samples), (rows, columns, components)
    if said != found:
        raise UndecodablePixels(
            f"the data set says {said[0]} x {said[1]} pixels of {said[2]} samples, "
            f"its codestream {found[0]} x {found[1]} of {found[2]}"
        )
