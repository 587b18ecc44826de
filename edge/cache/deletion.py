"""The one place where instances are deleted on purpose.

Crash order, of which the commit is the only point that counts:

    1  pictures are marked as to be forgotten
    2  a sealed record says what goes: instances, and their objects
    3  one transaction: rows go, tombstones and DELETE changes come   <- this commit is the deletion
    4  objects are unlinked
    5  pictures of their studies are forgotten, and then the mark is
    6  keys that nothing is sealed with any more are destroyed
    7  only now the door says that it is done

A crash between 2 and 3 leaves a record that no tombstone names, of instances that have rows: the
next start removes it. One between 3 and 4 leaves objects that no row names, but a record does: the
next start unlinks them. One between 1 and 5 leaves the mark: the next start forgets all pictures.
One before 6 leaves keys: the next start destroys them. If the index is lost, the records set the
tombstones anew; a deletion that got no further than 2 is then carried out.

What leaves the trash for good was told as deleted when it came there. So its record names only
objects, no tombstone comes in 3, for the archive may have it again, and the record goes after 4.

Many instances are deleted some at a time, each lot from 2 to 4; who is interrupted repeats it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence

from edge.cache.acts import Deed, Tell, by_study, nobody
from edge.cache.changes import Changes
from edge.cache.pictures import PictureCache
from edge.cache.space import Space
from edge.cache.study_keys import StudyKeys
from edge.dicom.instance import Custody, InstanceRef
from edge.errors import DeletionRefused, InstanceDeleted, InstanceNotFound
from edge.index import residence, tombstones, trash
from edge.index.database import Connection, Database
from edge.index.tombstones import Doomed, Target
from edge.index.trash import Candidate
from edge.store.objects import ObjectStore
from edge.store.tombstones import DeletionRecord, TombstoneStore

__all__ = ["Deletion"]

log = logging.getLogger(__name__)

_LOT = 200
"""Instances that are deleted in one transaction; intake waits for it."""
_ATTEMPTS = 5
"""Looks at instances that change between looking and deleting."""
_UNDER_WAY = 900.0
"""Seconds from a deletion to telling the archive, if it may be receiving that instance just now."""


class Deletion:
    """Deletes.

    Args:
        keys: Those that nothing is sealed with any more end here.
        has_archive: Whether an archive is configured. If none is, this box is the archive: every
            copy is the only one, and nobody is asked whether that is known.
        clock: POSIX seconds.
        tell: Is told what is going to be erased from the trash.
    """

    def __init__(
        self,
        store: ObjectStore,
        records: TombstoneStore,
        database: Database,
        pictures: PictureCache,
        space: Space,
        changes: Changes,
        keys: StudyKeys,
        *,
        has_archive: bool,
        clock: Callable[[], float] = time.time,
        tell: Tell = nobody,
    ) -> None:
        self._tell_of = tell
        self._store = store
        self._records = records
        self._database = database
        self._pictures = pictures
        self._space = space
        self._changes = changes
        self._keys = keys
        self._has_archive = has_archive
        self._clock = clock

    async def delete(
        self,
        study_uid: str,
        series_uid: str | None = None,
        sop_uid: str | None = None,
        *,
        only_copies: bool = False,
        archive: bool = False,
    ) -> None:
        """Delete a study, a series or an instance, and what is in quarantine of it.

        Args:
            study_uid: Of the study.
            series_uid: Of a series in it, or None.
            sop_uid: Of an instance in that, or None.
            only_copies: Also what the archive is not verified to have.
            archive: The archive shall delete it, too, as soon as it can be told; also what was
                deleted here before.

        Raises:
            InstanceDeleted: All of it was deleted before.
            InstanceNotFound: There is no such thing here.
            DeletionRefused: It may exist only here, or there is no archive that could be told.
            StorageFull: There is not even room to write down what is deleted.
        """
        if archive and not self._has_archive:
            raise DeletionRefused(
                "no archive is configured that could be told", hint="leave archive=true out"
            )
        target = study_uid, series_uid, sop_uid
        for attempt in range(_ATTEMPTS):
            try:
                await self._delete(target, only_copies=only_copies, archive=archive)
            except tombstones.Changed:
                continue
            except InstanceNotFound:
                if not attempt:
                    raise
            return
        raise DeletionRefused(
            "it changes all the time", hint="wait until what arrives of it is complete"
        )

    async def erase(self, chosen: Sequence[Candidate]) -> None:
        """Erase what is in the trash, some at a time.

        Raises:
            Changed: One of them is not as it was when they were chosen; those before it are gone.
            StorageFull: There is not even room to write down what goes.
        """
        key_ids = {one.key_id for one in chosen if one.key_id is not None}
        async with self._pictures.forgetting(key_ids):
            for first in range(0, len(chosen), _LOT):
                await self._erase(chosen[first : first + _LOT])
        await self._keys.destroy_unused(key_ids)

    async def _erase(self, lot: Sequence[Candidate]) -> None:
        objects = tuple(one.object for one in lot if one.object is not None)
        for act in by_study(Deed.ERASED, [one.ref for one in lot]):
            await self._tell_of(act)
        name = await self._records.write(DeletionRecord(self._clock(), False, (), objects))
        try:
            await self._database.write(lambda db: trash.erase(db, lot))
        except tombstones.Changed:
            await self._records.remove(name)
            raise
        for object_name in objects:
            await self._store.delete(object_name)
        await self._records.remove(name)
        await self._space.refresh()

    async def _delete(self, target: Target, *, only_copies: bool, archive: bool) -> None:
        doomed = await tombstones.doomed_in(self._database, target)
        aside = await tombstones.quarantined_in(
            self._database, target, [one.ref.sop_uid for one in doomed]
        )
        if not doomed and not aside:
            await self._delete_again(target, archive=archive)
            return
        if self._has_archive and not only_copies:
            _refuse_only_copies(doomed, aside.values())
        if archive:
            await self._tell(await tombstones.tombstones_in(self._database, target))
        key_ids = {one.key_id for one in doomed if one.key_id is not None}
        key_ids |= await residence.key_ids_of_quarantined(self._database, aside)
        async with self._pictures.forgetting(key_ids):
            await self._bury(doomed[:_LOT], list(aside), archive=archive)
            for first in range(_LOT, len(doomed), _LOT):
                await self._bury(doomed[first : first + _LOT], [], archive=archive)
        await self._keys.destroy_unused(key_ids)

    async def _bury(self, doomed: Sequence[Doomed], aside: Sequence[str], *, archive: bool) -> None:
        now = self._clock()
        objects = (*(one.object for one in doomed if one.object is not None), *aside)
        refs = tuple(one.ref for one in doomed)
        name = await self._records.write(DeletionRecord(now, archive, refs, objects))
        withdraw_from = None
        if archive:
            under_way = any(one.custody is Custody.SENT for one in doomed)
            withdraw_from = now + _UNDER_WAY if under_way else now

        def write(db: Connection) -> None:
            tombstones.bury(db, doomed, aside, name, now, withdraw_from=withdraw_from)

        try:
            await self._database.write(write)
        except tombstones.Changed:
            await self._records.remove(name)
            raise
        for object_name in objects:
            await self._store.delete(object_name)
        await self._space.refresh()
        self._changes.wake()
        log.info("deleted: %d instances, and %d in quarantine", len(doomed), len(aside))

    async def _delete_again(self, target: Target, *, archive: bool) -> None:
        """Nothing is here of a target: it never was, or was deleted before."""
        if archive and (untold := await tombstones.tombstones_in(self._database, target)):
            await self._tell(untold)
        elif await tombstones.is_deleted(self._database, target):
            raise InstanceDeleted(f"{_named(target)} was deleted before")
        else:
            raise InstanceNotFound(f"{_named(target)} is not here")

    async def _tell(self, refs: Sequence[InstanceRef]) -> None:
        """The archive is to be told of what was deleted before."""
        if not refs:
            return
        name = await self._records.write(DeletionRecord(self._clock(), True, tuple(refs), ()))
        await self._database.write(lambda db: tombstones.tell_of(db, refs, name))
        self._changes.wake()


def _refuse_only_copies(doomed: Sequence[Doomed], aside: Iterable[InstanceRef]) -> None:
    only = {one.ref.sop_uid for one in doomed if one.may_be_only_copy}
    only |= {ref.sop_uid for ref in aside}
    if only:
        raise DeletionRefused(
            f"{len(only)} of these instances may exist only here: the primary archive is not"
            " verified to have the same bytes",
            hint="wait until they are verified, or say only-copy=true to delete them all the same",
        )


def _named(target: Target) -> str:
    study_uid, series_uid, sop_uid = target
    if sop_uid is not None:
        return f"instance {sop_uid}"
    return f"study {study_uid}" if series_uid is None else f"series {series_uid}"
