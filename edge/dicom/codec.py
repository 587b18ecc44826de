"""How element headers are encoded (PS3.5 7.1), as tables for a walk that must be quick.

Owns the three encodings of a data set and which tags a quick walk must not pass over. Tables are
made once and never changed.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from edge.dicom.dictionary import KEYS, VRS, vr_of
from edge.dicom.json_model import BIG, LITTLE, Form
from edge.dicom.uids import Encoding
from edge.errors import NotDicom

__all__ = [
    "EXPLICIT_BIG",
    "EXPLICIT_LITTLE",
    "IMPLICIT_ELEMENTS",
    "IMPLICIT_LITTLE",
    "LUT_DATA",
    "LUT_DESCRIPTORS",
    "PIXEL_VALUES",
    "PLAIN_KEYS",
    "Codec",
    "Header",
    "codec_of",
    "read_header",
    "true_codec",
]

LUT_DATA: Final = frozenset(
    {0x00283006, 0x00281200, 0x00281201, 0x00281202, 0x00281203, 0x00281204}
    | {0x00281211, 0x00281212, 0x00281213, 0x00281214}
    | {0x00281221, 0x00281222, 0x00281223, 0x00281224}
)
"""Lookup tables: small enough to stand in the JSON model, and needed with it."""
LUT_DESCRIPTORS: Final = frozenset({0x00281101, 0x00281102, 0x00281103, 0x00281104, 0x00283002})
"""Their first value counts entries and is never negative, whatever the VR (PS3.3 C.7.6.3.1.5)."""
PIXEL_VALUES: Final = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
"""Always bulk data, whatever their length."""

_SPECIAL: Final = (
    LUT_DATA
    | LUT_DESCRIPTORS
    | PIXEL_VALUES
    | {0x00080005, 0x0020000D}  # character set, Study Instance UID
    | {0x7FE00001, 0x7FE00002}  # the Extended Offset Table
    | {0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD}
)

PLAIN_KEYS: Final[Mapping[int, str]] = {
    tag: "" if tag in _SPECIAL or tag < 0x00040000 else key for tag, key in KEYS.items()
}
"""The JSON key of every attribute in the dictionary; empty if it wants more than converting."""


@dataclass(frozen=True, slots=True)
class Codec:
    """One encoding of a data set."""

    implicit: bool
    header: Callable[..., tuple[Any, ...]]
    """``unpack_from``: group, element, VR (if explicit), length."""
    item: Callable[..., tuple[Any, ...]]
    """``unpack_from``: group, element, 32-bit length."""
    length: Callable[..., tuple[Any, ...]]
    """``unpack_from``: a 32-bit length."""
    forms: Mapping[str, Form]
    by_vr: Mapping[bytes, Form]
    """The VRs as they stand in the stream, without SQ and UN, whose meaning is looked up."""


_PLAIN_FORMS: Final = {vr.encode(): form for vr, form in LITTLE.items() if vr != "UN"}
_PLAIN_FORMS_BIG: Final = {vr.encode(): form for vr, form in BIG.items() if vr != "UN"}


def _codec(order: str, *, implicit: bool) -> Codec:
    return Codec(
        implicit=implicit,
        header=struct.Struct(order + ("HHI" if implicit else "HH2sH")).unpack_from,
        item=struct.Struct(order + "HHI").unpack_from,
        length=struct.Struct(order + "I").unpack_from,
        forms=LITTLE if order == "<" else BIG,
        by_vr=_PLAIN_FORMS if order == "<" else _PLAIN_FORMS_BIG,
    )


IMPLICIT_LITTLE: Final = _codec("<", implicit=True)
EXPLICIT_LITTLE: Final = _codec("<", implicit=False)
EXPLICIT_BIG: Final = _codec(">", implicit=False)

IMPLICIT_ELEMENTS: Final[Mapping[int, tuple[str, Form]]] = {
    tag: (key, LITTLE[VRS[tag]])
    for tag, key in PLAIN_KEYS.items()
    if key and VRS.get(tag, "") in LITTLE and VRS[tag] != "UN"
}
"""For implicit VR: key and form of each attribute whose VR is beyond doubt."""

_STRAY: Final = 64 * 1024
"""Bytes of the longest value that is believed to be implicit VR among explicit ones."""
_UNDEFINED: Final = 0xFFFFFFFF
_ITEM_TAGS: Final = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")


class Header(NamedTuple):
    """The header of an element, understood."""

    vr: str
    """One of PS3.5 6.2, or an ambiguous one of PS3.6."""
    content: Codec
    """Encodes the value."""
    start: int
    """Index of the value in the window."""
    length: int
    """Of the value; 2**32-1 if it is undefined."""
    looked_up: bool
    """The VR is the dictionary's guess: the stream said nothing, or UN."""

    def is_complete(self, window: bytes) -> bool:
        """Whether the window shows enough to tell if the value is a sequence."""
        small = self.vr != "SQ" or self.length < 8 or self.length == _UNDEFINED
        return small or len(window) >= self.start + 4

    def holds_items(self, window: bytes) -> bool:
        """Whether a value of defined length is a sequence; a looked-up VR may be wrong."""
        if self.vr != "SQ":
            return False
        guessed = self.looked_up and self.length >= 8
        return not guessed or window.startswith(_ITEM_TAGS, self.start)


def read_header(
    codec: Codec, tag: int, window: bytes, pos: int, elements: Mapping[str, Any]
) -> Header | None:
    """Read any header, also of the kinds that the Standard does not know.

    Args:
        codec: Of the data set or item.
        tag: As it was read.
        window: Some bytes of the stream, at least 8 from ``pos`` on.
        pos: Where the header begins.
        elements: The model of that data set or item, for private creators.

    Returns:
        None if it takes 12 bytes to tell.

    Raises:
        NotDicom: It can't be a header.
    """
    if codec.implicit:
        (length,) = codec.length(window, pos + 4)
        return Header(vr_of(tag, elements), codec, pos + 8, length, looked_up=True)
    code = window[pos + 4 : pos + 6]
    form = codec.by_vr.get(code)
    if form is None and code not in (b"SQ", b"UN"):
        return _read_unknown(codec, tag, window, pos, elements)
    if form is not None and not form.long:
        return Header(form.vr, codec, pos + 8, codec.header(window, pos)[3], looked_up=False)
    if len(window) < pos + 12:
        return None
    (length,) = codec.length(window, pos + 8)
    if code != b"UN":
        return Header(code.decode("ascii"), codec, pos + 12, length, looked_up=False)
    # Whoever wrote UN did not know the attribute; what it wrote is implicit VR little endian
    # (PS3.5 6.2.2), and the dictionary may know it.
    vr = "SQ" if length == _UNDEFINED else vr_of(tag, elements)
    return Header(vr, IMPLICIT_LITTLE, pos + 12, length, looked_up=True)


def _read_unknown(
    codec: Codec, tag: int, window: bytes, pos: int, elements: Mapping[str, Any]
) -> Header | None:
    """A header whose VR is none of the Standard."""
    code = window[pos + 4 : pos + 6]
    if code.isalpha() and code.isupper():
        # PS3.5 6.2: VRs to come have a 32-bit length behind two reserved bytes, which are zero.
        length = codec.header(window, pos)[3]
        if length:
            return Header("UN", codec, pos + 8, length, looked_up=False)
        if len(window) < pos + 12:
            return None
        return Header("UN", codec, pos + 12, codec.length(window, pos + 8)[0], looked_up=False)
    (length,) = IMPLICIT_LITTLE.length(window, pos + 4)
    if codec is EXPLICIT_BIG or (length > _STRAY and length != _UNDEFINED):
        raise NotDicom("an element has no value representation")
    # Some writers fall into implicit VR for single elements or items.
    return Header(vr_of(tag, elements), IMPLICIT_LITTLE, pos + 8, length, looked_up=True)


def codec_of(encoding: Encoding) -> Codec:
    """The codec of a transfer syntax, as it is announced."""
    if encoding.implicit_vr:
        return IMPLICIT_LITTLE
    return EXPLICIT_LITTLE if encoding.little_endian else EXPLICIT_BIG


def true_codec(codec: Codec, code: bytes) -> Codec:
    """The codec by the first element's VR, where the one that was announced may be wrong.

    Args:
        codec: As announced.
        code: The two bytes behind the first tag; a length in them would be beyond 16 KiB to look
            like a VR.
    """
    if codec.implicit:
        return EXPLICIT_LITTLE if code in _PLAIN_FORMS or code in (b"SQ", b"UN") else codec
    likely = code.isalpha() and code.isupper()
    return codec if likely or codec is EXPLICIT_BIG else IMPLICIT_LITTLE
