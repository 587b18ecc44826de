"""From a stored frame to an array of its cells, whatever it was encoded with.

Owns which codec reads what, and how a codec's samples become cells as native Pixel Data would hold
them. The header of a codestream is compared with the data set first; nothing a codec says later is
trusted either: its output must have the size that follows from the description. Runs in a worker
process only: codecs crash.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from typing import Any, Final

import gdcm
import jpeg_ls
import numpy as np
import openjpeg.utils
import rle.utils
from PIL import Image

from edge.errors import UndecodablePixels
from edge.pixels import syntaxes
from edge.pixels.codestream import JpegHeader, Precision, jpeg_2000_header, jpeg_header
from edge.pixels.description import ImageDescription
from edge.pixels.native import Array, array_of, cell_type

__all__ = ["decode", "gdcm_image"]

_END_OF_IMAGE: Final = b"\xff\xd9"

# The header was compared with the budget, which is stricter than Pillow's guess of a bomb.
Image.MAX_IMAGE_PIXELS = None


def decode(image: ImageDescription, frame: bytes) -> tuple[ImageDescription, Array]:
    """Decode one frame.

    Returns:
        What the pixels are now, and their array: see `edge.pixels.native`.

    Raises:
        UndecodablePixels: The frame is damaged, lies, or no codec here reads it.
    """
    if not image.encapsulated:
        return image.decoded(), array_of(image, frame)
    if image.floating:
        raise UndecodablePixels("floating point pixels are never compressed (PS3.3 C.7.6.24)")
    syntax = image.transfer_syntax
    if syntax in syntaxes.JPEG:
        return _jpeg(image, frame)
    if syntax in syntaxes.JPEG_2000:
        return image.decoded(), _jpeg_2000(image, frame)
    if syntax == syntaxes.RLE:
        return image.decoded(), _rle(image, frame)
    if syntax == syntaxes.DEFLATED_FRAME:
        return image.decoded(), _deflated(image, frame)
    raise UndecodablePixels(f"there is no decoder for transfer syntax {syntax}")


def _jpeg(image: ImageDescription, frame: bytes) -> tuple[ImageDescription, Array]:
    header = jpeg_header(frame, image)
    codec: Callable[[ImageDescription, JpegHeader, bytes], Array]
    if header.is_jpeg_ls:
        codec = _charls
    elif header.precision == 8 and not header.is_lossless:
        codec = _libjpeg
    else:
        codec = _gdcm
    return image.decoded(header.photometric), codec(image, header, frame)


def _libjpeg(image: ImageDescription, header: JpegHeader, frame: bytes) -> Array:
    """Baseline, extended and progressive JPEG of 8 bits."""
    with Image.open(io.BytesIO(frame), formats=("JPEG",)) as picture:
        if image.samples == 3 and header.transformed:
            # The components as they are; what they mean is for the reader to say.
            picture.draft("YCbCr", picture.size)
        samples = np.frombuffer(picture.tobytes(), "u1")
    return _cells(image, Precision(8), samples)


def _gdcm(image: ImageDescription, header: JpegHeader, frame: bytes) -> Array:
    """Lossless JPEG, and extended JPEG of 12 bits."""
    syntax = gdcm.TransferSyntax.JPEGExtendedProcess2_4
    if header.is_lossless:
        syntax = gdcm.TransferSyntax.JPEGLosslessProcess14_1
    source = gdcm_image(image, header.precision, syntax)
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(frame)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    source.SetDataElement(element)
    buffer = source.GetBuffer().encode("utf-8", "surrogateescape")  # a C string, for Python
    width = 1 if header.precision <= 8 else 2
    samples = np.frombuffer(buffer, f"<u{width}")
    return _cells(image, Precision(header.precision), samples)


def gdcm_image(image: ImageDescription, precision: int, syntax: int) -> gdcm.Image:
    """An image of GDCM's without its pixels: unsigned samples of so many bits."""
    source = gdcm.Image()
    source.SetNumberOfDimensions(2)
    source.SetDimensions((image.columns, image.rows, 1))
    allocated = 8 if precision <= 8 else 16
    source.SetPixelFormat(gdcm.PixelFormat(image.samples, allocated, precision, precision - 1, 0))
    name = "RGB" if image.samples == 3 else "MONOCHROME2"
    kind = gdcm.PhotometricInterpretation.GetPIType(name)
    source.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(kind))
    if image.samples > 1:
        source.SetPlanarConfiguration(0)
    source.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    return source


def _charls(image: ImageDescription, header: JpegHeader, frame: bytes) -> Array:
    if not frame.rstrip(b"\0").endswith(_END_OF_IMAGE):
        frame += _END_OF_IMAGE  # else CharLS looks for more, for half a minute
    buffer, info = jpeg_ls.decode_buffer(frame)
    samples = np.frombuffer(buffer, "u1" if header.precision <= 8 else "<u2")
    planar = info["components"] > 1 and info["interleave_mode"] == 0
    return _cells(image, Precision(header.precision), samples, planar=planar)


def _jpeg_2000(image: ImageDescription, frame: bytes) -> Array:
    precision = jpeg_2000_header(frame, image)
    buffer = openjpeg.utils.decode_pixel_data(frame, version=2)
    width = 1 if precision.bits <= 8 else 2 if precision.bits <= 16 else 4
    return _cells(image, precision, np.frombuffer(buffer, f"<u{width}"))


def _rle(image: ImageDescription, frame: bytes) -> Array:
    options: dict[str, Any] = {"rows": image.rows, "columns": image.columns, "byteorder": "<"}
    buffer = rle.utils.decode_pixel_data(
        frame, version=2, bits_allocated=image.bits_allocated, **options
    )
    width = max(8, image.bits_allocated) // 8
    bits = Precision(image.bits_allocated)
    return _cells(image, bits, np.frombuffer(buffer, f"<u{width}"), planar=True)


def _deflated(image: ImageDescription, frame: bytes) -> Array:
    """Deflated Image Frame (PS3.5 A.4.13): a native frame, deflated by itself."""
    size = image.stored_frame_bytes
    return array_of(image.decoded(), zlib.decompressobj(-zlib.MAX_WBITS).decompress(frame, size))


def _cells(
    image: ImageDescription, precision: Precision, samples: Array, *, planar: bool = False
) -> Array:
    """Make cells of a codec's samples.

    Samples that have fewer bits than a cell are those of ``bits_stored``: signed ones get their
    sign back, whatever the codestream says of it (PS3.5 8.2: the data set's Pixel Representation
    is what counts).
    """
    shape = (image.rows, image.columns, image.samples)
    if samples.size != image.rows * image.columns * image.samples:
        raise UndecodablePixels(
            f"the frame decodes to {samples.size} samples instead of {' x '.join(map(str, shape))}"
        )
    if precision.bits > max(8, image.bits_allocated):
        raise UndecodablePixels(
            f"samples of {precision.bits} bits don't fit cells of {image.bits_allocated}"
        )
    kind = cell_type(image)
    unused = kind.itemsize * 8 - precision.bits
    cells = samples.astype(f"<u{kind.itemsize}", copy=unused > 0)
    if unused and image.signed:
        cells <<= unused
        cells = cells.view(kind)
        cells >>= unused
    elif unused:
        cells &= (1 << precision.bits) - 1
    cells = cells.view(kind)
    if planar:
        return cells.reshape(image.samples, image.rows, image.columns).transpose(1, 2, 0)
    return cells.reshape(shape)
