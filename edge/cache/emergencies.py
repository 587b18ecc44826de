"""Emergency accesses, as the state of the box tells of them: an alarm until an admin has looked."""

from __future__ import annotations

from dataclasses import dataclass

from edge.index.database import Database
from edge.index.emergencies import counts

__all__ = ["EmergencyState", "emergency_state"]


@dataclass(frozen=True, slots=True)
class EmergencyState:
    """How many there are; who, and why, is for admins."""

    open: int = 0
    """Somebody who was narrowed may read everything now."""
    unseen: int = 0
    """Those that are over, and that no admin has looked at."""
    begun: int = 0
    """In all, as far as they are kept here: a year at the least."""

    @property
    def sentence(self) -> str:
        """For a nurse; empty if there is nothing to say."""
        said = []
        if self.open:
            said.append(f"Emergency access is open for {_people(self.open)}")
        if self.unseen:
            word = "access waits" if self.unseen == 1 else "accesses wait"
            said.append(f"{self.unseen} emergency {word} for an admin: edge user emergencies")
        return ". ".join(said)


async def emergency_state(database: Database) -> EmergencyState:
    """That of now."""
    return EmergencyState(*await counts(database))


def _people(number: int) -> str:
    return "1 person" if number == 1 else f"{number} people"
