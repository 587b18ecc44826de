"""How the box is, in one of four words: the light on every screen.

Owns what is worth which colour. It says nothing that the sentence of the state does not.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from edge.dicom.instance import Custody

if TYPE_CHECKING:  # the page on the screen knows the light, and loads no index for it
    from edge.cache.status import Status

__all__ = ["Level", "level_of", "offline_since"]


class Level(StrEnum):
    """The gravest that is so."""

    SAFE = "safe"
    """Everything is in the archive."""
    BUSY = "busy"
    """Something is on its way there, as it should be."""
    WARNING = "warning"
    """A person should know."""
    ALARM = "alarm"
    """A person must do something, or images are lost or not taken."""


def level_of(status: Status, *, is_new: bool = False) -> Level:
    """The light.

    Args:
        status: Of the box.
        is_new: Nobody is there who could have set up an archive, or printed a key: it is no worry
            that neither was done.
    """
    numbers = status.summary
    parts = status.parts
    if (
        parts is None
        or any(state != "running" for state in parts.values())
        or numbers.lost
        or status.refusal
        or status.is_hindered
        or status.machine.is_grave
    ):
        return Level.ALARM
    has_archive = bool(status.archives or status.untried)
    is_lacking = not has_archive or status.disk_key_unseen
    if _worries(status) or (is_lacking and not is_new):
        return Level.WARNING
    if numbers.studies_only_here or numbers.studies_unproven or numbers.by_courier:
        return Level.BUSY
    return Level.SAFE


def offline_since(status: Status) -> float | None:
    """Since when the way to the archive is down, in POSIX seconds; None if it is not."""
    since = [one.since for one in status.archives if one.role == "primary" and not one.online]
    return min(since, default=None)


def _worries(status: Status) -> bool:
    numbers = status.summary
    return bool(
        status.drop_folder
        or numbers.in_conflict
        or numbers.custody.get(Custody.REFUSED, 0) > numbers.given_up
        or any(not one.online or one.reason for one in status.archives)
        or numbers.absent
        or numbers.withdrawals_refused
        or status.commitments.given_up
        or status.procedures.refused
        or any(source.error for source in status.worklist)
        or status.audit.trouble
        or status.audit.damage
        or status.emergencies.open
        or status.emergencies.unseen
        or status.update
        or not status.prefetch.pinned_fit
        or status.tokens
        or status.authorities
        or status.certificates
        or status.lost_secrets
        or status.cages
        or status.found
        or not status.machine.is_fine
    )
