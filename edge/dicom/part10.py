"""The envelope of a DICOM file (PS3.10 7.1): preamble, ``DICM`` and group 0002.

Owns how the edge writes that envelope, and how it reads those of others. It is written once per
instance, when the instance comes in without one (over DIMSE), and never again: archives compare
whole files. The same arguments give the same bytes. Nothing here reads or writes a data set.
"""

from __future__ import annotations

import struct
from typing import Final

from edge.dicom.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from edge.errors import NotDicom

__all__ = ["PREAMBLE", "FileMetaReader", "file_meta"]

PREAMBLE = bytes(128) + b"DICM"
"""What a file begins with: 128 zeros (a preamble can hide another file format) and the prefix."""

_MOST_META: Final = 1024**2
"""Bytes of the largest envelope that is read; real ones have a few hundred."""
_LONG_VRS: Final = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV"}) | frozenset(
    {b"UC", b"UN", b"UR", b"UT", b"UV"}
)

_SHORT = struct.Struct("<HH2sH")
_LONG = struct.Struct("<HH2sxxI")


def file_meta(
    *,
    sop_class_uid: str,
    sop_uid: str,
    transfer_syntax: str,
    source_ae: str = "",
    receiving_ae: str = "",
) -> bytes:
    """Preamble, prefix and File Meta Information, in explicit VR little endian (PS3.10 7.1).

    Args:
        sop_class_uid: Media Storage SOP Class UID (0002,0002).
        sop_uid: Media Storage SOP Instance UID (0002,0003).
        transfer_syntax: Of the data set that follows (0002,0010).
        source_ae: Source Application Entity Title (0002,0016); left out if empty.
        receiving_ae: Receiving Application Entity Title (0002,0018); left out if empty.

    Returns:
        The bytes before the first byte of the data set.

    Raises:
        ValueError: A value is not ASCII, or longer than 64 characters: the caller has checked UIDs
            and AE titles before.
    """
    elements = [
        _LONG.pack(2, 0x0001, b"OB", 2) + b"\x00\x01",
        _element(0x0002, b"UI", sop_class_uid),
        _element(0x0003, b"UI", sop_uid),
        _element(0x0010, b"UI", transfer_syntax),
        _element(0x0012, b"UI", IMPLEMENTATION_CLASS_UID),
        _element(0x0013, b"SH", IMPLEMENTATION_VERSION_NAME),
    ]
    if source_ae:
        elements.append(_element(0x0016, b"AE", source_ae))
    if receiving_ae:
        elements.append(_element(0x0018, b"AE", receiving_ae))
    body = b"".join(elements)
    return PREAMBLE + _SHORT.pack(2, 0x0000, b"UL", 4) + struct.pack("<I", len(body)) + body


def _element(number: int, vr: bytes, text: str) -> bytes:
    """One element of group 0002, padded to even length (UIDs with NUL, text with a space)."""
    value = text.encode("ascii")
    if len(value) > 64:
        raise ValueError(f"value of (0002,{number:04X}) is longer than 64 characters")
    if len(value) % 2:
        value += b"\x00" if vr == b"UI" else b" "
    return _SHORT.pack(2, number, vr, len(value)) + value


class FileMetaReader:
    """Reads the envelope of a stream that arrives in pieces.

    The group ends where an element of another group follows. Its length (0002,0000) is not used:
    some writers leave it out or count wrong.
    """

    __slots__ = ("_head", "_need", "_pos", "length", "rest", "values")

    def __init__(self) -> None:
        self.values: dict[int, str] = {}
        """Text of the elements by element number, without padding; the first of a kind counts."""
        self.length = 0
        """Bytes of the whole envelope, once `feed` has said True."""
        self.rest = b""
        """What was fed and belongs to the data set."""
        self._head = bytearray()
        self._pos = len(PREAMBLE)
        self._need = len(PREAMBLE)

    def feed(self, data: bytes | bytearray | memoryview) -> bool:
        """Take the next few bytes.

        Returns:
            Whether the envelope is complete.

        Raises:
            NotDicom: There is no ``DICM``, no group 0002, or it has no end.
        """
        self._head += data
        while len(self._head) >= self._need:
            if self._pos == len(PREAMBLE) and self._head[128:132] != PREAMBLE[128:]:
                raise NotDicom(
                    "there is no DICM prefix behind a preamble of 128 bytes",
                    hint="write it as a file, with its preamble and file meta (PS3.10 7.1)",
                )
            if self._need > _MOST_META:
                break
            if self._read_element():
                self.length = self._pos
                self.rest = bytes(self._head[self._pos :])
                self._head.clear()
                return True
        if self._need > _MOST_META:
            raise NotDicom("the file meta information is too large to be true")
        return False

    def _read_element(self) -> bool:
        """Read the next element, or say how many bytes that takes; True if there is none."""
        head, pos = self._head, self._pos
        if len(head) < pos + 8:
            self._need = pos + 8
            return False
        group, number, vr, length = _SHORT.unpack_from(head, pos)
        if group != 2 or not (vr.isalpha() and vr.isupper()):
            if pos == len(PREAMBLE):
                raise NotDicom("there is no file meta information")
            return True
        start = pos + 8
        if vr in _LONG_VRS:
            start = pos + 12
            if len(head) < start:
                self._need = start
                return False
            (length,) = struct.unpack_from("<I", head, pos + 8)
        if len(head) < start + length:
            self._need = start + length
            return False
        value = bytes(head[start : start + length])
        if vr not in _LONG_VRS and number:
            self.values.setdefault(number, value.decode("latin_1").strip("\0 "))
        self._pos = self._need = start + length
        return False
