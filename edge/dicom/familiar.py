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
_MOST_MEMORY: Final = 8 * 1024**2
"""Bytes that all may take together, as estimated."""
_LONGEST: Final = 128
"""Bytes of an element; longer ones seldom come again."""
_LONGEST_SEQUENCE: Final = 1024
"""Of a sequence, with all that is in it."""


class Familiar:
    """Plain elements, and short sequences of them, of the data sets that are scanned with it.

    These may be scanned one after another or in turns.
    """

    __slots__ = ("_memory", "elements", "following")

    def __init__(self) -> None:
        self.elements: dict[bytes, tuple[int, str, JsonElement, int, Codec, TextDecoder]] = {}
        """Bytes of an element -> tag, JSON key, element, cost (that of a sequence less than 0), and
        how it was read. What stands in several models is not to be changed."""
        self.following: dict[int, int] = {}
        """Tag -> bytes of the element that came after it last time."""
        self._memory = 0

    def meet(
        self,
        previous: int,
        raw: bytes,
        meaning: tuple[int, str, JsonElement, int, Codec, TextDecoder],
    ) -> None:
        """Remember an element, and that it came after the tag *previous*."""
        cost = meaning[3]
        if len(raw) > (_LONGEST if cost >= 0 else _LONGEST_SEQUENCE):
            return
        self._memory += abs(cost)
        most = max(len(self.elements), len(self.following))
        if most >= _MOST or self._memory > _MOST_MEMORY:
            self.elements.clear()
            self.following.clear()
            self._memory = abs(cost)
        self.elements[raw] = meaning
        self.following[previous] = len(raw)
