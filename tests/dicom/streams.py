"""Streams written byte by byte, as no library would write them."""

from __future__ import annotations

import struct

from edge.dicom.part10 import file_meta
from edge.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN

UNDEFINED = 0xFFFFFFFF
LONG_VRS = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV ZZ".split())

STUDY, SERIES, SOP, SOP_CLASS = "1.2.3.5", "1.2.3.6", "1.2.3.4", "1.2.840.10008.5.1.4.1.1.7"


def element(tag: int, vr: bytes, value: bytes = b"", length: int | None = None) -> bytes:
    """Explicit VR little endian; the length may lie."""
    length = len(value) if length is None else length
    if vr in LONG_VRS:
        return struct.pack("<HH2sxxI", tag >> 16, tag & 0xFFFF, vr, length) + value
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, length) + value


def implicit(tag: int, value: bytes = b"", length: int | None = None) -> bytes:
    """Implicit VR little endian."""
    length = len(value) if length is None else length
    return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, length) + value


ITEM_END = implicit(0xFFFEE00D)
SEQUENCE_END = implicit(0xFFFEE0DD)


def item(content: bytes = b"", *, undefined: bool = False) -> bytes:
    """An item of a sequence, or a fragment."""
    if undefined:
        return implicit(0xFFFEE000, content, UNDEFINED) + ITEM_END
    return implicit(0xFFFEE000, content)


def sequence(tag: int, *items: bytes, vr: bytes = b"SQ", undefined: bool = False) -> bytes:
    """A sequence in explicit VR."""
    content = b"".join(items)
    if undefined:
        return element(tag, vr, content, UNDEFINED) + SEQUENCE_END
    return element(tag, vr, content)


def uid(tag: int, text: str) -> bytes:
    """A UID, padded as it should be."""
    return element(tag, b"UI", text.encode() + b"\0" * (len(text) % 2))


def part10(dataset: bytes, transfer_syntax: str = EXPLICIT_VR_LITTLE_ENDIAN) -> bytes:
    """A file around a data set."""
    return (
        file_meta(sop_class_uid=SOP_CLASS, sop_uid=SOP, transfer_syntax=transfer_syntax) + dataset
    )


def instance(
    middle: bytes = b"", end: bytes = b"", transfer_syntax: str = EXPLICIT_VR_LITTLE_ENDIAN
) -> bytes:
    """A whole file: ``middle`` stands between group 0008 and 0020, ``end`` behind."""
    front = uid(0x00080016, SOP_CLASS) + uid(0x00080018, SOP)
    names = uid(0x0020000D, STUDY) + uid(0x0020000E, SERIES)
    return part10(front + middle + names + end, transfer_syntax)


def implicit_instance(middle: bytes = b"", end: bytes = b"") -> bytes:
    """The same in implicit VR."""
    front = implicit(0x00080016, SOP_CLASS.encode() + b"\0") + implicit(0x00080018, SOP.encode())
    names = implicit(0x0020000D, STUDY.encode()) + implicit(0x0020000E, SERIES.encode())
    return part10(front + middle + names + end, IMPLICIT_VR_LITTLE_ENDIAN)
