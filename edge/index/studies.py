"""Studies as people look for them: found, in order, a page at a time, with who vouches for each.

Searches of the Standard are `edge.index.search`'s; this is what a screen shows beside them: custody,
what is here, pins. Reads, and never writes. What is withheld is never found.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import msgspec

from edge.dicom.instance import Level
from edge.index.comparison import Sql
from edge.index.conditions import shown_of
from edge.index.database import Database
from edge.index.lookup import json_list
from edge.index.pins import Pinned
from edge.index.senders import sent_by
from edge.index.summary import ONLY_HERE
from edge.index.typed import typed

__all__ = [
    "Here",
    "Order",
    "SeriesLine",
    "StudyLine",
    "Vouched",
    "Wanted",
    "find",
    "pinned_by",
    "series_of",
    "studies_of_patient",
    "study",
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


_WAITS: Final = "i.custody IN ('EDGE_ONLY', 'SENT') AND i.availability = 'ONLINE'"
_TROUBLE: Final = "i.custody IN ('REFUSED', 'CONFLICT')"
_UNPROVEN: Final = "i.custody = 'ACKNOWLEDGED' AND i.availability = 'ONLINE'"
_LOST: Final = "i.availability = 'UNAVAILABLE'"
_ABSENT: Final = "s.id IN (SELECT study_id FROM absences WHERE state <> 'SUSPECTED')"
_ONLY_HERE: Final = f"s.study_uid IN ({ONLY_HERE})"
_COUNTS: Final = (
    f"coalesce(sum({_WAITS}), 0), coalesce(sum({_TROUBLE}), 0), coalesce(sum({_UNPROVEN}), 0),"
    f" coalesce(sum({_LOST}), 0),"
    " coalesce(sum(iif(i.availability = 'ONLINE', i.content_bytes, 0)), 0)"
)
_ORDERS: Final = {
    Order.DATE: "s.study_date DESC, s.study_time DESC, s.id DESC",
    Order.ARRIVAL: "s.id DESC",
}
_HERE: Final = {
    Here.WHOLE: "s.online_count > 0 AND s.online_count >= s.instance_count",
    Here.PARTLY: "s.online_count > 0 AND s.online_count < s.instance_count",
    Here.NOT: "s.online_count = 0",
}
_MOST_OF_PATIENT: Final = 100
_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")


def _any(condition: str) -> str:
    return (
        f"EXISTS (SELECT 1 FROM instances i WHERE i.study_id = s.id AND i.withheld = ''"
        f" AND {condition})"
    )


_CUSTODY: Final = {
    Vouched.LOST: _any(_LOST),
    Vouched.TROUBLE: _any(_TROUBLE),
    Vouched.ONLY_HERE: _ONLY_HERE,
    Vouched.ABSENT: _ABSENT,
    Vouched.UNPROVEN: _any(_UNPROVEN),
    # Counters and what is rare first: most studies are safe, and none of their rows is looked at.
    Vouched.SAFE: (
        f"s.edge_only_count = 0 AND NOT ({_ABSENT}) AND NOT ({_ONLY_HERE})"
        " AND s.id NOT IN (SELECT i.study_id FROM instances i WHERE i.withheld = ''"
        f" AND (({_UNPROVEN}) OR {_LOST}))"
    ),
}
"""The filter of each finds what has it at all, also beside something worse."""


async def find(
    database: Database, wanted: Wanted, pinned: Pinned
) -> tuple[int, tuple[StudyLine, ...]]:
    """How many studies meet it, and those of the page."""
    where = _where(wanted, pinned)
    # The order has an index of its own, which leads to the page without a look at all the others.
    listed = database.scan(
        f"SELECT s.id FROM studies s WHERE {where.text}"
        f" ORDER BY {_ORDERS[wanted.order]} LIMIT ? OFFSET ?",
        (*where.parameters, wanted.limit, wanted.offset),
    )
    counted = database.scan(f"SELECT count(*) FROM studies s WHERE {where.text}", where.parameters)
    rows, ((total,),) = await asyncio.gather(listed, counted)
    return int(total), await _lines(database, [row[0] for row in rows], pinned)


async def study(database: Database, study_uid: str, pinned: Pinned) -> StudyLine | None:
    """One of them; None if it is not known, or nothing of it is shown."""
    rows = await database.read(
        f"SELECT s.id FROM studies s WHERE s.study_uid = ? AND {shown_of(Level.STUDY, 's.id')}",
        (study_uid,),
    )
    found = await _lines(database, [row[0] for row in rows], pinned)
    return found[0] if found else None


async def studies_of_patient(
    database: Database, study_uid: str, senders: frozenset[str], pinned: Pinned
) -> tuple[StudyLine, ...]:
    """The other studies of the same patient, the latest first.

    The same is who has the same Patient ID, and the same issuer where both are known; never a name.
    """
    seen = sent_by(senders) if senders else Sql("1")
    rows = await database.read(
        "SELECT s.id FROM studies one JOIN studies s ON s.patient_id = one.patient_id"
        f" WHERE one.study_uid = ? AND trim(one.patient_id) <> '' AND s.id <> one.id"
        f" AND ({_issuer('one')} IN ('', {_issuer('s')}) OR {_issuer('s')} = '')"
        f" AND {shown_of(Level.STUDY, 's.id')} AND {seen.text}"
        f" ORDER BY {_ORDERS[Order.DATE]} LIMIT ?",
        (study_uid, *seen.parameters, _MOST_OF_PATIENT),
    )
    return await _lines(database, [row[0] for row in rows], pinned)


async def series_of(database: Database, study_uid: str) -> tuple[SeriesLine, ...]:
    """The series of a study that are shown, in their order."""
    rows = await database.read(
        "SELECT e.series_uid, e.series_number, e.modality, e.attributes, e.instance_count,"
        f" e.online_count, {_COUNTS}"
        " FROM studies s JOIN series e ON e.study_id = s.id"
        " LEFT JOIN instances i ON i.series_id = e.id AND i.withheld = ''"
        f" WHERE s.study_uid = ? AND {shown_of(Level.SERIES, 'e.id')}"
        " GROUP BY e.id ORDER BY e.series_number IS NULL, e.series_number, e.id",
        (study_uid,),
    )
    return tuple(_series(row) for row in rows)


async def pinned_by(database: Database, study_uid: str) -> tuple[bool, bool]:
    """Whether people pinned this study itself, and whether they pinned its patient."""
    rows = await database.read(
        "SELECT EXISTS (SELECT 1 FROM pins WHERE kind = 'study' AND value = s.study_uid),"
        " s.patient_id <> '' AND EXISTS (SELECT 1 FROM pins p WHERE p.kind = 'patient'"
        f" AND p.value = s.patient_id AND (p.issuer = '' OR {_issuer('s')} IN ('', p.issuer)))"
        " FROM studies s WHERE s.study_uid = ?",
        (study_uid,),
    )
    return (bool(rows[0][0]), bool(rows[0][1])) if rows else (False, False)


def _issuer(alias: str) -> str:
    return (
        "(SELECT coalesce(json_extract(attributes, '$.\"00100021\".Value[0]'), '')"
        f" FROM study_attributes WHERE study_id = {alias}.id)"
    )


def _where(wanted: Wanted, pinned: Pinned) -> Sql:
    parts = [Sql(shown_of(Level.STUDY, "s.id")), *typed(wanted.text)]
    if wanted.custody is not None:
        parts.append(Sql(_CUSTODY[wanted.custody]))
    if wanted.here is not None:
        parts.append(Sql(_HERE[wanted.here]))
    if wanted.modality:
        parts.append(Sql("instr(s.modalities, ?)", (f"\\{wanted.modality}\\",)))
    if wanted.first_day:
        parts.append(Sql("s.study_date >= ?", (wanted.first_day,)))
    if wanted.last_day:
        parts.append(Sql("s.study_date <> '' AND s.study_date <= ?", (wanted.last_day,)))
    if wanted.pinned:
        parts.append(Sql(pinned.sql, pinned.values))
    if wanted.senders:
        parts.append(sent_by(wanted.senders))
    text = " AND ".join(f"({part.text})" for part in parts)
    return Sql(text, tuple(value for part in parts for value in part.parameters))


async def _lines(database: Database, ids: Sequence[int], pinned: Pinned) -> tuple[StudyLine, ...]:
    if not ids:
        return ()
    chosen = json_list(ids)
    rows = database.read(
        "SELECT s.id, s.study_uid, a.attributes, s.patient_id, s.birth_date, s.sex, s.modalities,"
        " s.description, s.study_date, s.study_time, s.accession_number, s.series_count,"
        " s.instance_count, s.online_count, s.created, s.upload_first,"
        f" {pinned.sql}, {_ONLY_HERE}, {_ABSENT}"
        " FROM json_each(?) one JOIN studies s ON s.id = one.value"
        " JOIN study_attributes a ON a.study_id = s.id ORDER BY one.key",
        (*pinned.values, chosen),
    )
    counts = database.read(
        f"SELECT i.study_id, {_COUNTS},"
        " coalesce(max(iif(i.availability = 'ONLINE', i.received, 0)), 0) FROM instances i"
        " WHERE i.study_id IN (SELECT value FROM json_each(?)) AND i.withheld = ''"
        " GROUP BY i.study_id",
        (chosen,),
    )
    found, counted = await asyncio.gather(rows, counts)
    of_study = {row[0]: row[1:] for row in counted}
    return tuple(_line(row, of_study.get(row[0], (0,) * 6)) for row in found)


def _line(row: tuple[Any, ...], counts: Sequence[Any]) -> StudyLine:
    (_, uid, attributes, patient_id, birth_date, sex, modalities, description, *row_rest) = row
    day, time, accession, series, instances, here, created, first, *flags = row_rest
    is_pinned, is_only_here, is_absent = map(bool, flags)
    waiting, refused, unproven, lost, size, received = counts
    return StudyLine(
        study_uid=uid,
        patient_name=_name_in(attributes),
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


def _series(row: tuple[Any, ...]) -> SeriesLine:
    uid, number, modality, attributes, instances, here, *counts = row
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
        custody=_vouched(lost, refused, waiting, 0, unproven),
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


def _name_in(attributes: str) -> str:
    """The patient's name in a data set; empty if it has none that can be read."""
    for name in _values(_read(attributes), "00100010"):
        if isinstance(name, dict):
            return str(next((name[group] for group in _GROUPS if name.get(group)), ""))
    return ""
