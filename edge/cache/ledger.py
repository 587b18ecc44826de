"""One archive's account: what it lacks, what it was sent, and what it verifiably has.

What ``push`` and ``verify`` work from. Nothing here is a queue: every answer is computed from the
index, so a restart, a crash or a second look always finds the same work. Times are POSIX seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from edge.cache.changes import Changes
from edge.dicom.instance import Custody, InstanceRef
from edge.index import corrections
from edge.index.custody import UNSENT, Account
from edge.index.database import Connection, Database
from edge.index.disputes import Theirs
from edge.index.lookup import InstanceRow
from edge.index.remedies import Remedy

__all__ = ["ArchiveLedger", "Owed", "Remedy", "Settlement", "Theirs"]


@dataclass(frozen=True, slots=True)
class Owed:
    """An instance that the archive is owed, or owes us an answer about."""

    instance_id: int
    ref: InstanceRef
    sop_class_uid: str
    transfer_syntax: str
    size: int
    """Bytes of its Part 10 stream."""
    custody: Custody
    tries: int
    dataset_digest: bytes
    """SHA-256 of its data set, without preamble and group 0002."""
    remedy: Remedy | None = None
    """How what is sent differs; None for the instance itself."""
    corrected: bytes | None = None
    """SHA-256 of what the archive has in its place since it corrected patient or study there."""

    def is_held_as(self, digest: bytes) -> bool:
        """Whether a data set is its own, the one that was sent in its place, or its correction."""
        sent = None if self.remedy is None else self.remedy.sent_digest
        return digest in (self.dataset_digest, sent, self.corrected)


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of an instance; with *retry_at*, it is tried again then."""

    instance_id: int
    custody: Custody
    reason: str = ""
    retry_at: float = 0.0
    theirs: Theirs | None = None
    """Of a CONFLICT: what the archive has."""
    corrected: bytes | None = None
    """Of one that is VERIFIED but for a correction there: SHA-256 of what the archive has."""


class ArchiveLedger:
    """Questions and entries about custody with one archive.

    Args:
        account: Where it is kept.
        clock: POSIX seconds.
    """

    def __init__(
        self,
        database: Database,
        changes: Changes,
        account: Account,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._changes = changes
        self._account = account
        self._clock = clock

    async def owed(
        self, now: float, *, max_bytes: int, max_count: int, skip: Collection[int] = ()
    ) -> list[Owed]:
        """What to send next: what is urgent, then previews, then study by study, the oldest first.

        That is EDGE_ONLY, SENT, and REFUSED if a retry was set. At least one, if there is any, then
        as many as fit into *max_bytes*. Those whose ids are in *skip* are left out.
        """
        chosen: list[Owed] = []
        total = 0
        for row in await self._account.unsent(self._database, now, max_count + len(skip)):
            if row.instance_id in skip:
                continue
            total += row.content_bytes
            if chosen and total > max_bytes:
                break
            chosen.append(_owed(row))
        return await self._with_remedies(chosen[:max_count])

    async def choose_previews(self) -> int:
        """Let first, middle and last instance of series go before the rest; how many series.

        Looks only at series that have changed since. With 0 there is nothing more to choose.
        """
        return 0

    async def unverified(self, now: float, *, max_count: int) -> list[Owed]:
        """What the archive listed as stored, and should be asked about again."""
        acknowledged = (Custody.ACKNOWLEDGED,)
        rows = await self._account.due(self._database, acknowledged, now, max_count)
        owed = await self._with_remedies([_owed(row) for row in rows])
        ids = [one.instance_id for one in owed]
        found = await corrections.find(self._database, self._account.archive, ids)
        return [replace(one, corrected=found.get(one.instance_id)) for one in owed]

    async def remarked(self, instance_ids: Collection[int]) -> set[int]:
        """Those of these instances of which the archive said more than that it stored them.

        It had one of that UID before, altered something, or did not answer and lists it.
        """
        return await self._account.remarked(self._database, instance_ids)

    async def _with_remedies(self, owed: list[Owed]) -> list[Owed]:
        """The same, with what is to be sent in their place."""
        return owed

    async def next_due(self, now: float) -> float | None:
        """When the earliest retry is due that is not due yet."""
        unsettled = (*UNSENT, Custody.ACKNOWLEDGED)
        return await self._account.next_due(self._database, unsettled, now)

    async def mark_sent(self, instance_ids: Sequence[int]) -> None:
        """Committed before their bytes go out: from now on the archive may have them."""
        await self._database.write(lambda db: self._account.mark_sent(db, instance_ids))

    async def settle(self, settlements: Sequence[Settlement]) -> None:
        """Write down what became of instances, all of them in one transaction."""
        now = self._clock()

        def write(db: Connection) -> None:
            for entry in settlements:
                self._settle(db, entry, now)

        await self._database.write(write)
        self._changes.wake()

    def _settle(self, db: Connection, entry: Settlement, now: float) -> None:
        self._account.settle(
            db, entry.instance_id, entry.custody, entry.reason, entry.retry_at, now
        )
        if entry.corrected is not None:
            corrections.note(db, entry.instance_id, self._account.archive, entry.corrected)

    async def doubt(self, instance_ids: Sequence[int]) -> None:
        """The archive had these verifiably, and does not list them any more; they are here."""
        reason = "the archive had it, and does not list it any more"
        await self._database.write(lambda db: self._account.doubt(db, instance_ids, reason))
        self._changes.wake()


def _owed(row: InstanceRow) -> Owed:
    return Owed(
        instance_id=row.instance_id,
        ref=row.ref,
        sop_class_uid=row.sop_class_uid,
        transfer_syntax=row.transfer_syntax,
        size=row.content_bytes,
        custody=row.custody,
        tries=row.tries,
        dataset_digest=row.dataset_digest or b"",
    )
