"""From an array of cells to an encoded frame, without loss.

Owns what each lossless transfer syntax can hold, and the encoders. An encoder's output is decoded
again and compared before it is handed out: what can't be read back exactly is an error, never a
picture. Runs in a worker process only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import gdcm
import jpeg_ls
import numpy as np
import openjpeg.utils
import rle.utils

from edge.errors import UndecodablePixels
from edge.pixels import syntaxes
from edge.pixels.decoding import decode, gdcm_image
from edge.pixels.description import ImageDescription
from edge.pixels.native import Array, bytes_of

__all__ = ["encode"]

_SRGB: Final = 1
"""The encoder's word for RGB, which makes it transform the components (YBR_RCT)."""


def encode(
    image: ImageDescription, pixels: Array, transfer_syntax: str
) -> tuple[ImageDescription, bytes]:
    """Encode one frame.

    Args:
        image: Of decoded pixels, see `ImageDescription.decoded`.
        pixels: Their array.
        transfer_syntax: A lossless one, or native little endian.

    Returns:
        What the encoded frame is, and its bytes.

    Raises:
        UndecodablePixels: These pixels can't be encoded so.
    """
    if transfer_syntax in syntaxes.NATIVE - syntaxes.BIG_ENDIAN:
        return replace(image, transfer_syntax=transfer_syntax), bytes_of(image, pixels)
    if not image.fits(transfer_syntax):
        raise UndecodablePixels(f"these pixels don't fit transfer syntax {transfer_syntax}")
    encoder = _ENCODERS[transfer_syntax]
    encoded = replace(image, transfer_syntax=transfer_syntax)
    if transfer_syntax == syntaxes.JPEG_2000_LOSSLESS and image.photometric == "RGB":
        encoded = replace(encoded, photometric="YBR_RCT")
    frame = encoder(image, pixels)
    if not np.array_equal(decode(encoded, frame)[1], pixels):
        raise UndecodablePixels(f"the pixels do not survive transfer syntax {transfer_syntax}")
    return encoded, frame


def _precision(image: ImageDescription, pixels: Array) -> int:
    """Bits to encode: those that are stored, or all if the others hold something too."""
    unused = image.bits_allocated - image.bits_stored
    if image.signed:
        plain = np.array_equal((pixels << unused) >> unused, pixels)
    else:
        plain = int(pixels.max()) >> image.bits_stored == 0
    return max(2, image.bits_stored) if plain else image.bits_allocated


def _masked(image: ImageDescription, pixels: Array, precision: int) -> bytes:
    """Cells with nothing but the bits to encode, in as many bytes as they take."""
    cells = np.ascontiguousarray(pixels).view(f"<u{image.bits_allocated // 8}")
    if precision < image.bits_allocated:
        cells = cells & ((1 << precision) - 1)
    return cells.astype("u1" if precision <= 8 else "<u2").tobytes()


def _encode_rle(image: ImageDescription, pixels: Array) -> bytes:
    options: dict[str, Any] = {"rows": image.rows, "columns": image.columns, "byteorder": "<"}
    return rle.utils.encode_pixel_data(
        bytes_of(image, pixels),
        samples_per_pixel=image.samples,
        bits_allocated=image.bits_allocated,
        **options,
    )


def _encode_jpeg(image: ImageDescription, pixels: Array) -> bytes:
    precision = image.bits_allocated  # GDCM writes 8, 12 or 16 bits, whatever it is told
    source = gdcm_image(image, precision, gdcm.TransferSyntax.ExplicitVRLittleEndian)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetByteStringValue(_masked(image, pixels, precision))
    source.SetDataElement(element)
    change = gdcm.ImageChangeTransferSyntax()
    wanted = gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1)
    change.SetTransferSyntax(wanted)
    change.SetInput(source)
    source.thisown = False  # counted by what it was given to, and freed with it
    if not change.Change():
        raise UndecodablePixels("the pixels can't be encoded as lossless JPEG")
    fragments = change.GetOutput().GetDataElement().GetSequenceOfFragments()
    parts = [
        fragments.GetFragment(index).GetByteValue().GetBuffer().encode("utf-8", "surrogateescape")
        for index in range(fragments.GetNumberOfFragments())
    ]
    return b"".join(parts)


def _encode_jpeg_ls(image: ImageDescription, pixels: Array) -> bytes:
    precision = _precision(image, pixels)
    by_pixel = 2 if image.samples > 1 else 0
    cells = _masked(image, pixels, precision)
    return bytes(
        jpeg_ls.encode_buffer(
            cells, image.rows, image.columns, image.samples, precision, 0, by_pixel
        )
    )


def _encode_jpeg_2000(image: ImageDescription, pixels: Array) -> bytes:
    precision = _precision(image, pixels)
    cells = np.ascontiguousarray(pixels)
    if precision <= 8:
        cells = cells.astype("i1" if image.signed else "u1")
    colour = _SRGB if image.photometric == "RGB" else 0
    return bytes(
        openjpeg.utils.encode_buffer(
            cells.tobytes(),
            image.columns,
            image.rows,
            image.samples,
            precision,
            image.signed,
            photometric_interpretation=colour,
        )
    )


_ENCODERS: Final[dict[str, Callable[[ImageDescription, Array], bytes]]] = {
    syntaxes.RLE: _encode_rle,
    syntaxes.JPEG_LOSSLESS_SV1: _encode_jpeg,
    syntaxes.JPEG_LS_LOSSLESS: _encode_jpeg_ls,
    syntaxes.JPEG_2000_LOSSLESS: _encode_jpeg_2000,
}
