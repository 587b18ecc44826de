"""What a check is: one numbered sentence of the Standard, and a function that finds out.

Promises that a check sees nothing but a service and the material that was stored in it, that none
depends on another, and that one which fails says what came instead of what the Standard wants.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from tests.conformance.material import Material
    from tests.conformance.service import Service

__all__ = [
    "Chapter",
    "Check",
    "Differs",
    "NotOffered",
    "Result",
    "Verdict",
    "expect",
    "not_offered",
]

Run = Callable[["Service", "Material"], None]


class Differs(Exception):
    """The service does something else than the sentence says; the message says what."""


class NotOffered(Exception):
    """The service does without what the Standard leaves to it; the message says how it told."""


class Verdict(StrEnum):
    """What became of a check."""

    PASSED = "passed"
    DIFFERS = "DIFFERS"
    NOT_OFFERED = "not offered"
    """The sentence is about something that an origin server may leave out, and it does."""


@dataclass(frozen=True, slots=True)
class Result:
    """A verdict, and why; the reason is empty where the check passed."""

    verdict: Verdict
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One sentence, and how it is found out.

    Attributes:
        number: Chapter and place in it, such as ``Q7``.
        section: Of PS3.18, unless it names another part or an RFC.
        sentence: What the Standard says.
        optional: Whether an origin server may do without it.
    """

    number: str
    section: str
    sentence: str
    optional: bool
    run: Run

    def find_out(self, service: Service, material: Material) -> Result:
        """Run it. Never raises: what a check stumbles over is what it found."""
        try:
            self.run(service, material)
        except Differs as error:
            return Result(Verdict.DIFFERS, str(error))
        except NotOffered as error:
            if self.optional:
                return Result(Verdict.NOT_OFFERED, str(error))
            return Result(Verdict.DIFFERS, str(error))
        except Exception as error:  # noqa: BLE001  (whatever the service answered, the table goes on)
            return Result(Verdict.DIFFERS, f"not understood: {type(error).__name__}: {error}")
        return Result(Verdict.PASSED)


class Chapter:
    """The checks of one transaction, numbered in the order in which they are written.

    Args:
        letter: Begins their numbers.
        title: Stands above them.
    """

    def __init__(self, letter: str, title: str) -> None:
        self.letter = letter
        self.title = title
        self.checks: list[Check] = []

    def check(self, section: str, sentence: str, *, optional: bool = False) -> Callable[[Run], Run]:
        """Decorate the function that finds out whether the sentence holds."""

        def add(run: Run) -> Run:
            number = f"{self.letter}{len(self.checks) + 1}"
            self.checks.append(Check(number, section, sentence, optional, run))
            return run

        return add


def expect(condition: object, message: str) -> None:
    """Go on if *condition* holds.

    Raises:
        Differs: It does not; with *message*.
    """
    if not condition:
        raise Differs(message)


def not_offered(message: str) -> NoReturn:
    """Say that the service does without; a difference, unless the check is optional."""
    raise NotOffered(message)


def listed(values: Iterable[object]) -> str:
    """Values for a message, in a stable order."""
    return ", ".join(sorted(map(str, values))) or "none"
