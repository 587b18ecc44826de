"""Specific Character Set (0008,0005): from text to bytes (PS3.5 6.1, PS3.3 C.12.1.1.2).

Owns the way back from `charset`: single-byte and multi-byte sets without code extensions, and ISO
2022 with them, returning to the first set at every delimiter (PS3.5 6.1.2.5.3). What an encoder
gives is always decoded again to the same text; what it can't write so raises `UnicodeEncodeError`,
and the caller takes UTF-8. Only defined terms of the Standard name a set.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from edge.dicom.charset import TextDecoder, decoder_for

__all__ = ["UTF_8", "TextEncoder", "encoder_for", "utf_8"]

UTF_8: Final = "ISO_IR 192"

TextEncoder = Callable[[str, bool], bytes]
"""Encodes the text of a value field; the second argument tells whether it is a person name."""

_WHOLE: Final = {"ISO_IR 192": "utf-8", "GB18030": "gb18030", "GBK": "gbk"}
"""Sets that stand alone, with their codecs."""
_SINGLE: Final = {
    "100": (b"-A", "iso8859-1"),
    "101": (b"-B", "iso8859-2"),
    "109": (b"-C", "iso8859-3"),
    "110": (b"-D", "iso8859-4"),
    "126": (b"-F", "iso8859-7"),
    "127": (b"-G", "iso8859-6"),
    "138": (b"-H", "iso8859-8"),
    "144": (b"-L", "iso8859-5"),
    "148": (b"-M", "iso8859-9"),
    "166": (b"-T", "iso8859-11"),
    "203": (b"-b", "iso8859-15"),
}
"""By the number of the defined term: what designates it as G1 (PS3.3 Table C.12-3), its codec."""
_ALONE: Final = {
    "6": "ascii",
    "13": "shift_jis",
    **{number: codec for number, (_, codec) in _SINGLE.items()},
}
"""Single-byte sets without code extensions, with their codecs."""
_TERM: Final = re.compile(r"ISO(_| 2022 )IR ([0-9]{1,3})")
_DELIMITERS: Final = re.compile("([\\\\\r\n\t\f])")
_NAME_DELIMITERS: Final = re.compile("([\\\\^=\r\n\t\f])")
_ASCII, _ROMAJI = b"\x1b(B", b"\x1b(J"


def _of_single(codec: str) -> Callable[[str], bytes]:
    return lambda char: char.encode(codec)


def _of_euc(codec: str) -> Callable[[str], bytes]:
    """Two bytes of eight bits: as they stand in G1."""

    def encode(char: str) -> bytes:
        found = char.encode(codec)
        return found if len(found) == 2 else b""

    return encode


def _kanji(char: str) -> bytes:
    """JIS X 0208: two bytes of seven bits."""
    found = char.encode("euc_jp")
    is_0208 = len(found) == 2 and found[0] != 0x8E
    return bytes(byte & 0x7F for byte in found) if is_0208 else b""


def _supplementary_kanji(char: str) -> bytes:
    """JIS X 0212: likewise."""
    found = char.encode("euc_jp")
    return bytes(byte & 0x7F for byte in found[1:]) if len(found) == 3 else b""


def _katakana(char: str) -> bytes:
    """The upper half of JIS X 0201."""
    found = char.encode("euc_jp")
    return found[1:] if len(found) == 2 and found[0] == 0x8E else b""


class _Set(NamedTuple):
    """A coded character set beyond ASCII."""

    escape: bytes
    is_g0: bool
    """It takes the place of ASCII while it is in use."""
    encode: Callable[[str], bytes]
    """Of one character; empty, or a UnicodeEncodeError, if it has not got it."""

    def take(self, char: str) -> bytes:
        try:
            return self.encode(char)
        except UnicodeEncodeError:
            return b""


_SETS: Final = {
    **{
        number: _Set(b"\x1b" + escape, is_g0=False, encode=_of_single(codec))
        for number, (escape, codec) in _SINGLE.items()
    },
    "13": _Set(b"\x1b)I", is_g0=False, encode=_katakana),
    "58": _Set(b"\x1b$)A", is_g0=False, encode=_of_euc("gb2312")),
    "87": _Set(b"\x1b$B", is_g0=True, encode=_kanji),
    "149": _Set(b"\x1b$)C", is_g0=False, encode=_of_euc("euc_kr")),
    "159": _Set(b"\x1b$(D", is_g0=True, encode=_supplementary_kanji),
}
_MULTI_BYTE: Final = frozenset({"58", "87", "149", "159"})


def utf_8(text: str, _is_name: bool = False) -> bytes:
    """The encoder that takes any text; what no character is becomes U+FFFD."""
    return text.encode("utf-8", "replace")


def encoder_for(terms: Sequence[str | None]) -> TextEncoder | None:
    """The encoder for values of Specific Character Set; None if they are none of the Standard.

    Args:
        terms: The values in their order; empty ones mean the default repertoire.
    """
    return _encoder(tuple((term or "").strip() for term in terms) or ("",))


@lru_cache
def _encoder(names: tuple[str, ...]) -> TextEncoder | None:
    if names == (UTF_8,):
        return utf_8
    if len(names) == 1 and names[0] in _WHOLE:
        return _plain(_WHOLE[names[0]], decoder_for(names))
    numbers, is_extended = [], len(names) > 1
    for place, name in enumerate(names):
        term = _TERM.fullmatch(name)
        if term is None or (term[2] != "6" and term[2] not in _SETS):
            if name or place:
                return None
            numbers.append("6")
            continue
        is_extended |= term[1] != "_"
        numbers.append(term[2])
    if is_extended:
        return _Extended(numbers, decoder_for(names))
    codec = _ALONE.get(numbers[0])
    return None if codec is None else _plain(codec, decoder_for(names))


def _plain(codec: str, decode: TextDecoder) -> TextEncoder:
    def encode(text: str, _is_name: bool) -> bytes:
        if text.isascii():
            return text.encode("ascii")
        found = text.encode(codec)
        # Of JIS X 0201, Shift JIS has more than a single-byte set can hold.
        if codec == "shift_jis" and len(found) != len(text):
            raise UnicodeEncodeError(codec, text, 0, len(text), "not in JIS X 0201")
        return _checked(text, found, decode)

    return encode


def _checked(text: str, found: bytes, decode: TextDecoder) -> bytes:
    if decode(found) != text:
        raise UnicodeEncodeError("dicom", text, 0, len(text), "would be read as another text")
    return found


class _Extended:
    """Code extension by escape sequences (PS3.5 6.1.2.5)."""

    def __init__(self, numbers: Sequence[str], decode: TextDecoder) -> None:
        self._sets = [_SETS[number] for number in numbers if number != "6"]
        first = numbers[0]
        self._first = None if first == "6" or first in _MULTI_BYTE else _SETS[first]
        self._base = _ROMAJI if first == "13" else _ASCII
        self._decode = decode

    def __call__(self, text: str, is_name: bool) -> bytes:
        if text.isascii():
            return text.encode("ascii")
        delimiters = _NAME_DELIMITERS if is_name else _DELIMITERS
        found = b"".join(map(self._part, delimiters.split(text)))
        return _checked(text, found, self._decode)

    def _part(self, part: str) -> bytes:
        """What stands between two delimiters: it begins and ends with the first set."""
        if part.isascii():
            return part.encode("ascii")
        written = bytearray()
        g0: _Set | None = None
        g1 = self._first
        for char in part:
            if char.isascii():
                if g0 is not None:
                    written += self._base
                    # Readers differ on what is left of G1 then: it is said again.
                    g0 = g1 = None
                written += char.encode("ascii")
                continue
            chosen, code = self._choose(char, g0 or g1)
            if chosen.is_g0:
                if g0 is not chosen:
                    written += chosen.escape
                g0 = chosen
            else:
                if g0 is not None:
                    written += self._base
                    g0 = g1 = None
                if g1 is not chosen:
                    written += chosen.escape
                g1 = chosen
            written += code
        if g0 is not None:
            written += self._base
        return bytes(written)

    def _choose(self, char: str, current: _Set | None) -> tuple[_Set, bytes]:
        if current is not None and (code := current.take(char)):
            return current, code
        for one in self._sets:
            if code := one.take(char):
                return one, code
        raise UnicodeEncodeError("dicom", char, 0, 1, "in none of the character sets")
