"""Counts what is really opened and stored on behalf of somebody, for the audit.

A door sets `TALLY` around what it does for a caller; the one way in and the one way out add to it,
in whatever task that happens. What the box does by itself has no tally, and costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final

from edge.dicom.instance import InstanceRef

__all__ = ["TALLY", "Counted", "Tally", "counting", "opened", "stored"]

Counted = list[tuple[str, str]]
"""SOP Instance UID and SOP Class UID of each."""


@dataclass(slots=True)
class Tally:
    """Instances by their study."""

    opened: dict[str, Counted] = field(default_factory=dict)
    stored: dict[str, Counted] = field(default_factory=dict)
    begun: Callable[[str], None] | None = None
    """Told of a study when the first of it is opened."""


TALLY: Final[ContextVar[Tally | None]] = ContextVar("tally", default=None)


@contextmanager
def counting(tally: Tally) -> Iterator[Tally]:
    """Have what is done in the block, and in tasks that it begins, counted."""
    token = TALLY.set(tally)
    try:
        yield tally
    finally:
        TALLY.reset(token)


def opened(ref: InstanceRef, sop_class_uid: str) -> None:
    """An instance is opened."""
    if (tally := TALLY.get()) is None:
        return
    if (counted := tally.opened.get(ref.study_uid)) is None:
        counted = tally.opened[ref.study_uid] = []
        if tally.begun is not None:
            tally.begun(ref.study_uid)
    counted.append((ref.sop_uid, sop_class_uid))


def stored(ref: InstanceRef, sop_class_uid: str) -> None:
    """An instance is safe."""
    if (tally := TALLY.get()) is not None:
        tally.stored.setdefault(ref.study_uid, []).append((ref.sop_uid, sop_class_uid))
