"""How the drop folder says what it did, and what hinders it; without any name of a file."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Hindrance", "Stuck", "counted", "reason_of", "troubles"]


class Hindrance(StrEnum):
    """What can't be done with a file."""

    DELETE = "DELETE"
    WRITE = "WRITE"
    """The drop folder itself, before anything was to be deleted from it."""
    MOVE = "MOVE"
    READ = "READ"


@dataclass(frozen=True, slots=True)
class Stuck:
    """Files of one unit that something can't be done with, and why."""

    reasons: Mapping[Hindrance, tuple[str, ...]]
    """One for each file."""


def counted(number: int, one: str, many: str) -> str:
    """A number and what it counts."""
    return f"{number} {one if number == 1 else many}"


def troubles(
    stuck: Iterable[Stuck], *, unreadable_folders: int, is_writable: bool
) -> dict[Hindrance, str]:
    """What hinders the drop folder, the gravest first.

    Args:
        stuck: What can't be taken away or read.
        unreadable_folders: Whose content can't even be listed.
        is_writable: Whether files may be taken out of the drop folder itself.
    """
    reasons: dict[Hindrance, list[str]] = {each: [] for each in Hindrance}
    for unit in stuck:
        for hindrance, found in unit.reasons.items():
            reasons[hindrance] += found
    said = {}
    cant = "its files can't be taken away: "
    if left := reasons[Hindrance.DELETE]:
        remain = counted(len(left), "admitted file remains", "admitted files remain")
        said[Hindrance.DELETE] = f"{cant}{remain} ({_why(left)})"
    elif not is_writable:
        said[Hindrance.WRITE] = f"{cant}the service may not write the folder"
    if bad := reasons[Hindrance.MOVE]:
        files = counted(len(bad), "file that is", "files that are")
        said[Hindrance.MOVE] = f"{files} not admitted can't be moved to rejected/ ({_why(bad)})"
    if closed := reasons[Hindrance.READ]:
        files = counted(len(closed), "file", "files")
        said[Hindrance.READ] = f"{files} can't be read ({_why(closed)})"
    elif unreadable_folders:
        folders = counted(unreadable_folders, "folder", "folders")
        said[Hindrance.READ] = f"{folders} in it can't be read"
    return said


def reason_of(error: OSError) -> str:
    """What the system says, without the name that the error holds."""
    if error.strerror:
        return error.strerror
    return errno.errorcode.get(error.errno or 0, type(error).__name__)


def _why(reasons: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(reasons))
