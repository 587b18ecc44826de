"""How the data set says its pixels are shown (PS3.3 C.11, C.7.6.3, PS3.4 N.2), for one frame.

Owns the reading of modality and VOI transformations, palettes, padding and shape from the DICOM
JSON model, functional groups included (PS3.3 C.7.6.16: those of the frame come before the shared
ones, and both before the data set). It holds values, no pixels, and does no arithmetic: that is the
worker's.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from edge.pixels.presentation import Function, Window

__all__ = ["Display", "Lut"]

_SHARED: Final = "52009229"
_PER_FRAME: Final = "52009230"
_IDENTITY: Final = "00289145"
"""Pixel Value Transformation Sequence."""
_VOI: Final = "00289132"
"""Frame VOI LUT Sequence."""
_MEASURES: Final = "00289110"
"""Pixel Measures Sequence."""
_LONGEST_LUT: Final = 1 << 18
"""Bytes of a lookup table: 65536 entries of 16 bits, and some more in a segmented one."""

_MOST_ENTRIES: Final = 1 << 16

Item = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Lut:
    """A lookup table (PS3.3 C.11.1.1, C.7.6.3.1.5)."""

    entries: int
    first: int
    """Stored value, or modality value, of the first entry."""
    bits: int
    data: bytes
    """Entries of 8 or 16 bits, little endian."""
    segmented: bool = False
    """The data are segments to be expanded (PS3.3 C.7.9.2)."""


@dataclass(frozen=True, slots=True)
class Display:
    """How one frame is shown."""

    slope: float = 1.0
    intercept: float = 0.0
    modality_lut: Lut | None = None
    windows: tuple[Window, ...] = ()
    voi_lut: Lut | None = None
    inverse: bool = False
    """Presentation LUT Shape is INVERSE (PS3.3 C.11.6)."""
    palette: tuple[Lut, ...] = ()
    """Red, green, blue."""
    coloured: bool = False
    """The palette is a supplemental one: greys below its first entry, colours from it on."""
    padding: tuple[int, int] | None = None
    """Pixel Padding Value and Range Limit, in order (PS3.3 C.7.5.1.1.2)."""
    aspect: float = 1.0
    """Height of a pixel divided by its width."""
    icc_profile: bytes = b""

    @classmethod
    def of(cls, attributes: Item, frame: int, *, icc_profile: bytes = b"") -> Display:
        """Read it from a data set in the DICOM JSON model.

        Args:
            attributes: The data set.
            frame: Counts from 1.
            icc_profile: ICC Profile (0028,2000), which stands outside the model.
        """
        groups = _groups(attributes, frame)
        levels = [*_inner(groups, _IDENTITY), attributes]
        slope, intercept = _first(levels, "00281053"), _first(levels, "00281052")
        modality = next(_items(attributes, "00283000"), None)
        voi_levels = [*_inner(groups, _VOI), attributes]
        voi = next((item for level in voi_levels for item in _items(level, "00283010")), None)
        photometric = _text(attributes, "00280004")
        coloured = photometric == "MONOCHROME2" and _text(attributes, "00089205") in (
            "COLOR",
            "MIXED",
        )
        return cls(
            slope=1.0 if slope is None else slope,
            intercept=intercept or 0.0,
            modality_lut=_lut(modality) if modality is not None else None,
            windows=next(filter(None, map(_windows, voi_levels)), ()),
            voi_lut=_lut(voi) if voi is not None else None,
            inverse=_text(attributes, "20500020") == "INVERSE",
            palette=_palette(attributes) if coloured or photometric == "PALETTE COLOR" else (),
            coloured=coloured,
            padding=_padding(attributes),
            aspect=_aspect([*_inner(groups, _MEASURES), attributes]),
            icc_profile=icc_profile,
        )


def _groups(attributes: Item, frame: int) -> list[Item]:
    """The functional groups that hold for a frame, the nearest first."""
    per_frame = list(_items(attributes, _PER_FRAME))
    own = per_frame[frame - 1 : frame] if frame >= 1 else []
    return [*own, *_items(attributes, _SHARED)]


def _inner(groups: list[Item], key: str) -> list[Item]:
    return [item for group in groups for item in _items(group, key)]


def _items(attributes: Item, key: str) -> Iterator[Item]:
    for item in attributes.get(key, {}).get("Value") or ():
        if isinstance(item, Mapping):
            yield item


def _numbers(attributes: Item, key: str) -> list[float]:
    """The numbers of an attribute; whatever is none, such as text in DS, is left out."""
    values = attributes.get(key, {}).get("Value") or ()
    return [float(value) for value in values if isinstance(value, int | float)]


def _first(levels: list[Item], key: str) -> float | None:
    return next((found[0] for level in levels if (found := _numbers(level, key))), None)


def _text(attributes: Item, key: str) -> str:
    values = attributes.get(key, {}).get("Value") or [""]
    return values[0] if isinstance(values[0], str) else ""


def _windows(level: Item) -> tuple[Window, ...]:
    named = _text(level, "00281056")
    function: Function = "LINEAR"
    if named == "SIGMOID":
        function = "SIGMOID"
    elif named == "LINEAR_EXACT":
        function = "LINEAR_EXACT"
    pairs = zip(_numbers(level, "00281050"), _numbers(level, "00281051"), strict=False)
    return tuple(Window(center, width, function) for center, width in pairs if width > 0)


def _lut(item: Item, descriptor: str = "00283002", data: str = "00283006") -> Lut | None:
    """A lookup table; None if it is none."""
    described = _descriptor(item, descriptor)
    if described is None:
        return None
    entries, first, bits = described
    wide = bits > 8
    binary = _bytes(item, data, wide=wide)
    if not wide and len(binary) >= 2 * entries:
        binary = binary[: 2 * entries : 2]  # entries of 8 bits that stand in 16 (PS3.3 C.11.1.1.1)
    elif wide and len(binary) < 2 * entries:
        # PS3.3 C.7.6.3.1.6: 8 bits were allocated, although more are said to count.
        if len(binary) < entries:
            return None
        bits = 8
    elif len(binary) < entries:
        return None
    return Lut(entries, first, bits, binary)


def _descriptor(item: Item, key: str) -> tuple[int, int, int] | None:
    """Entries, first value and bits (PS3.3 C.7.6.3.1.5); None if they make no sense."""
    described = [int(value) for value in _numbers(item, key)]
    if len(described) != 3:
        return None
    entries, first, bits = described
    entries = entries or _MOST_ENTRIES
    sane = 0 < entries <= _MOST_ENTRIES and abs(first) < 1 << 31 and bits in range(1, 17)
    return (entries, first, bits) if sane else None


def _palette(attributes: Item) -> tuple[Lut, ...]:
    found = []
    for number in range(1, 4):
        descriptor = f"0028110{number}"
        described = _descriptor(attributes, descriptor)
        segments = _bytes(attributes, f"0028122{number}", wide=True)
        if segments and described is not None:
            lut: Lut | None = Lut(*described, segments, segmented=True)
        else:
            lut = _lut(attributes, descriptor, f"0028120{number}")
        if lut is None:
            return ()
        found.append(lut)
    return tuple(found)


def _bytes(item: Item, key: str, *, wide: bool) -> bytes:
    """A lookup table's data, whether they are in the model as binary or as numbers."""
    element = item.get(key, {})
    text = element.get("InlineBinary")
    if isinstance(text, str):
        try:
            return base64.b64decode(text)[:_LONGEST_LUT]
        except binascii.Error:
            return b""
    values = [int(number) & 0xFFFF for number in _numbers(item, key)][: _LONGEST_LUT // 2]
    words = b"".join(value.to_bytes(2, "little") for value in values)
    # Words of a table with 8 bits hold two entries, or one: `_lut` tells by the length.
    return words if wide or values else b""


def _padding(attributes: Item) -> tuple[int, int] | None:
    value = _numbers(attributes, "00280120")
    if not value:
        return None
    limit = _numbers(attributes, "00280121") or value
    low, high = sorted((int(value[0]), int(limit[0])))
    return low, high


def _aspect(levels: list[Item]) -> float:
    """Pixel Aspect Ratio, or what follows from the spacing (PS3.3 C.7.6.3.1.7)."""
    for key in ("00280034", "00280030", "00181164"):
        for level in levels:
            pair = _numbers(level, key)
            if len(pair) >= 2 and pair[0] > 0 and pair[1] > 0:
                ratio = pair[0] / pair[1]
                return ratio if 0.01 <= ratio <= 100 else 1.0
    return 1.0
