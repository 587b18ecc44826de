"""Where the bulk values and the frames of an instance are, so that reading one touches only it.

Owns the layout that the index keeps per instance: positions of bulk values by path, and the bytes
of each frame (PS3.5 8 and Annex A.4). It holds positions only, never pixels, and does no I/O: who
reads the extents hands their bytes, in pieces of any size, to `PixelLayout.bits` where it says so.
"""

from __future__ import annotations

import sys
import zlib
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import msgspec

from edge.errors import InstanceNotFound

__all__ = [
    "BitFrame",
    "BulkValue",
    "Extent",
    "Layout",
    "PixelLayout",
    "frame_starts",
]

_VERSION = 1
_ITEM_HEADER = 8
_ITEM = b"\xfe\xff\x00\xe0"


@dataclass(frozen=True, slots=True)
class Extent:
    """A run of bytes; ``offset`` counts as the layout says."""

    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class BulkValue:
    """A value that is not in the JSON model.

    An encapsulated value is everything between the element's header and the sequence delimiter:
    offset table and fragments, each with its item header.
    """

    vr: str
    offset: int
    length: int
    encapsulated: bool = False

    @property
    def extent(self) -> Extent:
        """Its bytes."""
        return Extent(self.offset, self.length)


@dataclass(slots=True)
class PixelLayout:
    """The frames of Pixel Data (7FE0,0010), Float (0008) or Double Float Pixel Data (0009)."""

    number_of_frames: int
    offset: int
    """Of the first pixel; of the first fragment's item tag if encapsulated."""
    length: int
    """From ``offset`` to the end of the value."""
    frame_bits: int = 0
    """Native: bits of one frame. A frame of 1-bit pixels may begin inside a byte."""
    encapsulated: bool = False
    fragments: array[int] = field(default_factory=lambda: array("I"))
    """Length of each fragment, without its item header."""
    starts: array[int] | None = None
    """Index of each frame's first fragment; None if every frame has one fragment."""
    exact: array[int] | None = None
    """Length of each frame by the Extended Offset Table, which knows the padding (PS3.3
    C.7.6.3.1.8)."""
    word_bits: int = 8
    """Native: 16 where bytes stand in big endian words (OW, PS3.5 8.1.2), so that a frame which
    ends inside a word needs the whole of it; otherwise 8."""
    _positions: array[int] = field(default_factory=lambda: array("Q"), repr=False, compare=False)

    def extents(self, frame: int) -> Iterator[Extent]:
        """Where the bytes of a frame are, in ascending order.

        Args:
            frame: Counts from 1.

        Returns:
            Native: one extent; its first and last byte, or word, may be shared with the neighbours,
            see `bits`. Encapsulated: the frame's fragments without item headers.

        Raises:
            InstanceNotFound: There is no such frame, or its end can't be told.
        """
        if not self.encapsulated:
            start, end = self._bit_range(frame)
            first = _bytes_of(start - start % self.word_bits)
            behind = min(_bytes_of(end, self.word_bits), self.length)
            return iter([Extent(self.offset + first, behind - first)])
        fragments = self._fragments_of(frame)
        if self.exact is not None:
            return iter([Extent(self._fragment(fragments[0]).offset, self.exact[frame - 1])])
        return map(self._fragment, fragments)

    def frame_length(self, frame: int) -> int:
        """Bytes of a frame, as it is given out. Where there is a frame, there are all before it.

        Raises:
            InstanceNotFound: There is no such frame, or its end can't be told.
        """
        if not self.encapsulated:
            self._bit_range(frame)
            return _bytes_of(self.frame_bits, self.word_bits)
        fragments = self._fragments_of(frame)
        if self.exact is not None:
            return self.exact[frame - 1]
        return sum(self.fragments[fragments.start : fragments.stop])

    def all_fragments(self) -> Iterator[Extent]:
        """Every fragment, as a video stream is made of (PS3.5 8.2.5 and later)."""
        return map(self._fragment, range(len(self.fragments)))

    def bits(self, frame: int) -> BitFrame | None:
        """What cuts the frame out of the bytes of its extent; None if they are the frame."""
        shift = (frame - 1) * self.frame_bits % self.word_bits
        if self.encapsulated or (not shift and not self.frame_bits % self.word_bits):
            return None
        return BitFrame(shift, self.frame_bits, self.word_bits)

    def _bit_range(self, frame: int) -> tuple[int, int]:
        """Of a native frame, counted from ``offset``."""
        start, end = (frame - 1) * self.frame_bits, frame * self.frame_bits
        if not 1 <= frame <= self.number_of_frames or start == end or end > self.length * 8:
            raise self._no_frame(frame)
        return start, end

    def _fragments_of(self, frame: int) -> range:
        """Indices of the fragments of an encapsulated frame."""
        if not 1 <= frame <= self.number_of_frames:
            raise self._no_frame(frame)
        if self.starts is None:
            first, last = frame - 1, frame
        elif frame <= len(self.starts):
            first = self.starts[frame - 1]
            last = self.starts[frame] if frame < len(self.starts) else len(self.fragments)
        else:
            first = last = 0
        if not first < last <= len(self.fragments):
            raise self._no_frame(frame)
        return range(first, last)

    def _fragment(self, index: int) -> Extent:
        if not self._positions:
            steps = (length + _ITEM_HEADER for length in self.fragments)
            self._positions.extend(accumulate(steps, initial=self.offset + _ITEM_HEADER))
        return Extent(self._positions[index], self.fragments[index])

    def _no_frame(self, frame: int) -> InstanceNotFound:
        return InstanceNotFound(f"there is no frame {frame} of {self.number_of_frames}")


class BitFrame:
    """A native frame that begins or ends inside a byte or a word, out of pieces of its extent.

    The frame is moved to begin with the lowest bit of its first byte or word (PS3.5 8.1.1: the
    first pixel is the lowest bit); unused bits at the end are 0.

    Args:
        shift: Bits before it in the first byte or word.
        bits: Its length.
        word_bits: 8, or 16 for big endian words.
    """

    def __init__(self, shift: int, bits: int, word_bits: int = 8) -> None:
        self._shift = shift
        self._left = bits
        self._word_bits = word_bits
        self._held = b""

    def feed(self, piece: bytes) -> bytes:
        """What the next piece of the extent makes whole."""
        held = self._held + piece
        word = self._word_bits // 8
        # The last word may be cut short, and the one before it may want bits of it.
        count = max(len(held) // word - 2, 0) * word
        self._held = held[count:]
        self._left -= count * 8
        return self._moved(held[: count + word], count * 8)

    def finish(self) -> bytes:
        """The end of the frame."""
        return self._moved(self._held, self._left)

    def _moved(self, data: bytes, bits: int) -> bytes:
        number = int.from_bytes(self._ordered(data), "little")
        moved = number >> self._shift & (1 << bits) - 1
        return self._ordered(moved.to_bytes(_bytes_of(bits, self._word_bits), "little"))

    def _ordered(self, data: bytes) -> bytes:
        """From the order of bytes as stored to little endian, or back."""
        if self._word_bits == 8:
            return data
        words = array("H", data + bytes(len(data) % 2))
        words.byteswap()
        return words.tobytes()


def _bytes_of(bits: int, word_bits: int = 8) -> int:
    """Of as many whole words as it takes to hold *bits*."""
    return -(-bits // word_bits) * word_bits // 8


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the parts of an instance are.

    Offsets are absolute in the Part 10 stream. If ``deflated``, they count in the inflated data
    set, whose first byte is 0; the deflated one begins at the instance's data set offset.
    """

    bulk: Mapping[str, BulkValue] = field(default_factory=dict)
    """By path: ``7FE00010``, or ``54000100/0/54001010`` (item numbers from 0)."""
    deflated: bool = False
    pixels: PixelLayout | None = None

    def to_bytes(self) -> bytes:
        """As the index keeps it; `from_bytes` is its inverse."""
        bulk = [[path, v.vr, v.offset, v.length, v.encapsulated] for path, v in self.bulk.items()]
        pixels: list[Any] | None = None
        if (layout := self.pixels) is not None:
            pixels = [layout.number_of_frames, layout.offset, layout.length, layout.frame_bits]
            pixels += [layout.encapsulated, _packed(layout.fragments)]
            pixels += [_packed(layout.starts), _packed(layout.exact), layout.word_bits]
        packed = msgspec.msgpack.encode([bulk, self.deflated, pixels])
        return bytes([_VERSION]) + zlib.compress(packed, 1)

    @classmethod
    def from_bytes(cls, data: bytes) -> Layout:
        """Read what `to_bytes` wrote.

        Raises:
            ValueError: It was written by a later version, or by nobody.
        """
        if data[:1] != bytes([_VERSION]):
            raise ValueError("layout of an unknown version")
        try:
            bulk, deflated, pixels = msgspec.msgpack.decode(zlib.decompress(data[1:]))
        except (zlib.error, msgspec.DecodeError) as error:
            raise ValueError("not a layout") from error
        layout = None
        if pixels is not None:
            # The first layouts say nothing of words.
            frames, offset, length, bits, encapsulated, fragments, starts, exact, *word = pixels
            layout = PixelLayout(frames, offset, length, bits, encapsulated)
            layout.fragments = _unpacked(fragments) or array("I")
            layout.starts, layout.exact = _unpacked(starts), _unpacked(exact)
            layout.word_bits = word[0] if word else 8
        return cls({path: BulkValue(*value) for path, *value in bulk}, deflated, layout)


def _packed(numbers: array[int] | None) -> bytes | None:
    """In little endian order, whatever the machine: an index may move to another one."""
    if numbers is None or sys.byteorder == "little":
        return None if numbers is None else numbers.tobytes()
    swapped = numbers[:]
    swapped.byteswap()
    return swapped.tobytes()


def _unpacked(data: bytes | None) -> array[int] | None:
    if data is None:
        return None
    numbers = array("I", data)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def frame_starts(
    number_of_frames: int,
    fragments: Sequence[int],
    opening: Sequence[int],
    *,
    offsets: Sequence[int] = (),
) -> array[int] | None:
    """Which fragment begins each frame of encapsulated Pixel Data (PS3.5 A.4).

    Args:
        number_of_frames: As the data set says.
        fragments: Length of each fragment.
        opening: Indices of the fragments that begin with the start marker of a codestream.
        offsets: The Basic (or Extended) Offset Table, counted from the first fragment's item tag.

    Returns:
        The index of each frame's first fragment; None if that is simply one fragment per frame; an
        empty array if the boundaries can't be told.
    """
    if offsets and len(offsets) == number_of_frames:
        found, position = array("I"), 0
        for index, length in enumerate(fragments):
            if len(found) < number_of_frames and position == offsets[len(found)]:
                found.append(index)
            position += length + _ITEM_HEADER
        if len(found) == number_of_frames and found[0] == 0:
            return None if number_of_frames == len(fragments) else found
    if len(fragments) == number_of_frames:
        return None
    if number_of_frames == 1:
        return array("I", [0])
    if len(opening) == number_of_frames and opening[0] == 0:
        return array("I", opening)
    filled = [index for index, length in enumerate(fragments) if length]
    if len(filled) == number_of_frames:
        return array("I", filled)
    return array("I")
