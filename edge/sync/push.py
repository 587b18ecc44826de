"""Brings to the archive what it lacks (STOW-RS), one instance's fate at a time.

What is owed is computed from the ledger, so nothing here survives a restart or needs to. The order
that makes it safe:

1. ``SENT`` is committed *before* the first byte goes out. Killed or cut off from here on, the
   instance is found as SENT, and the archive is asked before it is sent again.
2. The answer is settled instance by instance, from its own item: ACKNOWLEDGED, REFUSED with the
   archive's words, or again later. What the answer does not name stays SENT.

REFUSED is for good where the archive's reason is (a dead letter, for a person); a refusal for no
lasting reason is called REFUSED, too, once it was repeated, and is still tried again, ever more
rarely: an archive may be ill for days and then be well.

Promises that one bad instance never stalls another: what took part in a failure travels alone and
later. Never verifies, and never deletes anything anywhere.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack

from edge import config
from edge.cache.changes import Changes
from edge.cache.custody import ArchiveLedger, Owed, Settlement
from edge.cache.opened import InstanceEntry
from edge.cache.remedies import Remedies
from edge.cache.retrieval import Retrieval
from edge.cloud.archive import (
    Advice,
    Archive,
    Outgoing,
    StoreOutcome,
    StoreResult,
)
from edge.cloud.listing import list_instances
from edge.cloud.retry import Backoff
from edge.dicom.instance import Availability, Custody
from edge.errors import (
    CloudError,
    CloudRefused,
    DecisionRefused,
    EdgeError,
    InstanceUnreadable,
    InvalidInstance,
    LineClosed,
    PixelError,
    PixelWorkersBusy,
)
from edge.sync.batches import BatchSize, Suspects
from edge.sync.inquiry import Patience, by_series
from edge.sync.link import Link
from edge.sync.tally import Tally

__all__ = ["Push"]

log = logging.getLogger(__name__)

_MOST = 256
"""Instances of a batch: its answer has an item for each."""
_REFUSED_FROM = 5
"""Refusals for no lasting reason after which an instance is called refused."""
_PATIENCE = 2.5
"""Times the shortest pause: so long an instance that went out may be unlisted. Little, because
being wrong costs one needless copy."""
_LONGEST_PAUSE = 3600.0
"""Seconds, for what fails again and again, and for an archive that is full."""
_LONGEST_REFUSED = 12 * 3600.0
"""Seconds between two offers of an instance that is refused again and again."""


class Push:
    """Sends while the link is online.

    Args:
        ledger: Says what is owed, and keeps what became of it.
        retrieval: Opens the instances.
        archive: Gets them.
        link: Is waited for, and told of failures.
        changes: Wakes it when something came in.
        settings: Size of a batch, shortest and longest pause.
        clock: POSIX seconds.
        remedies: Makes the copies that are sent in place of instances; None if no instance has one.
    """

    def __init__(
        self,
        ledger: ArchiveLedger,
        retrieval: Retrieval,
        archive: Archive,
        link: Link,
        changes: Changes,
        settings: config.Sync,
        *,
        clock: Callable[[], float] = time.time,
        remedies: Remedies | None = None,
    ) -> None:
        self._remedies = remedies
        self._ledger = ledger
        self._retrieval = retrieval
        self._archive = archive
        self._link = link
        self._changes = changes
        self._clock = clock
        shortest, longest = settings.retry_min_seconds, settings.retry_max_seconds
        self._backoff = Backoff(shortest, longest)
        self._instance_backoff = Backoff(shortest, _LONGEST_PAUSE)
        self._refusal_backoff = Backoff(shortest, _LONGEST_REFUSED)
        self._full_backoff = Backoff(longest, _LONGEST_PAUSE)
        self._patience = Patience(_PATIENCE * shortest, Backoff(shortest / 4, shortest))
        self._size = BatchSize(settings.batch_bytes)
        self._suspects = Suspects()
        self._tally = Tally(log, f"archive {archive.name}: sent")
        self._resume_at = 0.0
        self._failures = 0
        self._full = 0

    async def run(self) -> None:
        """Send until cancelled."""
        with self._changes.subscribe() as woken:
            while True:
                await self._link.wait_open("up")
                looked = self._clock()
                try:
                    worked = await self.step()
                except LineClosed:
                    continue  # What was under way is SENT, and asked about when it goes on.
                except CloudError as error:
                    self._link.failed(error)
                    continue
                self._tally.say(resting=not worked)
                if not worked:
                    await woken.wait(await self._idle(looked))

    async def step(self) -> bool:
        """Ask about what went out before, or else send a batch; False if nothing is to be done now.

        Raises:
            CloudError: The archive can't be reached, or will not talk to us.
        """
        now = self._clock()
        if now < self._resume_at:
            return False
        owed = await self._ledger.owed(now, max_bytes=self._size.limit, max_count=_MOST)
        sent = [one for one in owed if one.custody is not Custody.EDGE_ONLY]
        for series in by_series(sent):
            await self._ask(series)
        if owed and not sent:
            await self._send_batch(self._suspects.first_batch(owed))
        return bool(owed)

    async def _idle(self, looked: float) -> float | None:
        """Seconds until something is due; None if only a change can bring work.

        Counts from the moment *before* the look that found nothing: what became due since then
        must not be slept through.
        """
        due = await self._ledger.next_due(looked)
        moments = [moment for moment in (due, self._resume_at) if moment and moment > looked]
        return max(0.0, min(moments) - self._clock()) if moments else None

    # Asking --------------------------------------------------------------------------------------

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
                settlements.append(Settlement(one.instance_id, Custody.ACKNOWLEDGED))
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

    async def _send_batch(self, batch: Sequence[Owed]) -> None:
        one = batch[0]
        if self._remedies is None or one.remedy is None:
            await self._send(batch, [self._outgoing(it) for it in batch])
            return
        async with AsyncExitStack() as stack:
            making = self._remedies.copy(_entry(one), one.remedy)
            try:
                copy = await stack.enter_async_context(making)
            except EdgeError as error:
                await self._no_copy(one, error)
                return
            # It goes alone: see `Suspects.first_batch`.
            await self._send([one], [Outgoing(one.ref, copy.size, copy.stream)])

    async def _no_copy(self, one: Owed, error: EdgeError) -> None:
        """The copy that was to be sent can't be made: a dead letter, unless that may pass."""
        log.warning("the copy of an instance for archive %s can't be made", self._archive.name)
        words = f"its copy can't be made: {error}"
        impossible = isinstance(error, DecisionRefused | PixelError | InvalidInstance)
        if impossible and not isinstance(error, PixelWorkersBusy):
            await self._ledger.settle([Settlement(one.instance_id, Custody.REFUSED, words)])
        else:
            await self._settle_again([one], Custody.EDGE_ONLY, words)

    async def _send(self, batch: Sequence[Owed], outgoing: Sequence[Outgoing]) -> None:
        await self._ledger.mark_sent([one.instance_id for one in batch])
        try:
            results = await self._archive.store_instances(outgoing)
        except InstanceUnreadable as error:
            await self._unreadable(batch, error)
        except CloudRefused as error:
            self._size.shrink()
            if error.status != 413:
                raise
            # Too large together; it was refused before any of it was looked at.
            self._suspects.failed(one.instance_id for one in batch)
            await self._ledger.settle(
                [Settlement(one.instance_id, Custody.EDGE_ONLY, str(error)) for one in batch]
            )
        except CloudError:
            self._size.shrink()
            raise
        else:
            await self._settle(batch, results)

    def _outgoing(self, one: Owed) -> Outgoing:
        entry = _entry(one)

        async def stream() -> AsyncGenerator[bytes]:
            async with self._retrieval.open_instance(entry) as opened:
                async for piece in opened.stream():
                    yield piece

        return Outgoing(one.ref, one.size, stream)

    async def _settle(self, batch: Sequence[Owed], results: Sequence[StoreResult]) -> None:
        now = self._clock()
        if any(result.advice is Advice.FULL for result in results):
            self._full += 1
            self._resume_at = now + self._full_backoff.delay(self._full)
            log.warning("archive %s is full", self._archive.name)
        settlements, unnamed = [], 0
        for one, result in zip(batch, results, strict=True):
            if result.outcome is StoreOutcome.UNKNOWN:
                # Stays SENT. One that the archive read and did not name is more suspicious than
                # one whose connection died.
                unnamed += 1
                self._suspects.failed([one.instance_id] * (1 if result.status is None else 2))
            elif result.outcome is StoreOutcome.STORED:
                self._done(one)
                settlements.append(
                    Settlement(one.instance_id, Custody.ACKNOWLEDGED, _words(result))
                )
            else:
                settlements.append(self._failed(one, result, now))
        if settlements:
            await self._ledger.settle(settlements)
        if unnamed == len(batch):
            self._size.shrink()
            self._failures += 1
            self._resume_at = now + self._backoff.delay(self._failures)
        else:
            self._size.grow()
            self._failures = 0

    def _failed(self, one: Owed, result: StoreResult, now: float) -> Settlement:
        """What becomes of an instance that the archive did not take."""
        words = _words(result)
        match result.advice:
            case Advice.COMPARE:
                self._done(one)
                return Settlement(one.instance_id, Custody.ACKNOWLEDGED, words)
            case Advice.WAIT:
                again = now + self._instance_backoff.delay(one.tries + 1)
                return Settlement(one.instance_id, Custody.EDGE_ONLY, words, again)
            case Advice.FULL:
                return Settlement(one.instance_id, Custody.EDGE_ONLY, words, self._resume_at)
            case Advice.QUARANTINE:
                return self._dead_letter(one, result, words)
        # Perhaps it was stored all the same: it is asked about before it is sent again.
        refusals = self._suspects.refused(one.instance_id)
        again = now + self._refusal_backoff.delay(refusals)
        if refusals < _REFUSED_FROM:
            return Settlement(one.instance_id, Custody.SENT, words, again)
        if refusals == _REFUSED_FROM:
            self._log_refusal(one, result)
        words = f"{words} (refused {refusals} times)"
        return Settlement(one.instance_id, Custody.REFUSED, words, again)

    def _dead_letter(self, one: Owed, result: StoreResult, words: str) -> Settlement:
        self._log_refusal(one, result)
        self._suspects.cleared([one.instance_id])
        return Settlement(one.instance_id, Custody.REFUSED, words)

    def _log_refusal(self, one: Owed, result: StoreResult) -> None:
        # The archive's words may name a patient: they go into the index, not into the log.
        log.warning(
            "archive %s will not take instance %s (HTTP %s, failure reason %s)",
            self._archive.name,
            one.ref.sop_uid,
            result.status,
            "none" if result.reason is None else f"{result.reason:04X}",
        )

    async def _unreadable(self, batch: Sequence[Owed], error: InstanceUnreadable) -> None:
        """One of ours can't be read. The others are asked about, for the request broke off."""
        log.error("%s", error)
        broken = [one for one in batch if one.ref.sop_uid == error.sop_uid]
        await self._settle_again(broken, Custody.EDGE_ONLY, str(error))
        for one in broken:
            self._suspects.refused(one.instance_id)

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
        self._full = 0
        self._tally.add(one.size)
        self._patience.forget([one.instance_id])
        self._suspects.cleared([one.instance_id])


def _entry(one: Owed) -> InstanceEntry:
    return InstanceEntry(
        instance_id=one.instance_id,
        ref=one.ref,
        sop_class_uid=one.sop_class_uid,
        transfer_syntax=one.transfer_syntax,
        size=one.size,
        number_of_frames=0,
        availability=Availability.ONLINE,
    )


def _words(result: StoreResult) -> str:
    """The archive's answer about an instance, for the index; empty if there is nothing to say."""
    head = ""
    if result.reason is not None:
        head = f"reason {result.reason:04X} ({result.reason})"
    elif result.outcome is not StoreOutcome.STORED and result.status is not None:
        head = f"HTTP {result.status}"
    return ": ".join(filter(None, (head, result.text)))
