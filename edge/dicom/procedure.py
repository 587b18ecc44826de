"""Modality performed procedure steps: what may be said of one, and when (PS3.4 F.7).

Promises that what it lets through is a step that another MPPS SCP takes, too: what is type 1 has a
value, and what is type 2 and a device left away stands there empty, since many do. Refused is what
can't be told on or made sense of, and nothing for its form alone: a step that ended without a
series, for example, is taken. No I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from pydicom.datadict import dictionary_description, dictionary_has_tag

from edge.dicom.uids import is_uid
from edge.errors import StepRefused

__all__ = [
    "MPPS",
    "MPPS_RETRIEVE",
    "TYPE_1",
    "Attributes",
    "Fault",
    "Reference",
    "ScheduledStep",
    "StepState",
    "changed_step",
    "new_step",
    "references",
    "scheduled_steps",
    "state_of",
    "studies_of",
    "text",
]

MPPS: Final = "1.2.840.10008.3.1.2.3.3"
MPPS_RETRIEVE: Final = "1.2.840.10008.3.1.2.3.4"

Attributes = Mapping[str, Any]
"""DICOM JSON."""

MOST_INSTANCES: Final = 100_000
"""That a step may name."""

_STATUS: Final = "00400252"
_SCHEDULED: Final = "00400270"
_SERIES: Final = "00400340"
_STUDY_UID: Final = "0020000D"
_SERIES_UID: Final = "0020000E"
_REFERENCED: Final = ("00081140", "00400220")
"""Referenced Image Sequence, Referenced Non-Image Composite SOP Instance Sequence."""
_SOP_CLASS_UID, _SOP_UID = "00081150", "00081155"

# Table F.7.2-1.
TYPE_1: Final = (_SCHEDULED, "00400253", "00400241", "00400244", "00400245", _STATUS, "00080060")
_TYPE_2: Final = {
    "00100010": "PN",
    "00100020": "LO",
    "00100030": "DA",
    "00100040": "CS",
    "00081120": "SQ",
    "00400242": "SH",
    "00400243": "SH",
    "00400254": "LO",
    "00400255": "LO",
    "00081032": "SQ",
    "00400250": "DA",
    "00400251": "TM",
    "00200010": "SH",
    "00400260": "SQ",
    _SERIES: "SQ",
}
_SCHEDULED_TYPE_2: Final = {
    "00081110": "SQ",
    "00080050": "SH",
    "00401001": "SH",
    "00321060": "LO",
    "00400009": "SH",
    "00400007": "LO",
    "00400008": "SQ",
}
_FINAL: Final = ("00400250", "00400251")
"""Performed Procedure Step End Date and Time. Performed Series Sequence should not be empty then;
that of a step which was given up before the first image often is."""
_ONCE: Final = frozenset(
    (
        f"{_SCHEDULED} 00100010 00100020 00100021 00100024 00101002 00100030 00100040 00081120"
        " 00380010 00380014 00380060 00380064 00380062 00400253 00400241 00400242 00400243 00400244"
        " 00400245 00080060 00200010"
    ).split()
)
"""What N-SET may not change."""
_NOT_KEPT: Final = ("00080005",)
"""Text is Unicode here, and whoever writes it says in what character set."""


class StepState(StrEnum):
    """Performed Procedure Step Status (0040,0252)."""

    IN_PROGRESS = "IN PROGRESS"
    COMPLETED = "COMPLETED"
    DISCONTINUED = "DISCONTINUED"

    @property
    def is_final(self) -> bool:
        """Whether nothing may be said of it any more."""
        return self is not StepState.IN_PROGRESS


class Fault(StrEnum):
    """Why a step is refused."""

    MISSING = "MISSING"
    """An attribute is not there."""
    EMPTY = "EMPTY"
    """An attribute has no value."""
    INVALID = "INVALID"
    """An attribute has a value that it can't have."""
    FINAL = "FINAL"
    """The step is over."""
    DUPLICATE = "DUPLICATE"
    UNKNOWN = "UNKNOWN"
    FULL = "FULL"
    """There are too many, or too much of it."""


@dataclass(frozen=True, slots=True)
class ScheduledStep:
    """What a worklist knows a step by; empty is not known."""

    study_uid: str
    accession_number: str
    requested_procedure_id: str
    step_id: str


@dataclass(frozen=True, slots=True)
class Reference:
    """An instance that a step made."""

    series_uid: str
    sop_class_uid: str
    sop_uid: str


def new_step(attributes: Attributes) -> dict[str, Any]:
    """A step, of the attributes of an N-CREATE.

    Raises:
        StepRefused: A step can't begin so.
    """
    step = _kept(attributes)
    _require(step, TYPE_1)
    if text(step, _STATUS) != StepState.IN_PROGRESS:
        raise StepRefused(
            "Performed Procedure Step Status must begin as IN PROGRESS",
            fault=Fault.INVALID,
            tags=(_STATUS,),
        )
    scheduled = []
    for item in _items(step, _SCHEDULED):
        _require(item, (_STUDY_UID,))
        _require_uid(item, _STUDY_UID)
        scheduled.append(_filled(item, _SCHEDULED_TYPE_2))
    step[_SCHEDULED] = {"vr": "SQ", "Value": scheduled}
    step = _filled(step, _TYPE_2)
    _check_series(step)
    return step


def changed_step(
    step: Attributes, attributes: Attributes
) -> tuple[dict[str, Any], dict[str, Any], tuple[str, ...]]:
    """What an N-SET makes of a step: what of it is taken, the step then, and what is left out.

    Left out are attributes that N-SET may not change, and would.

    Raises:
        StepRefused: The step is over, or can't become that.
    """
    if state_of(step).is_final:
        raise StepRefused(
            "Performed Procedure Step Object may no longer be updated", fault=Fault.FINAL
        )
    changes, left_out = {}, []
    for tag, element in _kept(attributes).items():
        if tag not in _ONCE:
            changes[tag] = element
        elif element.get("Value") != step.get(tag, {}).get("Value"):
            left_out.append(tag)
    if _STATUS in changes:
        _require(changes, (_STATUS,))
        if text(changes, _STATUS) not in frozenset(StepState):
            raise StepRefused(
                "Performed Procedure Step Status is none of the three",
                fault=Fault.INVALID,
                tags=(_STATUS,),
            )
    after = {**step, **changes}
    if state_of(after).is_final:
        _require(after, _FINAL)
    _check_series(after)
    return changes, after, tuple(left_out)


def state_of(step: Attributes) -> StepState:
    """The state of a step that was let through."""
    return StepState(text(step, _STATUS))


def studies_of(step: Attributes) -> list[str]:
    """The studies that it is of, each once."""
    named = (text(item, _STUDY_UID) for item in _items(step, _SCHEDULED))
    return list(dict.fromkeys(named))


def scheduled_steps(step: Attributes) -> list[ScheduledStep]:
    """The scheduled steps that it performs."""
    return [
        ScheduledStep(
            text(item, _STUDY_UID),
            text(item, "00080050"),
            text(item, "00401001"),
            text(item, "00400009"),
        )
        for item in _items(step, _SCHEDULED)
    ]


def references(step: Attributes) -> Iterator[Reference]:
    """The instances that it made, as far as it says so."""
    for series in _items(step, _SERIES):
        series_uid = text(series, _SERIES_UID)
        for sequence in _REFERENCED:
            for item in _items(series, sequence):
                yield Reference(series_uid, text(item, _SOP_CLASS_UID), text(item, _SOP_UID))


def text(attributes: Attributes, tag: str) -> str:
    """The first value of an attribute, as text; empty if there is none."""
    value = _first(attributes, tag)
    if isinstance(value, Mapping):  # PN
        value = value.get("Alphabetic") or next(iter(value.values()), "")
    return value.strip(" \x00") if isinstance(value, str) else ""


def _first(attributes: Attributes, tag: str) -> Any:
    values = _values(attributes, tag)
    return values[0] if values else None


def _values(attributes: Attributes, tag: str) -> list[Any]:
    element = attributes.get(tag)
    values = element.get("Value") if isinstance(element, Mapping) else None
    return values if isinstance(values, list) else []


def _items(attributes: Attributes, tag: str) -> list[Attributes]:
    return [item for item in _values(attributes, tag) if isinstance(item, Mapping)]


def _kept(attributes: Attributes) -> dict[str, Any]:
    """Without group 0002 and its like, and without private values so long that they are no text."""
    for tag, element in attributes.items():
        if isinstance(element, Mapping) and element.get("vr") == "SQ" and "BulkDataURI" in element:
            raise StepRefused(f"too long: {_shown([tag])}", fault=Fault.FULL, tags=(tag,))
    return {
        tag: element
        for tag, element in attributes.items()
        if tag not in _NOT_KEPT
        and tag[:4] > "0007"
        and isinstance(element, Mapping)
        and "BulkDataURI" not in element
    }


def _filled(attributes: Attributes, expected: Mapping[str, str]) -> dict[str, Any]:
    """With all that is expected, empty where it was not there."""
    absent = {tag: {"vr": vr} for tag, vr in expected.items() if tag not in attributes}
    return {**attributes, **absent}


def _require(attributes: Attributes, tags: Iterable[str]) -> None:
    named = tuple(tags)
    if missing := tuple(tag for tag in named if tag not in attributes):
        raise StepRefused(f"missing: {_shown(missing)}", fault=Fault.MISSING, tags=missing)
    if empty := tuple(tag for tag in named if _first(attributes, tag) in (None, "", {})):
        raise StepRefused(f"without a value: {_shown(empty)}", fault=Fault.EMPTY, tags=empty)


def _require_uid(attributes: Attributes, tag: str) -> None:
    if not is_uid(text(attributes, tag)):
        raise StepRefused(f"not a UID: {_shown([tag])}", fault=Fault.INVALID, tags=(tag,))


def _check_series(step: Attributes) -> None:
    """What completeness is told from must be there, and be UIDs."""
    named = 0
    for series in _items(step, _SERIES):
        _require(series, (_SERIES_UID,))
        _require_uid(series, _SERIES_UID)
        for sequence in _REFERENCED:
            for item in _items(series, sequence):
                named += 1
                for tag in (_SOP_CLASS_UID, _SOP_UID):
                    _require(item, (tag,))
                    _require_uid(item, tag)
    if named > MOST_INSTANCES:
        raise StepRefused(f"a step names {named} instances", fault=Fault.FULL, tags=(_SERIES,))


def _shown(tags: Iterable[str]) -> str:
    """By name: of which tags, the protocol says in an element of its own."""
    return ", ".join(
        dictionary_description(tag) if dictionary_has_tag(tag) else f"({tag[:4]},{tag[4:]})"
        for tag in tags
    )
