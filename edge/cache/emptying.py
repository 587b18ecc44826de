"""Erases what was in the trash for its days, or what a person would not wait for.

Only what is VERIFIED is erased, and no other bytes are kept of its UID: what turned out otherwise
comes back, and the archive is owed it.
"""

from __future__ import annotations

import asyncio
import logging

from edge.cache.changes import Changes
from edge.cache.deletion import Deletion
from edge.cache.trash import Trash
from edge.errors import StorageFull
from edge.index.tombstones import Changed

__all__ = ["Emptying"]

log = logging.getLogger(__name__)

_INTERVAL = 3600.0
"""Seconds between two looks at records; the index is looked at whenever it changes."""
_MOST = 1000
_PAUSE = 60.0
"""Seconds before another try, if the disk is too full to write down what goes."""


class Emptying:
    """Looks hourly, and when a person asks for it.

    Args:
        trash: Says what is due.
        deletion: Erases it.
        changes: Wakes it.
    """

    def __init__(self, trash: Trash, deletion: Deletion, changes: Changes) -> None:
        self._trash = trash
        self._deletion = deletion
        self._changes = changes

    async def run(self) -> None:
        """Empty until cancelled."""
        loop = asyncio.get_running_loop()
        tidied = -_INTERVAL
        with self._changes.subscribe() as woken:
            while True:
                try:
                    done = await self.step()
                except StorageFull as error:
                    log.error("the trash can't be emptied: %s", error)
                    await asyncio.sleep(_PAUSE)
                    continue
                now = loop.time()
                if done or now - tidied >= _INTERVAL:
                    tidied = now
                    await self._trash.tidy()
                await woken.wait(_INTERVAL - (now - tidied))

    async def step(self) -> int:
        """Erase what is due; how many instances.

        Raises:
            StorageFull: There is not even room to write down what goes.
        """
        await self._trash.keep_time()
        erased = 0
        while chosen := await self._trash.due(_MOST):
            unsafe = [one.ref.sop_uid for one in chosen if not one.is_safe]
            if unsafe:
                log.error("%d instances in the trash are not safe elsewhere", len(unsafe))
                await self._trash.take_back(unsafe)
            safe = [one for one in chosen if one.is_safe]
            try:
                await self._deletion.erase(safe)
            except Changed:
                continue  # another look
            erased += len(safe)
        if erased:
            log.info("erased %d instances that were in the trash", erased)
        return erased
