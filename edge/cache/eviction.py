"""Makes room: takes VERIFIED objects, the longest unused first, and nothing else, ever.

It begins above the high mark and ends at the low one. What was used within ``keep_days`` is spared
until nothing else is left.

Crash order: the row becomes NEARLINE and commits -> the object is unlinked. A crash between the two
leaves an object that no row names; the next start finds that its instance is known, and adopts it.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable

from edge.cache.space import Space
from edge.config import Cache
from edge.index import residence
from edge.index.database import Database
from edge.index.residence import Evictable
from edge.store.objects import ObjectStore

__all__ = ["Eviction", "Uses"]

log = logging.getLogger(__name__)

_INTERVAL = 1.0
"""Seconds between two looks at disk and index."""
_FLUSH = 30.0
"""Seconds that uses are gathered before they are written."""
_DAY = 86400.0


class Uses:
    """When instances were last opened: gathered here, written now and then."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        self._used: dict[int, float] = {}

    def note(self, instance_id: int) -> None:
        """It is being opened."""
        self._used[instance_id] = self._clock()

    async def flush(self) -> None:
        """Write down what was gathered."""
        if self._used:
            used, self._used = self._used, {}
            await self._database.write(lambda db: residence.touch(db, used))


class Eviction:
    """Watches the marks."""

    def __init__(
        self,
        limits: Cache,
        store: ObjectStore,
        database: Database,
        space: Space,
        uses: Uses,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._limits = limits
        self._store = store
        self._database = database
        self._space = space
        self._uses = uses
        self._clock = clock

    async def run(self) -> None:
        """Watch until cancelled."""
        flushed = self._clock()
        while True:
            try:
                async with asyncio.timeout(_INTERVAL):
                    await self._space.pressed.wait()
            except TimeoutError:
                pass
            self._space.pressed.clear()
            await self._space.refresh()
            now = self._clock()
            if self._space.above_high_mark or now - flushed > _FLUSH:
                await self._uses.flush()
                flushed = now
            if self._space.above_high_mark:
                await self.make_room()
            async with self._space.relieved:
                self._space.relieved.notify_all()

    async def make_room(self) -> int:
        """Evict down to the low mark, as far as that is allowed; the bytes gained."""
        now = self._clock()
        gained = 0
        # The last pass takes no account of time at all: a clock may have been ahead.
        for used_before in (now - self._limits.keep_days * _DAY, math.inf):
            while excess := self._space.excess:
                candidates = await residence.evictable(
                    self._database, used_before=used_before, max_bytes=excess
                )
                if not candidates:
                    break
                gained += await self._evict(candidates)
        if gained:
            log.info("evicted %d bytes that the archive has, too", gained)
        return gained

    async def _evict(self, candidates: list[Evictable]) -> int:
        evicted = await self._database.write(lambda db: residence.evict(db, candidates))
        for candidate in evicted:
            await self._store.delete(candidate.object)
        await self._space.refresh()
        return sum(candidate.sealed_bytes for candidate in evicted)
