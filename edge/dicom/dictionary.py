"""What a tag means when the stream does not say it: the data dictionary of PS3.6.

Owns the lookups that decoding needs, made once from pydicom's tables and never changed after: the
JSON key and VR of each standard attribute, repeating groups, and the private attributes that
pydicom knows. It knows nothing of values.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from pydicom._dicom_dict import DicomDictionary
from pydicom._private_dict import private_dictionaries
from pydicom.datadict import dictionary_VR as pydicom_vr
from pydicom.datadict import mask_match, repeater_has_tag

__all__ = ["KEYS", "VRS", "creator_of", "private_vr", "vr_of"]

KEYS: Final[Mapping[int, str]] = {tag: f"{tag:08X}" for tag in DicomDictionary}
"""The JSON key of every attribute in the dictionary (a plain dict: it is read per element)."""

VRS: Final[Mapping[int, str]] = MappingProxyType(
    {tag: str(entry[0]) for tag, entry in DicomDictionary.items() if entry[0] != "NONE"}
)
"""The VR of each; may be ambiguous, such as ``US or SS``."""


def vr_of(tag: int, elements: Mapping[str, Any]) -> str:
    """The VR of an element whose VR is not in the stream, or is UN there.

    Args:
        tag: Group and element number as one 32-bit number.
        elements: The JSON model of the data set or item that the element stands in, as far as it
            is known: private creators are looked up in it (PS3.5 7.8.1).

    Returns:
        A VR, an ambiguous one (``US or SS``, ``OB or OW``, ``US or OW``, ``US or SS or OW``), or
        ``UN``.
    """
    if (known := VRS.get(tag)) is not None:
        return known
    element = tag & 0xFFFF
    if not element:
        return "UL"  # a group length (PS3.5 7.2)
    if not tag >> 16 & 1:
        repeats = mask_match(tag) and repeater_has_tag(tag)
        return str(pydicom_vr(tag)) if repeats else "UN"
    if 0x0010 <= element < 0x0100:
        return "LO"  # a private creator
    return private_vr(tag, creator_of(tag, elements))


def creator_of(tag: int, elements: Mapping[str, Any]) -> str:
    """The private creator that reserved the block of a private element; empty if none did."""
    creator = elements.get(f"{tag >> 16:04X}00{tag >> 8 & 0xFF:02X}")
    if not isinstance(creator, dict):
        return ""
    values = creator.get("Value") or [""]
    return values[0] if isinstance(values[0], str) else ""


def private_vr(tag: int, creator: str) -> str:
    """The VR of a private element by its creator; ``UN`` if pydicom's table has no such element."""
    table = private_dictionaries.get(creator)
    if table is None:
        return "UN"
    group, element = f"{tag >> 16:04X}", f"{tag & 0xFFFF:04X}"
    for key in (f"{group}xx{element[2:]}", f"{group}{element}", f"{group[:2]}xxxx{element[2:]}"):
        if (entry := table.get(key)) is not None:
            return str(entry[0]).replace("OB_OW", "OB or OW")
    return "UN"
