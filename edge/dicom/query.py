"""A search, as C-FIND and QIDO-RS both mean it (PS3.4 C.2.2.2, PS3.18 8.3.4).

A ``Query`` holds what was asked, attribute by attribute, as text. ``criterion`` reads one of those
texts by the attribute's value representation; how it is then found is the index's business.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from enum import StrEnum

from pydicom.datadict import dictionary_VR

from edge.dicom.instance import Level
from edge.errors import QueryError

__all__ = [
    "ALL",
    "Criterion",
    "Kind",
    "Match",
    "Query",
    "criterion",
    "fold_name",
    "moment",
    "vr_of",
]

ALL = "all"
"""As a member of ``Query.include``: every attribute that is known."""

_LISTED = frozenset({"UI", "CS"})
"""Representations whose values can't hold a comma, so that one always separates."""
_DATES = frozenset({"DA", "TM", "DT"})
_NUMBERS = frozenset({"IS", "DS", "US", "SS", "UL", "SL", "UV", "SV", "FL", "FD"})


@dataclass(frozen=True, slots=True)
class Match:
    """One matching key: a path of tags ("00400275", "00400009") and its values as asked."""

    path: tuple[str, ...]
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Query:
    """What to find, at which level, and what to say of it."""

    level: Level
    matches: tuple[Match, ...] = ()
    study_uid: str | None = None
    series_uid: str | None = None
    include: frozenset[str] = field(default_factory=frozenset)
    """Tags beyond the standard's own set, or ``ALL``."""
    limit: int | None = None
    offset: int = 0
    fuzzy: bool = False


class Kind(StrEnum):
    """The kinds of matching (PS3.4 C.2.2.2)."""

    UNIVERSAL = "UNIVERSAL"
    EXACT = "EXACT"
    """One of the values; a list of UIDs is the usual one."""
    WILDCARD = "WILDCARD"
    RANGE = "RANGE"
    NUMBER = "NUMBER"


@dataclass(frozen=True, slots=True)
class Criterion:
    """A matching key, read.

    ``values`` are the exact values or patterns, any of which may match; of a range they are the
    first and the last value, empty where it is open.
    """

    kind: Kind
    vr: str
    values: tuple[str, ...] = ()


def vr_of(tag: str) -> str:
    """The value representation that the data dictionary gives a tag; UN if it has none."""
    try:
        return dictionary_VR(int(tag, 16)).split(" ")[0]
    except (KeyError, ValueError):
        return "UN"


def fold_name(name: str) -> str:
    """A component group of a person name, as it is compared: without regard to case or width.

    Empty components at the end do not count (PS3.5 6.2.1.1).
    """
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "^".join(part.strip() for part in folded.split("^")).rstrip("^")


def criterion(match: Match) -> Criterion:
    """Read a matching key by its value representation.

    Raises:
        QueryError: The value can't be one of this attribute.
    """
    tag = match.path[-1]
    vr = vr_of(tag)
    separators = str.maketrans({",": "\\"} if vr in _LISTED else {})
    values = tuple(
        part.strip(" \0")
        for value in match.values
        for part in value.translate(separators).split("\\")
        if part.strip(" \0")
    )
    if not values or "*" in values:
        return Criterion(Kind.UNIVERSAL, vr)
    if vr == "UI":
        return Criterion(Kind.EXACT, vr, values)
    if vr in _DATES:
        return _moments(tag, vr, values)
    if vr in _NUMBERS:
        try:
            return Criterion(Kind.NUMBER, vr, tuple(str(float(value)) for value in values))
        except ValueError as error:
            raise QueryError(f"{tag}: {values[0]!r} is not a number") from error
    if vr == "PN":
        # "DOE^*" means a DOE without a given name, too: empty components at the end do not count.
        bare = (value[:-1] for value in values if value.endswith("^*"))
        values = tuple(fold_name(value) for value in (*values, *bare))
    if vr == "PN" or any(char in value for value in values for char in "*?"):
        return Criterion(Kind.WILDCARD, vr, values)
    return Criterion(Kind.EXACT, vr, values)


def _moments(tag: str, vr: str, values: tuple[str, ...]) -> Criterion:
    if len(values) > 1:
        raise QueryError(f"{tag}: one value or one range, not {len(values)}")
    first, dash, last = values[0].partition("-")
    if not dash:
        last = first
    for value in (first, last):
        if value and not value.replace(":", "").replace(".", "").isdecimal():
            raise QueryError(
                f"{tag}: {values[0]!r} is not a date, a time or a range of them",
                hint="write 20260131, or 20260101-20260131",
            )
    if not first and not last:
        raise QueryError(f"{tag}: a range needs a first or a last value")
    if vr == "TM":
        first, last = first.replace(":", ""), last.replace(":", "")
        first = moment(first, "0") if first else ""
        last = moment(last, "9") if last else ""
    return Criterion(Kind.RANGE, vr, (first, last))


def moment(time: str, fill: str) -> str:
    """A time of day in full, HHMMSSFFFFFF, so that text order is the order of time.

    What the value leaves open is filled with zeros, or with nines for the end of a range.
    """
    clock, _, fraction = time.partition(".")
    return (clock[:6].ljust(6, fill) + fraction[:6].ljust(6, fill))[:12]
