"""A question of the form, and its answer."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Answer", "Reply", "maker", "no", "none", "yes"]


class Reply(StrEnum):
    """What can be answered."""

    YES = "Yes"
    NO = "No"
    NONE = "N/A"
    """It does not apply."""
    MAKER = "Maker"
    """Whoever makes and ships the appliance says that."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One row."""

    number: str
    """Such as ``AUDT-2.1``."""
    question: str
    reply: Reply
    note: str = ""

    @property
    def section(self) -> str:
        """Its letters."""
        return self.number.partition("-")[0]


def yes(number: str, question: str, note: str = "") -> Answer:
    """It is so."""
    return Answer(number, question, Reply.YES, note)


def no(number: str, question: str, note: str = "") -> Answer:
    """It is not."""
    return Answer(number, question, Reply.NO, note)


def none(number: str, question: str, note: str = "") -> Answer:
    """It does not apply."""
    return Answer(number, question, Reply.NONE, note)


def maker(number: str, question: str, note: str = "") -> Answer:
    """Not the software decides that."""
    return Answer(number, question, Reply.MAKER, note)
