"""The JSON model of a data set while it grows (PS3.18 F.2), within bounds.

Owns the open data set and items as an explicit stack, what is put into them, which values are only
referred to as bulk data, and the estimate of the memory that all this takes. What does not fit
becomes bulk data. It knows no encoding and sees no position that it was not given.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from edge.dicom.charset import DEFAULT_DECODER, TextDecoder, decoder_for
from edge.dicom.codec import LUT_DESCRIPTORS, Codec
from edge.dicom.frames import BulkValue
from edge.dicom.json_model import BULK_VRS, LITTLE, Form, NotInline
from edge.errors import NotDicom

__all__ = ["ELEMENT_COST", "ENDLESS", "VALUE_COST", "Level", "ModelBuilder", "ScanLimits"]

ENDLESS: Final = sys.maxsize
ELEMENT_COST: Final = 320
"""Bytes of memory that an element takes, without its values."""
VALUE_COST: Final = 16
"""Bytes of memory per byte of a value, if it is many short ones."""
_BULK_COST: Final = 512
_ITEM_COST: Final = 128

_CHARACTER_SET: Final = 0x00080005
_STUDY_UID: Final = 0x0020000D
_PIXEL_REPRESENTATION: Final = "00280103"
_LUT_DESCRIPTOR: Final = "00283002"


@dataclass(frozen=True, slots=True)
class ScanLimits:
    """What one scan may take. Legal objects stay far below; hostile ones end here."""

    depth: int = 64
    """Sequences inside sequences."""
    fragments: int = 4 * 1024**2
    """Of one encapsulated value."""
    memory: int = 64 * 1024**2
    """Bytes of the JSON model, estimated from above. From an eighth of it on, complete items are
    kept as encoded JSON (`msgspec.Raw`); a sequence that goes beyond it becomes bulk data as a
    whole, and so do further values of the data set itself."""
    steps: int = 16 * 1024**2
    """Elements, items and fragments that are neither among the plain ones nor familiar: a bound of
    time."""
    inflated: int = 16 * 1024**3
    """Bytes of an inflated data set."""
    inflation: int = 250
    """Inflated bytes per deflated byte, once 256 MiB have come out: blank images reach 1000."""


class Level:
    """An open data set or item. Positions are absolute in the stream."""

    __slots__ = ("bound", "codec", "cost", "decode", "elements", "end", "ordered", "previous")

    def __init__(
        self, codec: Codec, decode: TextDecoder, end: int, bound: int, cost: int = 0
    ) -> None:
        self.elements: dict[str, Any] = {}
        self.codec = codec
        self.decode = decode
        self.end = end
        """Where it ends by its own length; `ENDLESS` if a delimiter tells."""
        self.bound = bound
        """Where it must have ended, by the lengths around it."""
        self.cost = cost
        """Of everything before it."""
        self.previous = -1
        """The last tag."""
        self.ordered = True

    def passed(self, tag: int) -> None:
        """An element was walked over."""
        if tag < self.previous:
            self.ordered = False
        self.previous = tag


class Sequence:
    """An open sequence; as `Level`."""

    __slots__ = ("bound", "codec", "cost", "end", "items", "key", "start", "tolerant")

    def __init__(self, key: str, codec: Codec, start: int, end: int, bound: int, cost: int) -> None:
        self.key = key
        self.codec = codec
        self.start = start
        self.end = end
        self.bound = bound
        self.cost = cost
        self.items: list[Any] = []
        self.tolerant = False
        """It was UN: implicit VR by the Standard, explicit from some writers (PS3.5 6.2.2)."""


class ModelBuilder:
    """Builds one model.

    Args:
        codec: Of the data set.
        limits: What it may take.
    """

    __slots__ = (
        "_limits",
        "_pending",
        "bulk",
        "cost",
        "level",
        "levels",
        "most",
        "muted",
        "peculiar",
        "sequences",
        "study_uid",
    )

    def __init__(self, codec: Codec, limits: ScanLimits) -> None:
        self.level = Level(codec, DEFAULT_DECODER, ENDLESS, ENDLESS)
        """The innermost open one."""
        self.levels = [self.level]
        self.sequences: list[Sequence] = []
        self.bulk: dict[str, BulkValue] = {}
        self.study_uid: str | None = None
        """The first that the data set names."""
        self.cost = 0
        """Estimated bytes of memory."""
        self.most = limits.memory
        self.muted = False
        """Inside a sequence that became bulk data as a whole: nothing more is put."""
        self.peculiar = 0
        """Counts what was put otherwise than it would be anywhere else."""
        self._limits = limits
        self._pending: list[tuple[dict[str, Any], str]] = []

    @property
    def crowded(self) -> bool:
        """Whether the model has become so large that only little more may be put."""
        return self.cost > self._limits.memory

    @property
    def root(self) -> dict[str, Any]:
        """The model of the data set."""
        return self.levels[0].elements

    def put(self, tag: int, key: str, form: Form, value: bytes, offset: int) -> None:
        """Put an element into the open level; ``offset`` is its value's position."""
        level = self.level
        try:
            element = form.convert(value, level.decode)
        except NotInline:
            self.refer(key, form.vr, offset, len(value))
            return
        level.elements[key] = element
        if tag == _CHARACTER_SET:
            level.decode = decoder_for(LITTLE["CS"].convert(value, level.decode).get("Value", ()))
        elif tag == _STUDY_UID and len(self.levels) == 1 and self.study_uid is None:
            self.study_uid = LITTLE["UI"].convert(value, level.decode).get("Value", [None])[0]
        elif tag in LUT_DESCRIPTORS and form.vr == "SS" and element.get("Value", [0])[0] < 0:
            element["Value"][0] += 0x10000
        self._charge(ELEMENT_COST + VALUE_COST * len(value))

    def refer(
        self, key: str, vr: str, offset: int, length: int, *, encapsulated: bool = False
    ) -> None:
        """Put an element whose value is bulk data."""
        vr = vr if vr in BULK_VRS else "UN"
        if not length:
            self.level.elements[key] = {"vr": vr}
            return
        path = self.path(key)
        self.peculiar += 1  # by its position
        self.level.elements[key] = {"vr": vr, "BulkDataURI": path}
        self.bulk[path] = BulkValue(vr, offset, length, encapsulated)
        self._charge(_BULK_COST)

    def path(self, key: str) -> str:
        """The path of an element of the open level, such as ``54000100/0/54001010``."""
        above = [f"{one.key}/{len(one.items) - 1}/" for one in self.sequences]
        return "".join(above) + key

    def resolve(self, vr: str, key: str) -> str:
        """Settle the ambiguous VR of an element of the open level (PS3.5 A.1, PS3.6 7)."""
        if vr == "US or SS":
            self.peculiar += 1  # by what is around it
            for level in reversed(self.levels):
                if (signed := level.elements.get(_PIXEL_REPRESENTATION)) is not None:
                    return "SS" if signed.get("Value") == [1] else "US"
            self._pending.append((self.level.elements, key))
            return "US"
        if vr == "US or OW":
            descriptor = self.level.elements.get(_LUT_DESCRIPTOR, {})
            return "US" if descriptor.get("Value", [0])[0] == 1 else "OW"
        return "OW"

    def open_sequence(
        self, key: str, codec: Codec, start: int, end: int, *, tolerant: bool = False
    ) -> None:
        """Begin a sequence whose first item is at ``start``.

        Raises:
            NotDicom: It is nested too deep.
        """
        if len(self.sequences) >= self._limits.depth:
            raise NotDicom(f"sequences are nested deeper than {self._limits.depth} levels")
        bound = min(end, self.level.bound)
        sequence = Sequence(key, codec, start, end, bound, self.cost)
        sequence.tolerant = tolerant
        self.sequences.append(sequence)

    def open_item(self, codec: Codec, end: int) -> None:
        """Begin an item of the innermost sequence."""
        sequence = self.sequences[-1]
        level = Level(codec, self.level.decode, end, min(end, sequence.bound), self.cost)
        self.levels.append(level)
        self.level = level
        if not self.muted:
            sequence.items.append(level.elements)
            self._charge(_ITEM_COST)

    def close_item(self) -> None:
        """End the innermost item."""
        closed = self.levels.pop()
        self.level = self.levels[-1]
        _put_in_order(closed)
        if self.cost * 8 > self._limits.memory and not self.muted:
            # An item of many small elements takes ten times the memory of its own JSON.
            encoded = msgspec.json.encode(closed.elements)
            self.sequences[-1].items[-1] = msgspec.Raw(encoded)
            self.peculiar += 1
            self.cost = closed.cost + _ITEM_COST + len(encoded)

    def close_sequence(self, end: int) -> None:
        """End the innermost sequence; ``end`` is where its value ends."""
        sequence = self.sequences.pop()
        if not self.muted:
            element: dict[str, Any] = {"vr": "SQ"}
            if sequence.items:
                element["Value"] = sequence.items
            self.level.elements[sequence.key] = element
            self._charge(ELEMENT_COST)
        elif not self.sequences:
            self.muted = False
            self.most = self._limits.memory
            self.refer(sequence.key, "UN", sequence.start, end - sequence.start)

    def finish(self) -> None:
        """Settle what could not be settled before the whole data set was seen."""
        _put_in_order(self.levels[0])
        signed = self.root.get(_PIXEL_REPRESENTATION, {}).get("Value") == [1]
        for elements, key in self._pending if signed else ():
            values = elements[key].get("Value", ())
            elements[key] = {"vr": "SS", "Value": [_signed(value) for value in values]}

    def _charge(self, cost: int) -> None:
        if self.muted:
            return
        self.cost += cost
        if self.cost <= self.most:
            return
        if self.sequences:
            outermost = self.sequences[0]
            outermost.items.clear()
            within = outermost.key + "/"
            self.bulk = {p: value for p, value in self.bulk.items() if not p.startswith(within)}
            self.cost = outermost.cost
            self.muted = True
            self.peculiar += 1
            self.most = -1  # keeps the quick walk from putting anything
        elif self.cost > 2 * self._limits.memory:
            raise NotDicom("the data set has more elements than can be described")


def _signed(value: int) -> int:
    return value - 0x10000 if value & 0x8000 else value


def _put_in_order(level: Level) -> None:
    """Attributes stand in ascending order in the model (PS3.18 F.2.2), whatever the sender did."""
    if not level.ordered:
        ordered = sorted(level.elements.items())
        level.elements.clear()
        level.elements.update(ordered)
