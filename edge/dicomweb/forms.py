"""The forms that an instance and its frames can be given in (PS3.18 8.7.3).

Owns which transfer syntax is the default, and which are used on the web at all. Promises that what
is stored can always be had as it is, by whoever takes any transfer syntax; and that the default
never fails: what can't be made Explicit VR Little Endian is given as it is stored. Reads nothing:
the caller says how an instance is stored, and what can be made of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from edge.dicom.uids import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    GE_PRIVATE_IMPLICIT_VR,
    IMPLICIT_VR_LITTLE_ENDIAN,
)
from edge.dicomweb.media_types import FRAME_MEDIA_TYPES
from edge.dicomweb.medium import ZIP
from edge.dicomweb.negotiation import Offer
from edge.dicomweb.responses import DICOM, OCTET_STREAM
from edge.pixels import syntaxes

__all__ = [
    "BULK_OFFERS",
    "MADE",
    "as_kept",
    "frame_offers",
    "instance_offers",
    "is_native",
    "zip_offers",
]

_UNUSED: Final = frozenset(
    {IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN, GE_PRIVATE_IMPLICIT_VR}
)
"""Not used on the web (PS3.18 8.7.3): never made, and given only if they are what is stored."""
_COMPRESSED: Final = (
    syntaxes.JPEG_LS_LOSSLESS,
    syntaxes.JPEG_2000_LOSSLESS,
    syntaxes.RLE,
    syntaxes.JPEG_LOSSLESS_SV1,
)
MADE: Final = (EXPLICIT_VR_LITTLE_ENDIAN, DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, *_COMPRESSED)
"""All that could be made of some instance."""

BULK_OFFERS: Final = (
    Offer(OCTET_STREAM, multipart=True, transfer_syntax="*", named=True),
    Offer(OCTET_STREAM, multipart=True, transfer_syntax=EXPLICIT_VR_LITTLE_ENDIAN),
)
"""Bulk values of several: as they are stored, or uncompressed where they can be."""


def is_native(stored: str) -> bool:
    """Whether pixels are not encapsulated; then there is no doubt that Explicit VR can be made."""
    return stored in syntaxes.NATIVE


def as_kept(stored: str) -> str:
    """The transfer syntax that tells how to read the bytes of a value, as they are stored.

    Values of the little endian syntaxes differ in nothing, once taken out of the data set.
    """
    if is_native(stored) and stored not in syntaxes.BIG_ENDIAN:
        return EXPLICIT_VR_LITTLE_ENDIAN
    return stored


def instance_offers(stored: str, made: Sequence[str], *, alone: bool) -> list[Offer]:
    """The forms of an instance: as DICOM, or the bulk values of it.

    Args:
        stored: Its transfer syntax; empty if that is not known yet.
        made: Those that it can be given in.
        alone: It is asked for by itself; only then it can be had without multipart (10.4.4).
    """
    offers = [
        offer
        for multipart in ((True, False) if alone else (True,))
        for offer in _offers(DICOM, stored, made, multipart=multipart)
    ]
    return [*offers, *BULK_OFFERS]


def zip_offers(stored: str, made: Sequence[str]) -> list[Offer]:
    """The forms of an instance in a ZIP archive; by default as it is stored: a copy is exact."""
    names = dict.fromkeys((stored, *_usable(made)))
    return [Offer(ZIP, False, name, named=name != stored) for name in names]


def frame_offers(stored: str, made: Sequence[str], *, alone: bool) -> list[Offer]:
    """The forms of frames (PS3.18 8.7.3.3.2); a single one needs no multipart.

    By default they are uncompressed. A compressed one has a media type of its own, and is
    application/octet-stream as well: that is what viewers ask for.
    """
    kept = as_kept(stored)
    compressed = [name for name in made if name in _COMPRESSED and name != kept]
    plain = [EXPLICIT_VR_LITTLE_ENDIAN] if EXPLICIT_VR_LITTLE_ENDIAN in made else []
    offers = []
    for multipart in (True, False) if alone else (True,):
        offers += _offers(OCTET_STREAM, kept, plain, multipart=multipart)
        for name in (kept, *compressed):
            kinds = FRAME_MEDIA_TYPES.get(name, ())
            offers += [Offer(kind, multipart, name) for kind in kinds]
        offers += [Offer(OCTET_STREAM, multipart, name, named=True) for name in compressed]
    return offers


def _offers(media_type: str, stored: str, made: Sequence[str], *, multipart: bool) -> list[Offer]:
    """As it is stored, the default if that is another, and the rest."""
    plain = EXPLICIT_VR_LITTLE_ENDIAN
    default = plain if plain in made else stored
    names = dict.fromkeys((stored, default, *_usable(made)))
    return [Offer(media_type, multipart, name, named=name != default) for name in names]


def _usable(made: Sequence[str]) -> Iterator[str]:
    return (name for name in made if name not in _UNUSED)
