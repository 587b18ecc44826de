"""The part of the cache that sync talks to, in memory: a ledger and a retrieval.

``FakeLedger`` answers like ``edge.cache.custody.CustodyLedger`` and keeps to the same rules about
tries and retry times; journeys run sync on the real one.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Collection,
    Iterable,
    Sequence,
)
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from edge.cache.changes import Changes
from edge.cache.custody import Known, Replaced, Withdrawal, Withdrawn
from edge.cache.ledger import Owed, Remedy, Settlement
from edge.cache.opened import InstanceEntry
from edge.dicom.instance import Availability, Custody, InstanceRef
from edge.dicom.part10 import FileMetaReader
from edge.dicom.remote import NONSENSE, RemoteStudy
from edge.errors import EdgeError, InstanceNotFound
from tests.samples import Slice

_UNSENT = (Custody.EDGE_ONLY, Custody.SENT, Custody.REFUSED)


@dataclass
class Row:
    """An instance that is here."""

    owed: Owed
    data: bytes
    reason: str = ""
    retry_at: float = 0.0
    history: list[Custody] = field(default_factory=list)

    @property
    def is_waiting(self) -> bool:
        """Whether time can make it due: a refusal without a time is for good."""
        return self.owed.custody is not Custody.REFUSED or self.retry_at > 0


def dataset_digest(part10: bytes) -> bytes:
    """SHA-256 without preamble and group 0002."""
    meta = FileMetaReader()
    assert meta.feed(part10)
    return hashlib.sha256(part10[meta.length :]).digest()


class FakeLedger:
    """Custody of what was ``put`` in."""

    def __init__(self, changes: Changes | None = None) -> None:
        self.rows: dict[int, Row] = {}
        self.changes = changes or Changes()
        self.learned: dict[str, RemoteStudy] = {}
        self.learnings = 0
        self.previews_chosen = 0
        self.cursors: dict[str, str] = {}
        self.states: list[tuple[str, bool, str]] = []
        self.lasting = False
        self.withdrawn: dict[InstanceRef, tuple[Withdrawal, int, str, float]] = {}
        """Of instances that were deleted: whether the archive is told, tries, reason, when."""
        self.acquaintances: dict[str, Known] = {}
        """What the index has, by SOP Instance UID, beside what was learned."""
        self.replaced: list[Replaced] = []
        self.deleted: list[tuple[InstanceRef, str]] = []
        """What an archive said to have deleted, and which archive."""

    def put(self, parts: Iterable[Slice], custody: Custody = Custody.EDGE_ONLY) -> None:
        """Have instances, as if they had been admitted."""
        for part in parts:
            number = len(self.rows) + 1
            owed = Owed(
                instance_id=number,
                ref=part.ref,
                sop_class_uid=part.sop_class_uid,
                transfer_syntax=part.transfer_syntax,
                size=len(part.data),
                custody=custody,
                tries=0,
                dataset_digest=dataset_digest(part.data),
            )
            self.rows[number] = Row(owed, part.data, history=[custody])
        self.changes.wake()

    def of(self, ref: InstanceRef) -> Row:
        """The row of an instance."""
        return next(row for row in self.rows.values() if row.owed.ref == ref)

    @property
    def custodies(self) -> list[Custody]:
        """Of all rows, in the order they were put in."""
        return [row.owed.custody for row in self.rows.values()]

    async def remarked(self, instance_ids: Sequence[int]) -> set[int]:
        """See the ledger."""
        return {number for number in instance_ids if self.rows[number].reason}

    def _due(self, custodies: Sequence[Custody], now: float, max_count: int) -> list[Owed]:
        due = [
            row.owed
            for row in self.rows.values()
            if row.owed.custody in custodies and row.retry_at <= now and row.is_waiting
        ]
        return due[:max_count]

    async def owed(
        self, now: float, *, max_bytes: int, max_count: int, skip: Collection[int] = ()
    ) -> list[Owed]:
        chosen: list[Owed] = []
        total = 0
        due = self._due(_UNSENT, now, max_count + len(skip))
        for one in [one for one in due if one.instance_id not in skip][:max_count]:
            total += one.size
            if chosen and total > max_bytes:
                break
            chosen.append(one)
        return chosen

    async def unverified(self, now: float, *, max_count: int) -> list[Owed]:
        return self._due((Custody.ACKNOWLEDGED,), now, max_count)

    async def next_due(self, now: float) -> float | None:
        waiting = (*_UNSENT, Custody.ACKNOWLEDGED)
        return min(
            (
                row.retry_at
                for row in self.rows.values()
                if row.owed.custody in waiting and row.retry_at > now and row.is_waiting
            ),
            default=None,
        )

    async def choose_previews(self) -> int:
        self.previews_chosen += 1
        return 0

    async def mark_sent(self, instance_ids: Sequence[int]) -> None:
        for number in instance_ids:
            row = self.rows[number]
            row.owed, row.retry_at = replace(row.owed, custody=Custody.SENT), 0.0
            row.history.append(Custody.SENT)

    async def settle(self, settlements: Sequence[Settlement]) -> None:
        assert settlements, "an empty transaction wakes everybody for nothing"
        for entry in settlements:
            row = self.rows[entry.instance_id]
            tries = row.owed.tries + 1 if entry.retry_at > 0 else 0
            corrected = entry.corrected or row.owed.corrected
            row.owed = replace(row.owed, custody=entry.custody, tries=tries, corrected=corrected)
            row.reason, row.retry_at = entry.reason, entry.retry_at
            row.history.append(entry.custody)
        self.changes.wake()

    async def withdrawals(self, *, max_count: int) -> list[Withdrawn]:
        return [
            Withdrawn(ref, tries)
            for ref, (withdrawal, tries, _, at) in self.withdrawn.items()
            if withdrawal is Withdrawal.DUE and at <= time.time()
        ][:max_count]

    async def renew_withdrawals(self) -> None:
        for ref, (what, tries, reason, at) in self.withdrawn.items():
            if what is Withdrawal.REFUSED:
                self.withdrawn[ref] = (Withdrawal.DUE, tries, reason, at)

    async def next_withdrawal(self) -> float | None:
        waiting = [at for what, _, _, at in self.withdrawn.values() if what is Withdrawal.DUE]
        return min(waiting, default=None)

    async def settle_withdrawal(
        self, ref: InstanceRef, withdrawal: Withdrawal, reason: str = "", retry_at: float = 0.0
    ) -> None:
        tries = self.withdrawn[ref][1] + 1 if withdrawal is Withdrawal.DUE else 0
        self.withdrawn[ref] = (withdrawal, tries, reason, retry_at)

    async def learn(self, study: RemoteStudy) -> None:
        self.learned[study.study_uid] = study
        self.learnings += 1

    async def known(self, sop_uids: Collection[str]) -> dict[str, Known]:
        learned = {
            one.sop_uid: Known(Availability.NEARLINE, time.time(), False, False)
            for study in self.learned.values()
            for series in study.series
            for one in series.instances
        }
        everything = learned | self.acquaintances
        return {uid: everything[uid] for uid in sop_uids if uid in everything}

    async def follow(
        self,
        archive: str,
        studies: Sequence[RemoteStudy],
        replaced: Sequence[Replaced],
        cursor: tuple[str, str],
    ) -> list[Exception]:
        strange: list[Exception] = []
        for study in studies:
            try:
                await self.learn(study)
            except NONSENSE as error:
                strange.append(error)
        self.replaced += replaced
        await self.set_cursor(*cursor)
        return strange

    async def archive_deleted(self, refs: Sequence[InstanceRef], archive: str) -> None:
        self.deleted += [(ref, archive) for ref in refs]

    async def fingerprints(self, study_uids: Sequence[str]) -> dict[str, str]:
        return {uid: self.learned[uid].fingerprint for uid in study_uids if uid in self.learned}

    async def cursor(self, name: str) -> str | None:
        return self.cursors.get(name)

    async def set_cursor(self, name: str, value: str) -> None:
        self.cursors[name] = value

    async def set_archive_state(
        self, name: str, *, online: bool, reason: str = "", lasting: bool = False
    ) -> None:
        self.states.append((name, online, reason))
        self.lasting = lasting


class FakeRemedies:
    """Makes copies that are those of the ledger's instances, with a mark at their end."""

    MARK = b"\0" * 64

    def __init__(self, ledger: FakeLedger) -> None:
        self._ledger = ledger
        self.failures: list[EdgeError] = []
        """What the next ones fail with."""

    @asynccontextmanager
    async def copy(self, entry: InstanceEntry, remedy: Remedy) -> AsyncIterator[FakeCopy]:
        if self.failures:
            raise self.failures.pop(0)
        yield FakeCopy(self._ledger.rows[entry.instance_id].data + self.MARK)


class FakeCopy:
    """A copy that was made."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    async def stream(self) -> AsyncGenerator[bytes]:
        yield self._data


class FakeOpened:
    """An open instance."""

    def __init__(self, data: bytes, on_read: Callable[[], None]) -> None:
        self._data = data
        self._on_read = on_read

    async def stream(self) -> AsyncIterator[bytes]:
        for at in range(0, len(self._data), 65536):
            self._on_read()
            yield self._data[at : at + 65536]


class FakeRetrieval:
    """Opens what the ledger has; ``broken`` names what can't be read."""

    def __init__(self, ledger: FakeLedger) -> None:
        self._ledger = ledger
        self.broken: dict[InstanceRef, EdgeError] = {}

    @asynccontextmanager
    async def open_instance(self, entry: InstanceEntry) -> AsyncIterator[FakeOpened]:
        row = self._ledger.rows.get(entry.instance_id)
        if row is None:
            raise InstanceNotFound(f"instance {entry.ref.sop_uid} is not here")

        def on_read() -> None:
            if error := self.broken.get(entry.ref):
                raise error

        yield FakeOpened(row.data, on_read)
