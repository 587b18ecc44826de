"""What a compressed picture says of itself: its transfer syntax, and the Image Pixel Module.

Who stores a photograph as metadata and a JPEG need not describe the pixels: the picture does
(PS3.18 10.5.2). Owns the headers of JPEG and JPEG-LS (ISO/IEC 10918-1 B.2, 14495-1 C.2) and of JPEG
2000 and HTJ2K (15444-1 A.5, A.6) as far as that takes; those of pictures that are transformed,
because no transfer syntax holds them, are ``raster``'s. No pixel is decoded here, and nothing is
believed that the decoder will not check again.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from edge.errors import InvalidInstance

__all__ = ["Picture", "picture_of"]

_ROOT: Final = "1.2.840.10008.1.2.4."
_SOF: Final = frozenset({0xC0, 0xC1, 0xC3, 0xF7})
_BARE: Final = frozenset({0x00, 0x01, *range(0xD0, 0xD9)})
_SOS: Final = 0xDA
_JPEG_LS: Final = 0xF7
_LOSSLESS: Final = 0xC3
_BASELINE: Final = 0xC0
_SIZ: Final = b"\xff\x4f\xff\x51"
_COD: Final = b"\xff\x52"
_HT: Final = b"\xff\x50"
_MOST: Final = 65535
_LOSSY: Final = frozenset(_ROOT + number for number in ("50", "51", "81", "91", "203"))


@dataclass(frozen=True, slots=True)
class Picture:
    """What the header of a picture says."""

    transfer_syntax: str
    """In which it is kept."""
    rows: int
    columns: int
    samples: int
    bits: int
    """Of a sample."""
    signed: bool
    photometric: str
    frames: int = 1

    def attributes(self) -> Mapping[str, Any]:
        """The Image Pixel Module (PS3.3 C.7.6.3) in the DICOM JSON model."""
        numbers = {
            "00280002": self.samples,
            "00280010": self.rows,
            "00280011": self.columns,
            "00280100": 8 if self.bits <= 8 else 16,
            "00280101": self.bits,
            "00280102": self.bits - 1,
            "00280103": int(self.signed),
        }
        if self.samples > 1:
            numbers["00280006"] = 0
        module: dict[str, Any] = {
            tag: {"vr": "US", "Value": [number]} for tag, number in numbers.items()
        }
        module["00280004"] = {"vr": "CS", "Value": [self.photometric]}
        if self.frames > 1:
            module["00280008"] = {"vr": "IS", "Value": [self.frames]}
        if self.transfer_syntax in _LOSSY:
            module["00282110"] = {"vr": "CS", "Value": ["01"]}
        return module


def picture_of(head: bytes) -> Picture:
    """Read the header of a codestream.

    Args:
        head: Its first bytes, as many as its header has.

    Raises:
        InvalidInstance: It is none that is known here, or its header is longer.
    """
    picture = None
    try:
        if head.startswith(b"\xff\xd8"):
            picture = _jpeg(head)
        elif (start := head.find(_SIZ)) >= 0:
            picture = _jpeg_2000(head[start:])
    except (struct.error, IndexError) as error:
        raise InvalidInstance("the header of a picture can't be read") from error
    if picture is None:
        raise InvalidInstance("a picture is neither JPEG, JPEG-LS nor JPEG 2000")
    sizes = (picture.rows, picture.columns)
    if not all(0 < size <= _MOST for size in sizes) or picture.samples not in (1, 3, 4):
        raise InvalidInstance("a picture of a size that no data set can have")
    if picture.bits > 16:
        raise InvalidInstance(f"a picture of {picture.bits} bits")
    return picture


def _jpeg(head: bytes) -> Picture:
    process, start, transform, jfif = 0, b"", -1, False
    for marker, segment in _segments(head):
        if marker in _SOF:
            process, start = marker, segment
        elif marker == 0xE0 and segment[:5] == b"JFIF\0":
            jfif = True
        elif marker == 0xEE and segment[:5] == b"Adobe" and len(segment) > 11:
            transform = segment[11]
        elif marker == _SOS and start:
            bits, rows, columns, samples = struct.unpack_from(">BHHB", start)
            # Selection of the predictor; NEAR of JPEG-LS (which bounds its loss).
            selected = segment[1 + 2 * segment[0]]
            photometric = "MONOCHROME2"
            if samples > 1:
                is_lossy = process not in (_LOSSLESS, _JPEG_LS)
                is_rgb = not is_lossy or (transform == 0 and not jfif)
                is_subsampled = start[7] != start[10]
                photometric = "RGB" if is_rgb else "YBR_FULL_422" if is_subsampled else "YBR_FULL"
            syntax = _ROOT + _jpeg_process(process, selected)
            return Picture(syntax, rows, columns, samples, bits, False, photometric)
    raise InvalidInstance("a JPEG of a process that is not known here, or with an endless header")


def _jpeg_process(process: int, selected: int) -> str:
    if process == _JPEG_LS:
        return "80" if selected == 0 else "81"
    if process == _LOSSLESS:
        return "70" if selected == 1 else "57"
    return "50" if process == _BASELINE else "51"


def _segments(head: bytes) -> Iterator[tuple[int, bytes]]:
    at = 2
    while 0 <= (at := head.find(b"\xff", at)) <= len(head) - 4:
        marker = head[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker in _BARE:
            at += 2
        else:
            length = max(2, int.from_bytes(head[at + 2 : at + 4], "big"))
            yield marker, head[at + 4 : at + 2 + length]
            at += 2 + length


def _jpeg_2000(head: bytes) -> Picture:
    _, capabilities, x1, y1, x0, y0 = struct.unpack_from(">HHIIII", head, 4)
    samples, depth = struct.unpack_from(">HB", head, 4 + 36)
    cod = head.index(_COD) if _COD in head else -1
    if cod < 0:
        raise InvalidInstance("a JPEG 2000 without a coding style")
    transformed, reversible = head[cod + 8], head[cod + 13] == 1
    is_ht = bool(capabilities & 0x4000) and _HT in head[:cod]
    lossless, lossy = ("201", "203") if is_ht else ("90", "91")
    syntax = lossless if reversible else lossy
    photometric = "MONOCHROME2"
    if samples > 1:
        by_transform = "YBR_RCT" if reversible else "YBR_ICT"
        photometric = by_transform if transformed else "RGB"
    bits = (depth & 0x7F) + 1
    return Picture(_ROOT + syntax, y1 - y0, x1 - x0, samples, bits, bool(depth & 0x80), photometric)
