"""The information models of Query/Retrieve, and an identifier read by them (PS3.4 C.3, C.4.1, C.6).

Owns the roots with their levels and unique keys, what was agreed on by extended negotiation, and
how the keys of an identifier become a `Query`. Promises that what the model does not permit is
refused with a reason and the element that it is about, and that what is merely not supported is
said. It finds nothing itself.

One thing that a hierarchical query must not do (C.4.1.2.1) is permitted, whatever was agreed on: to
leave out the unique keys of the levels above. Workstations do, and no other answer can be meant.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydicom.datadict import keyword_for_tag

from edge.dicom.instance import Level
from edge.dicom.query import Kind, Match, Query, criterion, keys_of, vr_of
from edge.dicom.uids import is_uid
from edge.dimse.messages import Status
from edge.errors import QueryError

__all__ = [
    "FIND_MODELS",
    "UNIQUE_KEYS",
    "Asked",
    "BadIdentifier",
    "Extension",
    "Knowledge",
    "read",
    "wrong_level",
]

UNIQUE_KEYS: Final[Mapping[Level, str]] = {
    Level.PATIENT: "00100020",
    Level.STUDY: "0020000D",
    Level.SERIES: "0020000E",
    Level.INSTANCE: "00080018",
}
"""PS3.4 C.3; of each level."""
_LEVELS: Final = tuple(UNIQUE_KEYS)
FIND_MODELS: Final[Mapping[str, tuple[Level, ...]]] = {
    "1.2.840.10008.5.1.4.1.2.1.1": _LEVELS,
    "1.2.840.10008.5.1.4.1.2.2.1": _LEVELS[1:],
    "1.2.840.10008.5.1.4.1.2.3.1": _LEVELS[:2],
}
"""Patient Root, Study Root, and the retired Patient/Study Only: their levels from above."""

_LEVEL, _CHARACTER_SET, _TIMEZONE = "00080052", "00080005", "00080201"
_NOT_KEYS: Final = frozenset({_LEVEL, _CHARACTER_SET, _TIMEZONE})
"""What says how to read the others."""
_LISTS_AND_RANGES: Final = frozenset({"UI", "DA", "TM", "DT"})
"""Representations to which Multiple Value Matching does not apply: theirs are lists and ranges."""
_EMPTY: Final = '""'
_MOST_DEPTH: Final = 8
_WRONG: Final[Mapping[str, str]] = {
    "DA": "not a date, or a range of dates",
    "TM": "not a time, or a range of times",
    "DT": "not a date and time, or a range",
    "UI": "a value is not a UID",
}
_NUMBERS: Final = frozenset("IS DS US SS UL SL UV SV FL FD".split())


class BadIdentifier(QueryError):
    """The identifier is refused.

    Args:
        status: That is answered.
        comment: Why, without a value of it.
        tag: The offending element; empty if it is none of them.
    """

    def __init__(self, status: Status, comment: str, tag: str = "") -> None:
        super().__init__(comment)
        self.status = status
        self.tag = tag


@dataclass(frozen=True, slots=True)
class Extension:
    """What was agreed on beyond the baseline (PS3.4 C.5.1.1)."""

    combined: bool = False
    """Ranges of a date and its time are one."""
    fuzzy: bool = False
    empty: bool = False
    """Empty Value Matching."""
    multiple: bool = False
    """Multiple Value Matching."""

    @classmethod
    def agreed(cls, information: bytes) -> Extension:
        """What service class application information says; what is left out is not agreed on."""
        bits = [byte == 1 for byte in information] + [False] * len(_OFFERED)
        _, combined, fuzzy, _, _, empty, multiple = bits[: len(_OFFERED)]
        return cls(combined, fuzzy, empty, multiple)

    @staticmethod
    def answer(proposed: bytes) -> bytes:
        """Our service class application information, as long as the peer's."""
        return bytes(
            int(byte == 1 and offered) for byte, offered in zip(proposed, _OFFERED, strict=False)
        )


_OFFERED: Final = (True, True, True, False, False, True, True)
"""By their order in PS3.4 Table C.5-2. Relational queries (the first) are answered in any case.
Times are not brought to the peer's time zone (the fourth), and instances are shown as they are, not
as enhanced multi-frame or classic ones (the fifth)."""


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What can be found, and told."""

    can_match: Callable[[tuple[str, ...], Level], bool]
    is_kept: Callable[[str, Level], bool]


@dataclass(frozen=True, slots=True)
class Asked:
    """An identifier, read."""

    query: Query
    keys: Mapping[str, Any]
    """Tag -> VR of an attribute that was asked for; of a sequence, the keys of its item if it names
    some."""
    charset: tuple[str, ...]
    """Specific Character Set of the request."""
    unique: tuple[str, ...]
    """Unique keys of the level and of those above, which every answer has."""
    is_supported: bool
    """Whether all keys are matched and can have a value."""


def read(
    identifier: Mapping[str, Any],
    levels: tuple[Level, ...],
    extension: Extension,
    knowledge: Knowledge,
) -> Asked:
    """Read the identifier of a C-FIND.

    Args:
        identifier: DICOM JSON, keyed by tag.
        levels: Of the information model.
        extension: What was agreed on.
        knowledge: Which keys are supported.

    Raises:
        BadIdentifier: It is not one of the model, or a value can't be understood.
    """
    level = _level(identifier, levels)
    above = levels[: levels.index(level)]
    keys, matches = _keys(identifier, 0), list[Match]()
    is_supported = True
    for match in _matches(identifier, keys, extension):
        if _is_universal(match):
            continue
        if knowledge.can_match(match.path, level):
            matches.append(match)
        else:
            is_supported = False
    unique = tuple(UNIQUE_KEYS[one] for one in (*above, level))
    query = Query(
        level,
        tuple(matches),
        fuzzy=extension.fuzzy,
        combined=extension.combined,
        shown=frozenset(keys) | frozenset(unique) | {"00080056", _TIMEZONE},
    )
    try:
        keys_of(query)
    except QueryError as error:
        raise BadIdentifier(Status.CANNOT_UNDERSTAND, "too many matching keys") from error
    return Asked(
        query,
        keys,
        tuple(_texts(identifier.get(_CHARACTER_SET, {}))),
        unique,
        is_supported and all(knowledge.is_kept(tag, level) for tag in keys),
    )


def _level(identifier: Mapping[str, Any], levels: tuple[Level, ...]) -> Level:
    values = _texts(identifier.get(_LEVEL, {}))
    if values and values[0] in levels:
        return Level(values[0])
    raise BadIdentifier(Status.DATA_SET_DOES_NOT_MATCH, wrong_level(values, levels), _LEVEL)


def wrong_level(values: Sequence[str], levels: Iterable[Level]) -> str:
    """A sentence on a Query/Retrieve Level (0008,0052) that is none of these.

    Its value is shown only if it is a level at all, with whatever letters.
    """
    value = str(next(iter(values), ""))
    what = (value if value.upper() in frozenset(Level) else "unknown") if value else "missing"
    return f"Level is {what}; allowed: {', '.join(levels)}"


def _keys(identifier: Mapping[str, Any], depth: int) -> dict[str, Any]:
    """What is asked for, of the identifier or of an item of it."""
    found: dict[str, Any] = {}
    for tag, element in identifier.items():
        if tag in _NOT_KEYS - {_TIMEZONE} or tag.endswith("0000"):
            continue
        if "BulkDataURI" in element:
            raise BadIdentifier(Status.CANNOT_UNDERSTAND, "a key is too long", tag)
        vr = element["vr"] if element["vr"] != "UN" else vr_of(tag)
        found[tag] = vr
        if vr == "SQ" and (items := element.get("Value")):
            if len(items) > 1 or not isinstance(items[0], Mapping) or depth >= _MOST_DEPTH:
                comment = "a sequence key has one item (PS3.4 C.2.2.2.6)"
                raise BadIdentifier(Status.CANNOT_UNDERSTAND, comment, tag)
            found[tag] = _keys(items[0], depth + 1) or "SQ"
    return found


def _matches(
    identifier: Mapping[str, Any],
    keys: Mapping[str, Any],
    extension: Extension,
    above: tuple[str, ...] = (),
) -> Iterator[Match]:
    for tag, vr in keys.items():
        if tag in _NOT_KEYS:
            continue
        element, path = identifier[tag], (*above, tag)
        if isinstance(vr, Mapping):
            yield from _matches(element["Value"][0], vr, extension, path)
        elif vr == "SQ" or (_is_creator(tag) and not _needs_creator(tag, identifier)):
            continue
        elif extension.empty and _texts(element) == [_EMPTY]:
            yield Match(path, (), empty=True)
        elif vr == "PN" and len(element.get("Value", ())) == 1:
            # Each component group that is given has to be found.
            for group in (element["Value"][0] or {}).values():
                yield Match(path, (group,))
        elif extension.multiple and vr not in _LISTS_AND_RANGES:
            for value in _texts(element):
                yield Match(path, (value,))
        else:
            yield Match(path, tuple(_texts(element)))


def _is_universal(match: Match) -> bool:
    tag = match.path[-1]
    try:
        found = criterion(match)
    except QueryError as error:
        vr = vr_of(tag)
        what = "not a number" if vr in _NUMBERS else _WRONG.get(vr, "its value can't be matched")
        raise BadIdentifier(Status.CANNOT_UNDERSTAND, f"{_name(tag)}: {what}", tag) from error
    if found.kind is Kind.EXACT and found.vr == "UI" and not all(map(is_uid, found.values)):
        comment = f"{_name(tag)}: {_WRONG['UI']}"
        raise BadIdentifier(Status.CANNOT_UNDERSTAND, comment, tag)
    return found.kind is Kind.UNIVERSAL


def _texts(element: Mapping[str, Any]) -> list[str]:
    """The values of an element as text."""
    if (inline := element.get("InlineBinary")) is not None:
        # Of a private attribute, implicit VR does not say what it is.
        return [b64decode(inline).decode("latin_1").rstrip("\0 ")]
    return [
        next(iter(value.values()), "") if isinstance(value, Mapping) else _text(value)
        for value in element.get("Value", ())
    ]


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _name(tag: str) -> str:
    """An attribute by its keyword; the tag itself goes into Offending Element."""
    return keyword_for_tag(int(tag, 16)) or tag


def _is_creator(tag: str) -> bool:
    """PS3.5 7.8.1."""
    return bool(int(tag[:4], 16) % 2) and "0010" <= tag[4:] <= "00FF"


def _needs_creator(creator: str, identifier: Mapping[str, Any]) -> bool:
    """Whether an attribute of its block is matched."""
    begins = creator[:4] + creator[6:]
    return any(
        tag.startswith(begins) and any(_texts(element)) for tag, element in identifier.items()
    )
