"""A part of a bundle, as sync works on it: its ledger, and its instances, read from the disk.

Push and verify deliver it as they deliver what a box owes (`edge.sync.courier`): here the ledger is
the receipt that will go back, and what is sent is opened from the part. Promises that nothing
leaves whole that is not, byte for byte, what the box listed and signed: the last piece of an
instance is held back until the digests of all of it are right.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace

from edge.cache.bundle import Bundle
from edge.cache.changes import Changes
from edge.cache.ledger import Owed, Settlement, Theirs
from edge.cache.opened import InstanceEntry, OpenInstance
from edge.cache.parts import PartReader
from edge.cache.statements import Entry, Outcome, Result
from edge.crypto.courier import BundleKey
from edge.dicom.digest import Digester
from edge.dicom.frames import Layout
from edge.dicom.instance import Custody, InstanceRef
from edge.errors import EdgeError, InstanceNotFound, SealBroken

__all__ = ["CarriedLedger", "CarriedParts"]

_PIECE = 1024 * 1024
_UNSENT = (Custody.EDGE_ONLY, Custody.SENT)
_ENDED = (Custody.VERIFIED, Custody.CONFLICT, Custody.REFUSED)
_KEPT = (Outcome.VERIFIED, Outcome.CONFLICT)
"""What an earlier run found, and this one need not."""


@dataclass(slots=True)
class _Row:
    owed: Owed
    result: Result | None = None
    """What is known of it."""
    asked: bool = False
    """Whether the archive said that it does not have it: only then it is sent."""
    retry_at: float = 0.0
    damaged: bool = False

    @property
    def is_ended(self) -> bool:
        return self.damaged or self.owed.custody in _ENDED


class CarriedLedger:
    """Custody of what is in a part, kept in memory; it ends up in a receipt.

    Answers what push, verify and the link ask of a ledger (`Ledger`, `StateLedger`).

    Args:
        entries: What is in the part.
        earlier: What an earlier run found.
        changes: Woken by what is written down.
        said: Told how the line is; empty if it is up.
        clock: POSIX seconds.
    """

    def __init__(
        self,
        entries: Iterable[Entry],
        earlier: Iterable[Result],
        changes: Changes,
        said: Callable[[str], object],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._changes = changes
        self._said = said
        self._clock = clock
        self.moves = 0
        """Grows with whatever is written down or read."""
        known = {one.sop_uid: one for one in earlier if one.outcome in _KEPT}
        self._rows = {
            number: _row(number, entry, known.get(entry.sop_uid))
            for number, entry in enumerate(entries, 1)
        }
        self._open = {number: row for number, row in self._rows.items() if not row.is_ended}

    @property
    def results(self) -> tuple[Result, ...]:
        """What is known by now."""
        return tuple(row.result for row in self._rows.values() if row.result is not None)

    @property
    def count(self) -> int:
        """Instances in all."""
        return len(self._rows)

    @property
    def left(self) -> int:
        """Instances whose fate is not known yet."""
        return len(self._open)

    def unasked(self) -> list[list[Owed]]:
        """What the archive was not asked about yet, series by series, in the order of the part."""
        series: dict[tuple[str, str], list[Owed]] = {}
        for row in self._open.values():
            if not row.asked and row.owed.custody is Custody.EDGE_ONLY:
                ref = row.owed.ref
                series.setdefault((ref.study_uid, ref.series_uid), []).append(row.owed)
        return list(series.values())

    def asked(self, owed: Iterable[Owed]) -> None:
        """The archive lacks these, or can't say."""
        for one in owed:
            self._rows[one.instance_id].asked = True
        self._changes.wake()

    def damage(self, instance_id: int, words: str) -> None:
        """It can't be read from the disk."""
        row = self._rows[instance_id]
        row.damaged = True
        row.result = Result(row.owed.ref.sop_uid, Outcome.DAMAGED, self._clock(), words=words)
        self._open.pop(instance_id, None)

    # What sync asks -------------------------------------------------------------------------------

    async def owed(
        self, now: float, *, max_bytes: int, max_count: int, skip: Collection[int] = ()
    ) -> list[Owed]:
        """See ``ArchiveLedger``; in the order of the part."""
        chosen: list[Owed] = []
        total = 0
        for number, row in self._open.items():
            ready = row.asked and row.owed.custody in _UNSENT and row.retry_at <= now
            if not ready or number in skip:
                continue
            total += row.owed.size
            if chosen and (total > max_bytes or len(chosen) >= max_count):
                break
            chosen.append(row.owed)
        return chosen

    async def choose_previews(self) -> int:
        """The order is that of the box."""
        return 0

    async def unverified(self, now: float, *, max_count: int) -> list[Owed]:
        """See ``ArchiveLedger``."""
        return [
            row.owed
            for row in self._open.values()
            if row.owed.custody is Custody.ACKNOWLEDGED and row.retry_at <= now
        ][:max_count]

    async def remarked(self, instance_ids: Collection[int]) -> set[int]:
        """See ``ArchiveLedger``."""
        return {
            number
            for number in instance_ids
            if (result := self._rows[number].result) is not None and result.words
        }

    async def next_due(self, now: float) -> float | None:
        """See ``ArchiveLedger``."""
        moments = [row.retry_at for row in self._open.values() if row.retry_at > now]
        return min(moments, default=None)

    async def mark_sent(self, instance_ids: Sequence[int]) -> None:
        """See ``ArchiveLedger``; a run that ends now is found out by the next one's question."""
        for number in instance_ids:
            row = self._rows[number]
            row.owed, row.retry_at = replace(row.owed, custody=Custody.SENT), 0.0

    async def settle(self, settlements: Sequence[Settlement]) -> None:
        """See ``ArchiveLedger``."""
        for one in settlements:
            row = self._rows[one.instance_id]
            if row.damaged:
                continue
            tries = row.owed.tries + 1 if one.retry_at > 0 else 0
            row.owed = replace(row.owed, custody=one.custody, tries=tries)
            row.retry_at = one.retry_at
            row.result = self._result(row.owed, one) or row.result
            if row.is_ended:
                self._open.pop(one.instance_id, None)
        self.moves += 1
        self._changes.wake()

    async def set_archive_state(
        self, name: str, *, online: bool, reason: str = "", lasting: bool = False
    ) -> None:
        """Say how the line is."""
        mend = " (this must be mended)" if lasting else ""
        self._said("" if online else f"archive {name}: {reason}{mend}")

    def _result(self, owed: Owed, one: Settlement) -> Result | None:
        sop_uid, now = owed.ref.sop_uid, self._clock()
        match one.custody:
            case Custody.VERIFIED:
                # Verify says so of nothing else than this data set.
                return Result(sop_uid, Outcome.VERIFIED, now, digest=owed.dataset_digest)
            case Custody.ACKNOWLEDGED:
                return Result(sop_uid, Outcome.STORED, now, words=one.reason)
            case Custody.REFUSED:
                lasting = one.retry_at <= 0
                return Result(sop_uid, Outcome.REFUSED, now, words=one.reason, lasting=lasting)
            case Custody.CONFLICT:
                theirs = one.theirs or Theirs(b"", "", 0)
                return Result(
                    sop_uid,
                    Outcome.CONFLICT,
                    now,
                    digest=theirs.digest,
                    words=one.reason,
                    transfer_syntax=theirs.transfer_syntax,
                    length=theirs.content_bytes,
                )
        return None


def _row(number: int, entry: Entry, earlier: Result | None) -> _Row:
    custody = Custody.EDGE_ONLY if earlier is None else Custody(earlier.outcome)
    owed = Owed(
        instance_id=number,
        ref=InstanceRef(entry.study_uid, entry.series_uid, entry.sop_uid),
        sop_class_uid=entry.sop_class_uid,
        transfer_syntax=entry.transfer_syntax,
        size=entry.size,
        custody=custody,
        tries=0,
        dataset_digest=entry.dataset_digest,
    )
    return _Row(owed, earlier)


class CarriedParts:
    """Opens instances of a bundle; ``async with`` closes what was opened.

    Args:
        bundle: On the disk.
        key: Of the bundle.
        entries: Of the part that is delivered, numbered from 1 as the ledger does.
        ledger: Told what can't be read.
    """

    def __init__(
        self, bundle: Bundle, key: BundleKey, entries: Iterable[Entry], ledger: CarriedLedger
    ) -> None:
        self._bundle = bundle
        self._key = key
        self._entries = dict(enumerate(entries, 1))
        self._ledger: CarriedLedger = ledger
        self._readers: dict[int, PartReader] = {}

    async def close(self) -> None:
        """Close the parts."""
        readers, self._readers = self._readers, {}
        for reader in readers.values():
            await asyncio.to_thread(reader.close)

    @asynccontextmanager
    async def open_instance(self, entry: InstanceEntry) -> AsyncIterator[OpenInstance]:
        """Open an instance of the part.

        Raises:
            InstanceNotFound: There is none of this number.
        """
        carried = self._entries.get(entry.instance_id)
        if carried is None:
            raise InstanceNotFound(f"instance {entry.ref.sop_uid} is not in this part")
        yield OpenInstance(entry, _Content(self, entry.instance_id, carried), Layout(), bytes)

    async def stream(self, number: int, entry: Entry) -> AsyncGenerator[bytes]:
        """The bytes of an instance, of which the last come only if all are right.

        Raises:
            SealBroken: They are not, or can't be read.
        """
        digester, held = Digester(), b""
        try:
            for part, offset, length in entry.pieces:
                for at in range(offset, offset + length, _PIECE):
                    most = min(_PIECE, offset + length - at)
                    piece = await asyncio.to_thread(self._read, part, at, most, digester)
                    self._ledger.moves += 1
                    if held:
                        yield held
                    held = piece
            if digester.digests() != (entry.meta_digest, entry.dataset_digest):
                raise SealBroken("it is not what the box listed")
        except (EdgeError, OSError) as error:
            self._ledger.damage(number, str(error))
            raise SealBroken(f"it can't be read from the disk: {error}") from error
        yield held

    def _read(self, part: int, offset: int, length: int, digester: Digester) -> bytes:
        reader = self._readers.get(part)
        if reader is None:
            # Two threads may both open one; the one that is forgotten is closed at once.
            opened = PartReader(self._bundle, part, self._key)
            reader = self._readers.setdefault(part, opened)
            if reader is not opened:
                opened.close()
        piece = reader.read(offset, length)
        if len(piece) != length:
            raise SealBroken("a part is shorter than its list says")
        digester.update(piece)
        return piece


class _Content:
    """The Part 10 file of an instance, to be read from its beginning to its end."""

    def __init__(self, parts: CarriedParts, number: int, entry: Entry) -> None:
        self._parts = parts
        self._number = number
        self._entry = entry
        self.length = entry.size

    async def read(self, offset: int, length: int) -> bytes:
        """A range of it."""
        return b"".join([piece async for piece in self.stream(offset, length)])

    async def stream(self, offset: int = 0, length: int | None = None) -> AsyncGenerator[bytes]:
        """A range of it, in pieces; what lies before is read, and let go."""
        end = self.length if length is None else offset + length
        at = 0
        async with aclosing(self._parts.stream(self._number, self._entry)) as pieces:
            async for piece in pieces:
                if part := piece[max(0, offset - at) : max(0, end - at)]:
                    yield part
                at += len(piece)
