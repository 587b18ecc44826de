"""The history of days: how much came, and how much of it the archive was seen to have.

Days are those of the clock on the wall where the box stands. Names nobody.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo

from edge.index import history
from edge.index.database import Database

__all__ = ["Day", "History"]


@dataclass(slots=True)
class Day:
    """What happened on a day."""

    date: str
    """``YYYY-MM-DD``."""
    came: int = 0
    """Instances that devices and people brought."""
    came_bytes: int = 0
    safe: int = 0
    """Instances that the archive was seen to have, for the first time since it was in doubt."""
    safe_bytes: int = 0
    refused: int = 0
    """Instances that the archive refused."""


class History:
    """Reads it.

    Args:
        database: The index.
        clock: POSIX seconds.
        zone: Of the box; None means what the system says.
    """

    def __init__(
        self,
        database: Database,
        clock: Callable[[], float] = time.time,
        zone: tzinfo | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._zone = zone

    async def days(self, count: int) -> list[Day]:
        """The last days, today is the last of them; those on which nothing happened, too."""
        today = self._day(self._clock())
        days = [Day((today - timedelta(days=ago)).isoformat()) for ago in range(count - 1, -1, -1)]
        by_date = {day.date: day for day in days}
        # A day more than is shown: no zone is further away from that of the count.
        first = datetime.combine(today - timedelta(days=count), datetime.min.time(), UTC)
        quarters = await history.since(self._database, int(first.timestamp()) // history.QUARTER)
        for one in quarters:
            day = by_date.get(self._day(one.number * history.QUARTER).isoformat())
            if day is not None:
                day.came += one.came
                day.came_bytes += one.came_bytes
                day.safe += one.safe
                day.safe_bytes += one.safe_bytes
                day.refused += one.refused
        return days

    def _day(self, moment: float) -> date:
        return datetime.fromtimestamp(moment, UTC).astimezone(self._zone).date()
