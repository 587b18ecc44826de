"""Specific Character Set (0008,0005): from bytes to text (PS3.5 6.1, PS3.3 C.12.1.1.2).

Owns the choice of a decoder for a data set and the folding of names for comparison. It promises a
``str`` for any bytes: what a character set does not have becomes U+FFFD, a set that is not known is
read as Latin-1 (of which the default repertoire is a part), and no result holds a lone surrogate,
which JSON could not carry. Only defined terms of the Standard name a codec, never Python's own
names. It never guesses a character set from the text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import methodcaller

__all__ = [
    "DEFAULT_DECODER",
    "DEFINED_TERMS",
    "TextDecoder",
    "decoder_for",
    "encoded_text",
    "fold_name",
]

TextDecoder = Callable[[bytes], str]
"""Decodes one value field (or part of one); takes any bytes, never raises."""

_LATIN_1 = "iso8859-1"

# PS3.3 Tables C.12-2 to C.12-5, by the number that ends the defined term. JIS X 0201 (13) is the
# single-byte part of Shift JIS.
_SINGLE_BYTE = {
    "6": _LATIN_1,
    "13": "shift_jis",
    "100": _LATIN_1,
    "101": "iso8859-2",
    "109": "iso8859-3",
    "110": "iso8859-4",
    "126": "iso8859-7",
    "127": "iso8859-6",
    "138": "iso8859-8",
    "144": "iso8859-5",
    "148": "iso8859-9",
    "166": "iso8859-11",
    "203": "iso8859-15",
}
_MULTI_BYTE = {
    "58": "gb2312",
    "87": "iso2022_jp",
    "149": "euc_kr",
    "159": "iso2022_jp_2",
    "GBK": "gbk",
}
_WITHOUT_EXTENSIONS = {"ISO_IR 192": "utf-8", "GB18030": "gb18030", "GBK": "gbk"}
DEFINED_TERMS = (
    *(f"ISO_IR {number}" for number in _SINGLE_BYTE if number != "6"),
    *(f"ISO 2022 IR {number}" for number in _SINGLE_BYTE),
    *(f"ISO 2022 IR {number}" for number in _MULTI_BYTE if number.isdigit()),
    *_WITHOUT_EXTENSIONS,
)
"""Of Specific Character Set (0008,0005), that are understood."""

# Escape sequences (PS3.3 Tables C.12-3, C.12-4), without the ESC; the longer ones first.
_ESCAPES: tuple[tuple[bytes, str], ...] = (
    (b"$)C", "euc_kr"),
    (b"$(D", "iso2022_jp_2"),
    (b"$)A", "gb2312"),
    (b"$B", "iso2022_jp"),
    (b"(B", _LATIN_1),
    (b"-A", _LATIN_1),
    (b"-B", "iso8859-2"),
    (b"-C", "iso8859-3"),
    (b"-D", "iso8859-4"),
    (b"-F", "iso8859-7"),
    (b"-G", "iso8859-6"),
    (b"-H", "iso8859-8"),
    (b"-L", "iso8859-5"),
    (b"-M", "iso8859-9"),
    (b"-T", "iso8859-11"),
    (b"-b", "iso8859-15"),
    (b")I", "shift_jis"),
    (b"(J", "shift_jis"),
)
_SHIFTED = frozenset({"iso2022_jp", "iso2022_jp_2"})
"""Two bytes of seven bits per character: Python's codecs want to see the escape sequence."""
_RESETS = re.compile(rb"[\r\n\t\f\\]")
"""What returns to the first character set inside a value field (PS3.5 6.1.2.5.3). In person names
``^`` and ``=`` do so too; writers that obey need no help there, the others are understood."""

DEFAULT_DECODER: TextDecoder = methodcaller("decode", "latin_1")
"""For ISO-IR 6 and ISO-IR 100; any byte has a meaning in it."""


def decoder_for(terms: Sequence[str | None]) -> TextDecoder:
    """The decoder for the values of Specific Character Set.

    Args:
        terms: The values in their order; none, None and empty text mean the default repertoire.

    Returns:
        A function from the bytes of a value field to text. Values are still to be split at
        backslashes, after decoding: the byte 5C may be half of a character before it.
    """
    return _decoder(tuple((term or "").strip() for term in terms) or ("",))


@lru_cache
def _decoder(names: tuple[str, ...]) -> TextDecoder:
    if (alone := _WITHOUT_EXTENSIONS.get(names[0])) is not None:
        return methodcaller("decode", alone, "replace")
    first = _codec(names[0])
    if len(names) > 1 or names[0].upper().startswith("ISO 2022"):
        return _Extended(_LATIN_1 if first in _SHIFTED else first)
    if first == _LATIN_1:
        return DEFAULT_DECODER
    return methodcaller("decode", first, "replace")


def encoded_text(text: str, terms: Sequence[str | None]) -> bytes:
    """Text as it stands in a data set with these values of Specific Character Set.

    Beyond ASCII only where one set is named and needs no escape sequences.

    Raises:
        UnicodeEncodeError: It can't be written so.
    """
    names = [(term or "").strip() for term in terms] or [""]
    codec = "ascii"
    if len(names) == 1 and not text.isascii():
        codec = _WITHOUT_EXTENSIONS.get(names[0], "ascii")
        number = re.fullmatch(r"ISO[ _]IR (\d+)", names[0])
        if number and number[1] != "6":
            codec = _SINGLE_BYTE.get(number[1], codec)
    return text.encode(codec)


def _codec(term: str) -> str:
    """The codec of one defined term, also of terms with the usual slips of the pen."""
    number = re.sub(r"^ISO[ _-]?(2022[ _-])?(IR[ _-])?", "", term.upper())
    return _SINGLE_BYTE.get(number) or _MULTI_BYTE.get(number) or _LATIN_1


class _Extended:
    """Code extension by escape sequences (PS3.5 6.1.2.5).

    An escape sequence that was not announced in Specific Character Set is obeyed all the same: the
    sender meant it.
    """

    __slots__ = ("_first",)

    def __init__(self, first: str) -> None:
        self._first = first

    def __call__(self, value: bytes) -> str:
        if b"\x1b" not in value:
            return value.decode(self._first, "replace")
        head, *runs = value.split(b"\x1b")
        parts = [head.decode(self._first, "replace")]
        parts.extend(map(self._run, runs))
        return "".join(parts)

    def _run(self, run: bytes) -> str:
        """What follows one ESC, up to the next."""
        found = next((pair for pair in _ESCAPES if run.startswith(pair[0])), None)
        if found is None:
            return run.decode(self._first, "replace")
        sequence, codec = found
        if codec in _SHIFTED:
            return (b"\x1b" + run).decode(codec, "replace")
        text = run[len(sequence) :]
        reset = _RESETS.search(text)
        end = reset.start() if reset else len(text)
        return text[:end].decode(codec, "replace") + text[end:].decode(self._first, "replace")


def fold_name(name: str) -> str:
    """A name as it is compared: without case, accents and empty components at its end.

    PS3.4 C.2.2.2.1.1 lets person names match so. Wildcards pass through unchanged.
    """
    decomposed = unicodedata.normalize("NFKD", name)
    bare = "".join(char for char in decomposed if not unicodedata.combining(char))
    return bare.casefold().rstrip("^ =")
