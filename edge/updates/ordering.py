"""What is ready and wanted is ordered to be written, at a quiet moment.

Crash order: ``order.json``, which root carries out (`helper`) -> it is in the history -> it is
wanted no more. Whoever starts in between finds the order, or what root has written of it since the
wish, and ends it so: nothing is ordered twice for one wish, and no wish is forgotten.

A wish, and an order, can be taken back until there is a trial: the order goes -> that is in the
history -> it is wanted no more. What is in the history counts, wherever a crash came.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from edge.errors import UpdateRefused
from edge.updates.history import Deed
from edge.updates.journal import Folder, Found, Order
from edge.updates.kept import Kept
from edge.updates.means import Means

__all__ = ["Ordering"]

log = logging.getLogger(__name__)

_OF_ROOT: Final = frozenset(
    {Deed.ORDERED, Deed.WRITTEN, Deed.NOT_WRITTEN, Deed.GOOD, Deed.BAD, Deed.WENT_BACK}
)
"""What is in the history of a version once it was ordered."""


class Ordering:
    """It.

    Args:
        folder: Of updates.
        means: Say whether anything comes in, and what the new version has to reach.
        kept: What is known and wanted.
        clock: POSIX seconds.
        quiet: Seconds that are a quiet moment.
    """

    def __init__(
        self,
        folder: Folder,
        means: Means,
        kept: Kept,
        clock: Callable[[], float],
        quiet: int,
    ) -> None:
        self._folder = folder
        self._means = means
        self._kept = kept
        self._clock = clock
        self._quiet = quiet

    async def order(self, ready: Found) -> float:
        """Order it, if nothing comes in for a while."""
        order = await asyncio.to_thread(self._folder.order)
        if order is not None and order.act == "install" and order.version == ready.version:
            await self._ordered(order)  # a crash came before it was noted
            return 0.0
        if await asyncio.to_thread(self._is_over, ready.version):
            await self._kept.change(install=False)
            return 0.0
        if await asyncio.to_thread(self.is_busy):
            return 5.0
        for _ in range(self._quiet):
            if not self._means.is_quiet() or not self._kept.state.install:
                return 5.0
            await asyncio.sleep(1.0)
        reached = await self._means.reached()
        order = Order(
            act="install",
            version=ready.version,
            file=self._folder.bundle(ready.version).name,
            reached=reached,
            ailing=self._means.ailing(),
            by=self._kept.state.by,
            at=self._clock(),
        )
        if not await asyncio.to_thread(self._write, order):
            return 1.0
        await self._ordered(order)
        log.info("version %s is ordered to be written", ready.version)
        return 0.0

    def _write(self, order: Order) -> bool:
        """Give it, unless it was taken back; whether it is given. Blocks."""
        with self._folder.deciding():
            is_wanted = self._kept.state.install and not self._is_over(order.version)
            if is_wanted:
                self._folder.write_order(order)
        return is_wanted

    def take_back(self, version: str, by: str) -> None:
        """Have no order to install anything, and have that in the history. Blocks.

        Args:
            version: That is wanted; if none is, that of the order is meant.
            by: Who says so.

        Raises:
            UpdateRefused: There is nothing to be taken back, or it is too late.
        """
        with self._folder.deciding():
            if self._folder.trial() is not None:
                raise UpdateRefused(
                    "the update is written already",
                    hint="it goes back by itself if it does not work",
                )
            order = self._folder.order()
            if order is not None and order.act != "install":
                order = None  # that is of a version that has proven itself, or has not
            version = version or (order.version if order else "")
            if not version:
                raise UpdateRefused("no update is under way")
            if order is not None:
                self._folder.drop_order(order)
            self._folder.note(Deed.CANCELLED, version, by=by)

    async def _ordered(self, order: Order) -> None:
        """It is: have it known, and want it no more."""
        if not await asyncio.to_thread(self._is_over, order.version):
            await asyncio.to_thread(self._folder.note, Deed.ORDERED, order.version, by=order.by)
        await self._kept.change(install=False)

    def _is_over(self, version: str) -> bool:
        """Whether what is wanted was ordered already, or whoever wanted it does not. Blocks."""
        return any(
            entry.deed is Deed.CANCELLED or (entry.version == version and entry.deed in _OF_ROOT)
            for entry in self._folder.history()
            if entry.number > self._kept.state.asked
        )

    async def wish(self, by: str) -> None:
        """Have it installed; what the history says of it from now on follows on that."""
        history = await asyncio.to_thread(self._folder.history)
        asked = history[-1].number if history else 0
        await self._kept.change(install=True, by=by, asked=asked)

    def is_busy(self) -> bool:
        """Whether root has an order, or a version is on trial. Blocks."""
        return self._folder.order() is not None or self._folder.trial() is not None
