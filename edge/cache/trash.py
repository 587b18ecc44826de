"""The trash: what the archive deleted on purpose, kept for some days, shown to nobody.

Only what was VERIFIED goes there, and only what still is leaves it for good; anything else is no
one's to throw away, and stays or comes back. Eviction takes nothing of it.

Crash order of putting, of which the commit is the only point that counts:

    1  a sealed record names the objects
    2  one transaction: they are hidden, and DELETE changes come   <- this commit is the putting

and of taking back:

    1  one transaction: they are shown, CREATE changes come, the archive is owed them
    2  another sealed record names what of the first one is left in the trash, if anything is
    3  the first record is removed

A crash between them leaves a record that names too much; ``tidy`` puts that right. Only if the
index is lost in that moment does something come back into the trash, where its days begin anew. If
the index is lost at any other time, the records say which of the objects that are found are trash.
Who sends an instance again brings an object that no record names, and is told of success after the
commit as always; the object before it is unlinked by ``tidy``.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from edge.cache.acts import Deed, Tell, by_study, nobody
from edge.cache.changes import Changes
from edge.cache.known import require_known
from edge.cache.listing import Page
from edge.dicom.instance import Custody, InstanceRef
from edge.index import remote, trash
from edge.index.database import Connection, Database
from edge.index.disputes import Query
from edge.index.trash import Candidate
from edge.store.objects import ObjectStore
from edge.store.tombstones import TrashRecord, TrashStore

__all__ = ["InTrash", "Query", "StudyInTrash", "Trash", "Trashed"]

log = logging.getLogger(__name__)

_LOT = 200
"""Instances that are hidden in one transaction; intake waits for it."""
_DAY = 86400.0
_TIME = "trash:time"
_TICK, _JUMP = 600.0, 7200.0
"""Seconds between two notes of the time, and beyond which the time did not just pass: it is looked
at every hour."""


@dataclass(frozen=True, slots=True)
class Trashed:
    """What became of instances that the archive deleted."""

    trashed: int = 0
    """They are in the trash now."""
    kept: int = 0
    """They stay as they are: the archive was not verified to have had just these bytes."""
    forgotten: int = 0
    """Only the archive had them; they are not known here any more."""


@dataclass(frozen=True, slots=True)
class InTrash:
    """An instance in the trash, as a person reads of it. It names a patient."""

    study_uid: str
    series_uid: str
    sop_uid: str
    sop_class_uid: str
    patient_name: str
    patient_id: str
    size: int
    """Bytes of its file."""
    archive: str
    """That deleted it."""
    reason: str
    since: float | None
    """POSIX seconds, as all times here; None if a person wants it erased."""
    until: float | None
    """When it will be erased; None: as soon as the service gets to it."""


@dataclass(frozen=True, slots=True)
class StudyInTrash:
    """What is in the trash of a study, as a person reads of it. It names a patient."""

    study_uid: str
    patient_name: str
    patient_id: str
    images: int
    size: int
    """Bytes of their files."""
    archive: str
    """That deleted the first of them."""
    reason: str
    until: float | None
    """When the first of them will be erased; None: as soon as the service gets to it."""


class Trash:
    """Puts there, lists, and takes back. Emptying is of ``edge.cache.emptying``.

    Args:
        days: So long it is kept.
        clock: POSIX seconds.
        tell: Is told what archives deleted.
    """

    def __init__(
        self,
        store: ObjectStore,
        records: TrashStore,
        database: Database,
        changes: Changes,
        *,
        days: int,
        clock: Callable[[], float] = time.time,
        tell: Tell = nobody,
    ) -> None:
        self._tell = tell
        self._store = store
        self._records = records
        self._database = database
        self._changes = changes
        self.seconds = days * _DAY
        self._clock = clock
        self.unreadable: frozenset[str] = frozenset()
        """Objects that the start could not read, and the index may only therefore not know."""
        self._lock = asyncio.Lock()

    async def put(self, refs: Sequence[InstanceRef], *, archive: str, reason: str) -> Trashed:
        """The archive deleted these on purpose.

        What is not known here counts nowhere, and neither does what is in the trash already.

        Args:
            refs: The instances.
            archive: Which archive; only what the primary one deletes is thrown away here, too.
            reason: How it was learned; no patient data.

        Raises:
            StorageFull: There is not even room to write down what goes.
        """
        trashed = kept = forgotten = 0
        is_primary = await trash.is_primary(self._database, archive)
        async with self._lock:
            for first in range(0, len(refs), _LOT):
                uids = {ref.sop_uid for ref in refs[first : first + _LOT]}
                found = [
                    one for one in await trash.candidates(self._database, uids) if not one.in_trash
                ]
                if not is_primary:
                    kept += len(found)
                    continue
                remote = [one for one in found if one.is_remote]
                here = [one for one in found if one.is_safe and one.object is not None]
                # Of what is forgotten nothing is known afterwards.
                for act in by_study(Deed.TRASHED, _refs(remote), archive, reason):
                    await self._tell(act)
                gone = await self._forget(remote)
                hidden = await self._put(here, archive, reason)
                for act in by_study(Deed.TRASHED, _refs(here), archive, reason):
                    await self._tell(act)
                forgotten, trashed = forgotten + gone, trashed + hidden
                kept += len(found) - gone - hidden
        outcome = Trashed(trashed, kept, forgotten)
        if trashed or forgotten:
            log.warning("archive %s deleted instances: %s", archive, _told(outcome))
            self._changes.wake()
        return outcome

    async def _forget(self, remote: Sequence[Candidate]) -> int:
        if not remote:
            return 0
        now = self._clock()
        return await self._database.write(lambda db: trash.forget_remote(db, remote, now))

    async def _put(self, here: Sequence[Candidate], archive: str, reason: str) -> int:
        if not here:
            return 0
        now = self._clock()
        objects = tuple(one.object for one in here if one.object is not None)
        name = await self._records.write(TrashRecord(now, archive, reason, objects))
        done = await self._database.write(
            lambda db: trash.put(db, here, name, archive, reason, now)
        )
        if done < len(here):
            await self._tidy([name])  # some changed in that moment
        return done

    async def take_back(self, sop_uids: Iterable[str], *, listed: bool = False) -> int:
        """Show instances again that are in the trash; how many were.

        What a rejection note rejects stays hidden, and leaves the trash all the same.

        Args:
            sop_uids: SOP Instance UIDs.
            listed: The archive lists them again: it is asked before they are sent to it. Otherwise
                it is owed them.
        """
        uids = list(sop_uids)
        custody = Custody.SENT if listed else Custody.EDGE_ONLY
        async with self._lock:
            records = await trash.records(self._database, uids)
            done = await self._database.write(lambda db: trash.take_back(db, uids, custody))
            await self._tidy(records)
        if done:
            log.warning("%d instances were taken back from the trash", done)
            self._changes.wake()
        return done

    async def restore(self, query: Query) -> int:
        """Take back what a person wants; how many. The archive is owed them.

        Raises:
            DecisionRefused: What is named is not known here.
        """
        await require_known(self._database, query)
        return await self.take_back([one.ref.sop_uid for one in await self._find(query)])

    async def empty(self, query: Query) -> int:
        """Have erased what a person does not want to wait for; how many that will be.

        The service does it, at once or when it starts.

        Raises:
            DecisionRefused: What is named is not known here.
        """
        await require_known(self._database, query)
        done = await self._database.write(lambda db: trash.expire(db, query))
        self._changes.wake()
        return done

    async def contents(self, query: Query) -> Page[InTrash]:
        """What is in the trash, the newest first."""
        total = await trash.count(self._database, query)
        return Page(total, [self._shown(one) for one in await self._find(query)])

    async def studies(self, limit: int, offset: int) -> Page[StudyInTrash]:
        """Whose images are in the trash, the newest first."""
        rows = await trash.studies(self._database, limit, offset)
        found = [
            StudyInTrash(
                study_uid=one.study_uid,
                patient_name=one.patient_name,
                patient_id=one.patient_id,
                images=one.instances,
                size=one.content_bytes,
                archive=one.archive,
                reason=one.reason,
                until=one.since + self.seconds if one.since else None,
            )
            for one in rows
        ]
        return Page(await trash.count_studies(self._database), found)

    async def due(self, max_count: int) -> list[Candidate]:
        """Those whose days are over, the oldest first."""
        before = max(0.0, self._clock() - self.seconds)  # 0 is a person's wish
        return await trash.due(self._database, before, max_count)

    async def keep_time(self) -> None:
        """Let days count only while the service runs, and its clock goes on as clocks do.

        A clock that was behind and is set right ends nobody's days of grace; nor does a box that
        was switched off for a month.
        """
        now = self._clock()
        known = await remote.cursor(self._database, _TIME)
        passed = 0.0 if known is None else now - float(known)
        if known is not None and 0 <= passed <= _TICK:
            return

        def write(db: Connection) -> None:
            if known is not None and not 0 <= passed <= _JUMP:
                trash.postpone(db, passed)
            remote.set_cursor(db, _TIME, f"{now:.3f}")

        await self._database.write(write)

    async def tidy(self) -> None:
        """Have every record name what is in the trash by it, and unlink what came back anew."""
        async with self._lock:
            names = (await self._records.read_all()).keys()
            await self._tidy(names | await trash.records(self._database))

    async def _tidy(self, names: Iterable[str]) -> None:
        for name in list(names):
            record = await self._records.read(name)
            listed = set[str]() if record is None else set(record.objects)
            still = await trash.objects_of(self._database, name) | (listed & self.unreadable)
            if listed != still:
                await self._rewrite(name, record, still)
            for orphan in listed - still - await trash.named(self._database, listed):
                await self._store.delete(orphan)

    async def _rewrite(self, name: str, record: TrashRecord | None, still: set[str]) -> None:
        if still:
            at, archive, reason = (
                (self._clock(), "", "")
                if record is None
                else (record.at, record.archive, record.reason)
            )
            new = await self._records.write(TrashRecord(at, archive, reason, tuple(sorted(still))))

            def rename(db: Connection) -> int:
                return trash.rename(db, name, new)

            if not await self._database.write(rename):
                await self._records.remove(new)  # another process was first with it
        await self._records.remove(name)

    async def _find(self, query: Query) -> list[trash.Item]:
        return await trash.find(self._database, query)

    def _shown(self, one: trash.Item) -> InTrash:
        is_wanted = one.since == 0
        return InTrash(
            study_uid=one.ref.study_uid,
            series_uid=one.ref.series_uid,
            sop_uid=one.ref.sop_uid,
            sop_class_uid=one.sop_class_uid,
            patient_name=one.patient_name,
            patient_id=one.patient_id,
            size=one.content_bytes,
            archive=one.archive,
            reason=one.reason,
            since=None if is_wanted else one.since,
            until=None if is_wanted else one.since + self.seconds,
        )


def _refs(candidates: Iterable[Candidate]) -> list[InstanceRef]:
    return [one.ref for one in candidates]


def _told(outcome: Trashed) -> str:
    """What became of them, without what became of none."""
    parts = (
        (outcome.trashed, "in the trash now"),
        (outcome.forgotten, "known no more, for only the archive had them"),
        (outcome.kept, "kept as before, for it was not proven to have had the same bytes"),
    )
    return "; ".join(f"{count} {what}" for count, what in parts if count)
