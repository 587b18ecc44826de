"""Cells of native Pixel Data (PS3.5 8.1), as bytes and as arrays.

An array of a frame has the shape (rows, columns, samples) and little endian cells: unsigned, signed
or floating, of 8, 16, 32 or 64 bits, with all bits as they are stored. 1-bit cells take a byte each
in an array, and eight to a byte, the first in the lowest bit, in Pixel Data.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edge.errors import UndecodablePixels
from edge.pixels import syntaxes
from edge.pixels.description import ImageDescription

__all__ = ["Array", "array_of", "bytes_of", "cell_type"]

Array = npt.NDArray[Any]


def cell_type(image: ImageDescription) -> np.dtype[Any]:
    """The type of one cell."""
    kind = "f" if image.floating else "i" if image.signed and image.bits_allocated > 1 else "u"
    return np.dtype(f"<{kind}{max(8, image.bits_allocated) // 8}")


def array_of(image: ImageDescription, frame: bytes) -> Array:
    """The array of a native frame.

    Raises:
        UndecodablePixels: The frame is too short.
    """
    if len(frame) < image.stored_frame_bytes:
        raise UndecodablePixels(
            f"the frame has {len(frame)} bytes instead of {image.stored_frame_bytes}"
        )
    cells = _cells(image, frame)
    rows, columns, samples = image.rows, image.columns, image.samples
    if image.subsampled:
        # Y1 Y2 Cb Cr: two pixels share their chrominance (PS3.3 C.7.6.3.1.2).
        quads = cells[: rows * columns * 2].reshape(-1, 4)
        pixels = np.empty((rows * columns // 2, 2, 3), cells.dtype)
        pixels[:, :, 0] = quads[:, :2]
        pixels[:, :, 1] = quads[:, 2:3]
        pixels[:, :, 2] = quads[:, 3:4]
        return pixels.reshape(rows, columns, 3)
    cells = cells[: rows * columns * samples]
    if image.planar:
        return cells.reshape(samples, rows, columns).transpose(1, 2, 0)
    return cells.reshape(rows, columns, samples)


def bytes_of(image: ImageDescription, pixels: Array) -> bytes:
    """The native frame of an array: little endian, colour by pixel."""
    if image.bits_allocated == 1:
        return np.packbits(pixels.reshape(-1), bitorder="little").tobytes()
    return np.ascontiguousarray(pixels, cell_type(image)).tobytes()


def _cells(image: ImageDescription, frame: bytes) -> Array:
    swapped = image.transfer_syntax in syntaxes.BIG_ENDIAN
    if image.bits_allocated == 1:
        count = image.rows * image.columns * image.samples
        return np.unpackbits(_bytes(image, frame), bitorder="little")[:count]
    if image.bits_allocated == 8:
        return _bytes(image, frame).view(cell_type(image))
    kind = cell_type(image)
    whole = memoryview(frame)[: len(frame) // kind.itemsize * kind.itemsize]
    if swapped:
        return np.frombuffer(whole, kind.newbyteorder(">")).astype(kind)
    return np.frombuffer(whole, kind)


def _bytes(image: ImageDescription, frame: bytes) -> Array:
    """Single bytes; those of big endian words (OW) stand the wrong way round (PS3.5 8.1.2)."""
    whole = memoryview(frame)[: image.stored_frame_bytes]
    if image.swaps_bytes:
        return np.frombuffer(whole, "<u2").byteswap().view("u1")
    return np.frombuffer(whole, "u1")
