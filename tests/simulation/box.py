"""A box of the simulation: the real cache and the real sync, driven step by step.

Parts are not left to ``run``, which waits in real time, but are taken a ``step`` at a time, in the
order that the simulator chooses, on its clock: so a run depends on its seed alone, and a month
passes in a second. What ``run`` does around a step (to wait for the line, to tell the link of an
error) is done here.

A crash is a copy of the folder, made at that very moment in the thread of the index's writer, so
that no commit is under way. Where it was made, the box stands still; then it is thrown away, and
the copy is opened in its place: whatever the old one did after that moment never happened.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

from edge import config, others
from edge.cache.absences import Absences
from edge.cache.admission import Admission, Admitted, Source
from edge.cache.changes import Changes
from edge.cache.custody import CustodyLedger
from edge.cache.deletion import Deletion
from edge.cache.emptying import Emptying
from edge.cache.eviction import Eviction, Uses
from edge.cache.fetching import Fetching
from edge.cache.pictures import PictureCache
from edge.cache.recovery import Recovery
from edge.cache.retrieval import Retrieval
from edge.cache.settlement import Settling
from edge.cache.space import Space
from edge.cache.trash import Trash
from edge.cloud.several import Several
from edge.dicom.instance import Origin
from edge.errors import CloudError, InstanceNotFound
from edge.opening import Cache
from edge.sync.absence import AbsenceWatch
from edge.sync.arbitration import Arbitration
from edge.sync.learning import Learning
from edge.sync.link import Link
from edge.sync.pull import Pull
from edge.sync.push import Push
from edge.sync.reverify import Reverify
from edge.sync.verify import Verify
from edge.sync.withdraw import Withdraw
from tests import samples
from tests.simulation.cloud import Cloud, Way

__all__ = ["Box", "Crashed"]


class Crashed(Exception):
    """The box is no more; ``restart`` opens what it left."""


class Box:
    """One box.

    Args:
        name: Of it.
        folder: Holds its folders, one after each crash.
        cloud: The archive.
        clock: POSIX seconds, simulated.
        seed: Of what goes wrong on its way to the archive.
        settings: Of sync.
        limits: Of the cache.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        cloud: Cloud,
        clock: Callable[[], float],
        seed: str,
        settings: config.Sync,
        limits: config.Cache,
    ) -> None:
        self.name = name
        self.may_delete: set[str] = set()
        """What somebody at this box wished to be deleted in the archive, too."""
        self.may_give_way = set[str]()
        """What is to be deleted there so that ours takes its place: sending it again ends no such
        decision."""
        self.way = Way("cloud", cloud, f"{seed}/{name}", self._point, self._is_wished)
        self.crash_at: int | None = None
        """It crashes at the so manieth point from now."""
        self.crashes = 0
        self._parent, self._clock = folder, clock
        self._settings, self._limits = settings, limits
        self._crashed = asyncio.Event()
        self._lives = 0
        self._stack = AsyncExitStack()

    @property
    def is_crashed(self) -> bool:
        """Whether it must be restarted."""
        return self._crashed.is_set()

    def _is_wished(self, uid: str) -> bool:
        return uid in self.may_delete or uid in self.may_give_way

    @property
    def folder(self) -> Path:
        """Of this life."""
        return self._parent / f"{self.name}{self._lives}"

    async def start(self) -> None:
        """Open it, as the appliance does."""
        archive = others.Archive("cloud", "http://127.0.0.1:9/dicom-web")
        settings = config.Config(
            appliance=config.Appliance(data_dir=self.folder),
            cache=self._limits,
            cloud=config.Cloud((archive,)),
            sync=self._settings,
        )
        self.folder.mkdir(parents=True, exist_ok=True)
        clock, way, changes = self._clock, self.way, Changes()
        stack = self._stack = AsyncExitStack()
        cache = self.cache = await stack.enter_async_context(Cache(settings, owned=True))
        database = cache.database
        records = cache.tombstones, cache.trashed
        recovery = Recovery(cache.store, database, cache.keys, *records, clock)
        self.recovered = await recovery.run()
        uses = self.uses = Uses(database, clock)
        space = self.space = Space(self._limits, database, cache.store, patience=0.0)
        await space.refresh()
        trash = Trash(
            cache.store,
            cache.trashed,
            database,
            changes,
            days=self._settings.trash_days,
            clock=clock,
        )
        absences = Absences(database, changes, trash, clock)
        ledger = self.ledger = CustodyLedger(database, changes, clock, trash=trash)
        await ledger.set_roles({"cloud": "primary"})
        await ledger.renew_withdrawals()
        several = Several([way])
        keys = cache.study_keys
        self.admission = Admission(
            cache.store, keys, database, space, changes, max_instance_bytes=2**30, clock=clock
        )
        self.fetching = Fetching(several, self.admission)
        self.retrieval = Retrieval(cache.store, database, self.fetching, ledger, several, uses)
        pictures = PictureCache(self._limits, cache.folder, cache.keys, cache.algorithm)
        await pictures.open()
        self.eviction = Eviction(
            self._limits, cache.store, database, space, uses, ledger, [way], clock
        )
        self.deletion = Deletion(
            cache.store,
            cache.tombstones,
            database,
            pictures,
            space,
            changes,
            keys,
            has_archive=True,
            clock=clock,
        )
        link = Link(way, ledger, self._settings, clock=clock)
        self.push = Push(
            ledger,
            self.retrieval,
            way,
            link,
            changes,
            self._settings,
            clock=clock,
            stopwatch=clock,
        )
        self.verify = Verify(ledger, way, link, changes, self._settings, clock=clock)
        learning = Learning(ledger, way, link, absences=absences)
        self.pull = Pull(
            ledger, way, link, learning, self._settings, absences=absences, clock=clock
        )
        self.absence = AbsenceWatch(absences, way, link, changes, self._settings, clock=clock)
        self.review = Reverify(
            ledger, absences, way, link, changes, self._settings, is_primary=True, clock=clock
        )
        self.emptying = Emptying(trash, self.deletion, changes)
        self.withdraw = Withdraw(ledger, [way], link, changes, self._settings, clock=clock)
        settling = Settling(database, cache.exchange)
        self.arbitration = Arbitration(settling, self.admission, way, link, changes)
        fetches = asyncio.create_task(self.fetching.run(), name=f"fetching of {self.name}")
        stack.push_async_callback(_ended, fetches)

    async def stop(self) -> None:
        """Close it."""
        await self.uses.flush()
        await self._stack.aclose()

    async def restart(self) -> None:
        """Open it again: what it was closed with, or what a crash left."""
        if self._crashed.is_set():
            await self._stack.aclose()
            await asyncio.to_thread(shutil.rmtree, self.folder)
            self._lives += 1
            self._crashed.clear()
        else:
            await self.stop()
        await self.start()

    # Crashes -------------------------------------------------------------------------------------

    async def _point(self) -> None:
        """Where it may crash."""
        if self.crash_at is None:
            return
        self.crash_at -= 1
        if self.crash_at <= 0:
            await self.crash()
            await asyncio.Event().wait()

    async def crash(self) -> None:
        """Be no more from this moment on."""
        self.crash_at = None
        self.crashes += 1
        target = self._parent / f"{self.name}{self._lives + 1}"
        await self.cache.database.write(lambda _: _copy(self.folder, target))
        self._crashed.set()

    async def does(self, work: Awaitable[object]) -> object:
        """What some work comes to.

        Raises:
            Crashed: The box crashed in the middle of it.
        """
        task = asyncio.ensure_future(work)
        crashed = asyncio.ensure_future(self._crashed.wait())
        await asyncio.wait([task, crashed], return_when=asyncio.FIRST_COMPLETED)
        crashed.cancel()
        if self._crashed.is_set():
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                task.exception()
            raise Crashed
        return task.result()

    # What it does --------------------------------------------------------------------------------

    async def send(self, data: bytes) -> Admitted:
        """A device sends an instance; first eviction looks, as it does every second."""
        await self.space.refresh()
        if self.space.above_high_mark:
            await self.evict()
        source = Source(Origin.DIMSE, "MODALITY")
        return await self.admission.store_instance(self._arriving(data), source)

    async def _arriving(self, data: bytes):
        async for piece in samples.chunks(data, 2048):
            yield piece
            await self._point()

    async def evict(self) -> int:
        """Make room."""
        await self.uses.flush()
        return await self.eviction.make_room()

    async def step(self, part: str) -> object:
        """One step of a part, if the archive answers; whether there is more to do.

        The error of an archive, or None, is what the part's ``run`` would have told the link.
        """
        call = {
            "push": self.push.step,
            "verify": self.verify.step,
            "pull": self.pull.sweep,
            "withdraw": self.withdraw.step,
            "arbitration": self.arbitration.step,
            "absence": self.absence.step,
            "review": self.review.step,
            "emptying": self.emptying.step,
        }[part]
        try:
            worked = await call()
        except CloudError as error:
            await self.ledger.set_archive_state("cloud", online=False, reason=str(error))
            return error
        await self.ledger.set_archive_state("cloud", online=True)
        return worked

    async def read(self, ref) -> bytes:
        """Open an instance, and read it to its end."""
        found = await self.retrieval.instances(ref.study_uid, ref.series_uid, ref.sop_uid)
        if not found:
            row = (await self.rows())[ref.sop_uid]
            assert row["withheld"], f"{self.name} can't find {ref.sop_uid}, and does not hide it"
            raise InstanceNotFound("it is withheld")
        (entry,) = found
        try:
            async with self.retrieval.open_instance(entry) as opened:
                return b"".join([piece async for piece in opened.stream()])
        finally:
            # What follows in the background is part of it, unless all of it stands still.
            while not self.is_crashed and self.fetching._running:
                await asyncio.wait([fetch.done for fetch in self.fetching._running.values()])
                await asyncio.sleep(0)

    async def read_object(self, name: str) -> bytes:
        """An object of the store, to its end."""
        reader = await self.cache.store.open(name)
        try:
            return b"".join([piece async for piece in reader.stream()])
        finally:
            await reader.close()

    async def rows(self) -> dict[str, dict]:
        """What the index has: UID -> availability, custody, digest, object, verified, …"""
        names = (
            "sop_uid availability custody dataset_digest object verified reason retry_at origin"
            " withheld missed"
        )
        found = await self.cache.database.read(
            f"SELECT {names.replace(' ', ', ')} FROM"
            " (SELECT *, study_id IN (SELECT study_id FROM absences) AS missed FROM instances)"
            " ORDER BY id"
        )
        return {row[0]: dict(zip(names.split(), row, strict=True)) for row in found}

    async def aside(self) -> dict[str, list[tuple[bytes, str]]]:
        """What is in quarantine: UID -> digests and objects."""
        found = await self.cache.database.read(
            "SELECT sop_uid, dataset_digest, object FROM quarantine ORDER BY id"
        )
        aside: dict[str, list[tuple[bytes, str]]] = {}
        for uid, digest, name in found:
            aside.setdefault(uid, []).append((digest, name))
        return aside

    async def tombstones(self) -> dict[str, str]:
        """What was deleted: UID -> whether the archive is told."""
        return dict(await self.cache.database.read("SELECT sop_uid, withdrawal FROM tombstones"))

    async def objects(self) -> list[str]:
        """The names of all objects in the store."""
        store = self.cache.store
        return [name for shelf in store.shelves() for name in await store.names(shelf)]


def _copy(folder: Path, target: Path) -> None:
    """As the disk has it now; what is just being renamed may be missed, as a crash misses it."""
    for here, _, names in os.walk(folder):
        there = target / Path(here).relative_to(folder)
        there.mkdir(exist_ok=True)
        for name in names:
            try:
                shutil.copyfile(f"{here}/{name}", there / name)
                (there / name).chmod(0o600)
            except FileNotFoundError:
                continue


async def _ended(task: asyncio.Task) -> None:
    task.cancel()
    await asyncio.wait([task])
