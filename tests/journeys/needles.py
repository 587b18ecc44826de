"""What must stand nowhere, in every form that somebody would recognise, and the search for it.

Owns the forms: text in UTF-8 and both orders of UTF-16, as URLs and JSON escape it; bytes, and
those of text, in hexadecimal and in Base64 at every alignment; pixels in the other order, too. A
search goes once through what it is given, however many needles there are.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from urllib.parse import quote

import numpy as np
import pydicom

SHORTEST = 6
"""Bytes of a needle; shorter ones stand in any haystack by chance."""
RUN, STEP = 32, 480
"""Bytes of pixels, and from one run to the next: no longer piece can hide between two."""
STANDARD = "1.2.840.10008."
"""UIDs of DICOM itself say nothing of anybody."""
_TEXT = {"PN", "LO", "SH", "LT", "ST", "UT", "UI", "DS"}
_SAID_BY_ALL = 8
"""Characters of a value that may not be anybody's word as well."""
_PIECE = 16 * 1024**2


@dataclass
class Needles:
    """Whatever was sent, typed or shown."""

    forms: dict[bytes, str] = field(default_factory=dict)
    """Needle -> what it is."""

    def text(self, what: str, *texts: str) -> None:
        """Texts; *what* they are is told of those that are found."""
        for text in texts:
            assert len(text.encode()) >= SHORTEST, f"{what} can't be searched for: {text!r}"
            self.bytes(f"{what} {text!r}", text.encode())
            for encoding in ("utf-16-le", "utf-16-be"):
                self._add(f"{what} {text!r} in {encoding}", text.encode(encoding))
            for form in (quote(text, safe=""), ascii(text)[1:-1]):
                self._add(f"{what} {text!r} as {form!r}", form.encode())

    def bytes(self, what: str, value: bytes) -> None:
        """Bytes that are no text: keys, pixels."""
        self._add(what, value)
        for how, written in (("hex", value.hex()), ("HEX", value.hex().upper())):
            self._add(f"{what} in {how}", written.encode())
        for shift in range(3):
            # Of what the characters at both ends say, other bytes have a part.
            coded = base64.b64encode(bytes(shift) + value)
            inner = coded[-(-shift * 8 // 6) : (shift + len(value)) * 8 // 6]
            self._add(f"{what} in Base64", inner)
            self._add(f"{what} in Base64 of URLs", inner.translate(_FOR_URLS))

    def instance(self, part10: bytes, step: int = STEP) -> bytes:
        """All that an instance says of anybody, and its pixels."""
        dataset = pydicom.dcmread(io.BytesIO(part10))
        self.dataset(dataset)
        pixels = dataset.PixelData
        for at in range(0, len(pixels) - RUN, step):
            run = pixels[at : at + RUN]
            if len(set(run)) > RUN // 4:
                self.bytes("pixels", run)
                self._add("pixels, swapped", swapped(run))
        return part10

    def dataset(self, dataset: pydicom.Dataset) -> None:
        """All that a data set says of anybody."""
        for element in dataset.iterall():
            if element.VR in _TEXT and element.value:
                values = element.value if element.VM > 1 else [element.value]
                for text in map(str, values):
                    if len(text) >= _SAID_BY_ALL and not text.startswith(STANDARD):
                        self.text(element.keyword or str(element.tag), text)
                    if element.VR == "PN":
                        parts = text.replace("=", "^").split("^")
                        long = (part for part in parts if len(part.encode()) >= SHORTEST)
                        self.text("part of a name", *long)

    def _add(self, what: str, needle: bytes) -> None:
        if len(needle) >= SHORTEST:
            self.forms.setdefault(needle, what)

    def found_in(self, pieces: Iterable[bytes | memoryview]) -> set[str]:
        """What of it stands in any of these; nothing is looked for over the seam of two."""
        begins: dict[bytes, list[bytes]] = {}
        table = np.zeros(1 << 24, dtype=bool)
        for needle in self.forms:
            begins.setdefault(needle[:3], []).append(needle)
            table[needle[0] | needle[1] << 8 | needle[2] << 16] = True
        found: set[str] = set()
        longest = max(map(len, self.forms), default=0)
        for piece in pieces:
            for start in range(0, len(piece), _PIECE):
                part = bytes(piece[start : start + _PIECE + longest])
                for at in _candidates(part, table):
                    for needle in begins[part[at : at + 3]]:
                        if part.startswith(needle, at):
                            found.add(self.forms[needle])
        return found


def _candidates(data: bytes, table: np.ndarray) -> Iterator[int]:
    """Where a needle may begin, by its first three bytes."""
    if len(data) < SHORTEST:
        return iter(())
    values = np.frombuffer(data, dtype=np.uint8).astype(np.uint32)
    codes = values[:-2] | values[1:-1] << 8 | values[2:] << 16
    return iter(np.flatnonzero(table[codes]).tolist())


def swapped(data: bytes) -> bytes:
    """Words of 16 bits in the other order."""
    return np.frombuffer(data, dtype=np.uint16).byteswap().tobytes()


_FOR_URLS = bytes.maketrans(b"+/", b"-_")
