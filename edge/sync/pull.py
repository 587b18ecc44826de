"""Learns what the archive has, again and again: the loop.

What a look is made of stands in ``sweep``. Promises that it waits for the line, and that a list
which is of no use leaves the line to the uploads.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from edge import config
from edge.cache.custody import CustodyLedger
from edge.cloud.archive import Archive
from edge.errors import CloudError, CloudRefused, LineClosed
from edge.sync.learning import Learning
from edge.sync.link import Link
from edge.sync.sweep import Sweep

__all__ = ["Pull"]

log = logging.getLogger(__name__)


class Pull:
    """Sweeps while the link is online.

    Args:
        ledger: Keeps what was learned, and the cursor.
        archive: Is asked.
        link: Is waited for, and told of failures.
        settings: Minutes between two sweeps.
        clock: POSIX seconds.
        unlisted: Studies that are no patient's, and are not learned: backups of this box.
    """

    def __init__(
        self,
        ledger: CustodyLedger,
        archive: Archive,
        link: Link,
        settings: config.Sync,
        *,
        clock: Callable[[], float] = time.time,
        unlisted: Callable[[], Awaitable[frozenset[str]]] | None = None,
    ) -> None:
        self._link = link
        self._pause = settings.sweep_minutes * 60
        self._nudged = asyncio.Event()
        learning = Learning(ledger, archive, link, unlisted=unlisted)
        self._sweep = Sweep(ledger, archive, link, learning, clock=clock)

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            await self._link.wait_open("down")
            self._nudged.clear()
            try:
                await self.sweep()
            except LineClosed:
                continue  # The slow sweep goes on where it is.
            except CloudRefused as error:
                # The archive is there, and only its list is of no use: uploads go on meanwhile.
                log.warning("what is new in the archive can't be seen: %s", error)
            except CloudError as error:
                self._link.failed(error)
                continue
            try:
                async with asyncio.timeout(self._pause):
                    await self._nudged.wait()
            except TimeoutError:
                pass  # It is time for the next.

    def nudge(self) -> None:
        """Sweep now."""
        self._nudged.set()

    async def sweep(self) -> None:
        """One sweep.

        Raises:
            CloudError: The archive can't be asked; what was learned so far is kept.
        """
        await self._sweep.run()
