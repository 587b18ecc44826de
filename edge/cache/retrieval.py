"""The one way out: ``open_instance``. Local, or else one shared fetch from the archive.

ONLINE: the chunks that are asked for are opened and handed on. NEARLINE: the first request already
gets the instance, because it joins or starts the fetch; it comes in by ``store_instance`` like
anything else. If there is no room to keep it, it passes through to the viewer.
A study that the index does not know is asked of the archive before "not found" is said.
"""

from __future__ import annotations

import asyncio
import logging
import time
import zlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing, asynccontextmanager
from functools import partial
from typing import Any

from edge.cache import tally
from edge.cache.custody import CustodyLedger
from edge.cache.eviction import Uses
from edge.cache.fetching import Fetching
from edge.cache.opened import InstanceEntry, OpenInstance, WholeInstance
from edge.cache.passing import Passage
from edge.cloud.metadata import localised
from edge.cloud.several import Several
from edge.dicom.frames import Layout
from edge.dicom.instance import Availability, InstanceRef
from edge.errors import (
    CloudUnreachable,
    InstanceDeleted,
    InstanceNotFound,
    SealBroken,
    StorageFull,
)
from edge.index import corrections, edits, lookup, remote, residence, tombstones
from edge.index.database import Connection, Database
from edge.index.lookup import InstanceRow
from edge.store.objects import ObjectStore, Wanted, abandon
from edge.store.reader import ObjectReader

__all__ = ["Retrieval"]

log = logging.getLogger(__name__)

_PAGE, _PAGE_BYTES = 200, 4 * 1024 * 1024
"""Instances, and bytes of them, whose metadata is in memory at a time."""
_ASKING = 10.0
"""Seconds that the archive has to say whether it has a study."""
_ATTEMPTS = 3
"""Looks at a row whose object eviction may take between looking and opening."""


_Found = tuple[InstanceRow, bytes | None, bytes | None]
"""A row, its JSON object and its layout, as far as known."""
_Ahead = tuple[InstanceEntry, asyncio.Future[ObjectReader] | None]
"""An instance and what is being opened of it; None if it is not here."""


class Retrieval:
    """Gives instances out.

    Args:
        archives: Where NEARLINE instances are; None if there are none.
    """

    def __init__(
        self,
        store: ObjectStore,
        database: Database,
        fetching: Fetching,
        ledger: CustodyLedger,
        archives: Several | None,
        uses: Uses,
    ) -> None:
        self._store = store
        self._database = database
        self._fetching = fetching
        self._ledger = ledger
        self._archives = archives
        self._passage = None if archives is None else Passage(archives)
        self._uses = uses

    async def instances(
        self, study_uid: str, series_uid: str | None = None, sop_uid: str | None = None
    ) -> list[InstanceEntry]:
        """Every instance of a study, a series or one of them, in their natural order.

        Empty if neither the edge nor the archive has any; what is withheld is left out.

        Raises:
            InstanceDeleted: They were deleted here.
            CloudError: The edge has none, and the archive can't be asked now.
        """
        return [_entry(row) for row in await self._rows(study_uid, series_uid, sop_uid)]

    async def metadata(
        self, study_uid: str, series_uid: str | None = None, sop_uid: str | None = None
    ) -> AsyncIterator[tuple[InstanceRef, bytes]]:
        """Each instance and its DICOM JSON object: UTF-8, deflated (zlib), since some are huge.

        Bulk values stand in it by their relative path, and over it is laid what of patient and
        study was edited in the archive. Opens no object. What has never been here is asked of the
        archive, and kept.

        Raises:
            CloudError: The archive has the metadata, and can't be asked now.
        """
        rows = await self._rows(study_uid, series_uid, sop_uid)
        sent, asked = 0, False
        while sent < len(rows):
            ids = [row.instance_id for row in rows[sent : sent + _PAGE]]
            documents = await lookup.documents(self._database, ids, _PAGE_BYTES)
            if None in documents and not asked:
                asked = True
                await self._bring_metadata(study_uid, series_uid)
                continue
            for document in documents:
                ref = rows[sent].ref
                if document is None:
                    raise InstanceNotFound(f"the archive has no metadata of {ref.sop_uid}")
                yield ref, document
                sent += 1

    def expect(self, refs: Iterable[InstanceRef]) -> None:
        """Have these brought, a few at a time: they are opened soon, and only the archive has them.

        Nothing comes of it, also no error; who opens one joins its fetch.
        """
        if self._archives is not None:
            self._fetching.follow(refs)

    async def _look(self, entry: InstanceEntry) -> tuple[_Found | None, ObjectReader | None]:
        """What the index has of an instance; and its object, opened meanwhile if it can be.

        It is the one that the entry names: most are of a moment ago.
        """
        looking = lookup.find_with_metadata(self._database, entry.ref.sop_uid)
        if not entry.object:
            return await looking, None
        opening = self._store.start_opening(_wanted(entry))
        try:
            found = await looking
            reader = await asyncio.shield(opening)
        except (InstanceNotFound, SealBroken):
            return found, None  # it is met again
        except BaseException:
            opening.add_done_callback(abandon)
            raise
        if found is not None and found[0].object == entry.object:
            return found, reader
        await reader.close()
        return found, None

    @asynccontextmanager
    async def open_instance(self, entry: InstanceEntry) -> AsyncIterator[OpenInstance]:
        """Open an instance, fetching it if it is not here.

        Raises:
            InstanceNotFound: It is nowhere any more.
            CloudError: Only the archive has it, and it can't be had now.
            SealBroken: Its object was damaged.
        """
        self._uses.note(entry.instance_id)
        tally.opened(entry.ref, entry.sop_class_uid)
        for _ in range(_ATTEMPTS):
            found, reader = await self._look(entry)
            if found is None:
                break
            row, document, layout = found
            if row.object is None:
                try:
                    await self._fetch(row)
                except StorageFull:
                    if self._passage is None:
                        raise
                    async with self._passage.open_instance(
                        row.instance_id,
                        row.ref,
                        row.dataset_digest,
                        await self._overlay(row),
                        await corrections.of_instance(self._database, row.instance_id),
                    ) as instance:
                        yield instance
                    return
                continue
            try:
                reader = reader or await self._store.open(row.object)
            except InstanceNotFound:
                continue
            except SealBroken:
                await self._lose(row.object)
                continue
            try:
                yield OpenInstance(
                    _entry(row),
                    reader,
                    Layout() if layout is None else Layout.from_bytes(layout),
                    partial(zlib.decompress, document or b""),
                    await self._overlay(row),
                )
            except SealBroken:
                await self._lose(row.object)
                raise
            finally:
                await reader.close()
            return
        raise InstanceNotFound(f"instance {entry.ref.sop_uid} is not here any more")

    async def whole_instances(
        self, entries: Iterable[InstanceEntry]
    ) -> AsyncGenerator[WholeInstance]:
        """Many instances one after another, each to be read before the next is asked for.

        What is here is opened a few instances ahead, by the name that its entry has: nothing is
        looked up again. Anything else comes by ``open_instance``. Close the generator.

        Raises:
            EdgeError: As ``open_instance``.
        """
        waiting, ahead = deque(entries), deque[_Ahead]()
        with self._store.streaming:
            try:
                while waiting or ahead:
                    self._open_more(waiting, ahead)
                    entry, opening = ahead.popleft()
                    reader = None if opening is None else await self._opened(entry, opening)
                    if reader is None:
                        async with self.open_instance(entry) as opened:
                            yield WholeInstance(opened.entry, opened.size, opened.stream())
                        continue
                    self._uses.note(entry.instance_id)
                    tally.opened(entry.ref, entry.sop_class_uid)
                    try:
                        content = reader.content or self._watched(entry, reader)
                        yield WholeInstance(entry, reader.length, content)
                    finally:
                        await reader.close()
            finally:
                for _, opening in ahead:
                    if opening is not None:
                        opening.add_done_callback(abandon)

    def _open_more(self, waiting: deque[InstanceEntry], ahead: deque[_Ahead]) -> None:
        """Begin to open what is read next, once half of what may be is: a few small ones at once.

        Nothing is opened behind one that is not here: that may take long.
        """
        most = self._store.streaming.each
        held = sum(entry.size for entry, _ in ahead)
        if held > most // 2:
            return
        batch = list[InstanceEntry]()
        while waiting and waiting[0].object and held < most:
            batch.append(waiting.popleft())
            held += batch[-1].size
        if batch:
            openings = self._store.open_all([_wanted(entry) for entry in batch])
            ahead.extend(zip(batch, openings, strict=True))
        elif not ahead:
            ahead.append((waiting.popleft(), None))

    async def _opened(
        self, entry: InstanceEntry, opening: asyncio.Future[ObjectReader]
    ) -> ObjectReader | None:
        """What was opened ahead; None if it went meanwhile, or was found damaged."""
        try:
            # Others may wait for it, too, whoever is cancelled here.
            return await (opening if opening.done() else asyncio.shield(opening))
        except InstanceNotFound:
            return None
        except SealBroken:
            await self._lose(entry.object)
            return None

    async def _watched(self, entry: InstanceEntry, reader: ObjectReader) -> AsyncGenerator[bytes]:
        try:
            async with aclosing(reader.stream()) as pieces:
                async for piece in pieces:
                    yield piece
        except SealBroken:
            await self._lose(entry.object)
            raise

    async def _overlay(self, row: InstanceRow) -> dict[str, Any]:
        """What of patient and study was edited in the archive; most of all studies never are."""
        return await edits.overlay_of(self._database, row.ref.study_uid) if row.edition else {}

    async def _rows(
        self, study_uid: str, series_uid: str | None, sop_uid: str | None
    ) -> list[InstanceRow]:
        rows = await lookup.find(self._database, study_uid, series_uid, sop_uid)
        if rows:
            return rows
        target = (study_uid, series_uid, sop_uid)
        if await tombstones.is_deleted(self._database, target):
            raise InstanceDeleted("it was deleted here", hint="a device may send it again")
        await self.discover(study_uid)
        # Also where that brought nothing: a sweep may have found the study since the first look.
        return await lookup.find(self._database, study_uid, series_uid, sop_uid)

    async def discover(self, study_uid: str) -> bool:
        """Ask the archive for a study that is not known here; whether that brought it.

        Raises:
            CloudError: The archive can't be asked now.
        """
        archives = self._archives
        if archives is None or await lookup.is_known(self._database, study_uid):
            return False
        if await tombstones.is_deleted(self._database, (study_uid, None, None)):
            return False
        if not any([await self._ledger.is_reachable(name) for name in archives.names]):
            raise CloudUnreachable(
                f"study {study_uid} is not known here, and the line to the archive is down",
                hint="if the archive has it, it opens once the line is up again",
            )
        try:
            async with asyncio.timeout(_ASKING):
                study = await archives.describe_study(study_uid)
        except TimeoutError as error:
            raise CloudUnreachable(
                f"study {study_uid} is not known here, and the archive is silent"
            ) from error
        if study is None:
            return False
        await self._ledger.learn(study)
        return True

    async def _lose(self, name: str) -> None:
        """An object is damaged: the next look fetches it, or says that it is lost.

        The file stays where it is, for whoever wants to save what can be saved of it.
        """
        log.error("object %s is damaged", name)
        await self._database.write(partial(residence.lose, objects=[name]))

    async def _fetch(self, row: InstanceRow) -> None:
        if row.availability is Availability.UNAVAILABLE:
            raise InstanceNotFound(
                f"instance {row.ref.sop_uid} was lost, and no archive is known to have it",
                hint="send it again from the device that made it",
            )
        try:
            await self._fetching.fetch(row.ref)
        except InstanceNotFound:
            await self._miss(row.ref)
            raise
        except CloudUnreachable as error:
            raise CloudUnreachable(
                f"only the archive has this study, and the line to it is down: {error}",
                hint="it opens once the line is up again",
                retry_after=error.retry_after,
            ) from error
        siblings = await lookup.find(self._database, row.ref.study_uid, row.ref.series_uid)
        self._fetching.follow(
            other.ref for other in siblings if other.availability is Availability.NEARLINE
        )

    async def _miss(self, ref: InstanceRef) -> None:
        """The archive would not give an instance that it had: a loss, unless it lists it still."""
        if self._archives is None or await self._archives.lists(ref):
            return
        if await self._ledger.miss(ref.sop_uid):
            log.error(
                "archive %s lost an instance that it had, and that is not here any more",
                self._archives.name,
            )

    async def _bring_metadata(self, study_uid: str, series_uid: str | None) -> None:
        if self._archives is None:
            return
        datasets = await self._archives.retrieve_metadata(study_uid, series_uid)

        now = time.time()

        def write(db: Connection) -> None:
            for dataset in datasets:
                if (local := localised(dataset)) is not None:
                    remote.set_document(db, *local, now)

        await self._database.write(write)


def _entry(row: InstanceRow) -> InstanceEntry:
    return InstanceEntry(
        instance_id=row.instance_id,
        ref=row.ref,
        sop_class_uid=row.sop_class_uid,
        transfer_syntax=row.transfer_syntax,
        size=row.content_bytes,
        number_of_frames=row.frame_count,
        availability=row.availability,
        version=row.version,
        received=row.received,
        edition=row.edition,
        object=row.object or "",
        key_id=row.key_id or b"",
    )


def _wanted(entry: InstanceEntry) -> Wanted:
    return Wanted(entry.object, entry.size, entry.key_id)
