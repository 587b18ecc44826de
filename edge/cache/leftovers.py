"""What the drop folder took in and could not delete, remembered over restarts.

A file that was admitted is never admitted again because it could not be deleted: what was deleted
here since would come back. If this memory is lost with the index, it is admitted once more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from edge.index import leftovers
from edge.index.database import Database
from edge.index.leftovers import LIMIT, Leftover

__all__ = ["LIMIT", "Leftover", "Leftovers"]


class Leftovers:
    """The memory.

    Args:
        database: The index.
        clock: POSIX seconds.
    """

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    async def all(self) -> list[Leftover]:
        """What is remembered, the oldest first."""
        return await leftovers.leftovers(self._database)

    async def keep(self, noted: Sequence[Leftover]) -> None:
        """Remember files; of more than ``LIMIT`` the oldest are forgotten."""
        now = self._clock()
        await self._database.write(lambda db: leftovers.keep(db, noted, now))

    async def forget(self, gone: Sequence[Leftover]) -> None:
        """Forget files that are not there any more."""
        await self._database.write(lambda db: leftovers.forget(db, gone))

    async def report(self, trouble: str) -> None:
        """Have ``edge status`` say what hinders the drop folder; empty: nothing does."""
        await self._database.write(lambda db: leftovers.set_trouble(db, trouble))
