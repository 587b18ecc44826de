"""What an alarm of a page is, and who reads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from edge.access.roles import Act
from edge.cache.condition import Level
from edge.pages.words import Words

__all__ = ["Alarm", "Reader"]


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that is not as it should be."""

    level: Level
    text: str
    advice: str
    """What to do, or that nothing is to be done."""
    words: str = ""
    """Of others, as they said it."""
    link: str = ""
    """A page where something can be done."""
    link_text: str = ""


class Reader(Protocol):
    """Who reads: a visit of a page, or the screen of the box."""

    @property
    def words(self) -> Words:
        """Of their language."""

    def may(self, act: Act, /) -> bool:
        """Whether they may do that."""
