"""Lookup tables as arrays: modality, VOI and palettes (PS3.3 C.11.1, C.11.2, C.7.6.3.1.5, C.7.9.2).

Owns the arithmetic from a stored value to a grey or a colour, apart from images: every function
takes an array of values and gives one of the same shape. Runs in a worker process only.
"""

from __future__ import annotations

import numpy as np

from edge.errors import UndecodablePixels
from edge.pixels.display import Display, Lut
from edge.pixels.native import Array
from edge.pixels.presentation import Window

__all__ = ["greys", "modality_values", "palette_colours", "window_of"]

_MOST_ENTRIES = 1 << 16


def modality_values(display: Display, stored: Array) -> Array:
    """Values in the modality's units, such as Hounsfield (PS3.3 C.11.1)."""
    if (lut := display.modality_lut) is not None:
        return _looked_up(lut, stored).astype("f8")
    values = stored.astype("f8")
    if display.slope != 1.0:
        values *= display.slope
    if display.intercept:
        values += display.intercept
    return values


def window_of(low: float, high: float) -> Window:
    """The window that shows everything between two values."""
    return Window((low + high) / 2, max(high - low, 1e-12), "LINEAR_EXACT")


def greys(display: Display, window: Window | None, values: Array, low: float, high: float) -> Array:
    """Greys from 0 to 255, as they go to a display (PS3.3 C.11.2).

    Args:
        display: How the data set says they are shown.
        window: That was asked for; None leaves it to the data set.
        values: Of the modality.
        low: Least value of the frame, which counts if the data set says nothing.
        high: Its greatest.
    """
    if window is None and (lut := display.voi_lut) is not None:
        entries = _looked_up(lut, np.floor(values))
        shades = entries.astype("f8") * (255.0 / ((1 << lut.bits) - 1))
    else:
        if window is None:
            window = display.windows[0] if display.windows else window_of(low, high)
        shades = _windowed(window, values)
    np.clip(shades, 0, 255, out=shades)
    shades += 0.5
    if np.isnan(shades).any():
        shades = np.nan_to_num(shades)
    return shades.astype("u1")


def _windowed(window: Window, values: Array) -> Array:
    """The functions of PS3.3 C.11.2.1.2.1 and C.11.2.1.3, to 0 … 255, not clipped."""
    center, width = window.center, window.width
    if window.function == "SIGMOID":
        with np.errstate(over="ignore"):
            return 255.0 / (1.0 + np.exp(-4.0 * (values - center) / max(width, 1e-12)))
    if window.function == "LINEAR":
        center, width = center - 0.5, width - 1.0
    if width <= 0:
        return np.where(values <= center, 0.0, 255.0)
    return ((values - center) / width + 0.5) * 255.0


def palette_colours(display: Display, stored: Array) -> Array:
    """Red, green and blue from 0 to 255 for stored values: one dimension more."""
    colours = []
    for lut in display.palette:
        entries = _expanded(lut) if lut.segmented else _entries(lut)
        shift = max(0, lut.bits - 8)
        eight = (entries >> shift).astype("u1")
        colours.append(eight[_indices(lut, stored, len(eight))])
    return np.stack(colours, axis=-1)


def _looked_up(lut: Lut, values: Array) -> Array:
    entries = _entries(lut)
    found: Array = entries[_indices(lut, values, len(entries))]
    return found


def _indices(lut: Lut, values: Array, count: int) -> Array:
    """What is below the first entry gets it, what is beyond the last gets that."""
    bounded = np.clip(np.nan_to_num(values), lut.first, lut.first + count - 1)
    indices: Array = bounded.astype("i8") - lut.first
    return indices


def _entries(lut: Lut) -> Array:
    kind = "<u2" if lut.bits > 8 else "u1"
    return np.frombuffer(lut.data, kind, count=lut.entries)


def _expanded(lut: Lut) -> Array:
    """Segments: discrete, linear, and indirect ones, which repeat others (PS3.3 C.7.9.2)."""
    words = np.frombuffer(lut.data[: len(lut.data) // 2 * 2], "<u2")
    found: list[int] = []
    _expand(words, 0, len(words), found, lut.entries, nested=False)
    if not found:
        raise UndecodablePixels("a segmented palette has no entries")
    found += found[-1:] * (lut.entries - len(found))
    return np.array(found[: lut.entries], "u2")


def _expand(
    words: Array, position: int, segments: int, found: list[int], most: int, *, nested: bool
) -> None:
    while position + 1 < len(words) and segments and len(found) < min(most, _MOST_ENTRIES):
        kind, length = int(words[position]), int(words[position + 1])
        position, segments = position + 2, segments - 1
        if kind == 0:
            found += words[position : position + length].tolist()
            position += length
        elif kind == 1 and found and position < len(words):
            start, end = found[-1], int(words[position])
            found += (start + (end - start) * np.arange(1, length + 1) // max(1, length)).tolist()
            position += 1
        elif kind == 2 and not nested and position + 1 < len(words):
            # Offset in bytes from the first segment; it can't lead to another indirect one.
            offset = int(words[position]) | int(words[position + 1]) << 16
            _expand(words, offset // 2, length, found, most, nested=True)
            position += 2
        else:
            raise UndecodablePixels("a segmented palette has an impossible segment")
