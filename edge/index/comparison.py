"""A value in SQL compared with what was asked for: the smallest piece of a search.

Owns how each kind of matching (PS3.4 C.2.2.2) is written for one column or expression, so that an
index answers it where one can. Promises that what was asked is only ever a parameter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edge.dicom.query import Criterion, Kind
from edge.index.lookup import json_list

__all__ = ["Sql", "begins", "compare", "like", "prefix"]

_LAST: Final = "\U0010ffff"
"""Behind every text that begins like the one before it."""


@dataclass(frozen=True, slots=True)
class Sql:
    """A piece of SQL and its parameters."""

    text: str
    parameters: tuple[object, ...] = ()


def compare(value: str, wanted: Criterion) -> Sql:
    """Whether a value is what a criterion of one value, list, wild card, range or number wants."""
    if wanted.kind is Kind.RANGE:
        first, last = wanted.values
        conditions, parameters = [f"{value} >= ?"], [first or "0"]
        if last:
            conditions.append(f"{value} <= ?")
            parameters.append(last)
        return Sql(" AND ".join(conditions), tuple(parameters))
    if wanted.kind is Kind.NUMBER:
        numbers = json_list(float(number) for number in wanted.values)
        return Sql(f"{value} IN (SELECT value FROM json_each(?))", (numbers,))
    if wanted.kind is Kind.EXACT:
        if len(wanted.values) == 1:
            return Sql(f"{value} = ?", wanted.values)
        return Sql(f"{value} IN (SELECT value FROM json_each(?))", (json_list(wanted.values),))
    parts = [like(value, pattern) for pattern in wanted.values]
    text = " OR ".join(part.text for part in parts)
    return Sql(f"({text})", tuple(one for part in parts for one in part.parameters))


def like(value: str, pattern: str) -> Sql:
    """Whether a value fits a pattern (PS3.4 C.2.2.2.4); an index finds what begins like it."""
    start = prefix(pattern)
    if start == pattern:
        return Sql(f"{value} = ?", (pattern,))
    # GLOB has DICOM's wild cards and a third one, which is a plain character in DICOM.
    glob = Sql(f"{value} GLOB ?", (pattern.replace("[", "[[]"),))
    if not start:
        return glob
    starts = begins(value, start)
    return Sql(f"({starts.text} AND {glob.text})", starts.parameters + glob.parameters)


def begins(value: str, text: str) -> Sql:
    """Whether a value begins so, put in a way that an index answers."""
    return Sql(f"({value} >= ? AND {value} < ?)", (text, text + _LAST))


def prefix(pattern: str) -> str:
    """What stands before the first wild card."""
    return pattern.split("*", 1)[0].split("?", 1)[0]
