"""Elements that were met before: the images of a series repeat most of each other, byte for byte.

Owns what they became in the JSON model, so that a walk over the next image need not understand them
again. An element is found by all of its bytes, so what is found is what would have come out.
Bounded: when there are too many, all are forgotten.
"""

from __future__ import annotations

from typing import Final

from edge.dicom.charset import TextDecoder
from edge.dicom.codec import Codec
from edge.dicom.json_model import JsonElement

__all__ = ["Familiar"]

_MOST: Final = 4096
_LONGEST: Final = 128
"""Bytes of an element; longer ones seldom come again."""


class Familiar:
    """Plain elements of the data sets that are scanned with it, one after another or in turns."""

    __slots__ = ("elements", "following")

    def __init__(self) -> None:
        self.elements: dict[bytes, tuple[int, str, JsonElement, int, Codec, TextDecoder]] = {}
        """Bytes of an element -> tag, JSON key, element, cost, and how it was read. What stands in
        several models is not to be changed."""
        self.following: dict[int, int] = {}
        """Tag -> bytes of the element that came after it last time."""

    def meet(
        self,
        previous: int,
        raw: bytes,
        meaning: tuple[int, str, JsonElement, int, Codec, TextDecoder],
    ) -> None:
        """Remember an element, and that it came after the tag *previous*."""
        if len(raw) > _LONGEST:
            return
        if max(len(self.elements), len(self.following)) >= _MOST:
            self.elements.clear()
            self.following.clear()
        self.elements[raw] = meaning
        self.following[previous] = len(raw)
