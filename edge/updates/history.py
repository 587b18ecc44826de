"""What was done with updates, line by line, and what follows from it for a version.

Owns the words of the history, and says whether a version is taken by itself once more. Does no I/O:
`journal.Folder` reads and writes the lines.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Final

import msgspec

__all__ = ["Cause", "Deed", "Entry", "has_failed", "lines_of", "was_cancelled"]

_LINE_TRIES: Final = 3
"""So often a version is tried again by itself that failed for the line's or the power's sake."""


class Deed(StrEnum):
    """What happened."""

    FETCHED = "fetched"
    """It is here, whole and proven."""
    BROUGHT = "brought"
    """The same, by somebody with a stick."""
    UNUSABLE = "unusable"
    """It is not what it should be."""
    REFUSED = "refused"
    """What is on a stick can't be taken; it says nothing about a version."""
    ORDERED = "ordered"
    """It is to be written, and started from."""
    CANCELLED = "cancelled"
    WRITTEN = "written"
    """It is in the other slot, and the machine starts from that."""
    NOT_WRITTEN = "not written"
    GOOD = "good"
    """It has proven itself: the machine starts from it from now on."""
    BAD = "bad"
    """It has not: the machine goes back."""
    WENT_BACK = "went back"
    """The version from before runs again."""
    INDEX_BACK = "index taken back"
    """The index of before was taken in place of one that a newer version had written."""


class Cause(StrEnum):
    """Why something failed, as far as it matters for whether it is tried again."""

    ITSELF = "itself"
    """A person has to want it again."""
    LINE = "line"
    POWER = "power"
    MOMENT = "moment"
    """It was not the time for it."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the history."""

    number: int
    at: float
    deed: Deed
    version: str
    before: str = ""
    why: str = ""
    by: str = ""
    cause: Cause = Cause.ITSELF


def lines_of(data: bytes) -> Iterator[Entry]:
    """The lines of a history's file; one that a power cut tore is passed over."""
    for line in data.splitlines():
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            yield msgspec.json.decode(line, type=Entry)


def has_failed(history: Iterable[Entry], version: str) -> Entry | None:
    """Why a version is not taken by itself; None if it may be.

    One that failed for the line's or the power's sake may be tried three times.
    """
    last, times = None, 0
    for entry in history:
        if entry.version != version:
            continue
        if entry.deed is Deed.GOOD:
            last, times = None, 0
        elif entry.deed in (Deed.UNUSABLE, Deed.NOT_WRITTEN, Deed.BAD, Deed.WENT_BACK):
            # Going back follows on what was bad: that is one failure, and its cause the first's.
            if entry.deed is not Deed.WENT_BACK or last is None or last.deed is not Deed.BAD:
                times += 1
                last = entry
            else:
                last = msgspec.structs.replace(entry, cause=last.cause, why=last.why or entry.why)
    if last is None or (last.cause is not Cause.ITSELF and times < _LINE_TRIES):
        return None
    return last


def was_cancelled(history: Iterable[Entry], version: str) -> bool:
    """Whether the last that was said of a version is that a person does not want it."""
    last = [entry for entry in history if entry.version == version]
    return bool(last) and last[-1].deed is Deed.CANCELLED
