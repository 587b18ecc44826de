"""Brings to the archive what it lacks (STOW-RS), one instance's fate at a time.

What is owed is computed from the ledger, so nothing here survives a restart or needs to. The order
that makes it safe:

1. ``SENT`` is committed *before* the first byte goes out. Killed or cut off from here on, the
   instance is found as SENT, and the archive is asked before it is sent again.
2. The answer is settled instance by instance, from its own item: ACKNOWLEDGED, REFUSED with the
   archive's words, or again later. What the answer does not name stays SENT.

Several requests may be under way at once where that brings more, and a question about what went out
never holds up what is to go. Promises that one bad instance never stalls another: what took part
in failures travels alone and later. Never verifies, and never deletes anything anywhere.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack

from edge import config
from edge.cache.acts import Deed, Tell, by_study, nobody
from edge.cache.changes import Changes
from edge.cache.ledger import Owed, Settlement
from edge.cache.remedies import Remedies
from edge.cloud.archive import Archive, StoreOutcome, StoreResult
from edge.cloud.listing import list_instances
from edge.cloud.retry import Backoff
from edge.dicom.instance import Custody
from edge.errors import CloudError, CloudRefused, EdgeError, InstanceUnreadable, LineClosed
from edge.sync.batches import BatchSize, Suspects
from edge.sync.errands import Errands
from edge.sync.flights import Flights
from edge.sync.fullness import Fullness
from edge.sync.inquiry import Patience, by_series
from edge.sync.link import Link
from edge.sync.owing import Ledger, Opener
from edge.sync.tally import Tally
from edge.sync.upload import Upload, entry_of
from edge.sync.verdicts import Verdicts

__all__ = ["Push"]

log = logging.getLogger(__name__)

_MOST = 256
"""Instances of a batch: its answer has an item for each."""
_PATIENCE = 2.5
"""Times the shortest pause: so long an instance that went out may be unlisted. Little, because
being wrong costs one needless copy."""
_LONGEST_PAUSE = 3600.0
"""Seconds, for what fails again and again, and for an archive that is full."""
_LISTED = "no answer came, and the archive lists it"
_LARGE = 128 * 1024
"""Bytes of an upload beside which those that its connection still holds are few."""
_PREVIEWS = 2.0
"""Seconds between two choices of what goes first of a series."""


class Push:
    """Sends while the link is online.

    Args:
        ledger: Says what is owed, and keeps what became of it.
        retrieval: Opens the instances.
        archive: Gets them.
        link: Is waited for, and told of failures.
        changes: Wakes it when something came in.
        settings: Size of a batch, number of uploads, shortest and longest pause.
        clock: POSIX seconds.
        stopwatch: Seconds by which uploads are timed.
        remedies: Makes the copies that are sent in place of instances; None if no instance has one.
        tell: Is told what was sent.
    """

    def __init__(
        self,
        ledger: Ledger,
        retrieval: Opener,
        archive: Archive,
        link: Link,
        changes: Changes,
        settings: config.Sync,
        *,
        clock: Callable[[], float] = time.time,
        stopwatch: Callable[[], float] = time.monotonic,
        remedies: Remedies | None = None,
        tell: Tell = nobody,
    ) -> None:
        self._tell = tell
        self._remedies = remedies
        self._ledger = ledger
        self._retrieval = retrieval
        self._archive = archive
        self._link = link
        self._changes = changes
        self._clock = clock
        self._stopwatch = stopwatch
        shortest, longest = settings.retry_min_seconds, settings.retry_max_seconds
        self._backoff = Backoff(shortest, longest)
        self._instance_backoff = Backoff(shortest, _LONGEST_PAUSE)
        self._fullness = Fullness(Backoff(longest, _LONGEST_PAUSE))
        self._longest_pause = max(longest, _LONGEST_PAUSE)
        self._patience = Patience(_PATIENCE * shortest, Backoff(shortest / 4, shortest))
        self._size = BatchSize(settings.batch_bytes)
        self._suspects = Suspects()
        self._verdicts = Verdicts(
            archive.name, self._suspects, self._fullness, shortest, self._instance_backoff
        )
        self._most = settings.uploads_in_flight
        self._flights = Flights(self._most, stopwatch)
        self._tally = Tally(log, f"archive {archive.name}: sent")
        self._previews = settings.preview_first
        self._previews_at = 0.0
        self._resume_at = 0.0
        self._failures = 0
        self._errands = Errands()
        self._uploads = 0
        self._bodies = 0
        """Uploads that have bytes to send; the others wait for their answers."""
        self._latest = 0
        """Bytes of the upload that began last."""
        self._asking = False

    async def run(self) -> None:
        """Send until cancelled."""
        with self._changes.subscribe() as woken:

            def ring() -> None:
                self._heed()
                woken.set()

            self._errands.ring = ring
            try:
                async with asyncio.TaskGroup() as group:
                    while True:
                        await self._link.wait_open("up")
                        if error := self._errands.take_error():
                            raise error
                        looked = self._clock()
                        started = await self._start(group)
                        self._tally.say(resting=not (started or self._errands.ids))
                        if not started:
                            await woken.wait(await self._idle(looked))
            except ExceptionGroup as failures:
                # One thing went wrong; what else was under way is found as SENT.
                raise failures.exceptions[0] from None

    def _heed(self) -> None:
        """An error of the archive or of the line: at once, before anything else is asked."""
        if isinstance(self._errands.error, CloudError | LineClosed):
            error = self._errands.take_error()
            # Where the line was closed, what was under way is asked about when it goes on.
            if isinstance(error, CloudError):
                self._link.failed(error)

    async def step(self) -> bool:
        """Ask about what went out before, and send a batch; False if nothing is to be done now.

        Raises:
            CloudError: The archive can't be reached, or will not talk to us.
        """
        async with asyncio.TaskGroup() as group:
            started = await self._start(group)
        if error := self._errands.take_error():
            raise error
        return started

    async def _start(self, group: asyncio.TaskGroup) -> bool:
        """Start a question and an upload, as far as there are any; False if there is neither."""
        now = self._clock()
        allowed = self._flights.allowed
        # While the last answer is awaited the line is free for the next. The end of what was given
        # away is not carried yet: where the line breaks often, both would be lost of small ones.
        ahead = 0 if self._size.breaks and self._latest < _LARGE else 1
        may_send = self._bodies < allowed and self._uploads < min(allowed + ahead, self._most)
        if self._is_resting(now) or not (may_send or not self._asking):
            return False
        if self._previews:
            await self._choose_previews(now)
        owed = await self._owed(now)
        fresh = [one for one in owed if one.custody is Custody.EDGE_ONLY]
        sent = [one for one in owed if one.custody is not Custody.EDGE_ONLY]
        started = False
        if sent and not self._asking:
            self._asking = True
            self._errands.start(group, "push asks", sent, self._ask_about(sent))
            started = True
        if fresh and may_send:
            batch = self._suspects.first_batch(fresh)
            self._uploads += 1
            self._bodies += 1
            self._latest = sum(one.size for one in batch)
            self._errands.start(group, "push sends", batch, self._send(batch))
            started = True
        elif may_send:
            self._flights.idle()
        return started

    async def _owed(self, now: float) -> list[Owed]:
        """What goes next; what there was no room for once nothing else does."""
        most, under_way = self._size.limit, frozenset(self._errands.ids)
        owed: list[Owed] = []
        if behind := self._fullness.behind:
            skip = under_way | behind
            owed = await self._ledger.owed(now, max_bytes=most, max_count=_MOST, skip=skip)
        if not owed:
            owed = await self._ledger.owed(now, max_bytes=most, max_count=_MOST, skip=under_way)
        return owed

    async def _choose_previews(self, now: float) -> None:
        if not 0 <= now - self._previews_at < _PREVIEWS:
            while await self._ledger.choose_previews():
                pass
            self._previews_at = now

    async def _idle(self, looked: float) -> float | None:
        """Seconds until something is due; None if only a change can bring work.

        Counts from the moment *before* the look that found nothing: what became due since then
        must not be slept through.
        """
        due = await self._ledger.next_due(looked)
        moments = [due] if due and due > looked else []
        if self._is_resting(looked):
            moments.append(self._resume_at)
        return max(0.0, min(moments) - self._clock()) if moments else None

    def _is_resting(self, now: float) -> bool:
        # A longer pause than there ever is was set under a clock that was ahead.
        return 0 < self._resume_at - now <= self._longest_pause

    # Asking --------------------------------------------------------------------------------------

    async def _ask_about(self, sent: Sequence[Owed]) -> None:
        try:
            for series in by_series(sent):
                await self._ask(series)
        finally:
            self._asking = False

    async def _ask(self, series: Sequence[Owed]) -> None:
        """Settle what went out without an answer, by what the archive lists."""
        try:
            found = (await list_instances(self._archive, [one.ref for one in series])).found
        except CloudRefused as error:
            # Its search is at odds with this series, not the line: let the others go on.
            await self._settle_again(series, Custody.SENT, str(error))
            return
        now = self._clock()
        settlements = []
        for one in series:
            if one.ref.sop_uid in found:
                self._done(one)
                settlements.append(Settlement(one.instance_id, Custody.ACKNOWLEDGED, _LISTED))
            elif not self._suspects.was_refused(one.instance_id) and (
                again := self._patience.ask_again_at(one.instance_id, now)
            ):
                reason = "the archive does not list it yet"
                settlements.append(Settlement(one.instance_id, Custody.SENT, reason, again))
            else:
                settlements.append(self._not_there(one, now))
        await self._ledger.settle(settlements)

    def _not_there(self, one: Owed, now: float) -> Settlement:
        """The archive does not have it: owed again, at once or, if it is suspected, later."""
        suspicion = self._suspects.suspicion(one.instance_id)
        if not suspicion or self._suspects.was_refused(one.instance_id):
            return Settlement(one.instance_id, Custody.EDGE_ONLY)
        return Settlement(
            one.instance_id,
            Custody.EDGE_ONLY,
            "it was sent and did not arrive",
            now + self._instance_backoff.delay(suspicion),
        )

    # Sending -------------------------------------------------------------------------------------

    async def _send(self, batch: Sequence[Owed]) -> None:
        upload = Upload(batch, self._retrieval, self._body_left, self._stopwatch)
        try:
            async with AsyncExitStack() as stack:
                if not await self._make_copy(upload, stack):
                    return
                await self._ledger.mark_sent([one.instance_id for one in batch])
                results = await self._archive.store_instances(upload.outgoing())
        except InstanceUnreadable as error:
            await self._unreadable(upload, error)
            return
        except LineClosed:
            await self._never_left(upload)
            raise
        except CloudRefused as error:
            self._size.failed()
            if error.status != 413:
                raise
            # Too large together; it was refused before any of it was looked at.
            self._suspects.failed(one.instance_id for one in batch)
            await self._ledger.settle(
                [Settlement(one.instance_id, Custody.EDGE_ONLY, str(error)) for one in batch]
            )
            return
        except CloudError:
            self._size.failed()
            self._flights.failed()
            raise
        finally:
            # The line is free: what is written down now holds nobody up.
            self._uploads -= 1
            upload.over()
        for act in by_study(Deed.SENT, (one.ref for one in batch), self._archive.name):
            await self._tell(act)
        await self._settle(upload, results)

    async def _make_copy(self, upload: Upload, stack: AsyncExitStack) -> bool:
        """Make what is sent in place of an instance, if anything is; False if it can't be made."""
        one = upload.batch[0]
        if self._remedies is None or one.remedy is None:
            return True
        making = self._remedies.copy(entry_of(one), one.remedy)
        try:
            # It goes alone: see `Suspects.first_batch`.
            upload.send_instead(await stack.enter_async_context(making))
        except EdgeError as error:
            log.warning("the copy of an instance for archive %s can't be made", self._archive.name)
            await self._ledger.settle([self._verdicts.without_copy(one, error, self._clock())])
            return False
        return True

    def _body_left(self) -> None:
        self._bodies -= 1
        self._errands.ring()

    async def _settle(self, upload: Upload, results: Sequence[StoreResult]) -> None:
        if all(result.status is None for result in results):
            await self._broken_off(upload)
            return
        now = self._clock()
        ids = [one.instance_id for one in upload.batch]
        if self._fullness.heard(list(zip(ids, results, strict=True)), now):
            self._resume_at = self._fullness.until
            log.warning("archive %s is full", self._archive.name)
            await self._link.note_room(full=True)
        elif any(result.outcome is StoreOutcome.STORED for result in results):
            await self._link.note_room(full=False)
        settlements, unnamed = [], 0
        for one, result in zip(upload.batch, results, strict=True):
            if result.outcome is StoreOutcome.UNKNOWN:
                # Stays SENT. One that the archive read and did not name is more suspicious than
                # one whose connection died.
                unnamed += 1
                self._suspects.failed([one.instance_id])
                continue
            verdict = self._verdicts.of(one, result, now)
            if verdict.custody is Custody.ACKNOWLEDGED:
                self._done(one)
            settlements.append(verdict)
        if unnamed == len(upload.batch):
            self._size.failed(upload.seconds)
            self._flights.failed()
            self._pause(now)
        else:
            self._size.carried(upload.size, upload.seconds)
            self._flights.arrived(upload.size)
            self._failures = 0
            self._link.worked()
        if settlements:
            await self._ledger.settle(settlements)

    async def _broken_off(self, upload: Upload) -> None:
        """The connection died. What had begun stays SENT, and is asked about; the rest is owed."""
        begun = [one.instance_id for one in upload.begun]
        self._suspects.failed(begun, Suspects.CUT)
        self._size.failed(upload.seconds)
        self._flights.failed()
        if self._failures:
            self._pause(self._clock())
        else:
            # A line that breaks once may be well at once.
            self._failures = 1
        await self._never_left(upload)

    async def _never_left(self, upload: Upload) -> None:
        """What had not begun is owed as it was before."""
        if unbegun := upload.unbegun:
            await self._ledger.settle(
                [Settlement(one.instance_id, Custody.EDGE_ONLY) for one in unbegun]
            )

    def _pause(self, now: float) -> None:
        self._failures += 1
        self._resume_at = now + self._backoff.delay(self._failures)

    async def _unreadable(self, upload: Upload, error: InstanceUnreadable) -> None:
        """One of ours can't be read. What went before it is asked about; the rest never left."""
        log.error("%s", error)
        broken = [one for one in upload.batch if one.ref.sop_uid == error.sop_uid]
        await self._settle_again(broken, Custody.EDGE_ONLY, str(error))
        for one in broken:
            self._suspects.refused(one.instance_id)
        await self._never_left(upload)

    async def _settle_again(self, owed: Sequence[Owed], custody: Custody, reason: str) -> None:
        now = self._clock()
        await self._ledger.settle(
            [
                Settlement(
                    one.instance_id,
                    custody,
                    reason,
                    now + self._instance_backoff.delay(one.tries + 1),
                )
                for one in owed
            ]
        )

    def _done(self, one: Owed) -> None:
        self._fullness.cleared(one.instance_id)
        self._tally.add(one.size)
        self._patience.forget([one.instance_id])
        self._suspects.cleared([one.instance_id])
