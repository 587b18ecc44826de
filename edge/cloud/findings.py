"""What a walk to an archive finds: one value a step, for a terminal as for a page."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Finding", "Step", "Verdict"]


class Step(StrEnum):
    """The steps, in their order."""

    NAME = "name"
    CONNECT = "connect"
    PROXY = "proxy"
    TLS = "tls"
    CLOCK = "clock"
    LOGIN = "login"
    SEARCH = "search"
    """QIDO-RS."""
    STORE = "store"
    """STOW-RS of the test instance."""
    FIND = "find"
    """QIDO-RS lists it."""
    RETRIEVE = "retrieve"
    """WADO-RS gives the same bytes."""
    DELETE = "delete"


class Verdict(StrEnum):
    """What became of a step."""

    PASSED = "passed"
    NOTED = "noted"
    """The box can work so, but a person should know."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """A step that was taken."""

    step: Step
    verdict: Verdict
    found: str
    hint: str
    """What to do next; empty if nothing."""
    milliseconds: float
