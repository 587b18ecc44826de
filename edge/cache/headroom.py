"""How much may be brought ahead of time: what nobody would miss the room of.

That is the free room below eviction's low mark, and beyond it as much as eviction can make of what
was not used for a day (or ``keep_days``, if that is longer); and never more than ``SHARE`` of the
capacity within a day. So whatever is brought pushes out nothing that is in use, nothing that was
brought itself, and intake is never refused for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from edge.cache.eviction import TRUSTED
from edge.cache.pins import Pins
from edge.cache.space import LOW, Space
from edge.config import Cache
from edge.index import residence
from edge.index.database import Database

__all__ = ["Headroom"]

SHARE = 0.5
"""Of the capacity that the archive may fill within a day."""
_CRUMB = 0.01
"""Of the capacity; less room than that is none: an instance that did not fit would be fetched in
vain."""
_DAY = 86400.0


class Headroom:
    """Counts it.

    Args:
        limits: The setting ``keep_days``, and what is pinned.
        database: The index.
        space: Of the box.
        clock: POSIX seconds.
    """

    def __init__(
        self,
        limits: Cache,
        database: Database,
        space: Space,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._space = space
        self._pins = Pins(database, limits.pin, clock)
        self._spared_for = max(1, limits.keep_days) * _DAY
        self._clock = clock

    @property
    def is_pressed(self) -> bool:
        """Whether eviction has to make room first."""
        return self._space.above_high_mark

    async def bytes(self) -> int:
        """That may be brought now."""
        if self.is_pressed:
            return 0
        now, capacity = self._clock(), self._space.capacity
        brought = await residence.brought_since(self._database, now - _DAY)
        share = int(SHARE * capacity) - brought
        if share <= 0:
            return 0
        stale = await residence.stale_bytes(
            self._database,
            used_before=now - self._spared_for,
            verified_since=now - TRUSTED,
            spared=self._pins.pinned,
        )
        room = min(share, int(LOW * capacity) - self._space.taken + stale)
        return room if room > _CRUMB * capacity else 0

    async def bytes_for_pins(self) -> int:
        """The same for what is pinned, which has a share of its own."""
        return min(await self.bytes(), await self._pins.may_grow(self._space.capacity))

    @property
    def bytes_for_reports(self) -> int:
        """Reports are small: they come until eviction has to begin."""
        return max(0, self._space.below_high_mark)
