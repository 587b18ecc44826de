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
    "soon",
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


_MOST_OF_ONE = 50
"""Announcements of one patient, for one day or for some: nobody has more."""
_MOST = 20_000
"""Announcements that are looked at."""


def announce(db: Connection, patients: Iterable[Expected], now: float) -> int:
    """Keep them; how many were not known. One that is announced twice is kept once.

    What is more than anybody can have on a day is not kept.
    """
    return sum(
        db.execute(
            "INSERT OR IGNORE INTO expected"
            " (patient_id, issuer, modality, body_part, date, source, announced)"
            " SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE ?8 >"
            " (SELECT count(*) FROM expected WHERE date = ?5 AND patient_id = ?1)",
            (
                one.patient_id,
                one.issuer,
                one.modality,
                one.body_part,
                one.date,
                one.source,
                now,
                _MOST_OF_ONE,
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


async def soon(database: Database, *, first: str, last: str) -> list[Expected]:
    """Those of some days, the earliest first, of one patient not more than anybody can have.

    Who says so is left out: what two say is said once.
    """
    rows = await database.scan(
        "SELECT patient_id, date, issuer, modality, body_part FROM"
        " (SELECT DISTINCT patient_id, date, issuer, modality, body_part, dense_rank() OVER"
        " (PARTITION BY patient_id ORDER BY date, issuer, modality, body_part) AS nth"
        " FROM expected WHERE date BETWEEN ? AND ?) WHERE nth <= ?"
        " ORDER BY date, patient_id, issuer, modality, body_part LIMIT ?",
        (first, last, _MOST_OF_ONE, _MOST),
    )
    return await database.compute(lambda: [Expected(*row) for row in rows])


async def count(database: Database, *, first: str, last: str) -> int:
    """How many those are."""
    rows = await database.read(
        "SELECT count(*) FROM expected WHERE date BETWEEN ? AND ?", (first, last)
    )
    return int(rows[0][0])
