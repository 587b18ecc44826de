"""Whose priors are wanted, and what of them is only in the archive. Reads, and changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date as Date  # noqa: N812 - the field is called date
from typing import Any

from edge.dicom.instance import InstanceRef
from edge.index.database import Database
from edge.index.lookup import json_list
from edge.index.pins import Pinned

__all__ = [
    "REPORTS",
    "StudyRow",
    "body_parts",
    "day_of",
    "incomplete",
    "missing",
    "of_patients",
    "pinned_elsewhere",
    "received",
    "reports_elsewhere",
    "unknown",
]

REPORTS = ("SR", "DOC", "KO", "PR")
"""Modalities of what is read beside images: reports, documents, key images, presentations."""
_REPORTS = "('SR', 'DOC', 'KO', 'PR')"
"""Word for word of the index ``reports_elsewhere``."""
_MOST_SERIES = 5000
"""Series of late that are looked at: the first sweep of an archive makes very many."""
_FEW = 4
"""Instances of a series that tell whether a device made it."""
_MOST_STUDIES = 200
"""Of one patient, the newest: nobody has more, but an ID that many share."""
_MOST_PINNED = 1000
_ELSEWHERE = (
    "i.availability = 'NEARLINE' AND i.withheld = ''"
    " AND (i.dataset_digest IS NULL OR i.received < ?)"
)
"""What was here lately, and left, is not brought back at once: it would only leave again."""


@dataclass(frozen=True, slots=True)
class StudyRow:
    """A study, as far as it matters to priors."""

    study_id: int
    study_uid: str
    patient_id: str
    issuer: str
    """Of the Patient ID; empty if it is not known."""
    date: Date | None
    """None if it is not known."""
    modalities: frozenset[str]
    is_whole: bool
    """Whether every instance that is known is here."""
    is_here: bool = False
    """Whether any is."""


_STUDY = (
    "SELECT s.id, s.study_uid, s.patient_id,"
    " coalesce((SELECT json_extract(attributes, '$.\"00100021\".Value[0]') FROM study_attributes"
    " WHERE study_id = s.id), ''), s.study_date, s.modalities, s.online_count >= s.instance_count,"
    " s.online_count > 0 FROM studies s"
)


def _study(row: Sequence[Any]) -> StudyRow:
    study_id, uid, patient_id, issuer, date, modalities, is_whole, is_here = row
    names = frozenset(filter(None, modalities.split("\\")))
    return StudyRow(
        study_id, uid, patient_id, str(issuer), day_of(date), names, bool(is_whole), bool(is_here)
    )


def _studies(rows: Iterable[Sequence[Any]]) -> list[StudyRow]:
    return [_study(row) for row in rows]


def day_of(text: str) -> Date | None:
    """A date as the index has it, YYYYMMDD; None if it is none."""
    if len(text) != 8 or not (text.isascii() and text.isdecimal()):
        return None
    try:
        return Date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return None


async def received(database: Database, since: float) -> list[StudyRow]:
    """Studies of which a device, a viewer or a folder made a series since then, the newest first.

    Not what an archive gave, nor what a rebuild found in the store.
    """
    rows = await database.scan(
        f"{_STUDY} JOIN (SELECT e.study_id, max(e.created) AS made FROM (SELECT id, study_id,"
        " created FROM series WHERE created >= ? ORDER BY created DESC LIMIT ?) e"
        " WHERE EXISTS (SELECT 1 FROM (SELECT origin, peer, received FROM instances"
        " WHERE series_id = e.id LIMIT ?) i WHERE i.origin <> 'CLOUD' AND i.received >= ?"
        " AND NOT (i.origin = 'MEDIA' AND i.peer = 'recovery'))"
        " GROUP BY e.study_id) new ON new.study_id = s.id WHERE s.patient_id <> ''"
        " ORDER BY new.made DESC",
        (since, _MOST_SERIES, _FEW, since),
    )
    return await database.compute(_studies, rows)


async def of_patients(database: Database, patient_ids: Iterable[str]) -> dict[str, list[StudyRow]]:
    """The studies of patients by their ID, whoever issued it, the newest first.

    Args:
        database: The index.
        patient_ids: Each once.
    """
    rows = await database.scan(
        f"{_STUDY} WHERE s.id IN (SELECT n.id FROM json_each(?) p JOIN studies n ON n.id IN"
        " (SELECT id FROM studies WHERE patient_id <> '' AND patient_id = p.value"
        " ORDER BY study_date DESC, study_time DESC, id DESC LIMIT ?))"
        " ORDER BY s.study_date DESC, s.study_time DESC, s.id DESC",
        (json_list(patient_ids), _MOST_STUDIES),
    )
    return await database.compute(_by_patient, rows)


def _by_patient(rows: Iterable[Sequence[Any]]) -> dict[str, list[StudyRow]]:
    found: dict[str, list[StudyRow]] = {}
    for row in rows:
        found.setdefault(row[2], []).append(_study(row))
    return found


async def body_parts(database: Database, study_ids: Iterable[int]) -> dict[int, frozenset[str]]:
    """Body Part Examined (0018,0015) of the series of studies, where it is known."""
    rows = await database.scan(
        "SELECT study_id, json_extract(attributes, '$.\"00180015\".Value[0]') AS part FROM series"
        " WHERE study_id IN (SELECT value FROM json_each(?)) AND part IS NOT NULL",
        (json_list(study_ids),),
    )
    return await database.compute(_by_study, rows)


def _by_study(rows: Iterable[Sequence[Any]]) -> dict[int, frozenset[str]]:
    found: dict[int, set[str]] = {}
    for study_id, part in rows:
        found.setdefault(study_id, set()).add(str(part))
    return {study_id: frozenset(parts) for study_id, parts in found.items()}


async def incomplete(
    database: Database, study_ids: Iterable[int], *, left_before: float
) -> set[int]:
    """Those studies of which something can be brought."""
    rows = await database.scan(
        "SELECT one.value FROM json_each(?) one WHERE EXISTS"
        f" (SELECT 1 FROM instances i WHERE i.study_id = one.value AND {_ELSEWHERE})",
        (json_list(study_ids), left_before),
    )
    return {row[0] for row in rows}


async def reports_elsewhere(
    database: Database, patient_ids: Iterable[str], *, left_before: float
) -> list[tuple[StudyRow, int]]:
    """Series of reports that can be brought, with their studies.

    Those of these patients; and of every study that is here, if they never were.
    """
    rows = await database.scan(
        f"{_STUDY.replace(' FROM studies s', ', e.id FROM studies s')}"
        " JOIN series e INDEXED BY reports_elsewhere ON e.study_id = s.id"
        f" WHERE e.modality IN {_REPORTS} AND e.online_count < e.instance_count"
        " AND (s.online_count > 0 OR s.patient_id <> ''"
        " AND s.patient_id IN (SELECT value FROM json_each(?1)))"
        f" AND EXISTS (SELECT 1 FROM instances i WHERE i.series_id = e.id"
        f" AND {_ELSEWHERE.replace('?', '?2')} AND (i.dataset_digest IS NULL"
        " OR s.patient_id IN (SELECT value FROM json_each(?1))))"
        " ORDER BY s.study_date DESC, s.id DESC, e.id",
        (json_list(patient_ids), left_before),
    )
    return await database.compute(_with_last, rows)


def _with_last(rows: Iterable[Sequence[Any]]) -> list[tuple[StudyRow, int]]:
    return [(_study(row[:-1]), row[-1]) for row in rows]


async def pinned_elsewhere(database: Database, pinned: Pinned) -> list[tuple[StudyRow, bool]]:
    """Pinned studies that are not whole here, the newest first; and whether a person did it."""
    rows = await database.scan(
        f"{_STUDY.replace(' FROM studies s', f', {pinned.by_people} FROM studies s')}"
        f" WHERE s.online_count < s.instance_count AND {pinned.sql}"
        " ORDER BY s.study_date DESC, s.id DESC LIMIT ?",
        (*pinned.values, _MOST_PINNED),
    )
    return [(_study(row[:-1]), bool(row[-1])) for row in rows]


async def unknown(database: Database, study_uids: Iterable[str]) -> list[str]:
    """Those studies that the index does not know, and that were not deleted here."""
    rows = await database.read(
        "SELECT one.value FROM json_each(?) one"
        " WHERE NOT EXISTS (SELECT 1 FROM studies WHERE study_uid = one.value)"
        " AND NOT EXISTS (SELECT 1 FROM tombstones WHERE study_uid = one.value)",
        (json_list(study_uids),),
    )
    return [row[0] for row in rows]


async def missing(
    database: Database,
    study_id: int,
    *,
    series_ids: Sequence[int] = (),
    left_before: float,
    max_count: int,
) -> list[InstanceRef]:
    """What of a study, or of some of its series, can be brought, in its natural order."""
    only = " AND e.id IN (SELECT value FROM json_each(?))" if series_ids else ""
    rows = await database.read(
        "SELECT s.study_uid, e.series_uid, i.sop_uid FROM instances i"
        " JOIN series e ON e.id = i.series_id JOIN studies s ON s.id = i.study_id"
        f" WHERE i.study_id = ? AND {_ELSEWHERE}{only}"
        " ORDER BY e.series_number, e.id, i.instance_number, i.id LIMIT ?",
        (study_id, left_before, *([json_list(series_ids)] if series_ids else []), max_count),
    )
    return [InstanceRef(*row) for row in rows]
