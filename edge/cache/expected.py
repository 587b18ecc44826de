"""Patients who will come: what worklists and programs announced, for as long as it matters."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo

from edge.cache.changes import Changes
from edge.index import expected
from edge.index.database import Connection, Database
from edge.index.expected import Expected

__all__ = ["AHEAD", "Expectations", "Expected"]

AHEAD = 3
"""Days before a patient is expected that his priors may come: Monday's come before the weekend."""
_LAST = "99991231"


class Expectations:
    """The ledger of them.

    Args:
        database: The index.
        clock: POSIX seconds.
        zone: Of the box; None means what the system says.
        changes: Woken when there are others; None if nobody waits.
    """

    def __init__(
        self,
        database: Database,
        clock: Callable[[], float] = time.time,
        *,
        zone: tzinfo | None = None,
        changes: Changes | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._zone = zone
        self._changes = changes

    @property
    def today(self) -> date:
        """By the clock on the wall."""
        moment = datetime.fromtimestamp(self._clock(), UTC)
        return moment.astimezone(self._zone).date()

    @property
    def tomorrow(self) -> date:
        """The day after."""
        return self.today + timedelta(days=1)

    async def announce(self, patients: Sequence[Expected]) -> int:
        """They will come; how many were not known. Days that are over are forgotten."""
        now, today = self._clock(), f"{self.today:%Y%m%d}"

        def write(db: Connection) -> int:
            expected.forget_before(db, today)
            return expected.announce(db, [one for one in patients if one.date >= today], now)

        return await self._done(await self._database.write(write))

    async def take_back(self, source: str, *, patient_id: str = "", day: str = "") -> int:
        """A source takes back what it announced: all, or of one patient, or day; how many."""
        return await self._done(
            await self._database.write(
                lambda db: expected.forget(db, source, patient_id=patient_id, date=day)
            )
        )

    async def _done(self, count: int) -> int:
        if count and self._changes is not None:
            self._changes.wake()
        return count

    async def soon(self) -> list[Expected]:
        """Those whose priors may come, the earliest first."""
        last = self.today + timedelta(days=AHEAD)
        return await expected.soon(
            self._database, first=f"{self.today:%Y%m%d}", last=f"{last:%Y%m%d}"
        )

    async def page(self, *, limit: int, offset: int) -> tuple[int, list[Expected]]:
        """How many there are from today on, and some of them."""
        first = f"{self.today:%Y%m%d}"
        total = await expected.count(self._database, first=first, last=_LAST)
        found = await expected.expected(
            self._database, first=first, last=_LAST, limit=limit, offset=offset
        )
        return total, found
