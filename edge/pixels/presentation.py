"""How a picture is wanted (PS3.18 8.3.5), and what it is when it is made.

Values only: they travel from the door to the worker, and name pictures in the cache.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["MEDIA_TYPES", "Picture", "Presentation", "Region", "Viewport", "Window"]

MEDIA_TYPES: Final = ("image/jpeg", "image/png", "image/gif")
"""That frames are rendered to; the first is the default (PS3.18 8.7.4)."""

Function = Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"]


@dataclass(frozen=True, slots=True)
class Window:
    """Center, width and function (PS3.3 C.11.2.1.2)."""

    center: float
    width: float
    function: Function = "LINEAR"


@dataclass(frozen=True, slots=True)
class Region:
    """A part of the stored image, in its pixels; a negative size mirrors it."""

    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Viewport:
    """The picture fits into so many pixels, its shape kept."""

    width: int
    height: int
    source: Region | None = None
    """What of the image is shown; None means all."""


@dataclass(frozen=True, slots=True)
class Presentation:
    """What a client asked for; what it left out is for the data set to say.

    ``quality`` is 1 to 100 and counts for JPEG only.
    """

    media_type: str = MEDIA_TYPES[0]
    window: Window | None = None
    viewport: Viewport | None = None
    quality: int = 90
    icc_profile: Literal["no", "yes", "srgb", "adobergb", "rommrgb"] = "no"


@dataclass(frozen=True, slots=True)
class Picture:
    """A rendered picture; its size is in pixels."""

    media_type: str
    data: bytes
    width: int
    height: int
