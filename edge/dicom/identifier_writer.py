"""Small data sets written from their JSON model, quickly: answers to searches go this way.

Owns implicit and explicit VR, little and big endian and deflated; the character set that was asked
for where it can hold the text, UTF-8 where it can't. A writer is made once for all answers of a
request. Promises values of even length and attributes in ascending order. No I/O.
"""

from __future__ import annotations

import struct
import zlib
from array import array
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from edge.dicom.encoder import CODES, LONG, decimal_string, integer_string
from edge.dicom.text_encoding import UTF_8, TextEncoder, encoder_for, utf_8
from edge.dicom.uids import encoding_of
from edge.errors import InvalidInstance

__all__ = ["IdentifierWriter"]

_CHARACTER_SET: Final = "00080005"
_UNDEFINED: Final = 0xFFFFFFFF
_MAX_DEPTH: Final = 16
_TEXT: Final = frozenset("LO SH UC".split())
_PARAGRAPHS: Final = frozenset("LT ST UT".split())
_ASCII: Final = frozenset("AE AS CS DA DT TM UI UR".split())
_WORDS: Final[Mapping[str, str]] = {"OW": "H", "OL": "I", "OF": "I", "OD": "Q", "OV": "Q"}
_BINARY: Final = frozenset({"OB", "UN", *_WORDS})
_NUMBERS: Final[Mapping[str, Callable[[Any], str]]] = {"DS": decimal_string, "IS": integer_string}
_VRS: Final = LONG | _TEXT | _PARAGRAPHS | _ASCII | CODES.keys() | _NUMBERS.keys() | {"AT", "PN"}
_NAME_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")
_WRONG: Final = (ValueError, TypeError, KeyError, struct.error, OverflowError, AttributeError)
"""What a value that is none of its VR raises."""


class IdentifierWriter:
    """Writes data sets of one encoding.

    Args:
        transfer_syntax: One of ``IDENTIFIER_SYNTAXES``.
        charset: Values of Specific Character Set for what is written; empty: ASCII. Where it can't
            hold a text, or is none of the Standard, the data set is in UTF-8.
        is_lenient: A value that can't be written is left empty, instead of being an error.
    """

    def __init__(
        self,
        transfer_syntax: str,
        charset: Sequence[str | None] = (),
        *,
        is_lenient: bool = False,
    ) -> None:
        encoding = encoding_of(transfer_syntax)
        order = "<" if encoding.little_endian else ">"
        self._implicit, self._order = encoding.implicit_vr, order
        self._deflated = encoding.deflated
        self._is_lenient = is_lenient
        self._charset = [term or "" for term in charset]
        self._encode: TextEncoder | None = encoder_for(self._charset)
        self._text: TextEncoder = utf_8
        self._short = struct.Struct(order + "H").pack
        self._length = struct.Struct(order + "I").pack
        self._item = struct.Struct(order + "HHI").pack
        self._heads: dict[tuple[str, str], tuple[bytes, bool]] = {}
        """Tag and VR -> how the element begins, and whether its length has 32 bits."""

    def write(self, attributes: Mapping[str, Any]) -> bytes:
        """Write one data set.

        Args:
            attributes: DICOM JSON, keyed by tag; its Specific Character Set is replaced.

        Raises:
            InvalidInstance: Something in it is not of the model, or no value of its VR.
        """
        written = None
        if self._encode is not None:
            self._text = self._encode
            with suppress(UnicodeEncodeError):
                written = self._whole(attributes, self._charset if any(self._charset) else [])
        if written is None:
            self._text = utf_8
            written = self._whole(attributes, [UTF_8])
        if not self._deflated:
            return written
        deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        found = deflate.compress(written) + deflate.flush()
        return found + b"\0" * (len(found) % 2)

    def _whole(self, attributes: Mapping[str, Any], charset: Sequence[str]) -> bytes:
        said = {_CHARACTER_SET: {"vr": "CS", "Value": charset}} if charset else {}
        rest = {tag: element for tag, element in attributes.items() if tag != _CHARACTER_SET}
        parts: list[bytes] = []
        self._data_set({**said, **rest}, parts, 0)
        return b"".join(parts)

    def _data_set(self, attributes: Mapping[str, Any], parts: list[bytes], depth: int) -> None:
        heads = self._heads
        for tag in sorted(attributes):
            element = attributes[tag]
            begun_at = len(parts)
            try:
                vr, values = element["vr"], element.get("Value") or ()
                head = heads.get((tag, vr)) or self._head(tag, vr)
                if vr == "SQ":
                    parts.append(head[0] + self._length(_UNDEFINED))
                    self._items(values, parts, depth)
                    continue
                value = self._value(vr, element, values)
                if head[1]:
                    begun = head[0] + self._length(len(value))
                else:
                    begun = head[0] + self._short(len(value))
            except UnicodeEncodeError:
                raise
            except _WRONG as error:
                if not self._is_lenient:
                    raise InvalidInstance(f"({tag[:4]},{tag[4:]}) can't be written") from error
                del parts[begun_at:]  # what there is of a sequence
                known = self._known(tag, element)
                if known is None:
                    continue
                value = b""
                begun = known[0] + (self._length(0) if known[1] else self._short(0))
            parts.append(begun)
            if value:
                parts.append(value)

    def _known(self, tag: str, element: Any) -> tuple[bytes, bool] | None:
        """How an element begins whose value can't be written; None if not even that is known."""
        try:
            return self._head(tag, element["vr"])
        except _WRONG:
            return None

    def _head(self, tag: str, vr: str) -> tuple[bytes, bool]:
        number = int(tag, 16)
        if len(tag) != 8 or vr not in _VRS:
            raise ValueError("neither tag nor VR")
        begun = struct.pack(self._order + "HH", number >> 16, number & 0xFFFF)
        if self._implicit:
            found = (begun, True)
        elif vr in LONG:
            found = (begun + vr.encode() + bytes(2), True)
        else:
            found = (begun + vr.encode(), False)
        self._heads[tag, vr] = found
        return found

    def _items(self, values: Sequence[Any], parts: list[bytes], depth: int) -> None:
        if depth >= _MAX_DEPTH:
            raise InvalidInstance(f"sequences are nested deeper than {_MAX_DEPTH} levels")
        for item in values:
            parts.append(self._item(0xFFFE, 0xE000, _UNDEFINED))
            inner = {tag: one for tag, one in (item or {}).items() if tag != _CHARACTER_SET}
            self._data_set(inner, parts, depth + 1)
            parts.append(self._item(0xFFFE, 0xE00D, 0))
        parts.append(self._item(0xFFFE, 0xE0DD, 0))

    def _value(self, vr: str, element: Mapping[str, Any], values: Sequence[Any]) -> bytes:
        """The bytes of a value, of even length."""
        if not values and vr not in _BINARY:
            if "BulkDataURI" in element:
                raise ValueError("it is elsewhere")
            return b""
        if vr in _TEXT:
            value = self._text("\\".join([one or "" for one in values]), False)
        elif vr in _ASCII:
            text = values[0] if len(values) == 1 else "\\".join([one or "" for one in values])
            if not self._is_lenient and text and not text.isascii():
                raise ValueError("beyond the default repertoire")
            value = (text or "").encode("latin_1", "replace")
            if vr == "UI":
                return value + b"\0" * (len(value) % 2)
        elif vr == "PN":
            value = self._text("\\".join(map(_person_name, values)), True)
        elif (shown := _NUMBERS.get(vr)) is not None:
            value = _ascii("\\".join(map(shown, values)))
        elif (code := CODES.get(vr)) is not None:
            numbers = [float(one) if code in "fd" else int(one) for one in values]
            return struct.pack(f"{self._order}{len(numbers)}{code}", *numbers)
        elif vr in _PARAGRAPHS:
            (text,) = values
            value = self._text(text or "", False)
        elif vr == "AT":
            halves = [half for one in values for half in divmod(int(one, 16), 0x10000)]
            return struct.pack(f"{self._order}{len(halves)}H", *halves)
        else:
            return self._binary(vr, element, values)
        return value + b" " * (len(value) % 2)

    def _binary(self, vr: str, element: Mapping[str, Any], values: Sequence[Any]) -> bytes:
        if values or vr not in _BINARY or "BulkDataURI" in element:
            raise ValueError("no value of this VR")
        value = b64decode(element.get("InlineBinary", ""), validate=True)
        value += b"\0" * (len(value) % 2)
        if self._order == ">" and (code := _WORDS.get(vr)) is not None:
            words = array(code)
            if not len(value) % words.itemsize:
                words.frombytes(value)
                words.byteswap()
                value = words.tobytes()
        return value


def _ascii(text: str) -> bytes:
    """An encoder's own error would be taken for one about the character set."""
    if not text.isascii():
        raise ValueError("beyond the default repertoire")
    return text.encode("ascii")


def _person_name(value: Any) -> str:
    if not value:
        return ""
    if len(value) == 1 and (alone := value.get("Alphabetic")) is not None:
        return str(alone)
    return "=".join(value.get(group) or "" for group in _NAME_GROUPS).rstrip("=")
