"""The one way in. Every door hands its bytes to ``store_instance``.

Crash order, of which the commit is the only point that counts:

    1  take pieces, understand them in passing, seal them into ``incoming``
    2  fsync the file, rename it into ``objects``, fsync the folder
    3  one transaction: rows, counters, change number       <- this commit is the store
    4  only now the door says that it is stored

A failure before 3 leaves nothing: the file is discarded, or the next start removes it. A crash
between 2 and 3 leaves an object without a row, which the next start adopts. Memory is bounded by
the store's allowance for what is under way, of which each arrival has its part, and by ``MODELS``.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from edge.cache import tally
from edge.cache.acts import BoxAct, Deed, Tell, nobody
from edge.cache.changes import Changes
from edge.cache.space import Space
from edge.cache.spooling import Spooling
from edge.cache.study_keys import StudyKeys
from edge.crypto.keys import StudyKey
from edge.dicom.familiar import Familiar
from edge.dicom.instance import Custody, InstanceRef, Origin
from edge.dicom.scanner import InstanceScanner, ScannedInstance
from edge.dicom.uids import is_storage_sop_class
from edge.errors import (
    InstanceMismatch,
    InstanceNotFound,
    InstanceTooLong,
    NotStorable,
    SealBroken,
    StorageFull,
)
from edge.index import instances, lookup, residence
from edge.index.database import Connection, Database
from edge.store.objects import ObjectStore
from edge.store.writer import ObjectWriter, StoredObject

__all__ = ["Admission", "Admitted", "Expectation", "Outcome", "Source"]

log = logging.getLogger(__name__)


MODELS = 256 * 1024 * 1024
"""Bytes of attributes that all arrivals together may hold; few real ones have a megabyte."""


class Outcome(StrEnum):
    """What became of an instance; for its sender all three are success."""

    STORED = "STORED"
    DUPLICATE = "DUPLICATE"
    CONFLICT = "CONFLICT"


@dataclass(frozen=True, slots=True)
class Source:
    """Where bytes come from."""

    origin: Origin
    peer: str = ""
    """Application entity, user, file or archive, as far as it is known."""
    vouches: bool = False
    """It is the primary archive, which so is seen to have these very bytes."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """What the sender announced; an instance that differs is refused."""

    sop_class_uid: str | None = None
    sop_uid: str | None = None
    study_uid: str | None = None

    def check(self, scanned: ScannedInstance) -> None:
        """Compare.

        Raises:
            InstanceMismatch: It is another instance.
        """
        for what, announced, found in (
            ("SOP Class UID", self.sop_class_uid, scanned.sop_class_uid),
            ("SOP Instance UID", self.sop_uid, scanned.ref.sop_uid),
            ("Study Instance UID", self.study_uid, scanned.ref.study_uid),
        ):
            if announced is not None and announced != found:
                raise InstanceMismatch(f"the {what} is not the one that was announced")


@dataclass(frozen=True, slots=True)
class Admitted:
    """An instance that is safe."""

    ref: InstanceRef
    sop_class_uid: str
    outcome: Outcome


class Admission:
    """Takes instances in.

    Args:
        max_instance_bytes: A longer stream is refused.
        clock: POSIX seconds.
        tell: Is told what came from archives.
    """

    def __init__(
        self,
        store: ObjectStore,
        keys: StudyKeys,
        database: Database,
        space: Space,
        changes: Changes,
        *,
        max_instance_bytes: int,
        clock: Callable[[], float] = time.time,
        tell: Tell = nobody,
    ) -> None:
        self._tell = tell
        self._store = store
        self._keys = keys
        self._database = database
        self._space = space
        self._changes = changes
        self.max_instance_bytes = max_instance_bytes
        self._clock = clock
        self._familiar = Familiar()
        self._models = 0

    @property
    def capacity(self) -> int:
        """Bytes that may be kept in all."""
        return self._space.capacity

    async def make_room(self) -> None:
        """Wait for room for one more instance; ``store_instance`` does it, too.

        Raises:
            StorageFull: There is none, and eviction can make none.
        """
        await self._space.make_room()

    @asynccontextmanager
    async def spooling(self) -> AsyncIterator[Spooling]:
        """Where values may wait, sealed, for the instance that they are of; gone at the end."""
        spool = self._store.spool()
        with self._space.reserve() as reservation:
            try:
                yield Spooling(spool, reservation)
            finally:
                await spool.close()

    async def _unsound(self, new: instances.NewInstance) -> str | None:
        """The object that is kept of these very bytes, if it can't be read to its end any more."""
        row = await lookup.find_one(self._database, new.ref.sop_uid)
        if row is None or row.object is None or row.dataset_digest != new.dataset_digest:
            return None
        try:
            reader = await self._store.open(row.object)
            try:
                async for _ in reader.stream():
                    pass
            finally:
                await reader.close()
        except (SealBroken, InstanceNotFound):
            return row.object
        return None

    async def has(self, ref: InstanceRef) -> bool:
        """Whether the instance is here now."""
        row = await lookup.find_one(self._database, ref.sop_uid)
        return row is not None and row.object is not None

    async def store_instance(
        self,
        chunks: AsyncIterable[bytes],
        source: Source,
        *,
        sop_class_uid: str | None = None,
        sop_uid: str | None = None,
        study_uid: str | None = None,
    ) -> Admitted:
        """Keep one instance; when this returns it is durable, sealed and indexed.

        Args:
            chunks: A Part 10 stream in pieces of any size (best 64 to 256 KiB).
            source: Who sends it.
            sop_class_uid: As announced by the sender, or None.
            sop_uid: As announced by the sender, or None.
            study_uid: As announced by the sender, or None.

        Raises:
            NotDicom: The bytes can't be understood, or end too early.
            InvalidInstance: A UID is missing or ill-formed.
            InstanceTooLong: It is longer than ``max_instance_bytes``.
            NotStorable: Its SOP class is none of Storage, and it is not what the archive has.
            InstanceMismatch: It is not what was announced.
            StorageFull: There is no room.

        After any error nothing is kept. If it comes before the end of *chunks*, the rest was not
        taken: the caller drains it, or hangs up.
        """
        await self._space.make_room()
        expected = Expectation(sop_class_uid, sop_uid, study_uid)
        arrival = _Arrival(self._store, self._keys, self.max_instance_bytes, self._familiar)
        with self._space.reserve() as reservation, self._store.allowance:
            try:
                try:
                    async for chunk in chunks:
                        reservation.grow(len(chunk))
                        await arrival.take(chunk)
                        self._count_model(arrival)
                    new = await arrival.finish(expected, source)
                except BaseException:
                    await arrival.discard()
                    raise
                finally:
                    self._models -= arrival.model
                return await self._commit(arrival, new)
            finally:
                # A commit that is still to be made comes before any that finds the key unused.
                arrival.give_back()

    def _count_model(self, arrival: _Arrival) -> None:
        """Refuse who holds more than its part of the memory, once that is used up.

        The other way, to keep less of the attributes, would make an instance depend on the moment
        when it came.
        """
        grown, arrival.model = arrival.memory - arrival.model, arrival.memory
        self._models += grown
        if self._models > MODELS and arrival.model * self._store.allowance.count > MODELS:
            raise StorageFull(
                "too many instances with very many attributes arrive at once",
                hint="send it again when fewer do",
            )

    async def _commit(self, arrival: _Arrival, new: instances.NewInstance) -> Admitted:
        now = self._clock()

        def put(db: Connection) -> instances.PutResult:
            return instances.put(db, new, now)

        def put_instead(db: Connection, unsound: str) -> tuple[bool, instances.PutResult]:
            # What was deleted or evicted since it was found was not damaged: no row names it now.
            is_lost = any(residence.lose(db, [unsound]))
            return is_lost, instances.put(db, new, now)

        try:
            result = await self._database.write(put)
            if result is instances.PutResult.DUPLICATE and (unsound := await self._unsound(new)):
                is_lost, result = await self._database.write(partial(put_instead, unsound=unsound))
                if is_lost:
                    log.error("object %s was damaged; what was sent again took its place", unsound)
        except Exception:
            await arrival.discard()
            raise
        # A caller that is cancelled here can't know whether the commit happened, so the object
        # stays: the next start finds it named by a row, or adopts it.
        if result is instances.PutResult.DUPLICATE:
            await arrival.discard()
            outcome = Outcome.DUPLICATE
        else:
            if result is instances.PutResult.QUARANTINED:
                await self._store.set_aside(new.object)  # if not, the next start does it
            self._space.stored(new.sealed_bytes)
            stored = result is instances.PutResult.STORED
            outcome = Outcome.STORED if stored else Outcome.CONFLICT
            self._changes.wake()
        if new.origin is Origin.CLOUD:  # what a viewer's miss brings was stored by nobody
            seen = [(new.ref.sop_uid, new.sop_class_uid)]
            await self._tell(BoxAct(Deed.FETCHED, new.ref.study_uid, new.peer, seen))
        else:
            tally.stored(new.ref, new.sop_class_uid)
        return Admitted(new.ref, new.sop_class_uid, outcome)


class _Arrival:
    """One instance while it arrives: scanned and sealed piece by piece."""

    def __init__(
        self, store: ObjectStore, keys: StudyKeys, max_bytes: int, familiar: Familiar
    ) -> None:
        self._store = store
        self._keys = keys
        self._max_bytes = max_bytes
        self._scanner = InstanceScanner(familiar=familiar)
        self._held = bytearray()
        self._length = 0
        self.model = 0
        """Bytes of attributes, as `Admission` has counted them."""
        self._writer: ObjectWriter | None = None
        self._key: StudyKey | None = None

    @property
    def memory(self) -> int:
        """Bytes of attributes that are held now."""
        return self._scanner.memory

    async def take(self, chunk: bytes) -> None:
        self._length += len(chunk)
        if self._length > self._max_bytes:
            raise InstanceTooLong(
                f"the instance is longer than {self._max_bytes} bytes",
                hint="raise cache.max_instance_bytes",
            )
        self._scanner.feed(chunk)
        if self._writer is not None:
            await self._writer.write(chunk)
            return
        # A study that is not known by now must do without: the object gets a key of its own.
        if self._scanner.study_uid is None and self._length <= self._store.allowance.each:
            self._held += chunk
        else:
            await (await self._begin()).write(chunk)

    async def _begin(self) -> ObjectWriter:
        key = self._key = await self._keys.lend(self._scanner.study_uid)
        self._writer = self._store.create(key, self._scanner.dataset_offset)
        if self._held:
            held, self._held = bytes(self._held), bytearray()
            await self._writer.write(held)
        return self._writer

    async def finish(self, expected: Expectation, source: Source) -> instances.NewInstance:
        scanned = self._scanner.finish()
        expected.check(scanned)
        # What the archive holds, under whichever class, is here to be had, too.
        if source.origin is not Origin.CLOUD and not is_storage_sop_class(scanned.sop_class_uid):
            raise NotStorable("the SOP class is none of those that are stored (PS3.4 B.5)")
        writer = self._writer or await self._begin()
        await writer.begin_commit()
        document = instances.pack(scanned.attributes)  # while the disk is busy
        stored = await writer.commit()
        custody = Custody.VERIFIED if source.vouches else Custody.EDGE_ONLY
        return new_instance(scanned, document, stored, source, custody)

    async def discard(self) -> None:
        if self._writer is not None:
            await self._writer.discard()

    def give_back(self) -> None:
        """Nothing will be sealed for it any more, and what was is committed or will never be."""
        if self._key is not None:
            self._keys.give_back(self._key)


def new_instance(
    scanned: ScannedInstance,
    document: bytes,
    stored: StoredObject,
    source: Source,
    custody: Custody,
) -> instances.NewInstance:
    """What the index is told of an instance."""
    pixels = scanned.layout.pixels
    return instances.NewInstance(
        ref=scanned.ref,
        sop_class_uid=scanned.sop_class_uid,
        transfer_syntax=scanned.transfer_syntax,
        attributes=scanned.attributes,
        document=document,
        layout=scanned.layout.to_bytes(),
        frame_count=pixels.number_of_frames if pixels is not None else 0,
        object=stored.name,
        key_id=stored.key_id,
        content_bytes=stored.content_bytes,
        sealed_bytes=stored.sealed_bytes,
        meta_digest=stored.meta_digest,
        dataset_digest=stored.dataset_digest,
        origin=source.origin,
        peer=source.peer,
        custody=custody,
    )
