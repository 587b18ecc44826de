"""The cage is closed from within, once everything that the process needs is loaded and open.

Owns the order: what takes descriptors or calls that there are not inside comes first, the filter of
calls last. Promises that what the kernel refuses is said, that the filter was tried before it is
believed, and that nothing is given up by halves: each means holds by itself.
"""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edge.cage import kernel, landlock
from edge.cage.calls import this_machine
from edge.cage.rules import Rules, program

__all__ = ["Cage", "enter"]


@dataclass(frozen=True, slots=True)
class Cage:
    """What a process keeps; everything else it gives up."""

    rules: Rules
    """What it may ask of the kernel."""
    folders: tuple[Path, ...] = ()
    """Beneath which it has files."""
    rights: int = 0
    """To those (``landlock``)."""
    limits: Mapping[int, int] = field(default_factory=dict)
    """``RLIMIT_…`` -> the most, beside core dumps, which there never are."""


def enter(cage: Cage) -> tuple[str, ...]:
    """Close it around this process, for good. Landlock holds for threads that are started later.

    Args:
        cage: Made in this process: its number may stand in the rules.

    Returns:
        What the kernel refused, for people; empty if the cage is whole.
    """
    lacks: list[str] = []
    with contextlib.suppress(OSError):
        kernel.hide_memory()
    _try(lacks, "no_new_privs", kernel.gain_nothing)
    _try(lacks, "Landlock", lambda: landlock.restrict(cage.folders, cage.rights))
    for kind, most in ((resource.RLIMIT_CORE, 0), *cage.limits.items()):
        resource.setrlimit(kind, (most, most))
    _try(lacks, "seccomp", lambda: _filter(cage.rules))
    return tuple(lacks)


def _try(lacks: list[str], name: str, give_up: Callable[[], None]) -> None:
    try:
        give_up()
    except OSError as error:
        lacks.append(f"{name}: {error.strerror or error}")


def _filter(rules: Rules) -> None:
    machine = this_machine()
    number = None if machine is None else machine.number("seccomp")
    if machine is None or number is None:
        raise OSError("its calls are not known on this processor")
    kernel.filter_calls(number, program(rules, machine))
    try:
        os.uname()  # is on no list
    except PermissionError:
        return
    raise OSError("was taken by the kernel, but is not in force")
