"""From a PNG or a GIF to native frames, for who stores such a picture (PS3.18 10.5.2).

Owns that what comes out is what the picture shows, pixel for pixel: a palette is looked up, frames
of an animation are put on top of each other, and what native pixels can't hold is refused, not
approximated: pixels that are transparent, samples of more bits than are said to be stored. The
service has read the header and says what must come out; whatever else does is an error. Runs in a
worker process only.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from typing import Final

import numpy as np
from PIL import Image

from edge.errors import UndecodablePixels
from edge.pixels.description import ImageDescription

__all__ = ["native_frames"]

_FORMATS: Final = ("PNG", "GIF")
_OPAQUE: Final = 255
_CHANNELS: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Of each colour type (PNG 11.2.1)."""
_ONE_PASS: Final = ((0, 0, 1, 1),)
_ADAM7: Final = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
"""First column and row, steps between columns and rows, of each pass (PNG 8.2)."""
_STEP: Final = 1 << 20


def native_frames(image: ImageDescription, data: bytes) -> bytes:
    """All frames of a picture, one behind the other.

    Args:
        image: What they must be: uncompressed, little endian, of 8 bits or (grey) of 16.
        data: The file.

    Raises:
        UndecodablePixels: They are something else, or the picture is damaged.
    """
    try:
        if data.startswith(b"\x89PNG"):
            _check_length(data)
        with Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
            found = picture.width, picture.height, getattr(picture, "n_frames", 1)
            if found != (image.columns, image.rows, image.frames):
                raise UndecodablePixels("a picture is not of the size that its header says")
            return b"".join([_frame(image, picture, at) for at in range(image.frames)])
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error) as error:
        raise UndecodablePixels(f"a picture is damaged ({type(error).__name__})") from error


def _frame(image: ImageDescription, picture: Image.Image, at: int) -> bytes:
    picture.seek(at)
    if image.bits_allocated == 16:
        if not picture.mode.startswith("I;16"):
            raise UndecodablePixels("a picture has not the 16 bits that its header says")
        cells = np.asarray(picture).astype("<u2")
    else:
        shown = picture.convert("RGBA")
        alpha, _ = shown.getchannel("A").getextrema()
        if alpha != _OPAQUE:
            raise UndecodablePixels(
                "a picture has transparent pixels, which DICOM knows nothing of"
            )
        cells = np.asarray(shown.getchannel("R") if image.samples == 1 else shown.convert("RGB"))
    if int(cells.max()) >> image.bits_stored:
        raise UndecodablePixels(f"a picture has more than {image.bits_stored} bits in a sample")
    return cells.tobytes()


def _check_length(png: bytes) -> None:
    """Compare what the pixels inflate to with the header: Pillow takes missing rows for black."""
    columns, rows, bits, colour_type, _, _, interlaced = struct.unpack_from(">IIBBBBB", png, 16)
    expected = 0
    for left, top, across, down in _ADAM7 if interlaced else _ONE_PASS:
        width, height = -(-(columns - left) // across), -(-(rows - top) // down)
        if width > 0 and height > 0:
            # Each row has its filter before it.
            expected += height * (1 + -(-width * bits * _CHANNELS.get(colour_type, 4) // 8))
    found, inflater = 0, zlib.decompressobj()
    for piece in _deflated(png):
        waiting = piece
        while waiting and found <= expected:
            found += len(inflater.decompress(waiting, _STEP))
            waiting = inflater.unconsumed_tail
    while found <= expected and (rest := inflater.decompress(b"", _STEP)):
        found += len(rest)
    if found != expected or not inflater.eof:
        raise UndecodablePixels("a PNG does not have as many pixels as its header says")


def _deflated(png: bytes) -> Iterator[bytes]:
    at, kind = 8, b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", png, at)
        if kind == b"IDAT":
            yield png[at + 8 : at + 8 + length]
        at += 12 + length
