"""Makes room: takes VERIFIED objects, the longest unused first, and nothing else, ever.

It begins above the high mark and ends at the low one. What was used within ``keep_days`` is spared
until nothing else is left, and what is pinned even then, as far as it fits (``edge.cache.pins``).

VERIFIED is what the archive had when it was last looked at, and archives lose things. So it is
asked once more just before: what it does not list any more stays here. It is given that again if
it still has the rest of the series; else it may have been deleted there on purpose, which is found
out first. While it can't be asked, a verification is believed for ``TRUSTED``: a line that is down
for weeks must not end the intake of a box whose images are proven to be elsewhere. What was proven
longer ago stays, and intake is refused rather than that an only copy might go.

Crash order: the row becomes NEARLINE and commits -> the object is unlinked. A crash between the two
leaves an object that no row names; the next start finds that its instance is known, and adopts it.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import defaultdict
from collections.abc import Callable, Sequence

from edge.cache.custody import CustodyLedger
from edge.cache.ledger import ArchiveLedger
from edge.cache.pins import Pins
from edge.cache.space import Space
from edge.cloud.archive import Archive
from edge.cloud.listing import list_instances
from edge.config import Cache
from edge.errors import CloudError
from edge.index import residence
from edge.index.database import Database
from edge.index.pins import Pinned
from edge.index.residence import Evictable
from edge.store.objects import ObjectStore

__all__ = ["TRUSTED", "Eviction", "Uses"]

log = logging.getLogger(__name__)

_INTERVAL = 1.0
"""Seconds between two looks at disk and index."""
_FLUSH = 30.0
"""Seconds that uses are gathered before they are written."""
_DAY = 86400.0
TRUSTED = 30 * _DAY
"""Seconds that a verification is believed while the archive can't be asked again."""
_ASKING = 10.0
"""Seconds that the archive has to say what it has of one series."""
_ASK_AGAIN = 60.0
"""Seconds before an archive is asked again that could not be asked."""


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
    """Watches the marks.

    Args:
        archives: The primary one and those that stand in for it; each is asked before anything
            goes that it has. None if there is none any more.
        evicted: Called whenever something went.
    """

    def __init__(
        self,
        limits: Cache,
        store: ObjectStore,
        database: Database,
        space: Space,
        uses: Uses,
        ledger: CustodyLedger,
        archives: Sequence[Archive],
        clock: Callable[[], float] = time.time,
        *,
        evicted: Callable[[], None] = lambda: None,
    ) -> None:
        self._limits = limits
        self._store = store
        self._database = database
        self._space = space
        self._uses = uses
        self._ledger = ledger
        self._archives = tuple(archives)
        self._clock = clock
        self._evicted = evicted
        self._pins = Pins(database, limits.pin, clock)
        self._ask_from: dict[str, float] = {}

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
        now, gained = self._clock(), 0
        # The last pass takes no account of time at all: a clock may have been ahead.
        for used_before in (now - self._limits.keep_days * _DAY, math.inf):
            for archive in self._archives or (None,):
                gained += await self._evict_what(archive, used_before)
        # Intake goes first: what is pinned beyond its share is promised nothing.
        if self._space.excess and (beyond := await self._pins.beyond(self._space)):
            log.warning("what is pinned does not fit: %d bytes of it may go", beyond)
            for archive in self._archives or (None,):
                taken = await self._evict_what(archive, math.inf, of_pins=beyond)
                beyond, gained = beyond - taken, gained + taken
        if gained:
            log.info("evicted %d bytes that an archive has, too", gained)
        return gained

    async def _evict_what(
        self, archive: Archive | None, used_before: float, *, of_pins: int | None = None
    ) -> int:
        """Evict what an archive verifiably has, as much as is needed; the bytes gained.

        Nothing that is pinned; or, with *of_pins*, so many bytes of that and nothing else.
        """
        now, gained = self._clock(), 0
        can_be_asked = archive is not None and await self._can_be_asked(archive)
        others = {one.name for one in self._archives[1:]}
        standing_in = archive.name if archive is not None and archive.name in others else ""
        pinned = self._pins.pinned
        spared, only = (pinned, None) if of_pins is None else (None, pinned)
        most = math.inf if of_pins is None else of_pins
        while (excess := min(self._space.excess, most - gained)) > 0:
            candidates = await residence.evictable(
                self._database,
                used_before=used_before,
                verified_since=-math.inf if can_be_asked else now - TRUSTED,
                max_bytes=int(excess),
                standing_in=standing_in,
                spared=spared,
                only=only,
            )
            if not candidates:
                break
            if archive is not None and can_be_asked:
                try:
                    candidates = await self._there(archive, candidates)
                except (CloudError, TimeoutError) as error:
                    log.info("the archive can't be asked what it has: %s", str(error) or "silence")
                    self._ask_from[archive.name] = now + _ASK_AGAIN
                    can_be_asked = False
                    continue
            gained += await self._evict(candidates, spared)
        return gained

    async def _can_be_asked(self, archive: Archive) -> bool:
        wait = self._ask_from.get(archive.name, -math.inf) - self._clock()
        # A longer wait than it ever is was set under a clock that was ahead.
        if 0 < wait <= _ASK_AGAIN:
            return False
        return await self._ledger.is_reachable(archive.name)

    async def _there(self, archive: Archive, candidates: Sequence[Evictable]) -> list[Evictable]:
        """Those that the archive lists; of the others custody is in doubt from now on.

        Raises:
            CloudError, TimeoutError: It can't be asked.
        """
        series = defaultdict[str, list[Evictable]](list)
        for candidate in candidates:
            series[candidate.ref.series_uid].append(candidate)
        there: list[Evictable] = []
        for members in series.values():
            async with asyncio.timeout(_ASKING):
                found = (await list_instances(archive, [one.ref for one in members])).found
            there += [one for one in members if one.ref.sop_uid in found]
            if gone := [one for one in members if one.ref.sop_uid not in found]:
                await self._miss(archive, gone, is_series_there=bool(found))
        return there

    async def _miss(
        self, archive: Archive, gone: Sequence[Evictable], *, is_series_there: bool
    ) -> None:
        """Keep what the archive does not list; it goes on as ``edge.sync.absence`` says."""
        ref = gone[0].ref
        if archive is self._archives[0] and not is_series_there:
            async with asyncio.timeout(_ASKING):
                is_series_there = bool(
                    await archive.search_instances(ref.study_uid, ref.series_uid)
                )
            if not is_series_there:
                log.warning(
                    "archive %s lists nothing of a series any more: %d instances are kept here",
                    archive.name,
                    len(gone),
                )
                await self._ledger.suspect(ref.study_uid, archive.name)
                return
        log.error(
            "archive %s lost %d instances that it had verifiably; they are kept here",
            archive.name,
            len(gone),
        )
        await self._account(archive).doubt([one.instance_id for one in gone])

    def _account(self, archive: Archive) -> ArchiveLedger:
        if archive is self._archives[0]:
            return self._ledger
        return self._ledger.beside(archive.name)

    async def _evict(self, candidates: Sequence[Evictable], spared: Pinned | None) -> int:
        evicted = await self._database.write(lambda db: residence.evict(db, candidates, spared))
        for candidate in evicted:
            await self._store.delete(candidate.object)
        if evicted:
            self._evicted()
        await self._space.refresh()
        return sum(candidate.sealed_bytes for candidate in evicted)
