"""Rejection notes: Key Object Selections that say which instances shall not be used any more.

IHE Radiology, Imaging Object Change Management, transaction RAD-66. The title of the document
(Concept Name Code, PS3.16 CID 7011) says why; what it is about stands in the Current Requested
Procedure Evidence Sequence (PS3.3 C.17.2.3).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from edge.dicom.uids import KEY_OBJECT_SELECTION, is_uid

__all__ = ["Rejection", "Title", "rejection_in"]

_TITLE, _CODE, _SCHEME = "0040A043", "00080100", "00080102"
_EVIDENCE, _SERIES, _INSTANCES, _SOP_UID = "0040A375", "00081115", "00081199", "00081155"


class Title(StrEnum):
    """Why instances are rejected (DCM)."""

    QUALITY = "113001"
    PATIENT_SAFETY = "113037"
    WRONG_WORKLIST_ENTRY = "113038"
    EXPIRED = "113039"
    """Their time is over: even the note is of no use to anybody any more."""


_TITLES = frozenset(title.value for title in Title)


@dataclass(frozen=True, slots=True)
class Rejection:
    """What a note says."""

    title: Title
    sop_uids: frozenset[str]
    """The instances that it rejects."""


def rejection_in(sop_class_uid: str, attributes: Mapping[str, Any]) -> Rejection | None:
    """What an instance rejects; None if it is no rejection note.

    Args:
        sop_class_uid: Of the instance.
        attributes: Its data set, DICOM JSON. Whatever is strange in it is passed over.
    """
    if sop_class_uid != KEY_OBJECT_SELECTION:
        return None
    for title in _items(attributes, _TITLE):
        code = _value(title, _CODE)
        if _value(title, _SCHEME) == "DCM" and code in _TITLES:
            found = {
                uid
                for study in _items(attributes, _EVIDENCE)
                for series in _items(study, _SERIES)
                for instance in _items(series, _INSTANCES)
                if is_uid(uid := _value(instance, _SOP_UID))
            }
            return Rejection(Title(code), frozenset(found))
    return None


def _items(dataset: Mapping[str, Any], tag: str) -> Iterator[Mapping[str, Any]]:
    element = dataset.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    for item in values if isinstance(values, list) else ():
        if isinstance(item, dict):
            yield item


def _value(item: Mapping[str, Any], tag: str) -> str:
    element = item.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    first = values[0] if isinstance(values, list) and values else ""
    return first if isinstance(first, str) else ""
