"""Tells every archive to delete what was deleted here with that wish.

What is to be told is a column of the tombstones, so no restart forgets it, and an instance that a
device sent again is not withdrawn. Promises that what the archive does not have counts as deleted,
that one which deletes nothing is not asked for ever, and that nothing is ever told that nobody
asked for.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from edge import config
from edge.cache.acts import Deed, Tell, by_study, nobody
from edge.cache.changes import Changes
from edge.cache.custody import CustodyLedger, Withdrawal, Withdrawn
from edge.cloud.archive import Archive
from edge.cloud.retry import Backoff
from edge.errors import CloudError, CloudRefused, CloudUnreachable, InstanceNotFound
from edge.sync.link import Link

__all__ = ["Withdraw"]

log = logging.getLogger(__name__)

_MOST = 100
"""Instances at a time."""
_LONGEST_PAUSE = 3600.0
_NEVER = frozenset({405, 501})
"""An archive that answers so deletes nothing, and will not next time."""


class Withdraw:
    """Tells while the link is online.

    Args:
        ledger: Says what is to be told, and keeps what was answered.
        archives: Are told, the primary one first.
        link: To the primary one; is waited for, and told of its failures.
        changes: Wakes it when something was deleted.
        settings: The shortest pause before it is told again.
        clock: POSIX seconds.
        tell: Is told what was deleted there.
    """

    def __init__(
        self,
        ledger: CustodyLedger,
        archives: Sequence[Archive],
        link: Link,
        changes: Changes,
        settings: config.Sync,
        *,
        clock: Callable[[], float] = time.time,
        tell: Tell = nobody,
    ) -> None:
        self._told = tell
        self._ledger = ledger
        self._archives = tuple(archives)
        self._link = link
        self._changes = changes
        self._backoff = Backoff(settings.retry_min_seconds, _LONGEST_PAUSE)
        self._clock = clock

    async def run(self) -> None:
        """Tell until cancelled."""
        await self._ledger.renew_withdrawals()
        with self._changes.subscribe() as woken:
            while True:
                await self._link.wait_open("up")
                try:
                    worked = await self.step()
                except CloudUnreachable as error:
                    self._link.failed(error)
                    continue
                if not worked:
                    due = await self._ledger.next_withdrawal()
                    await woken.wait(None if due is None else max(0.0, due - self._clock()))

    async def step(self) -> bool:
        """Tell of what is due; False if there is nothing.

        Raises:
            CloudUnreachable: The archive can't be reached; what is left stays due.
        """
        due = await self._ledger.withdrawals(max_count=_MOST)
        done = 0
        for one in due:
            done += await self._tell(one)
        if done:
            names = " and ".join(archive.name for archive in self._archives)
            log.info("archive %s: deleted there, too: %d instances", names, done)
        return bool(due)

    async def _tell(self, one: Withdrawn) -> bool:
        """Tell all of one, and write down what was answered; whether it is gone from everywhere."""
        failed: CloudError | None = None
        for archive in self._archives:
            try:
                await archive.delete_instance(one.ref)
            except InstanceNotFound:
                pass  # What it does not have is gone.
            except CloudError as error:
                if archive is self._archives[0] and isinstance(error, CloudUnreachable):
                    raise
                failed = failed or error
        if failed is None:
            await self._ledger.settle_withdrawal(one.ref, Withdrawal.DONE)
            for archive in self._archives:
                [act] = by_study(Deed.WITHDRAWN, [one.ref], archive.name)
                await self._told(act)
            return True
        lasting = isinstance(failed, CloudRefused) and failed.status in _NEVER
        if lasting or not one.tries:
            log.error("what was deleted here can't be deleted there: %s", failed)
        withdrawal = Withdrawal.REFUSED if lasting else Withdrawal.DUE
        again = 0.0 if lasting else self._clock() + self._backoff.delay(one.tries + 1)
        await self._ledger.settle_withdrawal(one.ref, withdrawal, str(failed), again)
        return False
