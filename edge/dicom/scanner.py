"""The scanner: understands a Part 10 stream while it passes by, and never holds the bulk of it.

Owns what admission wants to know of an instance: its UIDs, its attributes as the DICOM JSON model,
and where its bulk values and frames lie. It is fed pieces of any size and passes once over them.
Its memory is bounded whatever the object's size, its nesting or its ill will. It promises
`NotDicom` for what can't be read or is cut off, `InvalidInstance` for an instance without usable
UIDs, and nothing else. It writes nothing and changes no byte.
"""

from __future__ import annotations

import sys
import zlib
from array import array
from dataclasses import dataclass
from typing import Any, Final

from edge.dicom.builder import ScanLimits
from edge.dicom.codec import codec_of
from edge.dicom.familiar import Familiar
from edge.dicom.fragments import Fragments
from edge.dicom.frames import Layout, PixelLayout, frame_starts
from edge.dicom.instance import InstanceRef
from edge.dicom.part10 import FileMetaReader
from edge.dicom.uids import (
    EXPLICIT_VR_BIG_ENDIAN,
    GE_PRIVATE_IMPLICIT_VR,
    Encoding,
    encoding_of,
    is_uid,
)
from edge.dicom.walker import Walker
from edge.errors import InvalidInstance, NotDicom

__all__ = ["Inflater", "InstanceScanner", "ScanLimits", "ScannedInstance"]

_LIMITS: Final = ScanLimits()
_META_PIECE: Final = 4096
_INFLATED_PIECE: Final = 64 * 1024
_INFLATION_FREE: Final = 256 * 1024**2
"""Inflated bytes below which nobody asks how well they were deflated."""

_TRAILER: Final = 16
"""Bytes that may follow a deflated data set: padding, or the check sum that gzip would write."""

_MEDIA_STORAGE_SOP_CLASS: Final = 0x0002
_TRANSFER_SYNTAX: Final = 0x0010

_VIDEO: Final = tuple(f"1.2.840.10008.1.2.4.{number}" for number in range(100, 109))
"""MPEG-2, MPEG-4 and HEVC: all frames are one stream (PS3.5 8.2.5 to 8.2.8)."""
_BIG_ENDIAN_PIXELS: Final = (EXPLICIT_VR_BIG_ENDIAN, GE_PRIVATE_IMPLICIT_VR)


@dataclass(frozen=True, slots=True)
class ScannedInstance:
    """What one pass over an instance told."""

    ref: InstanceRef
    sop_class_uid: str
    transfer_syntax: str
    dataset_offset: int
    """Bytes of preamble, prefix and group 0002."""
    length: int
    """Bytes of the whole stream."""
    attributes: dict[str, Any]
    """The data set as DICOM JSON model (PS3.18 F.2), text as UTF-8 strings whatever the character
    set. Bulk values are ``{"vr": …, "BulkDataURI": PATH}``, the path as in `Layout.bulk`. In very
    large data sets, items of sequences may be `msgspec.Raw`, which `msgspec.json.encode` takes."""
    layout: Layout


class InstanceScanner:
    """Scans one instance: feed it, then finish. After an error it is of no more use.

    Args:
        limits: What the scan may take.
        familiar: Elements of the instances before it, which are likely to come again.
    """

    def __init__(self, *, limits: ScanLimits = _LIMITS, familiar: Familiar | None = None) -> None:
        self._limits = limits
        self._familiar = familiar or Familiar()
        self._meta = FileMetaReader()
        self._length = 0
        self._offset: int | None = None
        self._transfer_syntax = ""
        self._encoding = Encoding()
        self._walker: Walker | None = None
        self._inflater: Inflater | None = None

    @property
    def study_uid(self) -> str | None:
        """Study Instance UID, as soon as (0020,000D) has passed; not checked yet."""
        return self._walker.model.study_uid if self._walker else None

    @property
    def memory(self) -> int:
        """Bytes that are held of what was understood so far, estimated from above."""
        return self._walker.model.cost if self._walker else 0

    @property
    def dataset_offset(self) -> int | None:
        """Bytes of preamble, prefix and group 0002, as soon as they have passed."""
        return self._offset

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Take the next piece of the stream.

        Raises:
            NotDicom: It can't become an instance any more.
        """
        self._length += len(data)
        start = 0
        while self._walker is None and start < len(data):
            piece = memoryview(data)[start : start + _META_PIECE]
            start += len(piece)
            if self._meta.feed(piece):
                self._begin()
                self._pass_on(self._meta.rest, 0)
        self._pass_on(data, start)

    def finish(self) -> ScannedInstance:
        """The stream has ended.

        Raises:
            NotDicom: It ends too early.
            InvalidInstance: A UID that an instance must have is missing or is none.
        """
        if self._walker is None or self._offset is None:
            raise NotDicom("the stream ends before a data set begins")
        if self._inflater is not None:
            self._inflater.finish()
        self._walker.finish()
        attributes = self._walker.model.root
        ref = InstanceRef(
            _uid(attributes, "0020000D", "Study Instance UID"),
            _uid(attributes, "0020000E", "Series Instance UID"),
            _uid(attributes, "00080018", "SOP Instance UID"),
        )
        if self._walker.model.study_uid != ref.study_uid:
            raise InvalidInstance("the data set has two Study Instance UIDs")
        sop_class = self._meta.values.get(_MEDIA_STORAGE_SOP_CLASS, "")
        if "Value" in attributes.get("00080016", ()) or not is_uid(sop_class):
            sop_class = _uid(attributes, "00080016", "SOP Class UID")
        return ScannedInstance(
            ref=ref,
            sop_class_uid=sop_class,
            transfer_syntax=self._transfer_syntax,
            dataset_offset=self._offset,
            length=self._length,
            attributes=attributes,
            layout=self._layout(self._walker),
        )

    def _begin(self) -> None:
        """The envelope is complete: it says how to read on."""
        self._offset = self._meta.length
        self._transfer_syntax = self._meta.values.get(_TRANSFER_SYNTAX, "")
        if not is_uid(self._transfer_syntax):
            raise NotDicom("the file meta information has no Transfer Syntax UID")
        self._encoding = encoding_of(self._transfer_syntax)
        position = self._offset
        if self._encoding.deflated:
            self._inflater = Inflater(self._limits)
            position = 0
        self._walker = Walker(codec_of(self._encoding), self._limits, position, self._familiar)

    def _pass_on(self, data: bytes | bytearray | memoryview, start: int) -> None:
        """Bytes of the data set, from index *start* on."""
        if self._inflater is not None and self._walker is not None:
            self._inflater.feed(memoryview(data)[start:], self._walker)
        elif self._walker is not None:
            self._walker.feed(data, start)

    def _layout(self, walker: Walker) -> Layout:
        model = walker.model
        pixels = None
        if walker.encapsulated is not None:
            video = self._transfer_syntax.startswith(_VIDEO)
            pixels = _encapsulated_pixels(
                model.root, walker.encapsulated, walker.offset_tables, video=video
            )
        else:
            for key in ("7FE00010", "7FE00008", "7FE00009"):
                if (value := model.bulk.get(key)) is not None:
                    frames, bits = _frames(model.root), _frame_bits(model.root, key)
                    bits = bits or value.length * 8 // frames
                    pixels = PixelLayout(frames, value.offset, value.length, bits)
                    if value.vr != "OB" and self._transfer_syntax in _BIG_ENDIAN_PIXELS:
                        pixels.word_bits = 16
                    break
        return Layout(model.bulk, self._encoding.deflated, pixels)


class Inflater:
    """Inflates a deflated data set into a walker, piece by piece (PS3.5 A.5)."""

    def __init__(self, limits: ScanLimits) -> None:
        self._limits = limits
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        self._taken = 0
        self._given = 0
        self._behind = 0

    def feed(self, data: bytes | memoryview, walker: Walker) -> None:
        """Inflate the next piece.

        Raises:
            NotDicom: It is not deflated, it is a bomb, or what comes out is no data set.
        """
        self._taken += len(data)
        while not self._inflate.eof:
            try:
                piece = self._inflate.decompress(data, _INFLATED_PIECE)
            except zlib.error as error:
                raise NotDicom("the data set is not deflated, as it should be") from error
            data = self._inflate.unconsumed_tail
            self._given += len(piece)
            most = max(_INFLATION_FREE, self._taken * self._limits.inflation)
            if self._given > min(most, self._limits.inflated):
                raise NotDicom("the deflated data set inflates beyond measure")
            walker.feed(piece)
            if self._inflate.eof:
                data = self._inflate.unused_data
            elif not data and len(piece) < _INFLATED_PIECE:
                return
        self._behind += len(data)
        if self._behind > _TRAILER:
            raise NotDicom("something follows the deflated data set")

    def finish(self) -> None:
        """The stream has ended.

        Raises:
            NotDicom: The deflated data set has not.
        """
        if not self._inflate.eof:
            raise NotDicom("the deflated data set is cut off")


def _uid(attributes: dict[str, Any], key: str, name: str) -> str:
    values = attributes.get(key, {}).get("Value")
    if not values:
        raise InvalidInstance(f"the data set has no {name}")
    if len(values) != 1 or not isinstance(values[0], str) or not is_uid(values[0]):
        raise InvalidInstance(f"the {name} is not a UID")
    return values[0]


def _number(attributes: dict[str, Any], key: str, default: int) -> int:
    values = attributes.get(key, {}).get("Value") or [default]
    return values[0] if isinstance(values[0], int) else default


def _frames(attributes: dict[str, Any]) -> int:
    """Number of Frames (0028,0008); an image without it has one."""
    return max(1, _number(attributes, "00280008", 1))


def _frame_bits(attributes: dict[str, Any], key: str) -> int:
    """Bits of one native frame (PS3.5 8.1, 8.2); 0 if the data set does not say."""
    rows, columns = _number(attributes, "00280010", 0), _number(attributes, "00280011", 0)
    samples = _number(attributes, "00280002", 1)
    allocated = {"7FE00008": 32, "7FE00009": 64}.get(key) or _number(attributes, "00280100", 0)
    photometric = attributes.get("00280004", {}).get("Value", [""])[0]
    if photometric in ("YBR_FULL_422", "YBR_PARTIAL_422"):
        samples = 2  # two pixels share their chrominance (PS3.3 C.7.6.3.1.2)
    # No value has so many bits that the cap matters; hostile sizes have.
    return min(max(0, rows * columns * samples * allocated), 1 << 40)


def _encapsulated_pixels(
    attributes: dict[str, Any], found: Fragments, tables: dict[int, bytes], *, video: bool
) -> PixelLayout:
    """The frames of encapsulated Pixel Data."""
    frames, lengths = _frames(attributes), found.lengths
    length = found.start + (found.value.length if found.value else 0) - found.first
    pixels = PixelLayout(frames, found.first, length, encapsulated=True, fragments=lengths)
    if video:
        pixels.starts = array("I", [0])
        return pixels
    extended, exact = (_unsigned(tables.get(tag, b""), 8) for tag in (0x7FE00001, 0x7FE00002))
    basic = _unsigned(found.table, 4)
    pixels.starts = frame_starts(frames, lengths, found.opening, offsets=extended or basic)
    one_each = pixels.starts is None and len(exact) == len(lengths)
    if one_each and all(map(int.__le__, exact, lengths)):
        pixels.exact = array("I", exact)
    return pixels


def _unsigned(data: bytes, size: int) -> array[int]:
    """Little endian numbers; none if the bytes don't divide."""
    numbers = array("I" if size == 4 else "Q")
    if not len(data) % size:
        numbers.frombytes(data)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
