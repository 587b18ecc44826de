"""Brings what will be asked for before anybody asks: priors, reports, what is pinned.

Nothing here is a queue: ``edge.cache.priors`` computes from the index what is wanted, at every
round anew, and this brings the first of it. Patients who are expected on another day, and what
rules pin, wait for quiet hours; reports, and priors of what was just made, for nothing but urgent
uploads. All of it goes at the pace of sync, by its calendar and budget, unless a viewer asks for
the same meanwhile, and into room that nobody would miss (``edge.cache.headroom``).

Promises that what can't be had now holds up nothing else, and that the log names no patient. Says
nothing about the line when a fetch fails, for any archive may have been the one: push, verify and
sweeps find out. Never sends anything.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from datetime import tzinfo

from edge import config
from edge.cache.changes import Changes
from edge.cache.custody import CustodyLedger
from edge.cache.fetching import Fetching
from edge.cache.headroom import Headroom
from edge.cache.priors import Priors, Wanted, Why
from edge.cloud.archive import Archive
from edge.dicom.instance import InstanceRef
from edge.errors import (
    CloudError,
    CloudRefused,
    CloudUnauthorised,
    CloudUnreachable,
    InstanceNotFound,
    LineClosed,
    StorageFull,
)
from edge.sync.calendar import local_time
from edge.sync.learning import Learning
from edge.sync.link import Link
from edge.sync.patients import Patients
from edge.sync.tally import Tally
from edge.week import hours_of

__all__ = ["Prefetch"]

log = logging.getLogger(__name__)

_AT_ONCE = 4
"""Fetches at a time."""
_ROUND = 32
"""Instances before it is looked anew what is wanted most."""
_BREATH = 2.0
"""Seconds from a change to a look."""
_LOOK = 60.0
"""Seconds between two looks at the most: the clock moves, too."""
_RELIEF = 5.0
"""Seconds between two looks while eviction makes room."""
_LONGEST_WAIT = 300.0
"""Seconds that urgent uploads may go first."""
_ASIDE = 3600.0
"""Seconds for which an instance is let alone that could not be had."""
_PAUSE = 30.0
"""Seconds after a fetch that did not reach the archive."""
_FULL = 600.0
"""Seconds after one that there was no room for."""


class Prefetch:
    """Brings it while the link is online.

    Args:
        priors: Says what is wanted.
        headroom: Says how much may come.
        ledger: Keeps what is learned, and knows of urgent uploads.
        fetching: Brings it.
        archive: The primary one, which is asked about patients.
        link: Is waited for.
        learning: Looks into studies of that archive.
        changes: Wake it.
        settings: Quiet hours.
        clock: POSIX seconds.
        zone: Of the box; None means what the system says.
        breath: Seconds from a change to a look.
    """

    def __init__(
        self,
        priors: Priors,
        headroom: Headroom,
        ledger: CustodyLedger,
        fetching: Fetching,
        archive: Archive,
        link: Link,
        learning: Learning,
        changes: Changes,
        settings: config.Sync,
        *,
        clock: Callable[[], float] = time.time,
        zone: tzinfo | None = None,
        breath: float = _BREATH,
    ) -> None:
        self._priors = priors
        self._headroom = headroom
        self._ledger = ledger
        self._fetching = fetching
        self._link = link
        self._changes = changes
        self._hours = [hours_of(text) for text in settings.prefetch_hours]
        self._clock = clock
        self._zone = zone
        self._breath = breath
        self._patients = Patients(ledger, archive, link, learning, clock=clock)
        self._waiting_since: float | None = None
        self._aside: dict[str, float] = {}
        self._needs: dict[str, int] = {}
        """What there was no room for: bytes of room before it is tried again."""
        self._idle_until = 0.0
        self._tally = Tally(log, "prefetched")

    async def run(self) -> None:
        """Bring until cancelled."""
        with self._changes.subscribe() as woken:
            while True:
                await self._link.wait_open("down")
                if await self._should_wait():
                    await woken.wait(self._breath)
                    continue
                try:
                    worked = await self.step()
                except LineClosed:
                    continue
                except CloudRefused as error:
                    log.warning("what patients have in the archive can't be seen: %s", error)
                    worked = False
                except CloudError as error:
                    self._link.failed(error)
                    continue
                self._tally.say(resting=not worked)
                if not worked:
                    await woken.wait(_RELIEF if self._headroom.is_pressed else _LOOK)
                    await asyncio.sleep(self._breath)

    async def _should_wait(self) -> bool:
        """Whether to let urgent uploads go first, for a while."""
        now = self._clock()
        if not await self._ledger.owes_urgent(now):
            self._waiting_since = None
            return False
        if self._waiting_since is None:
            self._waiting_since = now
        return 0 <= now - self._waiting_since < _LONGEST_WAIT

    @property
    def is_quiet(self) -> bool:
        """Whether these are quiet hours."""
        local = local_time(self._clock(), self._zone)
        day, minute = local.weekday(), local.hour * 60 + local.minute
        return not self._hours or any(rule.covers(day, minute) for rule in self._hours)

    async def step(self) -> bool:
        """One round; False if there is nothing to do now.

        Raises:
            CloudError: The archive can't be asked about a patient.
            LineClosed: The line may not be used any more.
        """
        if 0 < self._idle_until - self._clock() <= _FULL:
            return False
        look = await self._priors.look()
        at_once = [one for one in look.patients if not one.later]
        if await self._patients.ask(at_once, look.studies):
            return True
        if await self._bring_first([one for one in look.wanted if not one.later]):
            return True
        if not self.is_quiet:
            return False
        # One at a time: what is made meanwhile goes first.
        if await self._patients.ask([one for one in look.patients if one.later], most=1):
            return True
        return await self._bring_first([one for one in look.wanted if one.later])

    async def _bring_first(self, candidates: Sequence[Wanted]) -> bool:
        """Bring something of the first that can be brought; False if none can."""
        for wanted in candidates:
            room = await self._room(wanted)
            if room > 0 and (refs := await self._to_bring(wanted, room)):
                return await self._bring(refs, room)
        return False

    async def _room(self, wanted: Wanted) -> int:
        match wanted.why:
            case Why.REPORT:
                return self._headroom.bytes_for_reports
            case Why.PIN | Why.RULE:
                return await self._headroom.bytes_for_pins()
            case _:
                return await self._headroom.bytes()

    async def _to_bring(self, wanted: Wanted, room: int) -> list[InstanceRef]:
        now = self._clock()
        self._aside = {uid: at for uid, at in self._aside.items() if 0 <= now - at < _ASIDE}
        skip = {uid for uid, needs in self._needs.items() if room < needs} | self._aside.keys()
        found = await self._priors.missing(wanted, max_count=_ROUND + len(skip))
        return [ref for ref in found if ref.sop_uid not in skip][:_ROUND]

    async def _bring(self, refs: Sequence[InstanceRef], room: int) -> bool:
        """Bring these, as far as there is room; whether to go on at once.

        Raises:
            LineClosed: The line may not be used any more.
        """
        allowance = _Allowance(self._link, room)
        waiting = deque(refs)
        errors: list[Exception] = []

        async def work() -> None:
            # Above the high mark eviction has its turn first.
            while waiting and not errors and not self._headroom.is_pressed:
                ref = waiting.popleft()
                portion = _Portion(allowance)
                try:
                    self._link.line.check("down")
                    await self._fetching.bring(ref, portion.pace)
                    self._tally.add(portion.taken)
                except (LineClosed, CloudUnreachable, CloudUnauthorised) as error:
                    errors.append(error)
                except StorageFull as error:
                    errors.append(error)
                    # Trying it again in the same room would take the line for nothing.
                    self._needs[ref.sop_uid] = 2 * room
                except (CloudError, InstanceNotFound) as error:
                    log.info("instance %s could not be brought ahead: %s", ref.sop_uid, error)
                    self._aside[ref.sop_uid] = self._clock()

        async with asyncio.TaskGroup() as group:
            for _ in range(min(_AT_ONCE, len(refs))):
                group.create_task(work(), name="prefetch")
        if not errors:
            return True
        if isinstance(errors[0], LineClosed):
            raise errors[0]
        log.info("what is to be brought ahead can't be fetched now: %s", errors[0])
        pause = _FULL if isinstance(errors[0], StorageFull) else _PAUSE
        self._idle_until = self._clock() + pause
        return False


class _Allowance:
    """The room that one round has, and the pace of sync.

    Args:
        link: Its line sets the pace.
        room: Bytes.
    """

    def __init__(self, link: Link, room: int) -> None:
        self.line = link.line
        self.left = room


class _Portion:
    """What one instance takes of it."""

    def __init__(self, allowance: _Allowance) -> None:
        self._allowance = allowance
        self.taken = 0

    async def pace(self, pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
        """As fast as the line lets sync go.

        Raises:
            LineClosed: Nothing may go any more.
            StorageFull: It is more than there is room for.
        """
        async with aclosing(self._allowance.line.down.paced(pieces)) as paced:
            async for piece in paced:
                self.taken += len(piece)
                self._allowance.left -= len(piece)
                if self._allowance.left < 0:
                    raise StorageFull("there is no room that nobody would miss")
                yield piece
