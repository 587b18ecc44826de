"""Patients who will come, as a worklist or a program announced them.

Functions that take a ``Connection`` run inside ``Database.write``. Dates are those of the clock on
the wall, YYYYMMDD.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from edge.index.database import Connection, Database
from edge.index.lookup import json_list

__all__ = [
    "Expected",
    "announce",
    "count",
    "expected",
    "forget",
    "forget_before",
    "forget_others",
    "replace",
]


@dataclass(frozen=True, slots=True)
class Expected:
    """One patient, on one day."""

    patient_id: str
    date: str
    issuer: str = ""
    """Of the Patient ID; empty if it is not known, as with the next two."""
    modality: str = ""
    body_part: str = ""
    source: str = ""
    """Who says so."""


def announce(db: Connection, patients: Iterable[Expected], now: float) -> int:
    """Keep them; how many were not known. One that is announced twice is kept once."""
    return sum(
        db.execute(
            "INSERT OR IGNORE INTO expected"
            " (patient_id, issuer, modality, body_part, date, source, announced)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                one.patient_id,
                one.issuer,
                one.modality,
                one.body_part,
                one.date,
                one.source,
                now,
            ),
        ).rowcount
        for one in patients
    )


def forget(db: Connection, source: str, *, patient_id: str = "", date: str = "") -> int:
    """Take back what a source announced: all, or of one patient, or of one day; how many."""
    removed: int = db.execute(
        "DELETE FROM expected WHERE source = ? AND ? IN ('', patient_id) AND ? IN ('', date)",
        (source, patient_id, date),
    ).rowcount
    return removed


def replace(db: Connection, source: str, patients: Iterable[Expected], now: float) -> int:
    """Let a source have announced these and no others; how many that changes."""
    rows = db.execute(
        "SELECT patient_id, date, issuer, modality, body_part, source FROM expected"
        " WHERE source = ?",
        (source,),
    )
    known = {Expected(*row) for row in rows}
    wanted = set(patients)
    gone = [
        (one.patient_id, one.date, one.issuer, one.modality, one.body_part, source)
        for one in known - wanted
    ]
    db.executemany(
        "DELETE FROM expected WHERE patient_id = ? AND date = ? AND issuer = ? AND modality = ?"
        " AND body_part = ? AND source = ?",
        gone,
    )
    return len(gone) + announce(db, wanted - known, now)


def forget_before(db: Connection, date: str) -> int:
    """Those of days that are over; how many."""
    removed: int = db.execute("DELETE FROM expected WHERE date < ?", (date,)).rowcount
    return removed


def forget_others(db: Connection, prefix: str, sources: Iterable[str]) -> int:
    """What sources announced whose names begin so, and are none of these; how many."""
    removed: int = db.execute(
        "DELETE FROM expected WHERE substr(source, 1, ?) = ?"
        " AND source NOT IN (SELECT value FROM json_each(?))",
        (len(prefix), prefix, json_list(sources)),
    ).rowcount
    return removed


async def expected(
    database: Database, *, first: str, last: str, limit: int = -1, offset: int = 0
) -> list[Expected]:
    """Those of some days, the earliest first."""
    rows = await database.read(
        "SELECT patient_id, date, issuer, modality, body_part, source FROM expected"
        " WHERE date BETWEEN ? AND ? ORDER BY date, patient_id, issuer, modality, body_part, source"
        " LIMIT ? OFFSET ?",
        (first, last, limit, offset),
    )
    return [Expected(*row) for row in rows]


async def count(database: Database, *, first: str, last: str) -> int:
    """How many those are."""
    rows = await database.read(
        "SELECT count(*) FROM expected WHERE date BETWEEN ? AND ?", (first, last)
    )
    return int(rows[0][0])
