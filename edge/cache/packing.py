"""Writes the backlog to a disk, for a courier: sealed for the places that can deliver it.

The order is that of the upload queue, so that a disk which is too small takes what is urgent.
Nothing is marked as sent and custody stays as it is: a disk may get lost. What is on its way is
known, so that the next disk does not take it, too.

Crash order of a part: its content -> its list -> the rows of what is in it. A bundle that was not
finished is gone on with, as long as it is for the same places: what its lists name is there, and is
known from then on; what has no list is removed. One that is for others is ended as it is. Memory
holds a piece of an instance, and the list of a part.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import msgspec

from edge.cache.bundle import Bundle, BundleForbidden, bundles_on, root_of
from edge.cache.disk import DiskUnusable, held, on_disk
from edge.cache.parts import MOST_ENTRIES, PART, PartWriter
from edge.cache.statements import VERSION, Complete, Entry, PartList, decoded
from edge.crypto.courier import BundleKey, Place, PlaceKeys, new_bundle
from edge.crypto.sealed import Algorithm, sealed_length
from edge.errors import EdgeError, SealBroken, SecretError, StorageFull
from edge.index import courier
from edge.index.database import Connection, Database
from edge.index.lookup import InstanceRow
from edge.store.objects import ObjectStore

__all__ = ["Packed", "Packing"]

_PAGE = 500
_RESERVE = 4 * 1024**2
"""Bytes of a disk that stay free for receipts and the end of a bundle,"""
_RESERVE_PART, _RESERVE_INSTANCE = 256 * 1024, 512
"""so much more for each part, and for each instance: words of an archive may be long."""

Say = Callable[[int, int], None]
"""Instances and bytes so far."""


@dataclass(slots=True)
class Packed:
    """What became of it."""

    bundle: str = ""
    """Its number; empty if there was nothing to pack."""
    resumed: bool = False
    """An earlier run had begun it."""
    images: int = 0
    """In it, those of the earlier run, too."""
    bytes: int = 0
    parts: list[int] = field(default_factory=list)
    left: int = 0
    """Instances for which there was no room."""
    unreadable: list[str] = field(default_factory=list)
    """SOP Instance UIDs of those that can't be read here."""
    by_line: int = 0
    """Instances that only the line can bring there: copies of them are sent."""


class Packing:
    """Packs once.

    Args:
        database: The index.
        store: Has the objects.
        keys: The box's own courier key.
        algorithm: What parts are sealed with.
        box: The name of the box, which the places that deliver see.
        recipients: Whom it is for.
        disk: Where.
        part_bytes: Of content in a part.
        say: Told of progress; None if nobody wants to know.
        clock: POSIX seconds.
    """

    def __init__(
        self,
        database: Database,
        store: ObjectStore,
        keys: PlaceKeys,
        algorithm: Algorithm,
        *,
        box: str,
        recipients: Sequence[Place],
        disk: Path,
        part_bytes: int = PART,
        say: Say | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._store = store
        self._keys = keys
        self._algorithm = algorithm
        self._box = box
        self._recipients = tuple(recipients)
        self._disk = disk
        self._part_bytes = part_bytes
        self._tell = say
        self._clock = clock
        self._done = Packed()
        self._bundle: Bundle | None = None
        self._key: BundleKey | None = None
        self._packed_at = 0.0
        self._writer: PartWriter | None = None
        self._entries: list[Entry] = []
        self._inside: set[tuple[str, bytes]] = set()
        self._room = 0

    async def pack(
        self, *, max_bytes: int | None = None, studies: Sequence[str] = (), again: bool = False
    ) -> Packed:
        """Pack what waits.

        Args:
            max_bytes: That the bundle may take on the disk.
            studies: Only these; all if there are none.
            again: Also what is on its way already.

        Raises:
            EdgeError: The disk can't be used, or another process works on it. What was packed
                before stays, and is gone on with.
        """
        with on_disk(self._disk):
            async with held(root_of(self._disk)):
                await self._pack(max_bytes, studies, again=again)
        return self._done

    async def _pack(self, max_bytes: int | None, studies: Sequence[str], *, again: bool) -> None:
        done = self._done
        await self._take_up()
        wanted, done.by_line = await courier.waiting(self._database, studies, again=again)
        self._room = await asyncio.to_thread(self._room_left, max_bytes)
        try:
            await self._pack_all([one.instance_id for one in wanted])
        except BaseException:
            await asyncio.to_thread(self._abandon)
            raise
        if self._bundle is not None:
            await self._complete(self._bundle)

    # What an earlier run left ---------------------------------------------------------------------

    async def _take_up(self) -> None:
        """Go on with a bundle that was not finished; end those that are for others."""
        for bundle in await asyncio.to_thread(bundles_on, self._disk):
            found = await asyncio.to_thread(self._unfinished, bundle)
            if found is None:
                continue
            key, lists = found
            names = tuple(sorted(one.digest for one in self._recipients))
            goes_on = all(one.recipients == names for one in lists.values())
            # What the disk has lost meanwhile is not under way.
            await self._database.write(partial(courier.forget, bundle=bundle.number))
            if not lists:
                await asyncio.to_thread(bundle.delete)
                continue
            entries = _whole_entries(lists)
            packed = min(each.packed for each in lists.values())
            await self._know(bundle, packed, entries)
            if self._bundle is None and goes_on:
                self._bundle, self._key, self._packed_at = bundle, key, packed
                self._done.bundle, self._done.resumed = bundle.number, True
                self._done.parts.extend(lists)
                self._count(entries)
            else:
                size = sum(entry.size for entry in entries)
                end = Complete(VERSION, tuple(lists), len(entries), size)
                await asyncio.to_thread(self._write_end, bundle, key, end)

    def _unfinished(self, bundle: Bundle) -> tuple[BundleKey, dict[int, PartList]] | None:
        """A bundle of ours that has no end, and its parts that are whole; None if it is none."""
        try:
            if not bundle.names():
                bundle.delete()  # it had just been begun, by whomever
                return None
            envelopes = bundle.envelopes()
        except (PermissionError, BundleForbidden):
            return None  # another's
        keys = [key for one in envelopes if (key := self._keys.made(bundle.number, one))]
        if not keys or "complete" in bundle.names():
            return None
        bundle.sweep()
        lists = {}
        for number in bundle.parts():
            with_list = self._whole(bundle, number, keys[0])
            if with_list is not None:
                lists[number] = with_list
        # The beginning of an instance whose end was not written is of no use.
        while lists and not lists[max(lists)].entries:
            del lists[max(lists)]
        for name in bundle.names():
            if name[:4].isdecimal() and int(name[:4]) not in lists:
                bundle.remove(name)
        if lists and len(envelopes) < 2:
            envelope = keys[0].envelope(self._recipients)
            bundle.write("key", envelope)
            bundle.write("key.copy", envelope)
        return keys[0], lists

    def _whole(self, bundle: Bundle, number: int, key: BundleKey) -> PartList | None:
        """The list of a part that is there in its length, if both are."""
        name = f"{number:04}.list"
        try:
            _, content = key.stated(name, bundle.read(name), [self._keys.place])
            found = decoded(content, PartList)
            whole = bundle.length(f"{number:04}.part") == sealed_length(found.length)
        except (SecretError, OSError):
            return None
        return found if whole else None

    # Packing --------------------------------------------------------------------------------------

    async def _pack_all(self, instance_ids: Sequence[int]) -> None:
        for at in range(0, len(instance_ids), _PAGE):
            page = instance_ids[at : at + _PAGE]
            for row, priority in await courier.rows(self._database, page):
                if (row.ref.sop_uid, row.dataset_digest) in self._inside:
                    continue
                try:
                    await self._add(row, priority)
                except StorageFull:
                    await self._let_go()
        try:
            await self._close_part()
        except StorageFull:
            await self._let_go()

    async def _add(self, row: InstanceRow, priority: int) -> None:
        """Put an instance into the part that is open, or into as many as it takes."""
        size = row.content_bytes
        needs = sealed_length(size) + (size // self._part_bytes + 1) * _RESERVE_PART
        needs += _RESERVE_INSTANCE
        if needs > self._room or row.object is None:
            self._done.left += row.object is not None
            return
        writer = self._writer
        full = writer is not None and (
            writer.length + size > self._part_bytes or len(self._entries) >= MOST_ENTRIES
        )
        if full:
            await self._close_part()
        self._room -= needs
        try:
            pieces = await self._copy(row, row.object)
        except (StorageFull, DiskUnusable):
            raise
        except (EdgeError, OSError):
            # What was written of it is in no list.
            self._done.unreadable.append(row.ref.sop_uid)
            return
        self._entries.append(_entry(row, priority, pieces))
        if self._tell is not None:
            in_part = 0 if self._writer is None else self._writer.length
            self._tell(self._done.images + len(self._entries), self._done.bytes + in_part)

    async def _copy(self, row: InstanceRow, name: str) -> tuple[tuple[int, int, int], ...]:
        """Its bytes, into parts; where they are.

        Raises:
            EdgeError: It can't be read here.
            StorageFull: The disk is full.
        """
        pieces: list[tuple[int, int, int]] = []
        reader = await self._store.open(name)
        try:
            if reader.length != row.content_bytes:
                raise SealBroken("an object has another length than its row says")
            while True:
                writer = await self._open_part()
                offset, start = writer.length, sum(length for _, _, length in pieces)
                most = min(self._part_bytes - offset, reader.length - start)
                async with aclosing(reader.stream(start, most)) as stream:
                    async for piece in stream:
                        with on_disk(self._disk):
                            await asyncio.to_thread(writer.write, piece)
                pieces.append((writer.number, offset, most))
                if start + most >= reader.length:
                    return tuple(pieces)
                await self._close_part(goes_on=True)
        finally:
            await reader.close()

    async def _open_part(self) -> PartWriter:
        if self._writer is None:
            bundle, key = await self._open_bundle()
            number = max(self._done.parts, default=0) + 1
            with on_disk(self._disk):
                self._writer = await asyncio.to_thread(
                    PartWriter, bundle, number, key, self._algorithm
                )
        return self._writer

    async def _open_bundle(self) -> tuple[Bundle, BundleKey]:
        if self._bundle is None or self._key is None:
            number = new_bundle()
            self._key = self._keys.own_bundle(number)
            self._packed_at = self._clock()
            with on_disk(self._disk):
                self._bundle = await asyncio.to_thread(self._make_bundle, number, self._key)
            self._done.bundle = number
        return self._bundle, self._key

    def _make_bundle(self, number: str, key: BundleKey) -> Bundle:
        envelope = key.envelope(self._recipients)
        bundle = Bundle.make(self._disk, number)
        for name in ("key", "key.copy"):
            bundle.write(name, envelope)
        return bundle

    async def _close_part(self, *, goes_on: bool = False) -> None:
        """Make the open part whole, and known; see the crash order above.

        Args:
            goes_on: The next part goes on with an instance that is in this one.
        """
        writer, bundle, key = self._writer, self._bundle, self._key
        if writer is None or bundle is None or key is None:
            return
        if not self._entries and not goes_on:
            await asyncio.to_thread(self._abandon)
            return
        entries = tuple(self._entries)
        listed = PartList(
            VERSION,
            self._box,
            self._packed_at,
            tuple(sorted(one.digest for one in self._recipients)),
            writer.length,
            entries,
        )
        name = f"{writer.number:04}.list"
        with on_disk(self._disk):
            await asyncio.to_thread(writer.finish)
            statement = key.state(name, msgspec.msgpack.encode(listed), self._keys)
            await asyncio.to_thread(bundle.write, name, statement)
        self._writer, self._entries = None, []
        self._done.parts.append(writer.number)
        self._count(entries)
        await self._know(bundle, self._packed_at, entries)

    async def _know(self, bundle: Bundle, packed: float, entries: Collection[Entry]) -> None:
        names = [(entry.sop_uid, entry.dataset_digest) for entry in entries]

        def write(db: Connection) -> None:
            courier.begin(db, bundle.number, packed)
            courier.pack(db, bundle.number, names, packed)

        await self._database.write(write)

    def _count(self, entries: Collection[Entry]) -> None:
        self._inside.update((entry.sop_uid, entry.dataset_digest) for entry in entries)
        self._done.images += len(entries)
        self._done.bytes += sum(entry.size for entry in entries)

    async def _let_go(self) -> None:
        """The disk filled up all the same: what is in the open part waits for the next disk."""
        self._done.left += len(self._entries) + 1
        self._room = 0
        await asyncio.to_thread(self._abandon)

    def _abandon(self) -> None:
        writer, self._writer, self._entries = self._writer, None, []
        if writer is not None:
            writer.abandon()

    async def _complete(self, bundle: Bundle) -> None:
        if not self._done.parts or self._key is None:
            await asyncio.to_thread(bundle.delete)
            self._done.bundle = ""
            return
        done = self._done
        end = Complete(VERSION, tuple(sorted(done.parts)), done.images, done.bytes)
        await asyncio.to_thread(self._write_end, bundle, self._key, end)

    def _write_end(self, bundle: Bundle, key: BundleKey, end: Complete) -> None:
        statement = key.state("complete", msgspec.msgpack.encode(end), self._keys)
        bundle.write("complete", statement)
        # Names in folders are not made durable by every file system that disks have.
        os.sync()

    def _room_left(self, max_bytes: int | None) -> int:
        free = shutil.disk_usage(self._disk).free - _RESERVE
        if max_bytes is None:
            return free
        taken = self._bundle.size() if self._bundle is not None else 0
        return min(free, max_bytes - taken)


def _whole_entries(lists: dict[int, PartList]) -> list[Entry]:
    """What is there from its beginning to its end."""
    return [
        entry
        for each in lists.values()
        for entry in each.entries
        if all(number in lists for number, _, _ in entry.pieces)
    ]


def _entry(row: InstanceRow, priority: int, pieces: tuple[tuple[int, int, int], ...]) -> Entry:
    return Entry(
        study_uid=row.ref.study_uid,
        series_uid=row.ref.series_uid,
        sop_uid=row.ref.sop_uid,
        sop_class_uid=row.sop_class_uid,
        transfer_syntax=row.transfer_syntax,
        size=row.content_bytes,
        meta_digest=row.meta_digest or b"",
        dataset_digest=row.dataset_digest or b"",
        custody=row.custody,
        priority=priority,
        pieces=pieces,
    )
