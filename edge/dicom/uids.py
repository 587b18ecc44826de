"""UIDs: which are well formed, which name storage, how a transfer syntax encodes a data set."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

__all__ = [
    "DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN",
    "EXPLICIT_VR_BIG_ENDIAN",
    "EXPLICIT_VR_LITTLE_ENDIAN",
    "IMPLICIT_VR_LITTLE_ENDIAN",
    "KEY_OBJECT_SELECTION",
    "VERIFICATION",
    "Encoding",
    "encoding_of",
    "hide_uids",
    "is_storage_sop_class",
    "is_uid",
]

IMPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2"
EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1.99"
EXPLICIT_VR_BIG_ENDIAN = "1.2.840.10008.1.2.2"
GE_PRIVATE_IMPLICIT_VR = "1.2.840.113619.5.2"
"""Implicit VR little endian data set around big endian pixels; seen from older GE scanners."""

VERIFICATION = "1.2.840.10008.1.1"
KEY_OBJECT_SELECTION = "1.2.840.10008.5.1.4.1.1.88.59"

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_DOTTED = re.compile(r"(?<![0-9.])[0-9]+(?:\.[0-9]+){2,}")
_STANDARD_ROOT = "1.2.840.10008."
_STORAGE_ROOT = "1.2.840.10008.5.1.4.1.1."
_NOT_STORAGE = frozenset(
    _STORAGE_ROOT + suffix
    # Query/retrieve and inventory services that share the root of the storage classes.
    for suffix in (
        "200.4",
        "200.5",
        "200.6",
        "201.2",
        "201.3",
        "201.4",
        "201.5",
        "201.6",
    )
)
_STORAGE_ELSEWHERE = frozenset(
    {
        "1.2.840.10008.5.1.4.34.7",  # RT Beams Delivery Instruction
        "1.2.840.10008.5.1.4.34.10",  # RT Brachy Application Setup Delivery Instruction
        # Retired ones.
        "1.2.840.10008.5.1.1.27",
        "1.2.840.10008.5.1.1.29",
        "1.2.840.10008.5.1.1.30",
        "1.2.840.10008.5.1.4.34.1",
    }
)


def is_uid(text: str) -> bool:
    """Whether *text* has the form of a UID (PS3.5 9.1): digits and dots, 64 at the most.

    Leading zeros in a component are let through: real devices send them.
    """
    return len(text) <= 64 and _UID.fullmatch(text) is not None


def hide_uids(text: str, instead: Callable[[str], str] = lambda _: "UID") -> str:
    """A text for the log, in which no UID leads to a patient.

    Addresses and versions stay: a UID is what has five components or more, begins as UUIDs do
    (PS3.5 B.2), or has four that are no address of IP version 4.

    Args:
        text: May hold some.
        instead: What stands in the place of one.
    """
    return _DOTTED.sub(lambda it: instead(it[0]) if _is_name(it[0]) else it[0], text)


def _is_name(dotted: str) -> bool:
    parts = dotted.split(".")
    if len(parts) == 4:
        return dotted.startswith("2.25.") or any(len(part) > 3 or int(part) > 255 for part in parts)
    return len(parts) > 4 or dotted.startswith("2.25.")


def is_storage_sop_class(uid: str) -> bool:
    """Whether a C-STORE of this SOP class is taken (PS3.4 B.5).

    Standard storage classes, retired ones too, and everything outside the Standard's own root: a
    private SOP class that a peer proposes to us can only be meant for storage. Non-patient objects
    (PS3.4 GG) are another service class and are not taken.
    """
    if not is_uid(uid):
        return False
    if not uid.startswith(_STANDARD_ROOT):
        return True
    if uid in _STORAGE_ELSEWHERE:
        return True
    return uid.startswith(_STORAGE_ROOT) and uid not in _NOT_STORAGE


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a transfer syntax encodes the data set (PS3.5 10)."""

    implicit_vr: bool = False
    little_endian: bool = True
    deflated: bool = False
    encapsulated: bool = False
    """Pixel Data is a sequence of fragments (PS3.5 A.4)."""


_NATIVE = {
    IMPLICIT_VR_LITTLE_ENDIAN: Encoding(implicit_vr=True),
    GE_PRIVATE_IMPLICIT_VR: Encoding(implicit_vr=True),
    EXPLICIT_VR_LITTLE_ENDIAN: Encoding(),
    EXPLICIT_VR_BIG_ENDIAN: Encoding(little_endian=False),
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN: Encoding(deflated=True),
    # JPIP Referenced Deflate and its HTJ2K kin (PS3.5 A.6, A.7).
    "1.2.840.10008.1.2.4.95": Encoding(deflated=True),
    "1.2.840.10008.1.2.4.205": Encoding(deflated=True),
}
_ENCAPSULATED = Encoding(encapsulated=True)


def encoding_of(transfer_syntax: str) -> Encoding:
    """The encoding of a transfer syntax.

    One that we don't know is explicit VR little endian, and perhaps encapsulated: the length of
    Pixel Data tells (PS3.5 A.4: every encapsulated syntax is encoded so).
    """
    return _NATIVE.get(transfer_syntax, _ENCAPSULATED)
