"""A data set, encoded anew in another transfer syntax while it passes by (PS3.5 7 and Annex A).

Owns the change of headers, lengths and byte order. Every value keeps its bytes, apart from the
order of bytes in words; what is left out are group lengths, which would be wrong, and what the
caller replaces. Sequences get undefined lengths, so nothing is held but a header: values of any
size are copied in pieces. Pixel Data of the data set itself may be set apart: the walk stops there,
and goes on behind it. There is no recursion and no I/O.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from edge.dicom.codec import (
    EXPLICIT_BIG,
    PIXEL_VALUES,
    Codec,
    Header,
    read_header,
    true_codec,
)
from edge.errors import NotDicom

__all__ = ["PixelElement", "Recoder", "Replacement", "swapped"]

_UNDEFINED: Final = 0xFFFFFFFF
_ITEM: Final = 0xFFFEE000
_ITEM_END: Final = 0xFFFEE00D
_SEQUENCE_END: Final = 0xFFFEE0DD
_OFFSET_TABLES: Final = frozenset({0x7FE00001, 0x7FE00002, 0x7FE00003})
"""They describe fragments: meaningless once the pixels are encoded otherwise."""
_PIXEL_REPRESENTATION: Final = 0x00280103
_PIXEL_DATA: Final = 0x7FE00010
_DEEPEST: Final = 1024
_LONGEST_NOTE: Final = 1024
_LONG: Final = frozenset("OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_WORDS: Final = {
    **dict.fromkeys(("US", "SS", "OW", "AT"), 2),
    **dict.fromkeys(("UL", "SL", "FL", "OF", "OL"), 4),
    **dict.fromkeys(("FD", "OD", "OV", "SV", "UV"), 8),
}
"""Bytes whose order depends on the transfer syntax."""
_ARRAYS: Final = {2: "H", 4: "I", 8: "Q"}


@dataclass(frozen=True, slots=True)
class Replacement:
    """Another value for an attribute of the data set itself, in little endian."""

    vr: str
    value: bytes


@dataclass(frozen=True, slots=True)
class PixelElement:
    """Pixel Data where the walk stopped."""

    tag: int
    vr: str
    position: int
    """Of the value."""
    length: int
    """Of the value; 2**32-1 if it is encapsulated."""


@dataclass(slots=True)
class _Level:
    """The data set, or an item: something that has elements."""

    codec: Codec
    end: int
    """Position behind it; -1 if a delimiter ends it."""
    creators: dict[str, Any] = field(default_factory=dict)
    """Private creators, as `edge.dicom.dictionary` looks them up."""
    signed: bool | None = None
    """Pixel Representation, once it has passed."""


@dataclass(slots=True)
class _Sequence:
    """An open sequence; its items are levels."""

    codec: Codec
    end: int
    tolerant: bool
    """Items may be encoded otherwise than announced."""


class Recoder:
    """Encodes one data set anew: feed it, then finish.

    Args:
        source: How it is encoded.
        target: How it shall be.
        position: Of its first byte.
        apart: Stop at Pixel Data, see ``pixels``; otherwise it is a value like others.
        replaced: Other values, by tag; what the data set lacks is put in its place.
        cell_bytes: Of native Pixel Data: its byte order is changed by cells, which may be wider
            than the words of its VR. 0 leaves the order as it is.
        swapped_pixels: The cells have another byte order in the source than in the target.
    """

    def __init__(
        self,
        source: Codec,
        target: Codec,
        position: int,
        *,
        apart: bool = False,
        replaced: Mapping[int, Replacement] | None = None,
        cell_bytes: int = 0,
        swapped_pixels: bool = False,
    ) -> None:
        self.pixels: PixelElement | None = None
        """Where the walk stopped; feeding on makes no sense before ``resume``."""
        self._target = target
        self._swap = (source is EXPLICIT_BIG) != (target is EXPLICIT_BIG)
        self._apart = apart
        self._pending = sorted((replaced or {}).items())
        self._replaced = frozenset(replaced or ())
        self._cell_bytes = cell_bytes if swapped_pixels else 0
        self._levels = [_Level(source, -1)]
        self._sequences: list[_Sequence] = []
        self._in_items = False
        self._in_fragments = False
        self._padding = False
        self._first = True
        """No element has passed yet: the encoding may be another than was announced."""
        self._position = position
        self._window = b""
        self._at = 0
        self._copying = 0
        """So many bytes of a value are to be copied."""
        self._dropping = 0
        """Or to be left out."""
        self._word = 1
        self._out: list[bytes] = []
        order = ">" if target is EXPLICIT_BIG else "<"
        self._short = struct.Struct(order + "HH2sH").pack
        self._long = struct.Struct(order + "HH2sxxI").pack
        self._plain = struct.Struct(order + "HHI").pack

    def feed(self, data: bytes) -> bytes:
        """Take the next piece; what it becomes.

        Raises:
            NotDicom: It is no data set.
        """
        self._window = self._window[self._at :] + data if self._at < len(self._window) else data
        self._at = 0
        while self.pixels is None and self._step():
            pass
        out, self._out = self._out, []
        return b"".join(out)

    def resume(self, position: int) -> None:
        """Go on behind Pixel Data; the next piece begins at this position."""
        self.pixels = None
        self._position, self._window, self._at = position, b"", 0
        self._apart = False

    def finish(self) -> bytes:
        """The data set has ended; the rest of what it becomes.

        Zeros that are left are padding, even too few for the header of an element.

        Raises:
            NotDicom: It ends too early.
        """
        self.feed(b"")
        cut = any(self._window[self._at :])
        if cut or self._copying or self._dropping or self._sequences or self._in_fragments:
            raise NotDicom("the data set ends in the middle of an element")
        self._put_pending(1 << 32)
        out, self._out = self._out, []
        return b"".join(out)

    def _step(self) -> bool:
        """Walk over something; whether there was enough of it."""
        if self._copying or self._dropping:
            return self._pass_value()
        if self._padding:
            self._advance(len(self._window) - self._at)
            return False
        if self._in_fragments:
            return self._step_fragment()
        return self._step_item() if self._in_items else self._step_element()

    def _advance(self, count: int) -> None:
        self._at += count
        self._position += count

    def _pass_value(self) -> bool:
        available = len(self._window) - self._at
        if self._dropping:
            count = min(self._dropping, available)
            self._dropping -= count
        else:
            count = min(self._copying, available)
            if count < self._copying:
                count -= count % self._word
            self._copying -= count
            piece = self._window[self._at : self._at + count]
            self._out.append(swapped(piece, self._word))
        self._advance(count)
        return not (self._copying or self._dropping) or count > 0

    def _step_element(self) -> bool:
        level, top = self._levels[-1], len(self._levels) == 1
        if self._position == level.end:
            self._end_item(0)
            return True
        if len(self._window) - self._at < 8:
            return False
        group, number = level.codec.item(self._window, self._at)[:2]
        tag = group << 16 | number
        if tag == _ITEM_END and not top:
            self._end_item(8)
        elif top and not tag:
            self._padding = True  # zeros behind the data set
        else:
            return self._open(tag, level, top=top)
        return True

    def _open(self, tag: int, level: _Level, *, top: bool) -> bool:
        """An element; whether all that must be seen of it is there."""
        if self._first:
            level.codec = true_codec(level.codec, self._window[self._at + 4 : self._at + 6])
            self._first = False
        header = read_header(level.codec, tag, self._window, self._at, level.creators)
        if header is None or not header.is_complete(self._window):
            return False
        if top and tag & 0xFFFF:
            self._put_pending(tag)
        if not self._keeps(tag, header, top=top):
            self._leave_out(header)
        elif top and tag in PIXEL_VALUES and self._apart:
            self._advance(header.start - self._at)
            vr = self._settled(tag, header.vr)
            self.pixels = PixelElement(tag, vr, self._position, header.length)
        elif header.length == _UNDEFINED:
            self._open_undefined(tag, header)
        else:
            return self._open_defined(tag, header)
        return True

    def _keeps(self, tag: int, header: Header, *, top: bool) -> bool:
        if not tag & 0xFFFF and header.length != _UNDEFINED:
            return False
        return not (top and (tag in self._replaced or (self._apart and tag in _OFFSET_TABLES)))

    def _leave_out(self, header: Header) -> None:
        if header.length == _UNDEFINED:
            raise NotDicom("a value that is replaced has no length")
        self._advance(header.start - self._at)
        self._dropping = header.length

    def _open_defined(self, tag: int, header: Header) -> bool:
        """An element whose length is known; whether what must be seen of it is there."""
        level = self._levels[-1]
        top = len(self._levels) == 1
        # What stood as UN stays so: its bytes are implicit VR little endian (PS3.5 6.2.2).
        unknown = not level.codec.implicit and self._window[self._at + 4 : self._at + 6] == b"UN"
        if header.holds_items(self._window) and not unknown:
            self._open_sequence(tag, header)
            return True
        if not self._note(tag, header, level):
            return False
        vr = "UN" if unknown or header.vr == "SQ" else self._settled(tag, header.vr)
        self._put_header(tag, vr, header.length)
        self._advance(header.start - self._at)
        self._copying = header.length
        if top and tag in PIXEL_VALUES:
            self._word = self._cell_bytes or 1
        else:
            self._word = _WORDS.get(vr, 1) if self._swap else 1
        return True

    def _note(self, tag: int, header: Header, level: _Level) -> bool:
        """Remember what later elements depend on; whether its value is there."""
        creator = tag >> 16 & 1 and 0x10 <= tag & 0xFFFF < 0x100
        if not creator and tag != _PIXEL_REPRESENTATION:
            return True
        if header.length > _LONGEST_NOTE:
            return True
        stop = header.start + header.length
        if len(self._window) < stop:
            return False
        value = self._window[header.start : stop]
        if creator:
            level.creators[f"{tag:08X}"] = {"Value": [value.decode("latin_1").strip("\0 ")]}
        else:
            level.signed = any(value)
        return True

    def _settled(self, tag: int, vr: str) -> str:
        """An unambiguous VR (PS3.5 A.1)."""
        if vr == "US or SS":
            known = (level.signed for level in reversed(self._levels))
            return "SS" if next((one for one in known if one is not None), False) else "US"
        if " or " in vr:
            return "OW"
        if tag in PIXEL_VALUES and vr == "UN":
            return "OW"
        return vr

    def _open_undefined(self, tag: int, header: Header) -> None:
        pixels = tag == _PIXEL_DATA  # in whatever encoding, also as an icon in implicit VR
        if not pixels and (header.vr == "SQ" or header.content.implicit):
            self._open_sequence(tag, header)
            return
        if not pixels and header.vr not in _LONG:
            raise NotDicom(f"an element with VR {header.vr} has an undefined length")
        self._put_header(tag, "OB" if pixels else header.vr, _UNDEFINED)
        self._advance(header.start - self._at)
        self._in_fragments = True

    def _open_sequence(self, tag: int, header: Header) -> None:
        if len(self._sequences) >= _DEEPEST:
            raise NotDicom(f"sequences are nested deeper than {_DEEPEST} levels")
        self._put_header(tag, "SQ", _UNDEFINED)
        self._advance(header.start - self._at)
        end = -1 if header.length == _UNDEFINED else self._position + header.length
        tolerant = header.looked_up and not self._levels[-1].codec.implicit
        self._sequences.append(_Sequence(header.content, end, tolerant))
        self._in_items = True

    def _step_item(self) -> bool:
        sequence = self._sequences[-1]
        if self._position == sequence.end:
            self._end_sequence()
            return True
        if len(self._window) - self._at < 8:
            return False
        group, number, length = sequence.codec.item(self._window, self._at)
        tag = group << 16 | number
        if tag == _SEQUENCE_END:
            self._advance(8)
            self._end_sequence()
            return True
        if tag != _ITEM:
            raise NotDicom("a sequence has something else than items")
        codec = sequence.codec
        if sequence.tolerant and length >= 8:
            if len(self._window) - self._at < 14:
                return False
            codec = true_codec(codec, self._window[self._at + 12 : self._at + 14])
        self._advance(8)
        self._put_delimiter(_ITEM, _UNDEFINED)
        end = -1 if length == _UNDEFINED else self._position + length
        self._levels.append(_Level(codec, end))
        self._in_items = False
        return True

    def _step_fragment(self) -> bool:
        """Of an encapsulated value that is kept, such as an icon's: only headers may change."""
        if len(self._window) - self._at < 8:
            return False
        group, number, length = self._levels[-1].codec.item(self._window, self._at)
        tag = group << 16 | number
        self._advance(8)
        if tag == _SEQUENCE_END:
            self._put_delimiter(_SEQUENCE_END, 0)
            self._in_fragments = False
            return True
        if tag != _ITEM or length == _UNDEFINED:
            raise NotDicom("encapsulated pixel data has something else than fragments")
        self._put_delimiter(_ITEM, length)
        self._copying, self._word = length, 1
        return True

    def _end_item(self, delimiter: int) -> None:
        self._advance(delimiter)
        self._levels.pop()
        self._put_delimiter(_ITEM_END, 0)
        self._in_items = True

    def _end_sequence(self) -> None:
        self._sequences.pop()
        self._put_delimiter(_SEQUENCE_END, 0)
        # An item's own end is seen by its position, or by its delimiter.
        self._in_items = False

    def _put_pending(self, before: int) -> None:
        """Put the replacements whose tags come up to this one."""
        while self._pending and self._pending[0][0] <= before:
            tag, other = self._pending.pop(0)
            self._put_header(tag, other.vr, len(other.value))
            big = self._target is EXPLICIT_BIG
            self._out.append(swapped(other.value, _WORDS.get(other.vr, 1) if big else 1))

    def pixel_header(self, tag: int, vr: str, length: int) -> bytes:
        """The header of Pixel Data that the caller encodes."""
        return self._header(tag, vr, length)

    def _put_header(self, tag: int, vr: str, length: int) -> None:
        self._out.append(self._header(tag, vr, length))

    def _header(self, tag: int, vr: str, length: int) -> bytes:
        group, number = tag >> 16, tag & 0xFFFF
        if self._target.implicit:
            return self._plain(group, number, length)
        if vr in _LONG:
            return self._long(group, number, vr.encode("ascii"), length)
        if length > 0xFFFF:
            return self._long(group, number, b"UN", length)  # PS3.5 6.2.2
        return self._short(group, number, vr.encode("ascii"), length)

    def _put_delimiter(self, tag: int, length: int) -> None:
        self._out.append(self._plain(tag >> 16, tag & 0xFFFF, length))


def swapped(data: bytes, word: int) -> bytes:
    """The bytes of every whole word in the other order; of one byte, as they are."""
    if word == 1:
        return data
    whole = len(data) // word * word
    words = array(_ARRAYS[word], data[:whole])
    words.byteswap()
    return words.tobytes() + data[whole:]
