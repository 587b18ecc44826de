"""How a rendered resource is wanted: its query parameters, read (PS3.18 8.3.5).

Owns the grammar of ``window``, ``viewport``, ``quality``, ``iccprofile`` and ``annotation``.
Promises that what is ill-formed, or would make a picture beyond all measure, is refused before
anything is read, and that what we do not do is said. What a picture looks like is decided in
``edge.pixels``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Final, Literal

from aiohttp import hdrs

from edge.dicomweb.responses import Refused
from edge.dicomweb.transactions import Parameter
from edge.pixels.presentation import Presentation, Region, Viewport, Window

__all__ = [
    "LONGEST_SIDE",
    "MOST_PIXELS",
    "RENDERED_PARAMETERS",
    "THUMBNAIL",
    "THUMBNAIL_PARAMETERS",
    "annotation_headers",
    "decimal",
    "integer",
    "presentation_of",
    "quality_of",
    "size_of",
    "window_of",
]

MOST_PIXELS: Final = 1 << 25
"""Of a viewport."""
LONGEST_SIDE: Final = 1 << 16
"""Beyond every image: as a length of a region it means "to the edge"."""
THUMBNAIL: Final = Viewport(200, 200)

_ICC: Final = ("no", "yes", "srgb", "adobergb", "rommrgb")
_FUNCTIONS: Final[Mapping[str, Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"]]] = {
    "linear": "LINEAR",
    "linear-exact": "LINEAR_EXACT",
    "sigmoid": "SIGMOID",
}
_DECIMAL = re.compile(r"[+-]?([0-9]{1,16}(\.[0-9]{0,16})?|\.[0-9]{1,16})([eE][+-]?[0-9]{1,2})?")
_INTEGER = re.compile(r"[0-9]{1,9}")
_WORD = re.compile(r"[A-Za-z0-9_.-]{1,32}")

THUMBNAIL_PARAMETERS: Final = (Parameter("viewport"),)
RENDERED_PARAMETERS: Final = (
    *THUMBNAIL_PARAMETERS,
    Parameter("window"),
    Parameter("quality", "xs:positiveInteger"),
    Parameter("iccprofile", options=_ICC),
)
"""Without ``annotation``: what is done for it is to say that it is not done."""


def presentation_of(query: Mapping[str, str]) -> Presentation:
    """What is asked of a rendered picture, but for its media type.

    Raises:
        Refused: 400, one of the parameters is not valid.
    """
    icc = _icc(query.get("iccprofile", "no"))
    return Presentation(
        window=_window(query["window"]) if "window" in query else None,
        viewport=_viewport(query["viewport"]) if "viewport" in query else None,
        quality=quality_of(query.get("quality", "90"), "quality"),
        icc_profile=icc,
    )


def annotation_headers(query: Mapping[str, str]) -> dict[str, str]:
    """What is said of annotations that were asked for: none is burned in (PS3.18 8.3.5.1.1).

    Raises:
        Refused: 400, the parameter has no value.
    """
    text = query.get("annotation")
    if text is None:
        return {}
    words = [word for word in text.split(",") if _WORD.fullmatch(word)]
    if not text.strip(","):
        raise Refused(400, "annotation has no value", hint="patient, technique, or both")
    said = f"The following annotation values are not supported: {', '.join(words[:8])}"
    return {hdrs.WARNING: f'299 edge "{said}"'}


def window_of(center: str, width: str, function: str, name: str) -> Window:
    """A window (PS3.3 C.11.2.1.2).

    Raises:
        Refused: 400.
    """
    kind = _FUNCTIONS.get(function.lower())
    if kind is None:
        raise Refused(400, f"the function of {name} is none of {', '.join(_FUNCTIONS)}")
    found = Window(decimal(center, name), decimal(width, name), kind)
    if found.width < 1 if kind == "LINEAR" else found.width <= 0:
        raise Refused(400, f"the width of {name} is too small for this function")
    return found


def size_of(width: int, height: int, name: str) -> tuple[int, int]:
    """A size that a picture may have.

    Raises:
        Refused: 400.
    """
    if width < 1 or height < 1 or width * height > MOST_PIXELS:
        raise Refused(
            400,
            f"{name} is no size that a picture can have",
            hint=f"from 1 to {MOST_PIXELS} pixels altogether",
        )
    return width, height


def quality_of(text: str, name: str) -> int:
    """The quality of a lossy picture, 1 to 100.

    Raises:
        Refused: 400.
    """
    value = integer(text, name)
    if not 1 <= value <= 100:
        raise Refused(400, f"{name} is not from 1 to 100")
    return value


def integer(text: str, name: str) -> int:
    """A number without sign.

    Raises:
        Refused: 400.
    """
    if not _INTEGER.fullmatch(text):
        raise Refused(400, f"{name} is not an integer")
    return int(text)


def decimal(text: str, name: str) -> float:
    """A number that may have a sign, a fraction and an exponent.

    Raises:
        Refused: 400.
    """
    value = float(text) if _DECIMAL.fullmatch(text) else math.nan
    if not math.isfinite(value):
        raise Refused(400, f"{name} is not a number")
    return value


def _window(text: str) -> Window:
    parts = text.split(",")
    if len(parts) != 3:
        raise Refused(400, "window is not understood", hint="center,width,function")
    center, width, function = parts
    return window_of(center, width, function, "window")


def _viewport(text: str) -> Viewport:
    """``vw,vh`` or ``vw,vh,sx,sy,sw,sh``; of the last four, each may be left out (8.3.5.1.3)."""
    parts = text.split(",")
    if not 2 <= len(parts) <= 6:
        raise Refused(400, "viewport is not understood", hint="vw,vh or vw,vh,sx,sy,sw,sh")
    width, height = (integer(part, "viewport") for part in parts[:2])
    size_of(width, height, "viewport")
    source = parts[2:] + [""] * (6 - len(parts))
    return Viewport(width, height, _region(source) if any(source) else None)


def _region(parts: Sequence[str]) -> Region:
    defaults = (0, 0, LONGEST_SIDE, LONGEST_SIDE)
    found = Region(
        *(
            decimal(part, "viewport") if part else float(default)
            for part, default in zip(parts, defaults, strict=True)
        )
    )
    sides = (abs(found.width), abs(found.height))
    if min(found.left, found.top) < 0 or not all(0 < side <= LONGEST_SIDE for side in sides):
        raise Refused(400, "the region of viewport is none")
    if max(found.left, found.top) >= LONGEST_SIDE:
        raise Refused(400, "the region of viewport lies outside of every image")
    return found


def _icc(text: str) -> Literal["no", "yes", "srgb", "adobergb", "rommrgb"]:
    match text:
        case "no" | "yes" | "srgb" | "adobergb" | "rommrgb":
            return text
    raise Refused(400, f"iccprofile is none of {', '.join(_ICC)}")
