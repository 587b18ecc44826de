"""Asks an archive again and again whether it still has what it verifiably had.

Slowly, one study after the other, the longest unasked first, so that each instance is asked about
once in ``sync.reverify_days``: whether it is listed, always; and of one in a hundred of those that
are here, in every round another one, the bytes are read back and compared. To read back all would
take a slow line for good. What the archive lost, it is given again; a study or series that is gone
as a whole may have been deleted there on purpose, which ``absence`` finds out. An archive for
copies is given again whatever it lost.

Promises that it works only while nothing is to be sent or verified for the first time, and only
when the calendar and the budget allow it; and that where it is, survives a restart.
"""

from __future__ import annotations

import asyncio
import logging
import time
import zlib
from collections.abc import Callable, Sequence

from edge import config
from edge.cache.absences import Absences, Review, Vouched
from edge.cache.changes import Changes
from edge.cache.ledger import ArchiveLedger
from edge.cloud.archive import Archive
from edge.dicom.digest import Digester
from edge.dicom.essence import Likeness
from edge.dicom.instance import Availability
from edge.errors import (
    CloudError,
    CloudRefused,
    EdgeError,
    InstanceNotFound,
    LineClosed,
    NotDicom,
)
from edge.sync.absence import give_again
from edge.sync.corrections import Corrections, as_corrected
from edge.sync.examination import Finding, examine
from edge.sync.link import Link
from edge.sync.proof import TooLong, longest, other_bytes, read_back
from edge.sync.tally import Tally

__all__ = ["Reverify"]

log = logging.getLogger(__name__)

_DAY = 86400.0
_ONE_IN = 100
_AT_REST = 3600.0
"""Seconds after which it looks what is due, if not before."""
_BUSY = 60.0
"""Seconds before it looks again whether there is something that matters more."""
_LONGEST_PAUSE = 60.0
"""Seconds between two studies; less where there are so many that this would take too long."""


class Reverify:
    """Reviews what one archive has.

    Args:
        ledger: Says whether something matters more, and keeps what was found.
        absences: Knows what is due.
        archive: Is asked.
        link: Is waited for, and told of failures.
        changes: Wakes it.
        settings: How often each instance is asked about.
        is_primary: Or else it is one for copies.
        corrections: Tells corrections of patient and study from other bytes; None if nobody does.
        clock: POSIX seconds.
    """

    def __init__(
        self,
        ledger: ArchiveLedger,
        absences: Absences,
        archive: Archive,
        link: Link,
        changes: Changes,
        settings: config.Sync,
        *,
        is_primary: bool,
        corrections: Corrections | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._ledger = ledger
        self._absences = absences
        self._archive = archive
        self._link = link
        self._changes = changes
        self._period = settings.reverify_days * _DAY
        self._is_primary = is_primary
        self._copies_in = "" if is_primary else archive.name
        self._corrections = corrections
        self._clock = clock
        self._enrolled: float | None = None
        self._tally = Tally(log, f"archive {archive.name}: reviewed")

    async def run(self) -> None:
        """Review until cancelled."""
        with self._changes.subscribe() as woken:
            while True:
                await self._link.wait_open("down")
                if await self._is_busy():
                    await woken.wait(_BUSY)
                    continue
                try:
                    pause = await self.step()
                except LineClosed:
                    continue
                except CloudError as error:
                    if isinstance(error, CloudRefused):
                        log.warning("archive %s: a review waits: %s", self._archive.name, error)
                    else:
                        self._link.failed(error)
                    continue
                self._tally.say(resting=pause > _LONGEST_PAUSE)
                await asyncio.sleep(pause)

    async def _is_busy(self) -> bool:
        now = self._clock()
        return bool(
            await self._ledger.owed(now, max_bytes=0, max_count=1)
            or await self._ledger.unverified(now, max_count=1)
        )

    async def step(self) -> float:
        """Review the study that waits longest, if it is due; seconds to rest.

        Raises:
            CloudError: The archive can't be asked; another study is due then.
            LineClosed: Nothing may go over the line now.
        """
        now = self._clock()
        if self._enrolled is None or not 0 <= now - self._enrolled < min(_DAY, self._period):
            await self._absences.enrol(self._archive.name)
            if self._is_primary:
                await self._absences.look_again_at_deleted(now - self._period)
            self._enrolled = now
        oldest, count = await self._absences.oldest_review(self._archive.name)
        if oldest is None:
            return min(self._period, _AT_REST)
        left = oldest.reviewed + self._period - now
        if left > 0:
            return min(left, _AT_REST)
        try:
            await self._review(oldest)
        except CloudError:
            # One that always fails stalls no other: it is due again in a while.
            again = now - self._period + min(_DAY, self._period)
            await self._absences.reviewed(self._archive.name, oldest.study_id, again)
            raise
        # A backlog is worked off in half the time; nothing comes in bursts.
        return min(self._period / (2 * count), _LONGEST_PAUSE)

    async def _review(self, study: Review) -> None:
        name, begun = self._archive.name, self._clock()
        instances = await self._absences.vouched(study.study_id, copies_in=self._copies_in)
        if instances:
            finding = await examine(self._archive, self._link, study.study_uid, instances)
            await self._settle(study.study_id, finding)
            if self._is_primary and (finding.has_others or finding.lost):
                # One less and one more: its counts are as they were, and so is its fingerprint.
                await self._absences.look_again(study.study_id)
            await self._read_back(study.study_id, finding.there)
            for one in finding.there:
                self._tally.add(one.size)
        elif self._is_primary:
            # It is known to have none of ours, and may have others.
            await self._absences.look_again(study.study_id)
        await self._absences.reviewed(name, study.study_id, begun)

    async def _settle(self, study_id: int, finding: Finding) -> None:
        name = self._archive.name
        if not self._is_primary:
            if missing := [*finding.absent, *finding.lost]:
                log.error(
                    "archive %s lost %d instances: it is given them again", name, len(missing)
                )
                await self._ledger.doubt([one.instance_id for one in missing])
                await self._absences.note_lost(name, len(missing))
            return
        if finding.absent:
            await self._absences.suspect(name, [study_id], is_whole=False)
        if finding.lost:
            await give_again(self._absences, name, study_id, finding)

    async def _read_back(self, study_id: int, there: Sequence[Vouched]) -> None:
        """Compare the bytes of some that are here."""
        chosen = [one for one in there if self._is_sampled(one)]
        equal: list[int] = []
        try:
            for one in chosen:
                self._link.line.check("down")
                if await self._is_equal(study_id, one):
                    equal.append(one.instance_id)
        finally:
            if equal:
                await self._absences.prove(equal, copies_in=self._copies_in)

    async def _is_equal(self, study_id: int, one: Vouched) -> bool:
        """Whether the archive has our bytes; what else it has, or has not, is settled."""
        seen: Digester | None = None
        try:
            most = longest(one.size, is_copy=one.sent_digest is not None)
            seen = await read_back(self._archive, self._link, one.ref, most)
            if seen.digests()[1] in (one.digest, one.sent_digest, one.corrected):
                return True
            if one.sent_digest is None and await self._is_corrected(one, most):
                return False
        except InstanceNotFound:
            await self._settle(study_id, Finding(lost=(one,)))
            return False
        except (NotDicom, TooLong):
            pass
        await self._ledger.settle([other_bytes(self._archive, one.instance_id, one.ref, seen)])
        return False

    async def _is_corrected(self, one: Vouched, most: int) -> bool:
        """Whether the archive has ours but for a correction of patient or study, which is settled.

        For that, it is read once more.
        """
        if self._corrections is None or one.digest is None:
            return False
        seen = await read_back(self._archive, self._link, one.ref, most, alike=True)
        if not isinstance(seen, Likeness):
            return False
        try:
            if not await self._corrections.is_ours(
                one.instance_id, one.ref, one.size, one.digest, seen
            ):
                return False
        except EdgeError as error:
            log.warning("instance %s could not be compared: %s", one.ref.sop_uid, error)
            return True
        await self._ledger.settle([as_corrected(one.instance_id, seen)])
        return True

    def _is_sampled(self, one: Vouched) -> bool:
        """One in a hundred by its UID, and in every period the next: the same after a restart."""
        if not one.is_verified or one.availability is not Availability.ONLINE:
            return False
        turn = int(self._clock() // self._period)
        return zlib.crc32(one.ref.sop_uid.encode()) % _ONE_IN == turn % _ONE_IN
