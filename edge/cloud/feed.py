"""What changed in an archive, as the rest of the edge sees it: one Protocol and its values.

A position is a feed's own word for how far it was read; whoever follows keeps it as it is. Never
does I/O; ``changefeed.py`` and ``orthanc.py`` implement it, and one contract suite runs on them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from edge.dicom.instance import InstanceRef

__all__ = ["Action", "Change", "Feed", "Page"]


class Action(StrEnum):
    """What happened to the instance, as far as it still matters."""

    STORED = "STORED"
    """It came; see ``Change.at``."""
    REPLACED = "REPLACED"
    """The archive had it before, and has it otherwise now, or again."""
    DELETED = "DELETED"
    """It is not there any more."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change."""

    action: Action
    ref: InstanceRef
    at: float | None = None
    """Of STORED: POSIX seconds, by this box's clock, where the feed does not tell whether the
    archive had it before; None where it does tell."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some changes, the oldest first."""

    changes: tuple[Change, ...]
    position: str
    """Behind them."""
    more: bool
    """Whether others can be read at once."""


class Feed(Protocol):
    """The changes of an archive, in order.

    Every method may raise what those of ``Archive`` do. What is read twice is the same twice.
    """

    @property
    def kind(self) -> str:
        """Whose positions these are: another kind can't read them."""
        ...

    @property
    def logs_deletes(self) -> bool:
        """Whether it says everything, so that looking through the archive itself can be rare."""
        ...

    async def latest(self) -> str:
        """The position behind all that has changed so far."""
        ...

    async def after(self, position: str) -> Page | None:
        """What changed since; None if the position is not one of this feed.

        Then the archive was restored or replaced, or the feed was cleared: only a look through the
        archive itself can say what changed.
        """
        ...
