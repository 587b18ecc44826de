"""Which attributes belong to which level, and how the searchable ones are drawn from DICOM JSON.

The lists follow the modules of the composite IODs (PS3.3 C.7.1 to C.7.3); what is in none of them
is an attribute of the instance.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

from edge.dicom.names import fold_name, sound_of, words_of

__all__ = [
    "PATIENT_TAGS",
    "PERSON_NAMES",
    "SERIES_TAGS",
    "STUDY_TAGS",
    "Attributes",
    "NameKind",
    "date",
    "number",
    "person_names",
    "priority",
    "select",
    "text",
    "values",
]

Attributes = Mapping[str, Any]
"""DICOM JSON of one data set: tag -> {"vr": …, "Value": […]}."""

PATIENT_TAGS = frozenset(
    # Patient (C.7.1.1), Clinical Trial Subject
    "00100010 00100020 00100021 00100022 00100024 00100030 00100032 00100040 00100200 00100212 "
    "00101000 00101001 00101002 00102160 00102201 00102203 00102292 00102293 00102297 00104000 "
    "00120010 00120020 00120021 00120030 00120031 00120040 00120062 00120063 00120064".split()
)
"""The index has them with each study, as the study says them."""
STUDY_TAGS = PATIENT_TAGS | frozenset(
    # General Study (C.7.2.1), Patient Study (C.7.2.2), Clinical Trial Study
    "0020000D 00080020 00080030 00080050 00080051 00080090 00080096 0008009C 00080201 00081030 "
    "00081032 00081048 00081049 00081060 00081062 00081080 00081084 00081110 00200010 00321032 "
    "00321033 00101010 00101020 00101030 00102000 00102110 00102180 001021A0 001021B0 001021C0 "
    "00120050 00120051".split()
)
SERIES_TAGS = frozenset(
    # General Series (C.7.3.1), Clinical Trial Series
    "0020000E 00200011 00080060 00080021 00080031 0008103E 0008103F 00081050 00081052 00081070 "
    "00081072 00081111 00180015 00181030 00185100 00200060 00280108 00280109 00400244 00400245 "
    "00400250 00400251 00400253 00400254 00400260 00400275 00120060 00120071 00120072 00321060 "
    # Frame of Reference (C.7.4.1), General Equipment (C.7.5.1)
    "00200052 00201040 00080070 00080080 00080081 00081010 00081040 00081090 00181000 00181020 "
    "00181050 00181200 00181201 00281055".split()
)
PERSON_NAMES = ("00100010", "00080090", "00081060")
"""Patient's Name, Referring Physician's Name, Name of Physician(s) Reading Study."""


class NameKind(StrEnum):
    """What of a person name a row of the index holds."""

    NAME = "NAME"
    """A whole component group, folded."""
    WORD = "WORD"
    SOUND = "SOUND"


_ROUTINE = 3
_PRIORITIES = {"STAT": 1, "HIGH": 2, "LOW": 4}
_MOST = 2**53
"""Beyond it not every whole number is one of floating point; IS ends long before (PS3.5 6.2)."""


def select(attributes: Attributes, tags: Iterable[str]) -> dict[str, Any]:
    """Those of *tags* that are there."""
    return {tag: attributes[tag] for tag in sorted(tags) if tag in attributes}


def values(attributes: Attributes, tag: str) -> list[Any]:
    """The values of an attribute; none if it is absent, or not in the form that it should have.

    What an archive lists, or a device sends, may be anything: it must not keep the rest out.
    """
    attribute = attributes.get(tag)
    found = attribute.get("Value") if isinstance(attribute, dict) else None
    return found if isinstance(found, list) else []


def text(attributes: Attributes, tag: str) -> str:
    """The first value as text; empty if there is none."""
    first = next(iter(values(attributes, tag)), None)
    return str(first) if isinstance(first, str | int | float) else ""


def date(attributes: Attributes, tag: str) -> str:
    """The first value as a date, YYYYMMDD; what was written as before 1993 too (PS3.5 6.2, DA)."""
    return text(attributes, tag).replace(".", "")


def number(attributes: Attributes, tag: str) -> int | None:
    """The first value as a whole number; None if it is none that a column can hold."""
    try:
        found = int(float(text(attributes, tag)))
    except (ValueError, OverflowError):
        return None
    return found if abs(found) < _MOST else None


def priority(attributes: Attributes) -> int:
    """How soon the archive should have an instance: 1 STAT, 2 HIGH, 3 like most, 4 LOW.

    Requested Procedure Priority (0040,1003), which modalities copy from the worklist, some of them
    into the Request Attributes Sequence (0040,0275).
    """
    requests = [one for one in values(attributes, "00400275") if isinstance(one, dict)]
    found = {text(one, "00401003").strip().upper() for one in (attributes, *requests)}
    return (
        min(_PRIORITIES.get(word, _ROUTINE) for word in found if word) if any(found) else _ROUTINE
    )


def person_names(attributes: Attributes) -> set[tuple[str, NameKind, str]]:
    """What every person name that is searched by is found by: (tag, kind, text)."""
    found = set[tuple[str, NameKind, str]]()
    for tag in PERSON_NAMES:
        for group in _component_groups(attributes, tag):
            found.add((tag, NameKind.NAME, fold_name(group)))
            for word in words_of(group):
                found.add((tag, NameKind.WORD, word))
                if sound := sound_of(word):
                    found.add((tag, NameKind.SOUND, sound))
    return found


def _component_groups(attributes: Attributes, tag: str) -> list[str]:
    return [
        group
        for value in values(attributes, tag)
        if isinstance(value, dict)
        for group in value.values()
        if group and isinstance(group, str)
    ]
