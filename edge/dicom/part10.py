"""The envelope of a DICOM file (PS3.10 7.1): preamble, ``DICM`` and group 0002.

Owns how the edge writes that envelope. It is written once per instance, when the instance comes in
without one (over DIMSE), and never again: archives compare whole files. The same arguments give the
same bytes. Nothing here reads or writes a data set.
"""

from __future__ import annotations

import struct

from edge.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

__all__ = ["PREAMBLE", "file_meta"]

PREAMBLE = bytes(128) + b"DICM"
"""What a file begins with: 128 zeros (a preamble can hide another file format) and the prefix."""

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
