"""Studies that came of late, and how much of each the archive has: what a screen shows as it comes.

Reads, and never writes. Promises to stay quick however much the index holds: it looks at the newest
studies and the newest changes alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge.index.database import Database
from edge.index.lookup import json_list
from edge.index.names import name_in

__all__ = ["ArrivedStudy", "arrived_studies"]

_NEWEST = 5000
"""Ids and changes behind the last that are looked at: an archive that is learned brings many."""


@dataclass(frozen=True, slots=True)
class ArrivedStudy:
    """A study of which bytes came in here. Times are POSIX seconds."""

    study_uid: str
    patient_name: str
    """The first component group that there is, as DICOM writes it."""
    patient_id: str
    modalities: tuple[str, ...]
    description: str
    study_date: str
    """``YYYYMMDD``; may be empty."""
    study_time: str
    accession_number: str
    sender: str
    """Who sent the last of it."""
    first: float
    last: float
    """When the first and the last of it came."""
    instances: int
    """That came in here."""
    bytes: int
    waiting: int
    """Instances that no archive vouches for yet."""
    waiting_bytes: int
    proven: int
    """Instances that the archive was seen to have."""
    refused: int
    """Instances that the archive refuses, or has otherwise."""


async def arrived_studies(
    database: Database, most: int, also: tuple[str, ...] = ()
) -> tuple[ArrivedStudy, ...]:
    """Those of which something came last; the newest first.

    Args:
        database: The index.
        most: So many.
        also: Studies that are told of in any case.
    """
    found = await database.read(
        "WITH late AS ("
        " SELECT id FROM (SELECT id FROM studies"
        "  WHERE id > (SELECT coalesce(max(id), 0) - ? FROM studies) AND online_count > 0"
        "  ORDER BY id DESC LIMIT ?)"
        " UNION SELECT s.id FROM (SELECT DISTINCT study_uid FROM (SELECT study_uid FROM changes"
        "  WHERE action = 'CREATE' ORDER BY sequence DESC LIMIT 500)) c"
        "  JOIN studies s ON s.study_uid = c.study_uid WHERE s.online_count > 0"
        " UNION SELECT id FROM studies WHERE study_uid IN (SELECT value FROM json_each(?)))"
        " SELECT s.study_uid, a.attributes, s.patient_id, s.modalities, s.description,"
        " s.study_date, s.study_time, s.accession_number,"
        " i.peer, min(i.received), max(i.received), count(*), sum(i.content_bytes),"
        " sum(i.custody IN ('EDGE_ONLY', 'SENT')),"
        " sum(iif(i.custody IN ('EDGE_ONLY', 'SENT'), i.content_bytes, 0)),"
        " sum(i.custody = 'VERIFIED'), sum(i.custody IN ('REFUSED', 'CONFLICT'))"
        " FROM late JOIN studies s ON s.id = late.id"
        " JOIN study_attributes a ON a.study_id = s.id"
        " JOIN instances i ON i.study_id = s.id"
        " WHERE i.origin <> 'CLOUD' AND i.availability = 'ONLINE' AND i.withheld = ''"
        " GROUP BY s.id ORDER BY max(i.received) DESC, s.id DESC LIMIT ?",
        (_NEWEST, most, json_list(also), most + len(also)),
    )
    return tuple(_study(row) for row in found)


def _study(row: tuple[object, ...]) -> ArrivedStudy:
    uid, attributes, patient_id, modalities, *rest = row
    return ArrivedStudy(
        str(uid),
        name_in(str(attributes)),
        str(patient_id),
        tuple(sorted(filter(None, str(modalities).split("\\")))),
        *rest,  # type: ignore[arg-type]  # columns, in this order
    )
