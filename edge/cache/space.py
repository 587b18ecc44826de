"""How much room there is: the accountant that intake and eviction share.

New instances are refused while those under way still have the reserve to finish in. What may be
used is ``max_bytes``, or what the disk has beyond ``reserve_bytes``, whichever is less.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from edge.config import Cache
from edge.errors import StorageFull
from edge.index.database import Database
from edge.store.objects import ObjectStore

__all__ = ["LOW", "Reservation", "Space"]

HIGH, LOW = 0.95, 0.85
"""Eviction begins above the high mark and ends at the low one; parts of the capacity."""
_LAST_RESORT = 8
"""Instances under way may use the reserve but for this part of it."""


class Space:
    """Counts sealed bytes; in step with index and disk whenever ``refresh`` ran.

    Args:
        patience: Seconds that a new instance waits for eviction before it is refused.
        closed: Why nothing may come in just now, whatever room there is; empty if anything may.
    """

    def __init__(
        self,
        limits: Cache,
        database: Database,
        store: ObjectStore,
        *,
        patience: float = 10.0,
        closed: Callable[[], str] = str,
    ) -> None:
        self._limits = limits
        self._database = database
        self._store = store
        self._patience = patience
        self._closed = closed
        self._arriving = 0
        self._under_way = 0
        self._free = 0
        self.used = 0
        self.pressed = asyncio.Event()
        """Set when somebody needs room; eviction answers it."""
        self.relieved = asyncio.Condition()

    @property
    def capacity(self) -> int:
        """Sealed bytes that may be kept in all."""
        beyond = max(0, self.used + self._free - self._limits.reserve_bytes)
        return min(beyond, self._limits.max_bytes) if self._limits.max_bytes else beyond

    @property
    def is_idle(self) -> bool:
        """Whether no instance is under way, from when it was let in to its commit."""
        return not self._under_way

    @property
    def taken(self) -> int:
        """Bytes that are used, those that arrive now too."""
        return self.used + self._arriving

    @property
    def below_high_mark(self) -> int:
        """Bytes until eviction begins; negative above it."""
        return int(HIGH * self.capacity) - self.taken

    @property
    def above_high_mark(self) -> bool:
        """Whether eviction should run."""
        return self.used + self._arriving > HIGH * self.capacity

    @property
    def excess(self) -> int:
        """Bytes above the low mark."""
        return max(0, self.used + self._arriving - int(LOW * self.capacity))

    async def refresh(self) -> None:
        """Ask the index and the disk."""
        self._free = max(0, await self._store.free_bytes() - self._database.missing_ballast)
        rows = await self._database.read("SELECT sealed_bytes FROM totals")
        self.used = rows[0][0]

    def stored(self, sealed_bytes: int) -> None:
        """An object became part of the cache."""
        self.used += sealed_bytes
        self._free -= sealed_bytes
        if self.above_high_mark:
            self.pressed.set()

    def check_room(self) -> None:
        """Whether one more instance may begin.

        Raises:
            StorageFull: No.
        """
        if why := self._closed():
            raise StorageFull(why, hint="send it again later")
        if self.used + self._arriving >= self.capacity:
            self.pressed.set()
            if self.capacity == 0:
                raise StorageFull(
                    "cache.reserve_bytes is more than this disk has for images",
                    hint="free some space on the disk, or lower cache.reserve_bytes",
                )
            raise StorageFull(
                "the cache is full, and what is in it is not verified in an archive",
                hint="delete what nobody needs, give the box a larger disk, or, if it has an"
                " archive, bring the line to it up",
            )

    async def make_room(self) -> None:
        """Like ``check_room``, but lets eviction try first."""
        try:
            self.check_room()
        except StorageFull:
            if self._closed():
                raise
            async with self.relieved:
                try:
                    async with asyncio.timeout(self._patience):
                        await self.relieved.wait()
                except TimeoutError:
                    pass
            self.check_room()

    @contextmanager
    def reserve(self) -> Iterator[Reservation]:
        """Account for one instance while it arrives."""
        reservation = Reservation(self)
        self._under_way += 1
        try:
            yield reservation
        finally:
            self._under_way -= 1
            self._arriving -= reservation.taken

    def take(self, amount: int) -> None:
        """Called by a reservation."""
        floor = self._limits.reserve_bytes // _LAST_RESORT
        if self._free - self._arriving - amount < floor:
            raise StorageFull("the disk is full", hint="free some space on the disk of the box")
        self._arriving += amount


class Reservation:
    """The bytes of one instance under way."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self.taken = 0

    def grow(self, amount: int) -> None:
        """Count *amount* more bytes.

        Raises:
            StorageFull: The disk would be full.
        """
        self._space.take(amount)
        self.taken += amount
