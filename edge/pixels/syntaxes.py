"""Transfer syntaxes by what they mean for pixels (PS3.5 A.4, PS3.6 A).

Workers import this, so it stays free of the dictionary that `edge.dicom.uids` needs.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "BIG_ENDIAN",
    "DEFLATED_FRAME",
    "EXPLICIT_LITTLE",
    "HTJ2K",
    "JPEG",
    "JPEG_2000",
    "JPEG_2000_LOSSLESS",
    "JPEG_LOSSLESS_SV1",
    "JPEG_LS_LOSSLESS",
    "LOSSLESS",
    "LOSSY",
    "NATIVE",
    "RLE",
    "is_video",
]

IMPLICIT_LITTLE: Final = "1.2.840.10008.1.2"
EXPLICIT_LITTLE: Final = "1.2.840.10008.1.2.1"
DEFLATED: Final = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG: Final = "1.2.840.10008.1.2.2"
GE_PRIVATE: Final = "1.2.840.113619.5.2"
"""Implicit VR little endian around big endian pixels."""

NATIVE: Final = frozenset({IMPLICIT_LITTLE, EXPLICIT_LITTLE, DEFLATED, EXPLICIT_BIG, GE_PRIVATE})
"""Pixel Data is not encapsulated."""
BIG_ENDIAN: Final = frozenset({EXPLICIT_BIG, GE_PRIVATE})
"""And its words are big endian."""

RLE: Final = "1.2.840.10008.1.2.5"
DEFLATED_FRAME: Final = "1.2.840.10008.1.2.8.1"
JPEG_LOSSLESS_SV1: Final = "1.2.840.10008.1.2.4.70"
JPEG_LS_LOSSLESS: Final = "1.2.840.10008.1.2.4.80"
JPEG_2000_LOSSLESS: Final = "1.2.840.10008.1.2.4.90"

JPEG: Final = frozenset(
    f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 53, 55, 57, 70, 80, 81)
)
"""JPEG and JPEG-LS: the codestream itself says which process it is."""
HTJ2K: Final = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (201, 202, 203))
JPEG_2000: Final = HTJ2K | {JPEG_2000_LOSSLESS, "1.2.840.10008.1.2.4.91"}

LOSSLESS: Final = (
    NATIVE
    | {RLE, DEFLATED_FRAME, JPEG_LOSSLESS_SV1, JPEG_LS_LOSSLESS, JPEG_2000_LOSSLESS}
    | {f"1.2.840.10008.1.2.4.{number}" for number in (57, 110, 201, 202)}
)
"""What was stored so is what the device measured, as far as this encoding goes."""
LOSSY: Final = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 53, 55))
"""What can't be but lossy."""


def is_video(transfer_syntax: str) -> bool:
    """Whether all frames are one stream (PS3.5 8.2.5 to 8.2.8: MPEG-2, MPEG-4, HEVC)."""
    prefix, _, last = transfer_syntax.partition("1.2.840.10008.1.2.4.10")
    return not prefix and last[:1].isdecimal()
