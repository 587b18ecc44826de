"""Studies as people look for them: found, in order, a page at a time, with who vouches for each.

Searches of the Standard are `edge.index.search`'s; this is what a screen shows beside them:
custody, what is here, pins. Reads, and never writes. What is withheld is never found.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from edge.dicom.instance import Level
from edge.index.comparison import Sql
from edge.index.conditions import WHOLE, shown_of
from edge.index.database import Database
from edge.index.lookup import json_list
from edge.index.pins import Pinned
from edge.index.queue import WAITS
from edge.index.senders import sent_by
from edge.index.study_lines import (
    Here,
    Order,
    SeriesLine,
    StudyLine,
    Vouched,
    Wanted,
    series_line,
    study_line,
)
from edge.index.summary import ONLY_HERE, SERIES_ONLY_HERE
from edge.index.typed import typed

__all__ = [
    "find",
    "pinned_by",
    "series_of",
    "studies_of_patient",
    "study",
]


_TROUBLE: Final = "i.custody IN ('REFUSED', 'CONFLICT')"
_UNPROVEN: Final = "i.custody = 'ACKNOWLEDGED' AND i.availability = 'ONLINE'"
_LOST: Final = "i.availability = 'UNAVAILABLE'"
_ABSENT: Final = "s.id IN (SELECT study_id FROM absences WHERE state <> 'SUSPECTED')"
_ONLY_HERE: Final = f"s.study_uid IN ({ONLY_HERE})"
_COUNTS: Final = (
    f"coalesce(sum({WAITS}), 0), coalesce(sum({_TROUBLE}), 0), coalesce(sum({_UNPROVEN}), 0),"
    f" coalesce(sum({_LOST}), 0),"
    " coalesce(sum(iif(i.availability = 'ONLINE', i.content_bytes, 0)), 0)"
)
_ORDERS: Final = {
    Order.DATE: "s.study_date DESC, s.study_time DESC, s.id DESC",
    Order.ARRIVAL: "s.id DESC",
}
_HERE: Final = {
    Here.WHOLE: WHOLE,
    Here.PARTLY: f"s.online_count > 0 AND NOT ({WHOLE})",
    Here.NOT: "s.online_count = 0",
}
_MOST_OF_PATIENT: Final = 100
_FEW: Final = 1000


# Counters and indexes first: of most studies no instance is looked at.
_CUSTODY: Final = {
    Vouched.TROUBLE: (
        "s.edge_only_count > 0 AND EXISTS (SELECT 1 FROM instances i"
        f" WHERE i.study_id = s.id AND i.withheld = '' AND {_TROUBLE})"
    ),
    Vouched.ONLY_HERE: _ONLY_HERE,
    Vouched.ABSENT: _ABSENT,
    Vouched.UNPROVEN: (
        "s.id IN (SELECT study_id FROM instances WHERE custody = 'ACKNOWLEDGED'"
        " AND custody IN ('EDGE_ONLY', 'SENT', 'ACKNOWLEDGED', 'REFUSED')"
        " AND availability = 'ONLINE' AND withheld = '')"
    ),
}
"""Each finds what has it at all, also beside something worse."""


async def find(
    database: Database, wanted: Wanted, pinned: Pinned
) -> tuple[int, tuple[StudyLine, ...]]:
    """How many studies meet it, and those of the page."""
    where = _where(wanted, pinned)
    order, page = _ORDERS[wanted.order], (wanted.limit, wanted.offset)
    # What finds few is looked for once, in the order of the table, which is the quickest.
    few = await database.scan(
        "SELECT s.id, count(*) OVER () FROM (SELECT s.id, s.study_date, s.study_time"
        f" FROM studies s WHERE {where.text} LIMIT {_FEW + 1}) s ORDER BY {order} LIMIT ? OFFSET ?",
        (*where.parameters, *page),
    )
    if not few and not wanted.offset:
        return 0, ()
    if few and few[0][1] <= _FEW:
        return int(few[0][1]), await _lines(database, [row[0] for row in few], pinned)
    # Of many, the order has an index of its own, which leads to the page without all the others.
    listed = database.scan(
        f"SELECT s.id FROM studies s WHERE {where.text} ORDER BY {order} LIMIT ? OFFSET ?",
        (*where.parameters, *page),
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
        f" e.online_count, {SERIES_ONLY_HERE}, {_COUNTS}"
        " FROM studies s JOIN series e ON e.study_id = s.id"
        " LEFT JOIN instances i ON i.series_id = e.id AND i.withheld = ''"
        f" WHERE s.study_uid = ? AND {shown_of(Level.SERIES, 'e.id')}"
        " GROUP BY e.id ORDER BY e.series_number IS NULL, e.series_number, e.id",
        (study_uid,),
    )
    return tuple(series_line(row) for row in rows)


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
    return tuple(study_line(row, of_study.get(row[0], (0,) * 6)) for row in found)
