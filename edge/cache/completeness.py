"""Knows when a study that comes in is complete, and has that said.

A study is complete when its performed procedure steps are over, and all that they name is here;
what no step names, and a study without steps, when nothing came for a while. A step that is never
ended, or names what never comes, holds its study up for so long as the configuration says. What is
added later makes it come in again, and its completeness is said again.

Promises that each instance that came is said to be available, once or more, over reboots: it is
counted from the changes of the index behind a cursor, and the count goes in the transaction that
queues the messages. What the archive gave does not count.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from edge.cache.changes import Changes
from edge.cache.listing import Page
from edge.cache.outbox import Outbox
from edge.cache.procedures import Procedures
from edge.cache.steadiness import Steadiness
from edge.config import Procedures as Settings
from edge.errors import StorageFull
from edge.index import outbox, procedures
from edge.index.database import Connection, Database
from edge.index.procedures import Arrival

__all__ = ["Arrival", "Completeness"]

log = logging.getLogger(__name__)

_MOST = 2000
"""Changes that are looked at in one transaction."""
_BREATH = 0.5
"""Seconds between two looks, while images come one after the other."""
_LOOK = 3600.0
_TIDY = 6 * _LOOK
_PAUSE = 60.0
"""Seconds before another try, if the disk is too full to write down what came."""


class Completeness:
    """Looks at what came whenever something changed, and when a quiet time is over.

    Args:
        database: The index.
        settings: ``[procedures]``.
        changes: Wakes it; woken when there is something to say.
        notify: AE titles of the peers that are told.
        clock: POSIX seconds.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        changes: Changes,
        *,
        notify: Sequence[str] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._settings = settings
        self._changes = changes
        self._notify = tuple(dict.fromkeys(notify))
        self._clock = clock
        self._steadiness = Steadiness(clock)

    async def run(
        self, steps: Procedures, messages: Outbox, *, ready: asyncio.Event | None = None
    ) -> None:
        """Look until cancelled.

        Args:
            steps: They are tidied up at times, too,
            messages: and so are these.
            ready: Set once nothing that comes can be missed.
        """
        loop = asyncio.get_running_loop()
        tidied = -_TIDY
        with self._changes.subscribe() as woken:
            await self.step()
            if ready is not None:
                ready.set()
            await steps.repeat()
            while True:
                try:
                    if loop.time() - tidied >= _TIDY and self._steadiness.holds():
                        tidied = loop.time()
                        await steps.tidy()
                        await messages.tidy()
                    wait = await self.step()
                except StorageFull as error:
                    log.error("what came can't be written down: %s", error)
                    wait = _PAUSE
                await asyncio.sleep(_BREATH)
                await woken.wait(wait if wait is not None and wait < _LOOK else _LOOK)

    async def step(self) -> float | None:
        """Take note of what came, and of what is complete; seconds until the next may be.

        Raises:
            StorageFull: The disk is full.
        """
        now = self._clock()
        while await self._database.write(lambda db: procedures.follow(db, now, _MOST)):
            pass
        waits = []
        seen = await procedures.under_way(self._database)
        if any(one.latest > now for one in seen):
            await self._database.write(lambda db: procedures.set_right(db, now))
            seen = await procedures.under_way(self._database)
        for one in seen:
            wait = self._wait(one, now)
            if wait > 0:
                waits.append(wait)
            elif await self._complete(one, now):
                log.info("a study is complete: %d instances, %d new", one.instances, one.fresh)
                self._changes.wake()
        return min(waits, default=None)

    async def arrivals(self, *, limit: int, offset: int) -> Page[Arrival]:
        """The studies that come in, the one of which something came last first."""
        total, _ = await procedures.progress(self._database)
        items = await procedures.under_way(self._database, limit=limit, offset=offset)
        return Page(total, items)

    def _wait(self, one: Arrival, now: float) -> float:
        """Seconds until a study is complete if nothing happens; 0 or less: it is."""
        if one.steps and not one.in_progress and not one.missing and not one.unnamed:
            return 0.0
        quiet = self._settings.quiet_seconds
        if one.in_progress or one.missing:
            quiet = max(quiet, self._settings.wait_hours * 3600)
        return one.latest + quiet - now

    async def _complete(self, one: Arrival, now: float) -> bool:
        def write(db: Connection) -> bool:
            if not procedures.complete(db, one, now):
                return False
            if one.fresh:
                outbox.notify(db, self._notify, one.study_uid, now)
            return True

        return await self._database.write(write)
