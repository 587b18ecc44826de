"""Asks the archive again: does it have exactly this object?

ACKNOWLEDGED is the archive's word; VERIFIED is our own look. First the list of each series
(QIDO-RS), then the bytes (WADO-RS, as stored): the SHA-256 of the data set must be ours; or all of
it must be, beside patient and study, which the archive may have corrected. Other bytes are a
CONFLICT for a person; what is not there is owed again, once patience has run out: at once for the
first time, then ever more rarely, for an archive that says yes and keeps nothing could take the
line for ever. Promises that a look which was cut short proves nothing. Never sends an instance.
"""

from __future__ import annotations

import logging
import time
import zlib
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

from edge import config
from edge.cache.changes import Changes
from edge.cache.ledger import Owed, Settlement
from edge.cloud.archive import Archive
from edge.cloud.listing import list_instances
from edge.cloud.retry import Backoff
from edge.dicom.digest import Digester
from edge.dicom.essence import Likeness, is_comparable
from edge.dicom.instance import Custody
from edge.errors import (
    CloudError,
    CloudRefused,
    CloudUnauthorised,
    CloudUnreachable,
    EdgeError,
    InstanceNotFound,
    LineClosed,
    NotDicom,
)
from edge.sync.corrections import CORRECTED, Corrections, as_corrected
from edge.sync.inquiry import Patience, by_series
from edge.sync.link import Link
from edge.sync.owing import Ledger
from edge.sync.proof import TooLong, digest_of, longest, other_bytes, read_back
from edge.sync.tally import Tally

__all__ = ["Verify"]

log = logging.getLogger(__name__)

_MOST = 1000
"""Instances at a time."""
_SETTLE_EVERY = 64
_PATIENCE = 60.0
"""Times the shortest pause: so long an instance that the archive said yes to may be unlisted."""
_LONGEST_PAUSE = 3600.0
_LONGEST_UNTRUE = 12 * 3600.0
"""Seconds before an instance goes out again that the archive said yes to, and did not have."""
_LONGEST_WAIT = 30.0
"""Times the shortest pause: so long uploads may go first."""
_SAMPLE_ONE_IN = 10
_WHOLE_SERIES_FROM = 0.8
"""Of a series: then it is read back as a whole, in one request."""
_MIX_UPS = 3
"""Times that an archive may give another instance than the one it was asked for."""


class Verify:
    """Looks while the link is online.

    Args:
        ledger: Says what is to be verified, and keeps what was found.
        archive: Is asked.
        link: Is waited for, and told of failures.
        changes: Wakes it when something was acknowledged.
        settings: Whether all is read back or a sample.
        corrections: Tells corrections of patient and study from other bytes; None if nobody does.
        clock: POSIX seconds.
    """

    def __init__(
        self,
        ledger: Ledger,
        archive: Archive,
        link: Link,
        changes: Changes,
        settings: config.Sync,
        *,
        corrections: Corrections | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._ledger = ledger
        self._corrections = corrections
        self._archive = archive
        self._link = link
        self._changes = changes
        self._all = settings.verify == "all"
        self._clock = clock
        self._longest_wait = _LONGEST_WAIT * settings.retry_min_seconds
        self._waiting_since: float | None = None
        shortest = settings.retry_min_seconds
        self._backoff = Backoff(shortest, _LONGEST_PAUSE)
        self._patience = Patience(
            _PATIENCE * shortest, Backoff(shortest / 2, settings.retry_max_seconds)
        )
        self._untrue_backoff = Backoff(_PATIENCE * shortest, _LONGEST_UNTRUE)
        # In memory only: after a restart each goes out once more without delay.
        self._untrue: dict[int, int] = {}
        self._tally = Tally(log, f"archive {archive.name}: verified")

    async def run(self) -> None:
        """Verify until cancelled."""
        with self._changes.subscribe() as woken:
            while True:
                await self._link.wait_open("down")
                if await self._should_wait():
                    await woken.wait(self._longest_wait / 10)
                    continue
                looked = self._clock()
                try:
                    worked = await self.step()
                except LineClosed:
                    continue
                except CloudError as error:
                    self._link.failed(error)
                    continue
                self._tally.say(resting=not worked)
                if not worked:
                    # What became due since the look that found nothing must not be slept through.
                    due = await self._ledger.next_due(looked)
                    await woken.wait(None if due is None else max(0.0, due - self._clock()))

    async def _should_wait(self) -> bool:
        """Whether to let the uploads go first, for a while.

        They matter more; and a series is read back in one request once all of it is there.
        """
        now = self._clock()
        uploading = await self._ledger.owed(now, max_bytes=0, max_count=1)
        if not uploading:
            self._waiting_since = None
            return False
        if self._waiting_since is None:
            self._waiting_since = now
        if 0 <= now - self._waiting_since < self._longest_wait:
            return True
        self._waiting_since = now
        return False

    async def step(self) -> bool:
        """Look at what is due; False if there is nothing.

        Raises:
            CloudError: The archive can't be reached, or will not talk to us.
        """
        owed = await self._ledger.unverified(self._clock(), max_count=_MOST)
        for series in by_series(owed):
            await self._check(series)
        return bool(owed)

    async def _settle(self, owed: Sequence[Owed], settlements: Sequence[Settlement]) -> None:
        """Write down what became of *owed*, and speak of it."""
        if not settlements:
            return
        await self._ledger.settle(settlements)
        sizes = {one.instance_id: one.size for one in owed}
        for entry in settlements:
            if entry.custody is Custody.VERIFIED:
                self._untrue.pop(entry.instance_id, None)
                self._tally.add(sizes[entry.instance_id])
                self._link.worked()
        if corrected := sum(entry.corrected is not None for entry in settlements):
            log.info(
                "archive %s wrote instances anew to correct patient or study; ours stay: %d",
                self._archive.name,
                corrected,
            )
        if missing := sum(entry.custody is Custody.EDGE_ONLY for entry in settlements):
            log.error(
                "archive %s said yes to instances that it does not have; to be sent again: %d",
                self._archive.name,
                missing,
            )

    async def _check(self, series: Sequence[Owed]) -> None:
        try:
            listing = await list_instances(self._archive, [one.ref for one in series])
        except CloudRefused as error:
            await self._settle(series, [self._later(one, str(error)) for one in series])
            return
        there = [one for one in series if one.ref.sop_uid in listing.found]
        missing = [one for one in series if one.ref.sop_uid not in listing.found]
        await self._settle(missing, [self._missing(one) for one in missing])
        if not there:
            return
        chosen = there if self._all else await self._sample(there)
        equal = await self._compare(chosen, listing.rows)
        read = {one.instance_id for one in chosen}
        rest = [one for one in there if one.instance_id not in read]
        if not equal:
            # The sample is not clean: look at every one.
            await self._compare(rest, listing.rows)
        else:
            await self._settle(
                rest, [Settlement(one.instance_id, Custody.VERIFIED) for one in rest]
            )

    async def _sample(self, there: Sequence[Owed]) -> list[Owed]:
        """One in ten, one at the least, and each of which the archive had more to say."""
        remarked = await self._ledger.remarked([one.instance_id for one in there])
        sampled = [one for one in there if one.instance_id in remarked or _is_sampled(one)]
        return sampled or list(there[:1])

    async def _compare(self, owed: Sequence[Owed], rows: int | None) -> bool:
        """Read these back and settle them; whether all were ours, byte for byte."""
        settlements: list[Settlement] = []
        equal = True
        try:
            async with aclosing(self._verdicts(owed, rows)) as verdicts:
                async for settlement in verdicts:
                    is_verified = settlement.custody is Custody.VERIFIED
                    equal = equal and is_verified and settlement.corrected is None
                    settlements.append(settlement)
                    if len(settlements) >= _SETTLE_EVERY:
                        await self._settle(owed, settlements)
                        settlements = []
        finally:
            # What was seen is true even if the line was cut after it.
            await self._settle(owed, settlements)
        return equal

    async def _verdicts(self, owed: Sequence[Owed], rows: int | None) -> AsyncGenerator[Settlement]:
        waiting = {one.ref.sop_uid: one for one in owed}
        # What a feed says that was replaced is likely to differ: once read, it is known how.
        alike = await self._expects_corrections(owed)
        if rows is not None and len(waiting) >= _WHOLE_SERIES_FROM * rows:
            async with aclosing(self._digests_of_series(owed, alike=alike)) as digests:
                async for digester in digests:
                    one = waiting.get(digester.sop_uid)
                    if one and (settlement := await self._verdict(one, digester)):
                        del waiting[digester.sop_uid]
                        yield settlement
        for one in waiting.values():
            failure: CloudUnreachable | None = None
            try:
                settlement = await self._look(one, alike=alike)
                if settlement is None:
                    alike = True
                    settlement = await self._look(one, alike=True)
            except InstanceNotFound:
                settlement = self._missing(one)
            except (NotDicom, TooLong):
                settlement = self._other_bytes(one, None)
            except CloudUnauthorised:
                raise
            except CloudError as error:
                # Put off, so that one that always fails stalls no other.
                settlement = self._later(one, str(error))
                failure = error if isinstance(error, CloudUnreachable) else None
            if settlement is not None:
                yield settlement
            if failure is not None:
                raise failure

    async def _expects_corrections(self, owed: Sequence[Owed]) -> bool:
        if self._corrections is None:
            return False
        return bool(await self._ledger.remarked([one.instance_id for one in owed]))

    async def _look(self, one: Owed, *, alike: bool) -> Settlement | None:
        """Read one back; None as of ``_verdict``."""
        seen = await read_back(self._archive, self._link, one.ref, _most(one), alike=alike)
        return await self._verdict(one, seen)

    async def _digests_of_series(
        self, owed: Sequence[Owed], *, alike: bool
    ) -> AsyncGenerator[Digester]:
        """The digest of every instance of a series, in one request, as far as it goes."""
        ref, most = owed[0].ref, max(map(_most, owed))
        try:
            async with aclosing(
                self._archive.retrieve_study(ref.study_uid, ref.series_uid)
            ) as streams:
                async for stream in streams:
                    yield await digest_of(stream, self._link.line, most, alike=alike)
        except CloudUnauthorised:
            raise
        except (CloudError, InstanceNotFound, NotDicom, TooLong) as error:
            log.info("a series could not be read back whole (%s); one by one", error)

    async def _verdict(self, one: Owed, seen: Digester) -> Settlement | None:
        """By what was read back; None: it must be looked at more closely, as a ``Likeness``."""
        self._patience.forget([one.instance_id])
        digest = seen.digests()[1]
        if one.is_held_as(digest):
            reason = CORRECTED if digest == one.corrected else ""
            return Settlement(one.instance_id, Custody.VERIFIED, reason)
        if seen.sop_uid not in ("", one.ref.sop_uid):
            if one.tries < _MIX_UPS:
                # The answer of another request, by some proxy's mistake: no word about this one.
                return self._later(one, "the archive gave another instance than this")
        elif self._corrections is not None and _may_be_corrected(one, seen):
            if not isinstance(seen, Likeness):
                return None
            try:
                if await self._corrections.is_ours(
                    one.instance_id, one.ref, one.size, one.dataset_digest, seen
                ):
                    return as_corrected(one.instance_id, seen)
            except EdgeError as error:
                return self._later(one, str(error))
        return self._other_bytes(one, seen)

    def _other_bytes(self, one: Owed, seen: Digester | None) -> Settlement:
        """What was read back is not ours; None if it was no DICOM."""
        self._patience.forget([one.instance_id])
        return other_bytes(self._archive, one.instance_id, one.ref, seen)

    def _missing(self, one: Owed) -> Settlement:
        now = self._clock()
        again = self._patience.ask_again_at(one.instance_id, now)
        if again is not None:
            reason = "the archive said yes, and does not list it yet"
            return Settlement(one.instance_id, Custody.ACKNOWLEDGED, reason, again)
        times = self._untrue[one.instance_id] = self._untrue.get(one.instance_id, 0) + 1
        if times == 1:
            reason = "the archive said yes, and did not have it"
            return Settlement(one.instance_id, Custody.EDGE_ONLY, reason)
        reason = f"the archive said yes {times} times, and did not have it"
        again = now + self._untrue_backoff.delay(times - 1)
        return Settlement(one.instance_id, Custody.EDGE_ONLY, reason, again)

    def _later(self, one: Owed, reason: str) -> Settlement:
        again = self._clock() + self._backoff.delay(one.tries + 1)
        return Settlement(one.instance_id, Custody.ACKNOWLEDGED, reason, again)


def _is_sampled(one: Owed) -> bool:
    """One in ten, by its UID: the same after a restart."""
    return zlib.crc32(one.ref.sop_uid.encode()) % _SAMPLE_ONE_IN == 0


def _may_be_corrected(one: Owed, seen: Digester) -> bool:
    """Of a copy that was sent in place of an instance nobody knows what else is in it."""
    return one.remedy is None and is_comparable(one.transfer_syntax, seen.transfer_syntax)


def _most(one: Owed) -> int:
    return longest(one.size, is_copy=one.remedy is not None)
