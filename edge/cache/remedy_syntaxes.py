"""In which transfer syntaxes a copy can be sent in place of an instance, and by which names."""

from __future__ import annotations

from typing import Any, Final

from edge.cache.transcoding import syntaxes_for
from edge.errors import DecisionRefused, NotAnImage
from edge.pixels import syntaxes
from edge.pixels.description import ImageDescription

__all__ = ["SYNTAXES", "require_syntax"]

SYNTAXES: Final = {
    "explicit": syntaxes.EXPLICIT_LITTLE,
    "implicit": syntaxes.IMPLICIT_LITTLE,
    "deflated": syntaxes.DEFLATED,
    "rle": syntaxes.RLE,
    "jpeg-lossless": syntaxes.JPEG_LOSSLESS_SV1,
    "jpeg-ls": syntaxes.JPEG_LS_LOSSLESS,
    "jpeg-2000": syntaxes.JPEG_2000_LOSSLESS,
}
"""The transfer syntaxes that a copy can be sent in, as a person names them."""


def require_syntax(attributes: dict[str, Any], stored: str, wanted: str) -> None:
    """Do nothing if an instance can be sent so.

    Raises:
        DecisionRefused: It can't.
    """
    image: ImageDescription | None
    try:
        image = ImageDescription.of(attributes, stored)
    except NotAnImage:
        image = None
    offered = syntaxes_for(image, stored)
    if wanted == stored:
        raise DecisionRefused("it is stored in this transfer syntax")
    if wanted not in offered:
        names = ", ".join(name for name, uid in SYNTAXES.items() if uid in offered[1:])
        raise DecisionRefused(
            f"it is stored in {stored}, and no copy of it can be made in {wanted}",
            hint=f"possible are: {names}" if names else "",
        )
