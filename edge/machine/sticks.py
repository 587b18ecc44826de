"""What the screen of the box says of a stick that is in: that it is read, and what came of it.

Owns ``/run/edge-stick/NAME``, a folder for each stick that the units of the service look at: they
make it, for the service's user, and take it away when the stick is out. In it stands a file for
each use of the stick. Promises that nothing of what lies on a stick is said: who reads the screen
may be anybody. Calls block.
"""

from __future__ import annotations

import contextlib
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from edge.crypto.durable import write_file
from edge.machine.places import Places

__all__ = ["Use", "read_sticks", "tell_of_stick"]

_MOST: Final = 4
"""Sticks: of more at once nobody reads."""
_LEAVE: Final = "leave it in"
_TAKE: Final = "you may take it out"


class Use(StrEnum):
    """For what it was put in."""

    SETUP = "setup"
    UPDATE = "update"


class _Told(msgspec.Struct, frozen=True):
    """What there is to say of one use."""

    words: str
    is_over: bool


def tell_of_stick(
    places: Places, stick: Path, use: Use, words: str, *, is_over: bool = True
) -> None:
    """Have the screen say it; nowhere, if the stick is none that the units look at.

    Args:
        places: Of the machine.
        stick: Where it is mounted.
        use: What is done with it.
        words: About the stick, without its name: "is read".
        is_over: It is not needed for that any more.
    """
    folder = places.sticks / stick.name
    with contextlib.suppress(OSError):  # the screen says nothing of it then
        if folder.is_dir():
            write_file(folder / f"{use}.json", msgspec.json.encode(_Told(words, is_over)))


def read_sticks(places: Places) -> tuple[str, ...]:
    """What is said of each stick that is in."""
    try:
        folders = sorted(places.sticks.iterdir())
    except OSError:
        return ()
    found = []
    for folder in folders:
        if told := [one for use in Use if (one := _read(folder / f"{use}.json")) is not None]:
            last = _TAKE if all(one.is_over for one in told) else _LEAVE
            found.append("; ".join([*(one.words for one in told), last]))
    return tuple(found[:_MOST])


def _read(path: Path) -> _Told | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Told)
    except (OSError, msgspec.DecodeError):
        return None
