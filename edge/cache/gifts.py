"""Studies that somebody has sent to a DICOM peer: what is known of each. No I/O.

A restart of the box forgets them: whoever sent a study sees whether it came there before.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Destination", "Gift", "GiftState"]


class GiftState(StrEnum):
    """How far it is."""

    WAITING = "waiting"
    """For its turn."""
    SENDING = "sending"
    DONE = "done"
    """The peer took all of it."""
    FAILED = "failed"
    """It did not take some of it, or none."""
    STOPPED = "stopped"
    """A person said so."""


@dataclass(frozen=True, slots=True)
class Destination:
    """A peer that can be sent to."""

    ae_title: str
    name: str
    """That people gave it; may be empty."""


@dataclass(slots=True)
class Gift:
    """One study on its way to a peer. Times are POSIX seconds."""

    number: int
    study_uid: str
    peer: str
    """AE title."""
    who: str
    began: float
    state: GiftState = GiftState.WAITING
    instances: int = 0
    sent: int = 0
    failed: int = 0
    reason: str = ""
    """Why most of those that failed did; no patient data."""
    ended: float = 0.0
