"""Pictures as Pillow writes them, and pictures that no good program writes."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence

import numpy as np
from PIL import Image

__all__ = ["chunk", "gif", "named", "noise", "png", "png_of"]


def noise(mode: str, width: int = 40, height: int = 30, seed: int = 1) -> Image.Image:
    """A picture without two equal rows, in a mode of Pillow's (of "P": 16 colours)."""
    chance = np.random.default_rng(seed)
    if mode == "I;16":
        return Image.fromarray(chance.integers(0, 1 << 16, (height, width), "u2"))
    if mode == "P":
        picture = Image.fromarray(chance.integers(0, 16, (height, width), "u1"), "P")
        picture.putpalette(chance.integers(0, 256, 48, "u1").tobytes())
        return picture
    samples = {"1": 1, "L": 1, "RGB": 3, "LA": 2, "RGBA": 4}[mode]
    pixels = chance.integers(0, 256, (height, width, samples), "u1")
    if mode in ("LA", "RGBA"):
        pixels[:, :, -1] = 255
    if samples == 1:
        return Image.fromarray(pixels[:, :, 0]).convert(mode)
    return Image.frombytes(mode, (width, height), pixels.tobytes())


def png(picture: Image.Image, **options: object) -> bytes:
    """It as PNG."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", **options)
    return buffer.getvalue()


def gif(*pictures: Image.Image, **options: object) -> bytes:
    """They as GIF; an animation, if they are several."""
    buffer = io.BytesIO()
    rest: Sequence[Image.Image] = pictures[1:]
    pictures[0].save(buffer, "GIF", save_all=bool(rest), append_images=list(rest), **options)
    return buffer.getvalue()


def named(value: object) -> str | None:
    """The name of a test's parameter: pictures have none that can be printed."""
    return f"{value[:4]!r} of {len(value)} bytes" if isinstance(value, bytes) else None


def chunk(kind: bytes, body: bytes = b"") -> bytes:
    """Of a PNG, with its checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_of(
    width: int,
    height: int,
    *chunks: bytes,
    bits: int = 8,
    colour_type: int = 0,
    interlace: int = 0,
    pixels: bytes = b"",
) -> bytes:
    """With such a header, whatever the pixels are (raw rows, each after its filter)."""
    fields = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, interlace)
    header = chunk(b"IHDR", fields)
    body = b"".join(chunks) + chunk(b"IDAT", zlib.compress(pixels, 9)) + chunk(b"IEND")
    return b"\x89PNG\r\n\x1a\n" + header + body
