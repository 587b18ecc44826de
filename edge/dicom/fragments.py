"""The fragments of one encapsulated value, noted while they pass by (PS3.5 A.4).

Owns what is needed later to find the frames: the length of every fragment, which of them begin
with the start marker of a codestream, and the Basic Offset Table. It never holds a fragment.
"""

from __future__ import annotations

from array import array
from typing import Final

from edge.dicom.frames import BulkValue
from edge.errors import NotDicom

__all__ = ["TABLE_BYTES", "Fragments"]

TABLE_BYTES: Final = 8 * 1024**2
"""The largest offset table that is held: a million frames of 64 bits."""

_ITEM: Final = b"\xfe\xff\x00\xe0"
_DELIMITER: Final = b"\xfe\xff\xdd\xe0"
_UNDEFINED: Final = b"\xff\xff\xff\xff"
_MARKERS: Final = (
    b"\xff\xd8\xff",  # JPEG, JPEG-LS: SOI
    b"\xff\x4f\xff\x51",  # JPEG 2000, HTJ2K: SOC, SIZ
    b"\xff\x0a",  # JPEG XL codestream
    b"\x00\x00\x00\x0c",  # JPEG XL and JP2 containers
)


class Fragments:
    """One walk over an encapsulated value, from behind the element's header to its delimiter.

    Args:
        vr: Of the element.
        start: Position of the first item tag, which is that of the offset table.
        most: So many fragments are too many.
    """

    __slots__ = ("_most", "first", "lengths", "opening", "start", "table", "value", "vr")

    def __init__(self, vr: str, start: int, most: int) -> None:
        self.vr = vr
        self.start = start
        self.first = -1
        """Position of the first fragment's item tag, behind the offset table."""
        self.table = b""
        """The Basic Offset Table; empty if there is none, or it is too large to be true."""
        self.lengths: array[int] = array("I")
        self.opening: array[int] = array("I")
        """Indices of fragments that begin with a start marker."""
        self.value: BulkValue | None = None
        """Set when the delimiter was seen."""
        self._most = most

    def step(self, window: bytes, pos: int, base: int) -> tuple[int, int]:
        """Walk over one item, or the delimiter.

        Args:
            window: Some bytes of the stream.
            pos: Where in them the item begins.
            base: Position of the window's first byte in the stream.

        Returns:
            The position behind the item, perhaps past the window's end; and 0, or how many bytes
            must be there from ``pos`` on before anything can be said.

        Raises:
            NotDicom: There is something else than items, or too many of them.
        """
        available = len(window) - pos
        if available < 8:
            return pos, 8
        tag, size = window[pos : pos + 4], window[pos + 4 : pos + 8]
        if tag == _DELIMITER:
            self.value = BulkValue(self.vr, self.start, base + pos - self.start, encapsulated=True)
            return pos + 8, 0
        if tag != _ITEM or size == _UNDEFINED:
            raise NotDicom("encapsulated pixel data has something else than fragments")
        length = int.from_bytes(size, "little")
        wanted = min(length, 4)
        if self.first < 0:
            wanted = length if length <= TABLE_BYTES else 0
        if available < 8 + wanted:
            return pos, 8 + wanted
        if self.first < 0:
            self.first = base + pos + 8 + length
            self.table = window[pos + 8 : pos + 8 + wanted]
        else:
            if window.startswith(_MARKERS, pos + 8, pos + 8 + wanted):
                self.opening.append(len(self.lengths))
            self.lengths.append(length)
            if len(self.lengths) > self._most:
                raise NotDicom("encapsulated pixel data has too many fragments")
        return pos + 8 + length, 0
