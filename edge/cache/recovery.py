"""What a start finds after a crash, and how it is put right before anything listens.

    incoming/…                    was never answered for: removed
    an object on another's shelf  moved to its own
    an object without a row       adopted: its header and content describe it. This is also how a
                                  lost index is rebuilt, from all objects at once; one that was
                                  set aside goes back into quarantine
    an object of the trash        goes back there, for a record of the trash names it
    an object that was deleted    unlinked: a record of the deletion names it. The record of one
                                  that did not come to be is removed
    an object that does not open  kept as it is, with its key and what is known of it, reported,
                                  and never served; the disk may only be failing
    a row without its object      NEARLINE if the archive has it, else UNAVAILABLE and reported
    a key without objects         destroyed
    objects without their key     reported: each is fetched again, or lost, when it is asked for
    a ring of an earlier epoch    reported: somebody put an old one back

Every step can be repeated: a crash during recovery is put right by the next one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from edge.cache.admission import Source, new_instance
from edge.cache.rescan import rescan
from edge.crypto.keys import KeyRing
from edge.dicom.instance import Custody, Origin
from edge.errors import InstanceNotFound, InvalidInstance, SealBroken, StorageFull
from edge.index import (
    emergencies,
    identities,
    instances,
    peers,
    remote,
    residence,
    snapshot,
    tombstones,
    trash,
    users,
)
from edge.index.ballast import Ballast
from edge.index.catching_up import BLIND
from edge.index.connection import SCHEMA_VERSION, NewerIndex, suspicion
from edge.index.database import Connection, Database, DatabaseBroken
from edge.index.former import KEPT_SECONDS
from edge.index.taking_back import take_back, tidy
from edge.index.tokens import TokenTable, salvage
from edge.store.objects import ObjectStore
from edge.store.tombstones import TombstoneStore, TrashRecord, TrashStore

__all__ = ["Recovery", "Report", "note_epoch", "open_index"]

log = logging.getLogger(__name__)

_EPOCH = "ring:epoch"
"""Under which the index keeps it."""


def _put_into_trash(
    db: Connection, new: instances.NewInstance, now: float, record_name: str, record: TrashRecord
) -> instances.PutResult:
    """Adopt an object that was in the trash; what is known of its UID by now came after it."""
    known = trash.is_known(db, new)
    if known is trash.Known.THE_SAME:
        return instances.PutResult.DUPLICATE
    result = instances.put(db, new, now)
    if result is instances.PutResult.STORED and known is trash.Known.NOT:
        trash.adopt(
            db, new.ref.sop_uid, new.object, record_name, record.archive, record.reason, now
        )
    return result


_Keep = Callable[[Connection, instances.NewInstance, float], instances.PutResult]


@dataclass(slots=True)
class Report:
    """What was found and done."""

    half_written: int = 0
    moved: int = 0
    """Objects that lay on another's shelf."""
    adopted: int = 0
    superfluous: int = 0
    deleted: int = 0
    unreadable: list[str] = field(default_factory=list)
    fetchable: int = 0
    lost: int = 0
    unused_keys: int = 0
    missing_keys: int = 0
    older_ring: bool = False

    @property
    def damage(self) -> str:
        """What a person must know of it, in words; empty if there is nothing."""
        if not self.unreadable:
            return ""
        many = len(self.unreadable)
        what = "1 object" if many == 1 else f"{many} objects"
        return f"{what} in the store can't be read: the disk may be failing; nothing was removed"


async def open_index(path: Path, key: bytes, ballast: Ballast | None = None) -> Database:
    """Open the index; one that is damaged anywhere is set aside and replaced by an empty one.

    The key is known to be right here, because the ring of keys opened with the same root secret.
    One that a newer version wrote gives way to the copy of before, if there is one.

    Raises:
        NewerIndex: There is none.
    """
    try:
        return await _known_index(path, key, ballast)
    except DatabaseBroken as error:
        log.error("the index is damaged and will be rebuilt from the store: %s", error)
        aside = await asyncio.to_thread(_set_aside, path)
        found = await asyncio.to_thread(salvage, aside, key)
        approved = await asyncio.to_thread(peers.salvage, aside, key)
        people = await asyncio.to_thread(snapshot.salvage, aside, key, users.KEPT)
        # By itself: an older index has no such table, and everything else all the same.
        provided = await asyncio.to_thread(snapshot.salvage, aside, key, identities.KEPT)
        alarms = await asyncio.to_thread(snapshot.salvage, aside, key, emergencies.KEPT)
        database = await Database(path, key, ballast=ballast).__aenter__()
        if found is None:
            log.error("tokens can't be read any more; make new ones with edge token create")
        else:
            await TokenTable(database).restore(found)
        if approved is None:
            log.error("approved DICOM peers can't be read any more; see edge peer list")
        else:
            kept = approved
            await database.write(lambda db: peers.put_back(db, kept))
        if people is None:
            log.error("users can't be read any more; make them again with edge user")
        else:
            await database.write(partial(snapshot.fill_all, tables=people))
        if provided is None:
            log.error(
                "whom the identity provider vouches for can't be read any more: who was disabled"
                " or narrowed here is not now, see edge user list"
            )
        else:
            await database.write(partial(snapshot.fill_all, tables=provided))
        if alarms is None:
            log.error("emergency accesses can't be read any more: edge audit search has them")
        else:
            await database.write(partial(snapshot.fill_all, tables=alarms))
        return database


async def _known_index(path: Path, key: bytes, ballast: Ballast | None) -> Database:
    """Open it as it is, or as it was before the update that was gone back from."""
    done = None
    try:
        database = await Database(path, key, checked=True, ballast=ballast).__aenter__()
    except NewerIndex as error:
        done = await asyncio.to_thread(take_back, path, key, error.version, SCHEMA_VERSION, ballast)
        if done is None:
            raise
        log.warning(
            "the index of before the update is taken back; %d instances were deleted since, about"
            " %d the archive is asked again, and what came since is adopted",
            done.deleted,
            done.asked_again,
        )
        database = await Database(path, key, checked=True, ballast=ballast).__aenter__()
        database.taken_back_from = done.version
        database.not_taken_over = ", ".join(done.unread)
    now = time.time()
    await asyncio.to_thread(tidy, path, SCHEMA_VERSION, now - KEPT_SECONDS, now)
    return database


def _set_aside(path: Path) -> Path:
    """Give the file a name of its own, in place of one that was set aside before."""
    for earlier in path.parent.glob(f"{path.name}.broken-*"):
        earlier.unlink()
    aside = path.with_name(f"{path.name}.broken-{time.time_ns()}")
    path.rename(aside)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    suspicion(path).unlink(missing_ok=True)
    return aside


async def note_epoch(database: Database, keys: KeyRing) -> bool:
    """Keep in the index which epoch the ring of keys is in; False if it was a later one before."""
    known, epoch = await remote.cursor(database, _EPOCH), keys.epoch
    if known != str(epoch):
        with contextlib.suppress(StorageFull):  # another time
            await database.write(lambda db: remote.set_cursor(db, _EPOCH, str(epoch)))
    return known is None or int(known) <= epoch


class Recovery:
    """Puts store, index and keys in step."""

    def __init__(
        self,
        store: ObjectStore,
        database: Database,
        keys: KeyRing,
        deletions: TombstoneStore,
        trashed: TrashStore,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._database = database
        self._keys = keys
        self._deletions = deletions
        self._trashed = trashed
        self._clock = clock

    async def run(self) -> Report:
        """Do all of it; what was found is logged and returned."""
        report = Report(half_written=await self._store.clear_incoming())
        report.moved = await self._store.bring_home()
        # What is missing is known of every shelf before the first object is adopted: one that looks
        # superfluous may be the only copy of what another shelf lacks.
        orphans: dict[str, int] = {}
        aside: set[str] = set()
        filled = await self._store.filled_shelves()
        for shelf in sorted(filled | await residence.named_shelves(self._database)):
            there = await self._store.names(shelf)
            named = await residence.named_objects(self._database, shelf)
            missing = [name for name, size in named.items() if there.get(name) != size]
            if missing:
                fetchable, lost = await self._database.write(
                    partial(residence.lose, objects=missing)
                )
                report.fetchable += fetchable
                report.lost += lost
            orphans |= {name: there[name] for name in there.keys() - named.keys()}
            aside |= await self._store.aside(shelf)
        quarantined = set(await residence.quarantined_objects(self._database))
        # What was set aside, and became the instance of its UID by a person's decision.
        for name in aside - quarantined - orphans.keys():
            await self._store.take_back(name)
        for name in quarantined:
            await self._store.set_aside(name)
        await self._bury_again(orphans, report)
        records = await self._trashed.read_all()
        thrown = {name: at for at, record in records.items() for name in record.objects}
        # What was sent again comes before what lay in the trash then.
        for name in sorted(orphans, key=lambda name: name in thrown):
            keep = instances.quarantine if name in aside else instances.put
            if (at := thrown.get(name)) is not None and name not in aside:
                keep = partial(_put_into_trash, record_name=at, record=records[at])
            await self._adopt(name, orphans[name], keep, report)
        needed = {thrown[name] for name in report.unreadable if name in thrown}
        for at in records.keys() - await trash.records(self._database) - needed:
            await self._trashed.remove(at)
        if await remote.cursor(self._database, BLIND):
            await self._database.write(lambda db: remote.set_cursor(db, BLIND, ""))
        await self._look_at_keys(report)
        self._log(report)
        return report

    async def _bury_again(self, orphans: dict[str, int], report: Report) -> None:
        """Set tombstones that are missing, and finish deletions that were interrupted."""
        named = await tombstones.records(self._database)
        # Of what an index that was taken back could not read, some may have been sent again.
        blind = bool(await remote.cursor(self._database, BLIND))
        stale = []
        for record_name, record in (await self._deletions.read_all()).items():
            for name in orphans.keys() & set(record.objects):
                await self._store.delete(name)
                del orphans[name]
                report.deleted += 1
            if record_name not in named:
                restore = partial(
                    tombstones.restore,
                    refs=record.refs,
                    record_name=record_name,
                    deleted=record.at,
                    withdraw=record.withdraw and not blind,
                )
                if not await self._database.write(restore):
                    stale.append(record_name)
        for record_name in stale:
            await self._deletions.remove(record_name)

    async def _adopt(self, name: str, sealed_bytes: int, keep: _Keep, report: Report) -> None:
        try:
            scanned, stored = await rescan(self._store, name, sealed_bytes)
        except (SealBroken, InvalidInstance, InstanceNotFound, OSError) as error:
            # That of the disk may pass, and it is the same for who waits: one image, not all.
            log.error("object %s in the store can't be read: %s", name, error)
            report.unreadable.append(name)
            return
        # Who has it is unknown now: the archive is asked before anything is sent again.
        new = new_instance(
            scanned,
            instances.pack(scanned.attributes),
            stored,
            Source(Origin.MEDIA, "recovery"),
            Custody.SENT,
        )
        now = self._clock()

        def put(db: Connection) -> instances.PutResult:
            return keep(db, new, now)

        if await self._database.write(put) is instances.PutResult.DUPLICATE:
            await self._store.delete(name)
            report.superfluous += 1
        else:
            report.adopted += 1

    async def _look_at_keys(self, report: Report) -> None:
        used = await residence.key_ids_in_use(self._database)
        there = await asyncio.to_thread(self._keys.key_ids)
        if used - there:  # those of what was evicted are missed by nobody
            needed = await residence.key_ids_of_objects(self._database)
            report.missing_keys = len(needed - there)
        if not report.unreadable:
            await asyncio.to_thread(self._keys.destroy, there - used)
            report.unused_keys = len(there - used)
        report.older_ring = not await note_epoch(self._database, self._keys)

    @staticmethod
    def _log(report: Report) -> None:
        if report.half_written:
            log.info("removed %d files that were half written", report.half_written)
        if report.moved:
            log.warning("moved %d objects back to where they belong", report.moved)
        if report.deleted:
            log.info("removed %d objects whose deletion was interrupted", report.deleted)
        if report.adopted:
            log.warning("adopted %d objects that the index did not know", report.adopted)
        if report.fetchable:
            log.warning("%d objects are gone, and will be fetched again", report.fetchable)
        if report.older_ring:
            log.error(
                "the ring of keys is an older one than there was: wrap all keys anew, and change"
                " the root key, unless it was put back on purpose"
            )
        if report.missing_keys:
            log.error("%d keys that objects need are not in the ring", report.missing_keys)
        if report.lost:
            log.error("%d objects are gone, and no archive has them", report.lost)
