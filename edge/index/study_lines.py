"""A study and a series as a list shows them: what is there of each, and who vouches for it. No I/O.

These values name patients: they are for who may read images, and never for a log.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from edge.index.names import name_in

__all__ = [
    "Here",
    "Order",
    "SeriesLine",
    "StudyLine",
    "Vouched",
    "Wanted",
    "series_line",
    "study_line",
]


class Order(StrEnum):
    """Which study comes first."""

    DATE = "date"
    """The latest examination."""
    ARRIVAL = "arrival"
    """What became known here last."""


class Here(StrEnum):
    """How much of a study is on this disk."""

    WHOLE = "whole"
    PARTLY = "partly"
    NOT = "not"


class Vouched(StrEnum):
    """Who vouches for a study, by the worst of its instances."""

    LOST = "lost"
    """Something of it was here, is gone, and no archive is known to have it."""
    TROUBLE = "trouble"
    """The archive refuses something of it, or has it otherwise."""
    ONLY_HERE = "only-here"
    """Something of it is here, and no archive is known to have it."""
    ABSENT = "absent"
    """The archive does not list it any more."""
    UNPROVEN = "unproven"
    """The archive says that it stored it, and was not seen to have it yet."""
    SAFE = "safe"
    """The archive was seen to have it all."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to find."""

    text: str = ""
    """As it was typed."""
    custody: Vouched | None = None
    here: Here | None = None
    modality: str = ""
    first_day: str = ""
    """``YYYYMMDD``, of the examination."""
    last_day: str = ""
    pinned: bool = False
    order: Order = Order.DATE
    limit: int = 100
    offset: int = 0
    senders: frozenset[str] = frozenset()
    """Only studies of which one of these sent something; none named means all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """Instances of a study or series, and who vouches for them."""

    instances: int
    here: int
    """Of them, on this disk."""
    custody: Vouched
    waiting: int
    """On this disk, and still to go to the archive."""
    refused: int
    """That the archive refuses, or has otherwise."""
    unproven: int
    lost: int
    bytes: int
    """Of those on this disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyLine(Counted):
    """A study, as a list shows it. Times are POSIX seconds."""

    study_uid: str
    patient_name: str
    """The first component group that there is, as DICOM writes it."""
    patient_id: str
    birth_date: str
    sex: str
    modalities: tuple[str, ...]
    description: str
    study_date: str
    """``YYYYMMDD``; may be empty."""
    study_time: str
    accession_number: str
    series: int
    arrived: float
    """When the last of it came here, or became known."""
    is_pinned: bool
    is_first: bool
    """A person wants the archive to get it before all others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesLine(Counted):
    """A series of a study."""

    series_uid: str
    number: int | None
    modality: str
    description: str
    body_part: str


def study_line(row: tuple[Any, ...], counts: Sequence[Any]) -> StudyLine:
    """From the columns that `edge.index.studies` reads, and the counts of its instances."""
    (_, uid, attributes, patient_id, birth_date, sex, modalities, description, *row_rest) = row
    day, time, accession, series, instances, here, created, first, *flags = row_rest
    is_pinned, is_only_here, is_absent = map(bool, flags)
    waiting, refused, unproven, lost, size, received = counts
    return StudyLine(
        study_uid=uid,
        patient_name=name_in(attributes),
        patient_id=patient_id,
        birth_date=birth_date,
        sex=sex,
        modalities=tuple(sorted(filter(None, modalities.split("\\")))),
        description=description,
        study_date=day,
        study_time=time,
        accession_number=accession,
        series=series,
        instances=instances,
        here=here,
        custody=_vouched(lost, refused, is_only_here, is_absent, unproven),
        waiting=waiting,
        refused=refused,
        unproven=unproven,
        lost=lost,
        bytes=size,
        arrived=float(received or created),
        is_pinned=is_pinned,
        is_first=bool(first),
    )


def series_line(row: tuple[Any, ...]) -> SeriesLine:
    """The same of a series."""
    uid, number, modality, attributes, instances, here, is_only_here, *counts = row
    waiting, refused, unproven, lost, size = counts
    said = _read(attributes)
    return SeriesLine(
        series_uid=uid,
        number=number,
        modality=modality,
        description=_text_in(said, "0008103E"),
        body_part=_text_in(said, "00180015"),
        instances=instances,
        here=here,
        custody=_vouched(lost, refused, is_only_here, 0, unproven),
        waiting=waiting,
        refused=refused,
        unproven=unproven,
        lost=lost,
        bytes=size,
    )


def _vouched(lost: int, refused: int, only_here: int, absent: int, unproven: int) -> Vouched:
    """The worst of it."""
    worst = (
        (lost, Vouched.LOST),
        (refused, Vouched.TROUBLE),
        (only_here, Vouched.ONLY_HERE),
        (absent, Vouched.ABSENT),
        (unproven, Vouched.UNPROVEN),
    )
    return next((vouched for count, vouched in worst if count), Vouched.SAFE)


def _read(attributes: str) -> Mapping[str, Any]:
    try:
        found = msgspec.json.decode(attributes)
    except msgspec.DecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _values(attributes: Mapping[str, Any], tag: str) -> Iterable[Any]:
    found = attributes.get(tag)
    values = found.get("Value") if isinstance(found, dict) else None
    return values if isinstance(values, list) else ()


def _text_in(attributes: Mapping[str, Any], tag: str) -> str:
    return next((one for one in _values(attributes, tag) if isinstance(one, str)), "")
