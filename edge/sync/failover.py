"""Another archive stands in while the primary one is away, and steps back when it returns.

What the primary archive is owed goes to the first archive of that role whose line is up, once the
primary one was away for long enough; what others put there is learned meanwhile. When the primary
archive is back it is owed all of it still: custody with each archive is its own, so nothing has to
be moved or remembered. What was evicted meanwhile is brought home first.

Promises that an archive which comes and goes does not make the other stand in each time, and that
nothing counts as the primary archive's that another has. Who stands in is known in memory only: a
start after a crash owes the others nothing that has not gone out, and has one stand in again if the
primary archive stays away.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge import config
from edge.cache.changes import Changes
from edge.cache.custody import CustodyLedger
from edge.cache.fetching import Fetching
from edge.errors import CloudError, InstanceNotFound, StorageFull
from edge.sync.link import Link
from edge.sync.pull import Pull

__all__ = ["Failover", "StandIn"]

log = logging.getLogger(__name__)

_LOOK = 15.0
"""Seconds between two looks at the lines, at the most."""
_HOME = 50
"""Instances that are brought home before the lines are looked at again."""


@dataclass(frozen=True, slots=True)
class StandIn:
    """An archive that stands in."""

    name: str
    link: Link
    pull: Pull


class Failover:
    """Watches the lines.

    Args:
        ledger: Keeps what is owed to whom.
        primary: The line to the primary archive.
        others: Those that stand in for it, in the order of preference.
        fetching: Brings home what was evicted.
        changes: Wakes it when something came in.
        settings: How long the primary archive may be away.
        clock: POSIX seconds.
        look: Seconds between two looks, at the most.
    """

    def __init__(
        self,
        ledger: CustodyLedger,
        primary: Link,
        others: Sequence[StandIn],
        fetching: Fetching,
        changes: Changes,
        settings: config.Sync,
        *,
        clock: Callable[[], float] = time.time,
        look: float = _LOOK,
    ) -> None:
        self._ledger = ledger
        self._primary = primary
        self._others = tuple(others)
        self._fetching = fetching
        self._changes = changes
        self._patience = settings.failover_minutes * 60
        self._clock = clock
        self._look = look
        self._active: StandIn | None = None
        self._pulling: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Watch until cancelled."""
        # What a run before this one left to be sent is owed no more, or will be again.
        for other in self._others:
            await self._ledger.step_back(other.name)
        with self._changes.subscribe() as woken:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    await self._step(tasks)
                    await woken.wait(self._look)

    async def _step(self, tasks: asyncio.TaskGroup) -> None:
        since = self._primary.down_since
        if since is None:
            await self._end()
            await self._bring_home()
        elif self._clock() - since >= self._patience and not self._is_stood_in_for:
            await self._begin(tasks)
        if self._active is not None:
            await self._ledger.stand_in(self._active.name)

    @property
    def _is_stood_in_for(self) -> bool:
        return self._active is not None and self._active.link.online

    async def _begin(self, tasks: asyncio.TaskGroup) -> None:
        """Have the first whose line is up stand in; nobody if none is."""
        following = next((other for other in self._others if other.link.online), None)
        if following is None or following is self._active:
            return
        await self._end()
        self._active = following
        self._pulling = tasks.create_task(following.pull.run(), name=f"pull {following.name}")
        log.warning(
            "the primary archive has been away for %.0f minutes: %s stands in",
            self._patience / 60,
            following.name,
        )

    async def _end(self) -> None:
        if self._active is None:
            return
        ended, self._active = self._active, None
        if self._pulling is not None:
            self._pulling.cancel()
            await asyncio.wait([self._pulling])
            self._pulling = None
        await self._ledger.step_back(ended.name)
        log.info("archive %s does not stand in any more", ended.name)

    async def _bring_home(self) -> None:
        for other in self._others:
            for ref in await self._ledger.to_bring_home(other.name, max_count=_HOME):
                if not other.link.online or other.link.line.closed("down"):
                    break
                try:
                    await self._fetching.fetch(ref)
                except (CloudError, InstanceNotFound, StorageFull) as error:
                    log.info("what the primary archive lacks can't be fetched yet: %s", error)
                    break
