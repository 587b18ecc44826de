"""An identifier that asks a worklist (PS3.4 K.2.2.1, K.6.1.2.2): which of its keys choose, and how.

Scanners send keys that no item can have, such as a Query/Retrieve Level or private ones. Owns what
becomes of each: the usual keys always have to match, and an item without a value fails them. Any
other attribute of a worklist only tells those items apart that have a value of it. What is none of
a worklist's chooses nothing. Whatever chose nothing for an item is owned up to by its `Fit`, and
what left nothing at all is named by `obstacles`. No I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any, Final

from edge.dicom.matching import Matcher, items_of, matcher_of, values_of
from edge.dicom.query import TIME_OF, called
from edge.dicom.scheduled import KEYS_OF_REST, KEYS_OF_STEP, STEP
from edge.errors import QueryError

__all__ = ["ALWAYS", "STATUS", "Fit", "Obstacle", "WorklistQuery"]

Attributes = Mapping[str, Any]
"""DICOM JSON."""

STATUS: Final = "00400020"
"""Scheduled Procedure Step Status."""
_STATION, _MODALITY, _DATE, _TIME = "00400001", "00080060", "00400002", "00400003"
_ALWAYS_OF_STEP: Final = frozenset(
    {
        *(_STATION, _DATE, _TIME, _MODALITY),
        "00400006",  # Scheduled Performing Physician's Name
        "00400009",  # Scheduled Procedure Step ID
        STATUS,
    }
)
_ALWAYS_OF_REST: Final = frozenset(
    {
        "00100010",  # Patient's Name
        "00100020",  # Patient ID
        "00100030",  # Patient's Birth Date
        "00100040",  # Patient's Sex
        "00080050",  # Accession Number
        "0020000D",  # Study Instance UID
        "00380010",  # Admission ID
        "00401001",  # Requested Procedure ID
    }
)
ALWAYS: Final = (*sorted(_ALWAYS_OF_REST), *sorted(_ALWAYS_OF_STEP))
"""The required matching keys of PS3.4 Table K.6-1, and the optional ones that all servers match."""
_OPTIONAL_OF_STEP: Final = frozenset(KEYS_OF_STEP) - _ALWAYS_OF_STEP
_OPTIONAL_OF_REST: Final = frozenset(KEYS_OF_REST) - _ALWAYS_OF_REST - {STEP} | {
    "00080020",
    "00080030",
}
_NO_KEYS: Final = frozenset({"00080005", "00080201"})
"""Of the identifier itself: character set, and offset from UTC."""
_MOST_BELOW: Final = 16
"""Keys of an item of a sequence."""
_NAMED: Final = {_STATION: "station", _MODALITY: "modality", _DATE: "date"}
"""Attributes whose values may be named where no patient's may."""


class Fit(IntEnum):
    """How an item meets what is asked; the worst of several is the smallest."""

    NO = 0
    PARTLY = 1
    """A key chose nothing: the item has no value of it, or no item can have one."""
    WHOLLY = 2


@dataclass(frozen=True, slots=True)
class Obstacle:
    """A key that left nothing, alone or with the others; it names no patient."""

    name: str
    """``station``, ``modality``, ``date``; else the keyword."""
    asked: str = ""
    """What was asked for; only where it may be named."""
    alone: bool = False
    """It leaves nothing by itself."""
    listed: tuple[str, ...] = ()
    """What there is instead, if it does; only where that may be named."""


@dataclass(frozen=True, slots=True)
class _Key:
    """One key that asks for something; those of a date and its time are one."""

    tag: str
    asked: str
    matcher: Matcher
    always: bool = False
    below: tuple[_Key, ...] = ()
    """Of a sequence."""

    def fit(self, attributes: Attributes) -> Fit:
        """How a data set, or item, meets it."""
        found = self._fit(attributes)
        return Fit.NO if self.always and found is Fit.PARTLY else found

    def _fit(self, attributes: Attributes) -> Fit:
        element = attributes.get(self.tag, {})
        if self.below:
            items = [_fit(self.below, item) for item in items_of(element)]
            return max(items, default=Fit.PARTLY)
        if not any(value.strip() for value in values_of(element)):
            return Fit.PARTLY
        return Fit.WHOLLY if self.matcher.matches(attributes) else Fit.NO


class WorklistQuery:
    """An identifier, read.

    Args:
        identifier: DICOM JSON.

    Raises:
        QueryError: A key of a worklist can't be understood.
    """

    def __init__(self, identifier: Attributes) -> None:
        asked = identifier.get(STEP, {})
        step = next(_items(STEP, asked), {})
        ignored: list[str] = []
        self._of_rest = tuple(
            _keys({**identifier, STEP: {}}, _ALWAYS_OF_REST, _OPTIONAL_OF_REST, ignored)
        )
        self._of_step = tuple(_keys(step, _ALWAYS_OF_STEP, _OPTIONAL_OF_STEP, ignored))
        self.ignored = tuple(ignored)
        """Keywords of the keys with a value that no worklist has."""
        self.days = _days(step)
        """The first and last day that can match, YYYYMMDD; empty: any."""
        self.asks_for_status = any(v.strip("*?") for v in values_of(step.get(STATUS, {})))
        """Whether it is asked for steps of a certain status, rather than for what is to be done."""

    def fit(self, attributes: Attributes) -> Fit:
        """How an item meets all keys."""
        found = min(
            _fit(self._of_rest, attributes),
            _fit(self._of_step, _step_of(attributes)),
        )
        return min(found, Fit.PARTLY) if self.ignored else found

    def obstacles(self, items: Sequence[Attributes]) -> list[Obstacle]:
        """Why none of these items fits: the keys that none of them meets, else all that choose."""
        steps = [_step_of(item) for item in items]
        fits = [
            (key, inner, [key.fit(one) for one in inner])
            for keys, inner in ((self._of_rest, items), (self._of_step, steps))
            for key in keys
        ]
        alone = [
            _alone(key, inner) for key, inner, found in fits if all(f is Fit.NO for f in found)
        ]
        return alone or [_obstacle(key) for key, _, found in fits if Fit.NO in found]


def _fit(keys: Iterable[_Key], attributes: Attributes) -> Fit:
    return min((key.fit(attributes) for key in keys), default=Fit.WHOLLY)


def _step_of(attributes: Attributes) -> Attributes:
    return next(items_of(attributes.get(STEP, {})), {})


def _keys(
    asked: Attributes, always: frozenset[str], optional: frozenset[str], ignored: list[str]
) -> Iterator[_Key]:
    """The keys of one level; what is of no worklist goes to *ignored*."""
    times = {TIME_OF[tag] for tag in asked if tag in TIME_OF and values_of(asked[tag])}
    for tag, element in asked.items():
        if tag in _NO_KEYS or tag in times or tag.endswith("0000"):
            continue
        if tag not in always and tag not in optional:
            if _asks(element):
                ignored.append(called(tag).partition(" ")[0])
            continue
        yield from _key(tag, asked, always=tag in always)


def _key(tag: str, asked: Attributes, *, always: bool = False) -> Iterator[_Key]:
    """What one key asks, if anything."""
    element = asked[tag]
    if element.get("vr") == "SQ":
        item = next(_items(tag, element), {})
        below = tuple(key for inner in item for key in _key(inner, item) if inner not in _NO_KEYS)
        if len(below) > _MOST_BELOW:
            raise QueryError(f"{called(tag)}: more than {_MOST_BELOW} matching keys")
        if below:
            yield _Key(tag, "", Matcher(), always, below)
        return
    together = {tag: element}
    if (time := asked.get(TIME_OF.get(tag, ""))) and values_of(element):
        together[TIME_OF[tag]] = time
    matcher = matcher_of(together)
    if not matcher.is_universal:
        said = ["\\".join(values_of(one)) for one in together.values()]
        yield _Key(tag, " ".join(filter(None, said)), matcher, always)


def _items(tag: str, element: Attributes) -> Iterator[Attributes]:
    items = list(items_of(element))
    if len(items) > 1:
        raise QueryError(f"{called(tag)}: one item, not {len(items)} (PS3.4 C.2.2.2.6)")
    return iter(items)


def _asks(element: Attributes) -> bool:
    """Whether a key has a value, at any depth."""
    if element.get("vr") == "SQ":
        return any(_asks(one) for item in items_of(element) for one in item.values())
    return "InlineBinary" in element or any(value.strip("* ") for value in values_of(element))


def _days(step: Attributes) -> tuple[str, str]:
    """The days that can match, so that no other is looked at."""
    matcher = matcher_of({_DATE: step.get(_DATE, {})})
    for key in matcher.keys:
        if len(key.criterion.values) == 2:
            return key.criterion.values[0], key.criterion.values[1]
    return "", ""


def _obstacle(key: _Key) -> Obstacle:
    name = _NAMED.get(key.tag)
    return Obstacle(name, key.asked) if name else Obstacle(called(key.tag).partition(" ")[0])


def _alone(key: _Key, listed: Iterable[Attributes]) -> Obstacle:
    """A key that none of the items, or their steps, meets."""
    found = _obstacle(key)
    values = {value.strip() for one in listed for value in values_of(one.get(key.tag, {}))}
    return replace(found, alone=True, listed=tuple(sorted(values)) if found.asked else ())
