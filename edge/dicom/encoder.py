"""A data set written from its JSON model (PS3.18 F.2), in explicit VR little endian (PS3.5 7.1).

Owns the way back from ``json_model``: what a client stores as metadata and bulk data becomes the
data set of an instance. Bulk values are not fetched here: the encoder stops at each of them, and
whoever has its bytes writes them. Promises attributes in ascending order, values of even length,
and one clear error for what the model or a VR does not permit. Text is written as UTF-8, and
Specific Character Set says so. Does no I/O.
"""

from __future__ import annotations

import re
import struct
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from edge.errors import InvalidInstance

__all__ = [
    "CODES",
    "LONG",
    "BulkReference",
    "decimal_string",
    "element_header",
    "encoded",
    "integer_string",
]

_UNDEFINED: Final = 0xFFFFFFFF
_ITEM: Final = b"\xfe\xff\x00\xe0" + struct.pack("<I", _UNDEFINED)
_ITEM_END: Final = b"\xfe\xff\x0d\xe0" + bytes(4)
_SEQUENCE_END: Final = b"\xfe\xff\xdd\xe0" + bytes(4)
_MAX_DEPTH: Final = 64
_CHARACTER_SET: Final = 0x00080005
_UTF_8: Final = "ISO_IR 192"

LONG: Final = frozenset("OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
"""VRs with two reserved bytes and a 32-bit length (PS3.5 7.1.2)."""
_BINARY: Final = frozenset("OB OD OF OL OV OW UN".split())
_TEXT: Final = frozenset("LO LT PN SH ST UC UT".split())
_ASCII: Final = frozenset("AE AS CS DA DS DT IS TM UI UR".split())
_TAG: Final = re.compile("[0-9A-Fa-f]{8}")
_NAME_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")
CODES: Final[Mapping[str, str]] = {
    "FD": "d",
    "FL": "f",
    "SL": "i",
    "SS": "h",
    "SV": "q",
    "UL": "I",
    "US": "H",
    "UV": "Q",
}


@dataclass(frozen=True, slots=True)
class BulkReference:
    """Here stands a value whose bytes are elsewhere; header and value are the caller's to write."""

    tag: int
    vr: str
    uri: str
    """As the model has it, which may be relative."""


def element_header(tag: int, vr: str, length: int | None) -> bytes:
    """Tag, VR and length of an element.

    Args:
        tag: Group and element number as one 32-bit number.
        vr: Its value representation.
        length: Bytes of the value, even; None if undefined (encapsulated pixels, sequences).

    Raises:
        InvalidInstance: The VR can't have a value so long.
    """
    group, element = divmod(tag, 0x10000)
    if vr in LONG:
        size = _UNDEFINED if length is None else length
        if length is not None and length >= _UNDEFINED:
            raise InvalidInstance(f"the value of {_name(tag)} is longer than 4 GB")
        return struct.pack("<HH2sxxI", group, element, vr.encode(), size)
    if length is None or length > 0xFFFF:
        raise InvalidInstance(f"the value of {_name(tag)} is too long for its VR {vr}")
    return struct.pack("<HH2sH", group, element, vr.encode(), length)


def encoded(attributes: Mapping[str, Any]) -> Iterator[bytes | BulkReference]:
    """The data set, in pieces.

    File meta (group 0002) and group lengths are left out: they are not of the data set.

    Args:
        attributes: DICOM JSON, keyed by tag.

    Raises:
        InvalidInstance: Something in it is not of the model, or no value of its VR.
    """
    top = dict(attributes)
    if _needs_character_set(top):
        top["00080005"] = {"vr": "CS", "Value": [_UTF_8]}
    return _data_set(top, 0)


def _data_set(attributes: Mapping[str, Any], depth: int) -> Iterator[bytes | BulkReference]:
    if depth > _MAX_DEPTH:
        raise InvalidInstance(f"sequences are nested deeper than {_MAX_DEPTH} levels")
    by_tag = {_tag(key): element for key, element in attributes.items()}
    if len(by_tag) < len(attributes):
        raise InvalidInstance("an attribute stands twice in one data set")
    for tag in sorted(by_tag):
        element = by_tag[tag]
        if tag >> 16 == 2 or not tag & 0xFFFF:
            continue
        if not isinstance(element, Mapping) or not isinstance(element.get("vr"), str):
            raise InvalidInstance(f"{_name(tag)} has no value representation")
        yield from _element(tag, element, depth)


def _element(tag: int, element: Mapping[str, Any], depth: int) -> Iterator[bytes | BulkReference]:
    vr, values = element["vr"], element.get("Value") or ()
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise InvalidInstance(f"the Value of {_name(tag)} is no list")
    if (uri := element.get("BulkDataURI")) is not None:
        yield BulkReference(tag, vr, str(uri))
    elif vr == "SQ":
        yield element_header(tag, vr, None)
        for item in values:
            if item is not None and not isinstance(item, Mapping):
                raise InvalidInstance(f"an item of {_name(tag)} is no object")
            yield _ITEM
            yield from _data_set(item or {}, depth + 1)
            yield _ITEM_END
        yield _SEQUENCE_END
    else:
        if tag == _CHARACTER_SET and depth:
            values = [_UTF_8]
        try:
            value = _value(vr, element.get("InlineBinary"), values)
        except (ValueError, TypeError, struct.error, OverflowError) as error:
            raise InvalidInstance(f"the value of {_name(tag)} is none of VR {vr}") from error
        yield element_header(tag, vr, len(value)) + value


def _value(vr: str, inline: Any, values: Sequence[Any]) -> bytes:
    """The bytes of a value, of even length."""
    if vr in _BINARY:
        if values:
            raise ValueError("binary values stand in InlineBinary")
        value = b64decode(inline or "", validate=True)
        return value + b"\0" * (len(value) % 2)
    if inline is not None:
        raise ValueError("InlineBinary is for binary values")
    if code := CODES.get(vr):
        numbers = [float(value) if vr in ("FL", "FD") else int(value) for value in values]
        return struct.pack(f"<{len(numbers)}{code}", *numbers)
    if vr == "AT":
        return b"".join(struct.pack("<HH", *divmod(int(value, 16), 0x10000)) for value in values)
    if vr not in _TEXT and vr not in _ASCII:
        raise ValueError("no such VR")
    text = "\\".join(map(_SHOWN.get(vr, _plain), values))
    value = text.encode("utf-8" if vr in _TEXT else "ascii")
    return value + (b"\0" if vr == "UI" else b" ") * (len(value) % 2)


def _plain(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TypeError("not text")
    return value


def integer_string(value: Any) -> str:
    """A value of VR IS."""
    return "" if value is None else str(value if isinstance(value, str) else int(value))


def decimal_string(value: Any) -> str:
    """A value of VR DS, of at most 16 characters (PS3.5 6.2)."""
    if value is None or isinstance(value, str):
        return value or ""
    shown = repr(float(value)).removesuffix(".0")
    precision = 15
    while len(shown) > 16:
        shown = f"{float(value):.{precision}g}"
        precision -= 1
    return shown


def _person_name(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, Mapping):
        raise TypeError("not a name by its component groups")
    return "=".join(_plain(value.get(group)) for group in _NAME_GROUPS).rstrip("=")


_SHOWN: Final[Mapping[str, Callable[[Any], str]]] = {
    "DS": decimal_string,
    "IS": integer_string,
    "PN": _person_name,
}


def _needs_character_set(attributes: Mapping[str, Any]) -> bool:
    """Whether it has one already, or any text beyond the default repertoire."""
    return "00080005" in attributes or not _is_ascii(attributes)


def _is_ascii(node: Any, depth: int = 0) -> bool:
    if isinstance(node, str):
        return node.isascii()
    if depth > 4 * _MAX_DEPTH:
        return True  # refused for its depth soon
    if isinstance(node, Mapping):
        return all(_is_ascii(value, depth + 1) for value in node.values())
    return not isinstance(node, list) or all(_is_ascii(value, depth + 1) for value in node)


def _tag(key: str) -> int:
    if _TAG.fullmatch(key):
        return int(key, 16)
    raise InvalidInstance("an attribute's name is no tag of eight hexadecimal digits")


def _name(tag: int) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
