"""From a decoded frame to a picture that any browser shows.

Owns the order of the steps (PS3.4 N.2, PS3.18 8.3.5): the part that is asked for, modality and VOI
transformation or palette or colour space, shape of the pixels, size, media type. What a step costs
follows the size of the frame, which was held against the budget; the size of the picture is held
against it here. Runs in a worker process only.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

import numpy as np
from PIL import Image

from edge.errors import PixelBudgetExceeded, UndecodablePixels
from edge.pixels import profiles
from edge.pixels.description import ImageDescription
from edge.pixels.display import Display
from edge.pixels.native import Array
from edge.pixels.presentation import Picture, Presentation, Region, Viewport
from edge.pixels.tables import greys, modality_values, palette_colours, window_of

__all__ = ["MOST_PIXELS", "animate", "picture_of", "render", "steady"]

MOST_PIXELS: Final = 1 << 26
"""Of a picture."""
_BAND: Final = 1 << 15
"""Pixels that are looked up at a time."""
# Black is 16, white 235, chrominance between 16 and 240 (PS3.3 C.7.6.3.1.2).
_PARTIAL_BLACK: Final = np.array((16, 128, 128), "f4")
_PARTIAL_SCALE: Final = np.array((255 / 219, 255 / 224, 255 / 224), "f4")
_FULL_BLACK: Final = np.array((0, 128, 128), "f4")
_LONGEST_SHOWN: Final = 655_350
"""Milliseconds that a GIF can show a picture: 16 bits of hundredths of a second."""
_SHARP: Final = 90
"""JPEG quality from which colours keep their resolution."""


def render(
    image: ImageDescription, pixels: Array, display: Display, wanted: Presentation
) -> Picture:
    """Render one frame.

    Args:
        image: Of decoded pixels.
        pixels: Their array.
        display: How the data set says they are shown.
        wanted: How the client wants them.

    Raises:
        UndecodablePixels: Nobody says how these pixels are shown.
        PixelBudgetExceeded: The picture would be too large.
    """
    shown = picture_of(image, pixels, display, wanted)
    profile = b""
    if wanted.icc_profile != "no":
        shown, profile = profiles.apply(shown, display.icc_profile, wanted.icc_profile)
    buffer = io.BytesIO()
    if wanted.media_type == "image/png":
        shown.save(buffer, "PNG", compress_level=3, icc_profile=profile or None)
    elif wanted.media_type == "image/gif":
        shown.save(buffer, "GIF")
    else:
        quality = min(max(wanted.quality, 1), 100)
        # 0 is 4:4:4, 2 is 4:2:0.
        subsampling = 0 if quality >= _SHARP else 2
        shown.save(
            buffer, "JPEG", quality=quality, subsampling=subsampling, icc_profile=profile or None
        )
    return Picture(wanted.media_type, buffer.getvalue(), shown.width, shown.height)


def animate(pictures: Iterator[Image.Image], count: int, frame_seconds: float) -> Picture:
    """An animated GIF, shown again and again.

    Args:
        pictures: Its frames.
        count: How many they are.
        frame_seconds: How long each is shown; less, if a GIF could not say it.
    """
    first = next(pictures)
    # Equal ones are kept as one, shown for the sum of their times.
    longest = _LONGEST_SHOWN // max(count, 1)
    buffer = io.BytesIO()
    first.save(
        buffer,
        "GIF",
        save_all=True,
        append_images=pictures,
        duration=min(max(20, round(frame_seconds * 1000)), longest),
        loop=0,
    )
    return Picture("image/gif", buffer.getvalue(), first.width, first.height)


def picture_of(
    image: ImageDescription, pixels: Array, display: Display, wanted: Presentation
) -> Image.Image:
    """The picture of one frame, 8 bits grey or RGB, before it is encoded.

    Raises:
        UndecodablePixels: Nobody says how these pixels are shown.
        PixelBudgetExceeded: The picture would be too large.
    """
    region = wanted.viewport.source if wanted.viewport else None
    seen = pixels if region is None else _cut(pixels, region)
    if image.samples == 1:
        shades = _monochrome(image, pixels, seen[:, :, 0], display, wanted)
    else:
        shades = _colours(image, seen)
    shown = Image.fromarray(np.ascontiguousarray(shades))
    if image.photometric == "CMYK":
        shown = Image.frombytes("CMYK", shown.size, shades.tobytes()).convert("RGB")
    if region is not None:
        if region.width < 0:
            shown = shown.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if region.height < 0:
            shown = shown.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    return _fitted(shown, display.aspect, wanted.viewport)


def steady(
    image: ImageDescription, pixels: Array, display: Display, wanted: Presentation
) -> Presentation:
    """The same for all frames of an animation, where each would have a window of its own."""
    if image.samples > 1 or image.photometric == "PALETTE COLOR" or not _is_open(display, wanted):
        return wanted
    low, high = _range(image, pixels[:, :, 0], display)
    if image.bits_stored <= 8 and not image.floating:
        # All there is: the first frame may be a black one, and says nothing of the others.
        shown = modality_values(display, _values(image, np.arange(1 << image.bits_stored)))
        low, high = float(shown.min()), float(shown.max())
    return replace(wanted, window=window_of(low, high))


def _is_open(display: Display, wanted: Presentation) -> bool:
    """Neither the client nor the data set says which values are shown."""
    return wanted.window is None and not display.windows and display.voi_lut is None


def _cut(pixels: Array, region: Region) -> Array:
    """The part of a region that is inside the image, at least a pixel of it."""
    rows, columns = pixels.shape[:2]
    top, bottom = _span(region.top, abs(region.height), rows)
    left, right = _span(region.left, abs(region.width), columns)
    return pixels[top:bottom, left:right]


def _span(start: float, length: float, size: int) -> tuple[int, int]:
    first = min(max(int(start), 0), size - 1)
    return first, max(first + 1, min(round(start + length), size))


def _fitted(shown: Image.Image, aspect: float, viewport: Viewport | None) -> Image.Image:
    """Square pixels, and the size that was asked for (PS3.18 8.3.5.1.3: the shape is kept)."""
    width, height = float(shown.width), float(shown.height)
    if aspect > 1:
        height *= aspect
    else:
        width /= aspect
    if viewport is not None:
        scale = min(viewport.width / width, viewport.height / height)
        width, height = width * scale, height * scale
    size = max(1, round(width)), max(1, round(height))
    if size[0] * size[1] > MOST_PIXELS or max(size) >= 1 << 16:
        raise PixelBudgetExceeded(
            f"a picture of {size[0]} x {size[1]} pixels is too large",
            hint="ask for a smaller viewport",
        )
    if size == shown.size:
        return shown
    return shown.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)


def _monochrome(
    image: ImageDescription, pixels: Array, seen: Array, display: Display, wanted: Presentation
) -> Array:
    """Greys or palette colours of one sample per pixel."""
    if image.photometric == "PALETTE COLOR":
        if not display.palette:
            raise UndecodablePixels("the palette is missing")
        return _by_table(image, seen, lambda stored: palette_colours(display, stored))
    invert = image.photometric == "MONOCHROME1" or display.inverse
    low, high = 0.0, 1.0
    if _is_open(display, wanted):
        low, high = _range(image, pixels[:, :, 0], display)

    def shade(stored: Array) -> Array:
        values = modality_values(display, stored)
        shades = greys(display, wanted.window, values, low, high)
        if invert:
            shades = 255 - shades
        if display.padding is not None:
            outside = (stored >= display.padding[0]) & (stored <= display.padding[1])
            shades[outside] = 0
        if display.coloured and display.palette:
            first = display.palette[0].first
            both = np.repeat(shades[..., None], 3, axis=-1)
            mapped = stored >= first
            both[mapped] = palette_colours(display, stored[mapped])
            return both
        return shades

    return _by_table(image, seen, shade)


def _by_table(image: ImageDescription, seen: Array, shade: Callable[[Array], Array]) -> Array:
    """Apply a function of the stored value: by a table of values, or to wide ones as they are."""
    if not _is_tabled(image):
        return np.concatenate([shade(_stored(image, rows)) for rows in _bands(seen)])
    unsigned, first = f"u{seen.dtype.itemsize}", 0
    if image.bits_stored == 8 * seen.dtype.itemsize:
        # Of 65536 values that there may be, a slice has a few thousand.
        least, most = int(seen.min()), int(seen.max())
        values, first = np.arange(least, most + 1), least
    else:
        values = _values(image, np.arange(1 << image.bits_stored))
    table = shade(values)
    shades = np.empty((*seen.shape, *table.shape[1:]), table.dtype)
    start = np.array(first).astype(unsigned)  # a negative one wraps, like the codes do
    for rows, found in zip(_bands(seen), _bands(shades), strict=True):
        np.take(table, _code(image, rows) - start, axis=0, out=found, mode="clip")
    return shades


def _bands(cells: Array) -> Iterator[Array]:
    """A few rows at a time, since looking up takes eight bytes for every pixel."""
    step = max(1, _BAND // max(1, cells.shape[1]))
    return (cells[start : start + step] for start in range(0, len(cells), step))


def _is_tabled(image: ImageDescription) -> bool:
    return image.bits_stored <= 16 and not image.floating


def _code(image: ImageDescription, cells: Array) -> Array:
    """The stored bits of cells that count, as an unsigned number."""
    if image.bits_allocated == 1:
        return cells
    unsigned = cells.view(f"<u{cells.dtype.itemsize}")
    if image.bits_stored == 8 * cells.dtype.itemsize:
        return unsigned
    shift = image.high_bit + 1 - image.bits_stored
    return (unsigned >> shift) & ((1 << image.bits_stored) - 1)


def _values(image: ImageDescription, codes: Array) -> Array:
    """What codes mean, in 64 bits."""
    if not image.signed:
        return codes
    half = 1 << (image.bits_stored - 1)
    return np.where(codes >= half, codes - 2 * half, codes)


def _stored(image: ImageDescription, cells: Array) -> Array:
    """The stored values of wide or floating cells."""
    if image.floating:
        return cells
    unused = image.bits_allocated - image.high_bit - 1
    return (cells << unused) >> (image.bits_allocated - image.bits_stored)


def _range(image: ImageDescription, cells: Array, display: Display) -> tuple[float, float]:
    """Least and greatest modality value of the frame, padding left out."""
    met: list[Array] = []
    if _is_tabled(image):
        found = np.zeros(1 << image.bits_stored, bool)
        for rows in _bands(cells):
            found[_code(image, rows)] = True
        met.append(_without_padding(display, _values(image, np.flatnonzero(found))))
    else:
        for rows in _bands(cells):
            stored = _without_padding(display, _stored(image, rows).reshape(-1))
            if image.floating:
                stored = stored[np.isfinite(stored)]
            if stored.size:
                met.append(np.array([stored.min(), stored.max()]))
    values = np.concatenate(met) if met else np.empty(0)
    if not values.size:
        return 0.0, 1.0
    shown = modality_values(display, values)
    return float(shown.min()), float(shown.max())


def _without_padding(display: Display, stored: Array) -> Array:
    if display.padding is None:
        return stored
    return stored[(stored < display.padding[0]) | (stored > display.padding[1])]


def _colours(image: ImageDescription, seen: Array) -> Array:
    """RGB of three samples per pixel, 8 bits each."""
    if image.bits_allocated > 8:
        shift = image.high_bit - 7
        unsigned = np.ascontiguousarray(seen).view(f"<u{seen.dtype.itemsize}")
        seen = (unsigned >> shift if shift >= 0 else unsigned << -shift).astype("u1")
    else:
        seen = np.ascontiguousarray(seen).view("u1")
        if image.bits_stored < 8:
            seen = seen << (7 - image.high_bit)
    photometric = image.photometric
    if image.samples == 4 and photometric == "CMYK":
        return seen
    if image.samples == 4 and photometric == "ARGB":
        return seen[:, :, 1:]
    if image.samples == 3 and photometric.startswith("YBR_PARTIAL"):
        wide = (seen - _PARTIAL_BLACK) * _PARTIAL_SCALE + _FULL_BLACK
        seen = np.clip(wide + np.float32(0.5), 0, 255).astype("u1")
        photometric = "YBR_FULL"
    if image.samples == 3 and photometric == "YBR_FULL":
        size = seen.shape[1], seen.shape[0]
        ybr = Image.frombuffer("YCbCr", size, np.ascontiguousarray(seen).tobytes())
        return np.asarray(ybr.convert("RGB"))
    if image.samples == 3 and photometric == "RGB":
        return seen
    raise UndecodablePixels(f"pixels of {image.samples} samples that are {photometric}")
