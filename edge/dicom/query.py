"""A search, as C-FIND and QIDO-RS both mean it (PS3.4 C.2.2.2, PS3.18 8.3.4).

A ``Query`` holds what was asked, attribute by attribute, as text. ``keys_of`` reads those texts by
the attributes' value representations; how they are then found is the index's business.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from pydicom.datadict import dictionary_VR, keyword_for_tag

from edge.dicom.instance import Level
from edge.dicom.names import fold_name, words_of
from edge.errors import QueryError

__all__ = [
    "ALL",
    "MOST_KEYS",
    "MOST_VALUES",
    "TIME_OF",
    "Criterion",
    "Key",
    "Kind",
    "Match",
    "Query",
    "called",
    "criterion",
    "instant",
    "keys_of",
    "moment",
    "vr_of",
]

ALL = "all"
"""As a member of ``Query.include``: every attribute that is known."""

_LISTED = frozenset({"UI", "CS"})
"""Representations whose values can't hold a comma, so that one always separates."""
_DATES = frozenset({"DA", "TM", "DT"})
_WILD = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UN", "UR", "UT"})
"""PS3.4 C.2.2.2.4; UN stands for what the dictionary does not know."""
_BYTES = frozenset({"OB", "OD", "OF", "OL", "OV", "OW"})
"""Representations that no kind of matching is for."""
_NUMBERS = frozenset({"IS", "DS", "US", "SS", "UL", "SL", "UV", "SV", "FL", "FD"})
_DATE = re.compile(r"[0-9]{8}|[0-9]{4}\.[0-9]{2}\.[0-9]{2}")  # the second as before 1993
_TIME = re.compile(r"[0-9]{2}(:?[0-9]{2}(:?[0-9]{2}(\.[0-9]{1,6})?)?)?")
# A hyphen before what can be an offset begins an offset, not the end of a range (PS3.5 6.2).
_DATE_TIME = re.compile(
    r"([0-9]{4,14})(?:\.([0-9]{1,6}))?([+-](?:0[0-9]|1[0-4])[0-9]{2}(?![0-9]))?"
)
MOST_KEYS, MOST_VALUES = 64, 64
"""Of a search, and of a key (values, and words of a name): each is a step of the database's."""
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")
"""In no value of any representation (PS3.5 6.1.3); a zero byte at the end is padding."""
_UTC_PRECISION = 12
"""Digits of a date and time to the minute: below that, an offset says nothing."""

TIME_OF = {
    "00080012": "00080013",  # Instance Creation
    "00080020": "00080030",  # Study
    "00080021": "00080031",  # Series
    "00080022": "00080032",  # Acquisition
    "00080023": "00080033",  # Content
    "00400002": "00400003",  # Scheduled Procedure Step Start
    "00400244": "00400245",  # Performed Procedure Step Start
    "00400250": "00400251",  # Performed Procedure Step End
}
"""Dates, and the times that make them a moment."""


@dataclass(frozen=True, slots=True)
class Match:
    """One matching key: a path of tags ("00400275", "00400009") and its values as asked."""

    path: tuple[str, ...]
    values: tuple[str, ...]
    empty: bool = False
    """Instead of any value: what is absent or empty matches (PS3.4 C.2.2.2.7)."""


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
    """Person names match by their words and sounds, too (PS3.4 C.2.2.2.1.1)."""
    combined: bool = True
    """A range of dates and one of their times are one range (PS3.4 C.2.2.2.5), not two."""
    shown: frozenset[str] | None = None
    """Tags that answers hold, in place of the standard's own set and ``include``."""
    senders: frozenset[str] = frozenset()
    """Only studies of which one of these sent something; none named means all."""
    studies: frozenset[str] = frozenset()
    """Only these; none named means all."""

    @property
    def is_narrowed(self) -> bool:
        """Whether there are studies that are not to be found, whatever is asked for."""
        return bool(self.senders or self.studies)


class Kind(StrEnum):
    """The kinds of matching (PS3.4 C.2.2.2)."""

    UNIVERSAL = "UNIVERSAL"
    EXACT = "EXACT"
    """One of the values; a list of UIDs is the usual one."""
    WILDCARD = "WILDCARD"
    RANGE = "RANGE"
    MOMENTS = "MOMENTS"
    """A range of date and time together, of two attributes."""
    NUMBER = "NUMBER"
    EMPTY = "EMPTY"


@dataclass(frozen=True, slots=True)
class Criterion:
    """A matching key, read.

    ``values`` are the exact values or patterns, any of which may match; of a range they are the
    first and the last value, empty where it is open. Times are as ``moment`` writes them, dates
    with time as ``instant`` does.
    """

    kind: Kind
    vr: str
    values: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    """Of a person name, for fuzzy matching; each has to be found."""


@dataclass(frozen=True, slots=True)
class Key:
    """What a matching key asks, and of which attribute; of MOMENTS it is the date's."""

    path: tuple[str, ...]
    criterion: Criterion


def vr_of(tag: str) -> str:
    """The value representation that the data dictionary gives a tag; UN if it has none."""
    try:
        return dictionary_VR(int(tag, 16)).split(" ")[0]
    except (KeyError, ValueError):
        return "UN"


def called(tag: str) -> str:
    """An attribute as a person may have asked for it: keyword, if there is one, and tag."""
    keyword = keyword_for_tag(int(tag, 16))
    return f"{keyword} ({tag})" if keyword else tag


def keys_of(query: Query) -> list[Key]:
    """All matching keys, read; those of a date and its time, if both are ranges, are one.

    Raises:
        QueryError: A value can't be one of its attribute, or there are too many keys.
    """
    keys = [Key(match.path, criterion(match)) for match in query.matches]
    ranges = {key.path: key for key in keys if key.criterion.kind is Kind.RANGE}
    for date in list(ranges.values()) if query.combined else ():
        time = ranges.get((*date.path[:-1], TIME_OF.get(date.path[-1], "")))
        if time is None or not (_is_open(date, query.matches) and _is_open(time, query.matches)):
            continue
        # PS3.4 C.2.2.2.5: from the first time of the first day to the last time of the last one.
        (first, last), (early, late) = date.criterion.values, time.criterion.values
        values = (
            first and first + (early or moment("", "0")),
            last and last + (late or moment("", "9")),
        )
        together = Key(date.path, Criterion(Kind.MOMENTS, "DA", values))
        keys = [together if key is date else key for key in keys if key is not time]
    keys = [key for key in keys if key.criterion.kind is not Kind.UNIVERSAL]
    if len(keys) > MOST_KEYS:
        raise QueryError(f"a search has more than {MOST_KEYS} matching keys")
    return keys


def _is_open(key: Key, matches: Iterable[Match]) -> bool:
    """Whether a range was asked for, rather than one date or time."""
    return any(
        "-" in value for match in matches if match.path == key.path for value in match.values
    )


def criterion(match: Match) -> Criterion:
    """Read a matching key by its value representation.

    Raises:
        QueryError: The value can't be one of this attribute.
    """
    tag = match.path[-1]
    vr = vr_of(tag)
    if vr in _BYTES and (match.empty or any(match.values)):
        raise QueryError(f"{called(tag)} holds bytes: nothing can be matched by it")
    if match.empty:
        return Criterion(Kind.EMPTY, vr)
    separators = str.maketrans({",": "\\"} if vr in _LISTED else {})
    values = tuple(
        part.strip(" \0")
        for value in match.values
        for part in value.translate(separators).split("\\")
        if part.strip(" \0")
    )
    if any(map(_UNPRINTABLE.search, values)) or (not values and "\0" in "".join(match.values)):
        raise QueryError(f"{called(tag)}: a value holds control characters")
    if vr != "UI" and len(values) > MOST_VALUES:
        raise QueryError(f"{called(tag)}: more than {MOST_VALUES} values")
    if not values or any(not value.strip("*") for value in values):
        return Criterion(Kind.UNIVERSAL, vr)
    if vr in _DATES:
        return Criterion(Kind.RANGE, vr, _range(tag, vr, values))
    if vr in _NUMBERS:
        return Criterion(Kind.NUMBER, vr, tuple(str(_number(tag, value)) for value in values))
    return _text(tag, vr, values)


def _number(tag: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise QueryError(f"{called(tag)}: {value!r} is not a number")
    return number


def _text(tag: str, vr: str, values: tuple[str, ...]) -> Criterion:
    if vr == "PN":
        words = tuple(words_of(" ".join(values)))
        if len(words) > MOST_VALUES:
            raise QueryError(f"{called(tag)}: more than {MOST_VALUES} words")
        # "DOE^*" means a DOE without a given name, too: empty components at the end do not count.
        bare = (value[:-1] for value in values if value.endswith("^*"))
        values = tuple(fold_name(value) for value in (*values, *bare))
        return Criterion(Kind.WILDCARD, vr, values, words)
    is_wild = vr in _WILD and any(char in value for value in values for char in "*?")
    return Criterion(Kind.WILDCARD if is_wild else Kind.EXACT, vr, values)


def _range(tag: str, vr: str, values: tuple[str, ...]) -> tuple[str, str]:
    """The first and the last date or time that match; empty where a range is open."""
    if len(values) > 1:
        raise QueryError(f"{called(tag)}: one value or one range, not {len(values)}")
    text = values[0].replace(" ", "")
    wanted = {"DA": _DATE, "TM": _TIME, "DT": _DATE_TIME}[vr]
    if found := re.fullmatch(f"({wanted.pattern})?(-?)({wanted.pattern})?", text):
        parts = found.groups()
        middle = 1 + wanted.groups
        first, dash, last = parts[0] or "", parts[middle], parts[middle + 1] or ""
        if dash or not last:
            last = last if dash else first
            if not first and not last:
                raise QueryError(f"{called(tag)}: a range needs a first or a last value")
            return _bound(vr, first, "0"), _bound(vr, last, "9")
    raise QueryError(
        f"{called(tag)}: {values[0]!r} is not a date, a time or a range of them",
        hint="write 20260131, or 20260101-20260131; times as 1015 or 1015-1130",
    )


def _bound(vr: str, value: str, fill: str) -> str:
    if not value:
        return ""
    if vr == "DA":
        return value.replace(".", "")
    return moment(value.replace(":", ""), fill) if vr == "TM" else instant(value, fill)


def moment(time: str, fill: str) -> str:
    """A time of day in full, HHMMSSFFFFFF, so that text order is the order of time.

    What the value leaves open is filled with zeros, or with nines for the end of a range.
    """
    clock, _, fraction = time.partition(".")
    return (clock[:6].ljust(6, fill) + fraction[:6].ljust(6, fill))[:12]


def instant(date_time: str, fill: str) -> str:
    """A date with time in full, YYYYMMDDHHMMSSFFFFFF; empty if it is none.

    What the value leaves open is filled as by ``moment``. One with an offset is brought to UTC
    (PS3.4 C.2.2.2.5.3); one without is taken as it is.
    """
    if (found := _DATE_TIME.fullmatch(date_time.strip())) is None:
        return ""
    digits, fraction, offset = found[1], found[2] or "", found[3]
    if offset and len(digits) >= _UTC_PRECISION:
        minutes = int(offset[1:3]) * 60 + int(offset[3:])
        try:
            there = datetime.strptime(f"{digits[:_UTC_PRECISION]}+0000", "%Y%m%d%H%M%z")
            shift = timedelta(minutes=-minutes if offset[0] == "+" else minutes)
            digits = f"{there + shift:%Y%m%d%H%M}".rjust(12, "0") + digits[_UTC_PRECISION:]
        except (ValueError, OverflowError):
            return ""
    return digits.ljust(14, fill) + fraction.ljust(6, fill)
