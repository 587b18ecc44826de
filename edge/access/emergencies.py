"""The emergency accesses that there were, for admins to look at.

Promises that one which nobody looked at is an alarm until an admin says that they did; that it is
over by then, and that the admin is somebody else. Begins and ends none: `edge.access.emergency`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from edge.errors import UserRefused
from edge.index import emergencies as table
from edge.index.database import Database
from edge.index.emergencies import EmergencyRow

__all__ = ["Emergencies", "Emergency", "emergency_of"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Emergency:
    """An emergency access. Times are POSIX seconds."""

    emergency_id: str
    """What was done in it is found in the record by this."""
    name: str
    issuer: str
    """Who vouches for the name; empty if they are a user of this box."""
    role: str
    address: str
    proved: str
    """By what they proved again who they are."""
    reason: str
    """In their own words; it may name a patient."""
    began: float
    until: float
    ended: float | None
    """None: it is open."""
    why_ended: str
    seen: float | None
    """When an admin looked at it; None: it is an alarm."""
    seen_by: str


class Emergencies:
    """All of them.

    Args:
        database: The index.
        clock: POSIX seconds.
    """

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    async def list(self) -> tuple[Emergency, ...]:
        """A thousand at the most: those that nobody looked at first, then the newest."""
        return tuple(emergency_of(row) for row in await table.rows(self._database))

    async def find(self, emergency_id: str) -> Emergency:
        """The one that is called so.

        Raises:
            UserRefused: There is none.
        """
        row = await table.find(self._database, emergency_id)
        if row is None:
            raise UserRefused(
                "there is no emergency access of that name",
                hint="edge user emergencies names them",
            )
        return emergency_of(row)

    async def looked(self, emergency_id: str, who: str) -> Emergency:
        """An admin looked at one: it is no alarm any more; who looked first stays.

        Args:
            emergency_id: Which.
            who: They; by name.

        Raises:
            UserRefused: There is none, it is open, or it was their own.
        """
        found = await self.find(emergency_id)
        if found.ended is None:
            raise UserRefused(
                "it is still open", hint=f"edge user logout {found.name} ends it, as does its time"
            )
        if found.name == who:
            raise UserRefused("nobody looks at their own", hint="another admin does")
        now = self._clock()
        first = await self._database.write(lambda db: table.mark_seen(db, emergency_id, now, who))
        if first:
            log.info("emergency access %s of %s was looked at by %s", emergency_id, found.name, who)
        return await self.find(emergency_id)


def emergency_of(row: EmergencyRow) -> Emergency:
    """What a row says."""
    return Emergency(
        row.emergency_id,
        row.name,
        row.issuer,
        row.role,
        row.address,
        row.proved,
        row.reason,
        row.began,
        row.until,
        row.ended or None,
        row.why_ended,
        row.seen or None,
        row.seen_by,
    )
