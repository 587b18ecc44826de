"""The DICOM JSON model (PS3.18 F.2) of one value: from its bytes to ``{"vr": …, "Value": […]}``.

Owns one converter per VR and byte order, made for speed: an intake converts every element of every
instance. A converter promises an object that the Standard permits, for any bytes: numbers that
can't be read stay text where the VR allows a JSON string (DS, IS), values of an impossible length
become ``UN`` with their bytes. Only non-finite floats have no inline form at all; they raise
`NotInline`, and the caller refers to the bytes as bulk data instead. Nothing here knows tags,
sequences or positions.
"""

from __future__ import annotations

import re
import struct
from array import array
from binascii import b2a_base64
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any, Final, NamedTuple

from edge.dicom.charset import TextDecoder

__all__ = [
    "BIG",
    "BULK_VRS",
    "INLINE_BINARY",
    "INLINE_LUT",
    "INLINE_VALUE",
    "LITTLE",
    "Form",
    "NotInline",
    "unknown",
]

INLINE_BINARY: Final = 1024
"""Bytes up to which a value of a binary VR stands in the model itself."""
INLINE_LUT: Final = 128 * 1024
"""The same for lookup tables: 65536 entries of 16 bits. Viewers want them with the metadata."""
INLINE_VALUE: Final = 256 * 1024
"""The same for text and numbers."""

BULK_VRS: Final = frozenset(
    "DS FL FD IS LT OB OD OF OL OV OW SL SS ST SV UC UL UN US UT UV".split()
)
"""VRs that may have a BulkDataURI (PS3.18 F.2.2); any other large value is shown as ``UN``."""

JsonElement = dict[str, Any]
Converter = Callable[[bytes, TextDecoder], JsonElement]

_INT_64_DIGITS = 18
"""So many digits always fit a 64-bit number, the most that JSON readers agree on."""
_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d{1,18}(\.0*)?", re.ASCII)


class NotInline(Exception):
    """The value has no form inside the JSON model; it can only be referred to."""


class Form(NamedTuple):
    """How values of one VR are encoded and shown."""

    convert: Converter
    long: bool
    """Explicit VR has two reserved bytes and a 32-bit length (PS3.5 7.1.2)."""
    inline: int
    """Bytes up to which the value is not bulk data."""
    vr: str


def unknown(value: bytes) -> JsonElement:
    """Bytes whose meaning is not known, as they are."""
    if not value:
        return {"vr": "UN"}
    return {"vr": "UN", "InlineBinary": b2a_base64(value, newline=False).decode("ascii")}


def _ascii(vr: str) -> Converter:
    """Text of the default repertoire, perhaps several values; padding at the ends goes."""

    def convert(value: bytes, _decode: TextDecoder) -> JsonElement:
        text = value.decode("latin_1").rstrip("\0 ")
        if not text:
            return {"vr": vr}
        if "\\" in text:
            return {"vr": vr, "Value": [part.strip("\0 ") or None for part in text.split("\\")]}
        return {"vr": vr, "Value": [text]}

    return convert


def _stripped(vr: str) -> Converter:
    """The same for AE, where leading spaces mean nothing either."""

    def convert(value: bytes, _decode: TextDecoder) -> JsonElement:
        values = [part.strip("\0 ") or None for part in value.decode("latin_1").split("\\")]
        return {"vr": vr, "Value": values} if values != [None] else {"vr": vr}

    return convert


def _text(vr: str) -> Converter:
    """Text of the data set's character set, perhaps several values (SH, LO, UC)."""

    def convert(value: bytes, decode: TextDecoder) -> JsonElement:
        text = decode(value).rstrip("\0 ")
        if not text:
            return {"vr": vr}
        if "\\" in text:
            return {"vr": vr, "Value": [part.rstrip("\0 ") or None for part in text.split("\\")]}
        return {"vr": vr, "Value": [text]}

    return convert


def _paragraph(vr: str) -> Converter:
    """One text in which a backslash is a character (ST, LT, UT; PS3.5 6.2)."""

    def convert(value: bytes, decode: TextDecoder) -> JsonElement:
        text = decode(value).rstrip("\0 ")
        return {"vr": vr, "Value": [text]} if text else {"vr": vr}

    return convert


def _uri(value: bytes, _decode: TextDecoder) -> JsonElement:
    text = value.decode("latin_1").rstrip("\0 ")
    return {"vr": "UR", "Value": [text]} if text else {"vr": "UR"}


def _person_name(value: bytes, decode: TextDecoder) -> JsonElement:
    """Names as objects of their component groups (PS3.18 F.2.2, PS3.5 6.2.1)."""
    text = decode(value).rstrip("\0 ")
    if "=" not in text and "\\" not in text:
        return {"vr": "PN", "Value": [{"Alphabetic": text}]} if text else {"vr": "PN"}
    names = [_component_groups(name) for name in text.split("\\")]
    return {"vr": "PN", "Value": names} if names != [None] else {"vr": "PN"}


def _component_groups(name: str) -> dict[str, str] | None:
    groups = zip(("Alphabetic", "Ideographic", "Phonetic"), name.split("="), strict=False)
    return {key: group for key, part in groups if (group := part.rstrip("\0 "))} or None


def _decimal_string(value: bytes, _decode: TextDecoder) -> JsonElement:
    """DS: JSON numbers, but a value that is none stays the text that it is."""
    try:
        if b"\\" not in value:
            number = float(value)
            if isfinite(number) and b"_" not in value:
                return {"vr": "DS", "Value": [number]}
        else:
            numbers = list(map(float, value.split(b"\\")))
            if isfinite(sum(numbers)) and b"_" not in value:
                return {"vr": "DS", "Value": numbers}
    except ValueError:
        pass  # empty values, padding with NUL, or not numbers: one by one
    return _each("DS", value, _decimal)


def _integer_string(value: bytes, _decode: TextDecoder) -> JsonElement:
    """IS, likewise."""
    try:
        if len(value) <= _INT_64_DIGITS and b"_" not in value:
            return {"vr": "IS", "Value": [int(value)]}
    except ValueError:
        pass
    return _each("IS", value, _integer)


def _each(vr: str, value: bytes, read: Callable[[str], float | str]) -> JsonElement:
    parts = [part.strip("\0 ") for part in value.decode("latin_1").split("\\")]
    if parts == [""]:
        return {"vr": vr}
    return {"vr": vr, "Value": [read(part) if part else None for part in parts]}


def _decimal(text: str) -> float | str:
    return number if _DECIMAL.fullmatch(text) and isfinite(number := float(text)) else text


def _integer(text: str) -> int | str:
    # Some writers put "1.0" into IS; it is the number that they mean.
    return int(text.partition(".")[0]) if _INTEGER.fullmatch(text) else text


def _numbers(vr: str, code: str, order: str) -> Converter:
    """Binary integers of a fixed size."""
    one = struct.Struct(order + code)
    size, unpack = one.size, one.unpack

    def convert(value: bytes, _decode: TextDecoder) -> JsonElement:
        length = len(value)
        if length == size:
            return {"vr": vr, "Value": [unpack(value)[0]]}
        if not length:
            return {"vr": vr}
        if length % size:
            return unknown(value)
        return {"vr": vr, "Value": list(struct.unpack(f"{order}{length // size}{code}", value))}

    return convert


def _floats(vr: str, code: str, order: str) -> Converter:
    """Binary floats; JSON has no NaN and no infinity."""
    plain = _numbers(vr, code, order)

    def convert(value: bytes, decode: TextDecoder) -> JsonElement:
        element = plain(value, decode)
        if not all(map(isfinite, element.get("Value", ()))):
            raise NotInline
        return element

    return convert


def _tags(order: str) -> Converter:
    """AT: tags as eight hexadecimal digits."""

    def convert(value: bytes, _decode: TextDecoder) -> JsonElement:
        if len(value) % 4:
            return unknown(value)
        if not value:
            return {"vr": "AT"}
        halves = struct.unpack(f"{order}{len(value) // 2}H", value)
        tags = zip(halves[::2], halves[1::2], strict=True)
        return {"vr": "AT", "Value": [f"{group:04X}{element:04X}" for group, element in tags]}

    return convert


def _binary(vr: str, swap: str) -> Converter:
    """Bytes in base64, words in little endian order (PS3.18 F.2.7, PS3.5 Annex A)."""

    def convert(value: bytes, _decode: TextDecoder) -> JsonElement:
        if not value:
            return {"vr": vr}
        if swap and not len(value) % (words := array(swap)).itemsize:
            words.frombytes(value)
            words.byteswap()
            value = words.tobytes()
        return {"vr": vr, "InlineBinary": b2a_base64(value, newline=False).decode("ascii")}

    return convert


def _unknown(value: bytes, _decode: TextDecoder) -> JsonElement:
    return unknown(value)


def _forms(order: str) -> Mapping[str, Form]:
    """The table of one byte order (``<`` or ``>``), by VR; SQ is not in it."""
    forms: dict[str, Form] = {}

    def add(vr: str, convert: Converter, *, long: bool = False, inline: int = INLINE_VALUE) -> None:
        forms[vr] = Form(convert, long, inline, vr)

    for vr in ("AS", "CS", "DA", "DT", "TM", "UI"):
        add(vr, _ascii(vr))
    add("AE", _stripped("AE"))
    add("AT", _tags(order))
    add("DS", _decimal_string)
    add("IS", _integer_string)
    add("PN", _person_name)
    add("LO", _text("LO"))
    add("SH", _text("SH"))
    add("UC", _text("UC"), long=True)
    add("ST", _paragraph("ST"))
    add("LT", _paragraph("LT"))
    add("UT", _paragraph("UT"), long=True)
    add("UR", _uri, long=True)
    for vr, code in (("US", "H"), ("SS", "h"), ("UL", "I"), ("SL", "i")):
        add(vr, _numbers(vr, code, order))
    add("UV", _numbers("UV", "Q", order), long=True)
    add("SV", _numbers("SV", "q", order), long=True)
    add("FL", _floats("FL", "f", order))
    add("FD", _floats("FD", "d", order))
    for vr, words in (("OB", ""), ("OW", "H"), ("OL", "I"), ("OF", "I"), ("OD", "Q"), ("OV", "Q")):
        swap = words if order == ">" else ""
        add(vr, _binary(vr, swap), long=True, inline=INLINE_BINARY)
    add("UN", _unknown, long=True, inline=INLINE_BINARY)
    return forms


LITTLE: Final = _forms("<")
"""By VR, for little endian data sets (and for whatever is UN: PS3.5 6.2.2)."""
BIG: Final = _forms(">")
"""By VR, for big endian data sets."""
