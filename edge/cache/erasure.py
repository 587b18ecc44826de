"""Ends the keys of studies of which nothing is here any more, because eviction took it.

A deletion ends its keys itself, at once. What was evicted is forgotten by nobody: the archive has
it, and its pictures may still be here, sealed with the same key. So a look is taken at the start,
and some minutes after something went; a key of which there are neither objects nor pictures is
destroyed, so that what is left of it on the disk can't be opened. What is fetched again later gets
another key.
"""

from __future__ import annotations

import asyncio
import logging

from edge.cache.pictures import PictureCache
from edge.cache.study_keys import StudyKeys
from edge.index import residence
from edge.index.database import Database

__all__ = ["Erasure"]

log = logging.getLogger(__name__)

_PAUSE = 600.0
"""Seconds in which eviction goes on before a look is taken: it goes through all pictures."""


class Erasure:
    """Looks, and destroys.

    Args:
        pause: Seconds between eviction and a look.
    """

    def __init__(
        self, keys: StudyKeys, database: Database, pictures: PictureCache, *, pause: float = _PAUSE
    ) -> None:
        self._keys = keys
        self._database = database
        self._pictures = pictures
        self._pause = pause
        self._evicted = asyncio.Event()
        self._evicted.set()

    def note(self) -> None:
        """Something was evicted."""
        self._evicted.set()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self._evicted.wait()
            self._evicted.clear()
            await self.step()
            await asyncio.sleep(self._pause)

    async def step(self) -> int:
        """Destroy what is of no use any more; how many keys."""
        if self._keys.spares:
            return 0
        gone = await residence.key_ids_of_evicted(self._database)
        done = await self._keys.destroy_unused(gone - await self._pictures.sealed_with(gone))
        if done:
            log.info("destroyed %d keys of studies that are only in the archive now", done)
        return done
