"""What is wrong with scheduled procedure steps: what scanners need is missing, or unreadable.

Owns the words for it, and what is kept from scanners: a value that is none of its kind. Such a step
is on the list nevertheless, for its patient may be at the door; whoever keeps its source is told.
No I/O.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from edge.dicom.matching import items_of, values_of
from edge.dicom.scheduled import STEP, Step, day_of
from edge.dicom.uids import is_uid

__all__ = ["flaws_of", "repeated", "without_unreadable"]

_NEEDED: Final = {
    "00100010": "Patient's Name",
    "00100020": "Patient ID",
    "0020000D": "Study Instance UID",
    "00401001": "Requested Procedure ID",
}
_NEEDED_OF_STEP: Final = {
    "00080060": "Modality",
    "00400001": "Scheduled Station AE Title",
    "00400002": "Scheduled Procedure Step Start Date",
    "00400003": "Scheduled Procedure Step Start Time",
    "00400009": "Scheduled Procedure Step ID",
}
"""Return keys of type 1 (PS3.4 Table K.6-1)."""
_TIME: Final = re.compile(r"([01][0-9]|2[0-3])(:?[0-5][0-9](:?([0-5][0-9]|60)(\.[0-9]{1,6})?)?)?")
_Reader = Callable[[str], object]
"""False of a value that is none."""
_READ: Final[Mapping[str, tuple[str, _Reader]]] = {
    "0020000D": (_NEEDED["0020000D"], is_uid),
    "00100030": ("Patient's Birth Date", day_of),
}
_READ_OF_STEP: Final[Mapping[str, tuple[str, _Reader]]] = {
    "00400002": (_NEEDED_OF_STEP["00400002"], day_of),
    "00400003": (_NEEDED_OF_STEP["00400003"], _TIME.fullmatch),
}


def flaws_of(step: Step) -> str:
    """What is wrong with a step, in plain words that name no patient; empty: nothing."""
    rest, inner = step.attributes, _step_of(step.attributes)
    missing = [
        f"{name} ({tag[:4]},{tag[4:]})"
        for needed, there in ((_NEEDED, rest), (_NEEDED_OF_STEP, inner))
        for tag, name in needed.items()
        if not _values(there, tag)
    ]
    unreadable = [
        f"its {name} ({tag[:4]},{tag[4:]}) can't be read"
        for readers, there in ((_READ, rest), (_READ_OF_STEP, inner))
        for tag, (name, read) in readers.items()
        if not all(map(read, _values(there, tag)))
    ]
    lacking = [f"it has no {', no '.join(missing)}"] if missing else []
    return "; ".join([*unreadable, *lacking])


def without_unreadable(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """An item as scanners get it: a date, time or UID that is none is there without a value."""
    items = [_readable(item, _READ_OF_STEP) for item in attributes[STEP]["Value"]]
    return {**_readable(attributes, _READ), STEP: {"vr": "SQ", "Value": items}}


def repeated(steps: Iterable[tuple[str, Step]]) -> Iterator[tuple[str, str]]:
    """Which steps have the IDs of an earlier one, and are another: where they are, and where that.

    Args:
        steps: Where each is, and the step.
    """
    known: dict[str, tuple[str, Step]] = {}
    for where, step in steps:
        first, earlier = known.setdefault(step.key, (where, step))
        if step.attributes != earlier.attributes:
            yield where, first


def _readable(
    attributes: Mapping[str, Any], readers: Mapping[str, tuple[str, _Reader]]
) -> Mapping[str, Any]:
    wrong = {}
    for tag, (_, read) in readers.items():
        element = attributes.get(tag)
        if element and not all(read(value.strip()) for value in element.get("Value", ()) if value):
            wrong[tag] = {"vr": element["vr"]}
    return {**attributes, **wrong} if wrong else attributes


def _values(attributes: Mapping[str, Any], tag: str) -> list[str]:
    found = attributes.get(tag, {})
    if found.get("vr") == "PN":
        names = [one for one in found.get("Value", ()) if isinstance(one, Mapping)]
        return [text for one in names for text in one.values() if str(text).strip()]
    return [value.strip() for value in values_of(found) if value.strip()]


def _step_of(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    return next(items_of(attributes.get(STEP, {})), {})
