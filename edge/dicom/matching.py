"""An identifier put to one data set: whether it matches, and what is answered (PS3.4 C.2.2).

For services whose data sets are few and in no index of their own, such as worklists. Owns the
matching of sequences, in which one item has to meet all that is asked of it, and the choice of what
an answer holds. Promises that no pattern takes longer than its length times that of the value.
No I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from edge.dicom.instance import Level
from edge.dicom.names import fold_name
from edge.dicom.query import (
    MOST_KEYS,
    MOST_VALUES,
    TIME_OF,
    Criterion,
    Key,
    Kind,
    Match,
    Query,
    called,
    criterion,
    instant,
    keys_of,
    moment,
)
from edge.errors import QueryError

__all__ = ["Matcher", "answer_of", "fits", "matcher_of", "values_of"]

Attributes = Mapping[str, Any]
"""DICOM JSON."""

_NO_KEYS: Final = frozenset({"00080005", "00080201"})
"""Of the identifier itself: character set, and offset from UTC."""
_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")
_MOST_ITEMS: Final = 1
"""Of a sequence in an identifier (PS3.4 C.2.2.2.6)."""


@dataclass(frozen=True, slots=True)
class Matcher:
    """All matching keys of one level of an identifier."""

    keys: tuple[Key, ...] = ()
    names: tuple[tuple[str, tuple[Mapping[str, Criterion], ...]], ...] = ()
    """Of person names: tag, and what any of its values must be, by component group."""
    items: tuple[tuple[str, Matcher], ...] = ()
    """Of sequences: tag, and what any of its items must be."""

    @property
    def is_universal(self) -> bool:
        """Whether everything matches."""
        return not (self.keys or self.names or self.items)

    def matches(self, attributes: Attributes) -> bool:
        """Whether a data set, or item, meets all keys."""
        return (
            all(_meets(key, attributes) for key in self.keys)
            and all(_is_named(names, attributes.get(tag, {})) for tag, names in self.names)
            and all(
                any(below.matches(item) for item in items_of(attributes.get(tag, {})))
                for tag, below in self.items
            )
        )


def matcher_of(identifier: Attributes) -> Matcher:
    """Read the matching keys of an identifier, or of an item of it.

    Raises:
        QueryError: One can't be understood.
    """
    matches, names, items = [], [], []
    for tag, element in identifier.items():
        if tag in _NO_KEYS:
            continue
        if "BulkDataURI" in element:
            raise QueryError(f"{called(tag)}: the key is too long")
        if element.get("vr") == "SQ":
            asked = list(items_of(element))
            if len(asked) > _MOST_ITEMS:
                raise QueryError(f"{called(tag)}: one item, not {len(asked)} (PS3.4 C.2.2.2.6)")
            below = matcher_of(asked[0]) if asked else Matcher()
            if not below.is_universal:
                items.append((tag, below))
        elif element.get("vr") == "PN":
            if wanted := _names(tag, element):
                names.append((tag, wanted))
        elif values := values_of(element):
            matches.append(Match((tag,), values))
    if len(matches) + len(names) + len(items) > MOST_KEYS:
        raise QueryError(f"a query has more than {MOST_KEYS} matching keys")
    keys = keys_of(Query(Level.STUDY, tuple(matches)))
    return Matcher(tuple(keys), tuple(names), tuple(items))


def _names(tag: str, element: Attributes) -> tuple[Mapping[str, Criterion], ...]:
    """What is asked of a name; nothing if any of its values is universal."""
    wanted = []
    values = element.get("Value", ())
    if len(values) > MOST_VALUES:
        raise QueryError(f"{called(tag)}: more than {MOST_VALUES} values")
    for value in values:
        groups = value if isinstance(value, Mapping) else {"Alphabetic": value or ""}
        asked = {
            group: one
            for group, text in groups.items()
            if (one := criterion(Match((tag,), (str(text),)))).kind is not Kind.UNIVERSAL
        }
        if not asked:
            return ()
        wanted.append(asked)
    return tuple(wanted)


def _is_named(wanted: Sequence[Mapping[str, Criterion]], element: Attributes) -> bool:
    """Whether a person is called so; one group that is asked for may be any of the name's."""
    for value in element.get("Value", ()):
        if not isinstance(value, Mapping):
            continue
        folded = {group: fold_name(str(text)) for group, text in value.items() if group in _GROUPS}
        for groups in wanted:
            if len(groups) == 1:
                (one,) = groups.values()
                if any(_fits_any(one.values, text) for text in folded.values()):
                    return True
            elif all(_fits_any(one.values, folded.get(g, "")) for g, one in groups.items()):
                return True
    return False


def values_of(element: Attributes) -> tuple[str, ...]:
    """The values of an element as text, those that there are; bytes have none."""
    found = element.get("Value", ())
    return tuple(str(value) for value in found if value not in (None, "", {}))


def items_of(element: Attributes) -> Iterator[Attributes]:
    """The items of a sequence, also where a reader kept them encoded."""
    if element.get("vr") != "SQ":
        return
    values = element.get("Value", ())
    for item in values if isinstance(values, list | tuple) else ():
        if isinstance(item, msgspec.Raw):
            yield msgspec.json.decode(item)
        elif isinstance(item, Mapping):
            yield item


def _meets(key: Key, attributes: Attributes) -> bool:
    tag, wanted = key.path[-1], key.criterion
    found = values_of(attributes.get(tag, {}))
    match wanted.kind:
        case Kind.RANGE:
            read = _READ[wanted.vr]
            return any(_is_between(read(value), wanted.values) for value in found)
        case Kind.MOMENTS:
            times = values_of(attributes.get(TIME_OF[tag], {})) or ("",)
            at = moment(times[0].replace(":", ""), "0")
            return any(_is_between(_date(value) + at, wanted.values) for value in found)
        case Kind.NUMBER:
            numbers = set(map(float, wanted.values))
            return any(_number(value) in numbers for value in found)
        case Kind.WILDCARD:
            return any(_fits_any(wanted.values, value.strip()) for value in found)
        case _:
            return any(value.strip() in wanted.values for value in found)


def _is_between(value: str, bounds: Sequence[str]) -> bool:
    first, last = bounds
    return bool(value) and first <= value and (not last or value <= last)


def _date(value: str) -> str:
    return value.strip().replace(".", "")


_READ: Final[Mapping[str, Callable[[str], str]]] = {
    "DA": _date,
    "TM": lambda value: moment(value.strip().replace(":", ""), "0"),
    "DT": lambda value: instant(value, "0"),
}


def _number(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None


def _fits_any(patterns: Sequence[str], text: str) -> bool:
    return any(fits(pattern, text) for pattern in patterns)


def fits(pattern: str, text: str) -> bool:
    """Whether text fits a pattern with ``*`` and ``?`` (PS3.4 C.2.2.2.4).

    Goes back to the last ``*`` only: what an earlier one could take, that one can, too.
    """
    at = index = 0
    star, resumed = -1, 0
    while index < len(text):
        if at < len(pattern) and pattern[at] == "*":
            star, resumed = at, index
            at += 1
        elif at < len(pattern) and pattern[at] in ("?", text[index]):
            at += 1
            index += 1
        elif star >= 0:
            resumed += 1
            at, index = star + 1, resumed
        else:
            return False
    return not pattern[at:].strip("*")


def answer_of(identifier: Attributes, attributes: Attributes) -> dict[str, Any]:
    """What is answered: what was asked for and nothing else (PS3.4 C.2.2.1.3).

    What the data set does not have is there without a value. A sequence that was asked for without
    keys is answered whole.
    """
    answer: dict[str, Any] = {}
    for tag, element in identifier.items():
        if tag in _NO_KEYS:
            continue
        vr, found = element.get("vr", "UN"), attributes.get(tag)
        if vr == "SQ":
            asked = next(items_of(element), None)
            items = list(items_of(found or {}))
            if asked:
                items = [answer_of(asked, item) for item in items]
            answer[tag] = {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}
        else:
            answer[tag] = found if found is not None else {"vr": vr}
    return answer
