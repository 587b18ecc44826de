"""Media types of compressed frames, by transfer syntax (PS3.18 8.7.3.3.2, table 8.7.3-5).

The first name is the Standard's; the others are what older clients still ask by.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["FRAME_MEDIA_TYPES"]

_JPEG = ("image/jpeg",)
_RLE = ("image/dicom-rle", "image/x-dicom-rle")
_JPEG_LS = ("image/jls", "image/x-jls")
_MPEG2 = ("video/mpeg", "video/mpeg2")
_MP4 = ("video/mp4",)

_ROOT = "1.2.840.10008.1.2."
_BY_SUFFIX: Final = {
    "5": _RLE,
    # Retired JPEG processes too: they are what old archives hold (PS3.6 A).
    **{f"4.{process}": _JPEG for process in (*range(50, 67), 70)},
    "4.80": _JPEG_LS,
    "4.81": _JPEG_LS,
    "4.90": ("image/jp2",),
    "4.91": ("image/jp2",),
    "4.92": ("image/jpx",),
    "4.93": ("image/jpx",),
    **{f"4.{profile}": _MPEG2 for profile in ("100", "100.1", "101", "101.1")},
    **{f"4.{profile}{part}": _MP4 for profile in range(102, 107) for part in ("", ".1")},
    "4.107": ("video/H265",),
    "4.108": ("video/H265",),
    **{f"4.{kind}": ("image/jxl",) for kind in (110, 111, 112)},
    **{f"4.{kind}": ("image/jphc",) for kind in (201, 202, 203)},
}

FRAME_MEDIA_TYPES: Final[Mapping[str, tuple[str, ...]]] = {
    _ROOT + suffix: names for suffix, names in _BY_SUFFIX.items()
}
