"""The composition root: builds every part by its constructor, and owns the one task group.

``Appliance`` is the whole service as one value: ``async with Appliance(config) as box`` has it
running, with its index opened, recovered and served by every door; leaving the block ends it.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from edge import __version__
from edge.access.audit.entry import BOX, Entry, Event, Outcome
from edge.access.renewals import Renewals
from edge.addresses import machine_name
from edge.admin.local import Act, local_door
from edge.applying import Applying, Work
from edge.cache.admission import Admission
from edge.cache.backup import Backups
from edge.cache.changes import Changes
from edge.cache.condition import Level, level_of
from edge.cache.custody import CustodyLedger
from edge.cache.damaged_settings import damage
from edge.cache.deletion import Deletion
from edge.cache.emptying import Emptying
from edge.cache.erasure import Erasure
from edge.cache.eviction import Eviction, Uses
from edge.cache.fetching import Fetching
from edge.cache.headroom import Headroom
from edge.cache.leftovers import Leftovers
from edge.cache.pictures import PictureCache
from edge.cache.priors import Priors
from edge.cache.remedies import Remedies
from edge.cache.rendering import Rendering
from edge.cache.retrieval import Retrieval
from edge.cache.settlement import Settling
from edge.cache.space import Space
from edge.cache.status import HTTPS, MEMORY, OBJECTS, SETTINGS, Cages, Parts, Status
from edge.cache.transcoding import Transcoding
from edge.closing import LEASE, WHY, owner_of_mark
from edge.cloud.several import Several
from edge.config import Config
from edge.crypto.secrets import PURPOSE
from edge.dimse.casebook import CaseBook
from edge.dimse.echo import echo_named
from edge.dimse.peers import Peers
from edge.dimse.requestor import Dialer
from edge.dimse.witness import DimseWitness
from edge.dimsing import DimseMeans, start_dimse
from edge.dropfolder.watcher import DropFolder
from edge.errors import StorageFull, WrongKey
from edge.holding import Holding
from edge.index.database import DatabaseBroken
from edge.machine.asking import is_there
from edge.machine.firewall import doors_of
from edge.machine.part import MachinePart
from edge.machine.places import Places
from edge.machine.power import IntakeStop
from edge.opening import Cache, lock_folder, make_folder
from edge.pixels.workers import PixelWorkers
from edge.provision.journal import read_provisioned
from edge.screening import screen_acts
from edge.serving import Calling, HttpMeans, last_lines, start_http
from edge.store.memory import keep_freed_memory
from edge.supervision import Supervisor
from edge.swap import exposure
from edge.sync.arbitration import Arbitration
from edge.sync.line import Line
from edge.syncing import Archives, Means, open_archives, start_sync
from edge.updates.updater import Updater
from edge.updating import UpdateMeans, start_updates
from edge.witnessing import start_audit

__all__ = ["Appliance"]

log = logging.getLogger(__name__)


class Appliance:
    """The service, running.

    Args:
        config: All of it; ports may be 0, see ``http_port`` and ``dimse_port``.
        file: Where it was read; a backup has it as it is.
        root: The root secret, if it is at hand; else its provider is asked.
        applying: Settings that come into force.
    """

    def __init__(
        self,
        config: Config,
        *,
        file: Path | None = None,
        root: bytes | None = None,
        applying: Applying | None = None,
    ) -> None:
        self._config = config
        self._file = file
        self._root = root
        self.applying = applying or Applying()
        self.holding = Holding(config)
        self.intake = IntakeStop()
        """Ends intake, whatever room there is."""
        self._works: list[Work] = []
        """What an end of the service could interrupt; it grows with the doors."""
        self._stack = AsyncExitStack()
        self._parts: Callable[[], Parts] = lambda: {"start": "under way"}
        self._cages: Callable[[], Cages] = dict
        self._found: dict[str, str] = {}
        self.changes = Changes()
        # Woken by commands alone: what follows those need not look at the index for each image.
        self._told = Changes()
        self._forget: Callable[[], None] = lambda: None
        self._renewals = Renewals()
        self._acts: dict[str, Act] = {"certificates": self._renewals.asked}
        self._acts["settings"] = self.applying.asked_by_command
        self._acts["intake"] = self.intake.asked
        self._sends_on: Callable[[], object] = lambda: None
        """Has what a command wrote into the audit sent on to the machine that gets it."""
        self.http_port = 0
        self.dimse_port = 0
        self.dimse_tls_port = 0

    async def __aenter__(self) -> Self:
        """Open, recover, listen.

        Raises:
            EdgeError: Something that is needed can't be had; the message names it.
            OSError: A port is taken.
        """
        keep_freed_memory()
        config = self._config
        async with AsyncExitStack() as stack:
            await self._take_folder(stack)
            cache = self.cache = await stack.enter_async_context(
                Cache(config, owned=True, changes=self.changes, root=self._root)
            )
            await self.holding.take(cache.keys, cache.audit)
            stack.callback(self._note, Event.STOPPED)
            self._forget = cache.tokens.forget
            stack.push_async_callback(cache.tokens.uses.flush)
            await self._recover()
            changes, uses = self.changes, Uses(cache.database)
            stack.push_async_callback(_flush, uses)
            space = Space(config.cache, cache.database, cache.store, closed=self.intake.why)
            await space.refresh()
            ledger = self.ledger = CustodyLedger(
                cache.database, changes, trash=cache.trash, tell=cache.witness.tell
            )
            line = Line(config.sync, ledger)
            archives = await open_archives(stack, config.cloud, cache.keys.derive(PURPOSE), line)
            several = Several([archive for _, archive in archives]) if archives else None
            await ledger.set_roles({each.name: each.role for each, _ in archives})
            admission = self.admission = Admission(
                cache.store,
                cache.study_keys,
                cache.database,
                space,
                changes,
                max_instance_bytes=config.cache.max_instance_bytes,
                tell=cache.witness.tell,
            )
            fetching = Fetching(several, admission)
            retrieval = self.retrieval = Retrieval(
                cache.store, cache.database, fetching, ledger, several, uses
            )
            pictures = PictureCache(config.cache, cache.folder, cache.keys, cache.algorithm)
            await pictures.open()
            workers = self.workers = PixelWorkers(config.pixels, ready=1)
            self.rendering = Rendering(retrieval, workers, pictures)
            self.transcoding = Transcoding(workers)
            # Parts stop in the reverse order: the doors first, what they stand on last.
            parts = self.supervisor = await stack.enter_async_context(Supervisor())
            self.holding.start(parts)
            self._start_audit()
            for name, run in (
                ("store", cache.store.run),
                ("fetching", fetching.run),
                ("tokens", cache.tokens.uses.run),
                ("pixels", workers.run),
                ("pictures", pictures.run),
            ):
                parts.start(name, run)
            counting = [archive for each, archive in archives if each.role != "copy"]
            erasure = Erasure(cache.study_keys, cache.database, pictures)
            parts.start("erasure", erasure.run)
            eviction = Eviction(
                config.cache,
                cache.store,
                cache.database,
                space,
                uses,
                ledger,
                counting,
                evicted=erasure.note,
            )
            parts.start("eviction", eviction.run)
            self._start_sync(archives, fetching, space, line)
            if config.dropfolder.path != Path():
                parts.start(
                    "dropfolder",
                    DropFolder(
                        config.dropfolder,
                        admission,
                        Leftovers(cache.database),
                        told=cache.witness.imported,
                    ).run,
                )
            calling = await self._start_dimse(admission, retrieval)
            self.intake.is_quiet = lambda: space.is_idle and self.dimse.is_idle
            deletion = self._start_deletion(pictures, space)
            await self._start_http(deletion, calling, await self._start_updates(line, space))
            if self._renewals:
                parts.start("certificate", self._renewals.run)
            self._parts = parts.states
            danger = {MEMORY: await asyncio.to_thread(exposure)}
            self._cages = lambda: {"pixels": workers.lacks, "store": cache.store.lacks} | danger
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    async def _take_folder(self, stack: AsyncExitStack) -> None:
        """Keep others out of the data folder, and answer commands."""
        folder = self._config.appliance.data_dir
        await asyncio.to_thread(make_folder, folder)
        lock = await asyncio.to_thread(lock_folder, folder)
        stack.callback(os.close, lock)
        if counting := await asyncio.to_thread(owner_of_mark, folder):
            self.intake.close(WHY, counting, time.monotonic() + LEASE)
        await stack.enter_async_context(
            local_door(
                folder, self.parts, self._wake, self.cages, self._acts, self.holding.routes()
            )
        )

    async def _recover(self) -> None:
        """Put right what can be, and note what a person must see to."""
        self._found[SETTINGS] = await asyncio.to_thread(damage, self.cache.folder)
        self._found[OBJECTS] = (await self.cache.recover()).damage

    async def _start_machine(self) -> None:
        """Start what speaks with the machine under the box, where that listens."""
        places = Places()
        if await asyncio.to_thread(is_there, places):
            called = machine_name(self._config.appliance.name)
            http, dimse = self._config.http, self._config.dimse
            doors = doors_of(http.listen, dimse.listen, dimse.tls_listen, http.interface)
            part = MachinePart(places, called, doors, self._level, self.intake, self._is_set_up)
            self.supervisor.start("machine", part.run)

    async def _is_set_up(self) -> bool:
        found = await asyncio.to_thread(read_provisioned, self.cache.folder)
        return found is not None or not await self.cache.users.is_empty()

    async def _level(self) -> Level:
        return level_of(await self.status())

    def parts(self) -> Parts:
        """Part -> "running", or why it is not."""
        return self._parts()

    def cages(self) -> Cages:
        """What the kernel refused the cages of our processes; what the start found damaged."""
        return {**self._cages(), **self._found}

    def _wake(self) -> None:
        self._forget()
        self.changes.wake()
        self._told.wake()
        self._sends_on()

    def _start_audit(self) -> None:
        self._sends_on = self.cache.audit.written.set
        self._note(Event.STARTED)
        if self.applying.setback:
            taken_back = Entry(
                at=self.cache.audit.clock(),
                event=Event.ADMINISTERED,
                actor=BOX,
                outcome=Outcome.FAILED,
                what="settings taken back",
                reason=self.applying.setback,
            )
            self.cache.audit.put(taken_back)
        start_audit(
            self.supervisor,
            self.cache.audit,
            self._config,
            keeps_all=self.cache.lacks_settings,
        )

    def _note(self, event: Event) -> None:
        """Have in the audit that the service starts or stops, and with which configuration."""
        audit, known = self.cache.audit, {"version": __version__}
        if event is Event.STARTED:
            known["configuration"] = hashlib.sha256(repr(self._config).encode()).hexdigest()
        audit.put(Entry(at=audit.clock(), event=event, actor=BOX, detail=known))

    async def _start_dimse(self, admission: Admission, retrieval: Retrieval) -> Calling:
        """Start the DICOM door; what calls peers."""
        config, cache = self._config.dimse, self.cache
        tls = cache.dicom_tls()
        if config.tls_listen:
            try:
                await asyncio.to_thread(tls.load)
            except WrongKey as error:
                self._found[HTTPS] = f"DICOM over TLS is closed: {error}; {error.hint}"
                log.error("%s", self._found[HTTPS])
                config = replace(config, tls_listen="")
        if config.tls_listen or any(path != Path() for path in tls.files):
            await asyncio.to_thread(self._renewals.add, tls.reload, tls.files)
        peers = Peers(config, cache.peers)
        book = CaseBook(config, cache.associations, DimseWitness(cache.audit))
        dialer = Dialer(config, tls=tls, casebook=book)
        means = DimseMeans(
            admission=admission,
            retrieval=retrieval,
            transcoding=self.transcoding,
            ledger=self.ledger,
            commitments=cache.commitments,
            worklist=cache.worklist,
            database=cache.database,
            changes=self.changes,
            peers=peers,
            dialer=dialer,
            book=cache.peers,
            told=self._told,
            tls=tls,
            associations=cache.associations,
            audit=cache.audit,
        )
        whole = replace(self._config, dimse=config)
        server, giving = await start_dimse(self.supervisor, means, whole)
        self.dimse, self.dimse_port, self.dimse_tls_port = server, server.port, server.tls_port
        self.giving = giving
        self._works += server, giving
        return Calling(partial(echo_named, dialer, peers), giving)

    async def status(self) -> Status:
        """The state of the box and of its parts."""
        return await self.cache.status(self.parts(), self.cages())

    def _start_sync(
        self,
        archives: Archives,
        fetching: Fetching,
        space: Space,
        line: Line,
    ) -> None:
        """Start what makes the box and its archives equal; the line is there for updates, too."""
        self.supervisor.start("line", line.run)
        if not archives:
            return
        config, cache, database = self._config, self.cache, self.cache.database
        settling = Settling(database, cache.exchange)
        means = Means(
            ledger=self.ledger,
            retrieval=self.retrieval,
            fetching=fetching,
            remedies=Remedies(self.retrieval, self.transcoding, self.admission, database),
            arbitrating=lambda archive, link: Arbitration(
                settling, self.admission, archive, link, self.changes
            ),
            backups=Backups(config, self._file, cache.keys, database),
            absences=cache.absences,
            priors=Priors(database, config),
            headroom=Headroom(config.cache, database, space),
            changes=self.changes,
            line=line,
            tell=cache.witness.tell,
        )
        start_sync(self.supervisor, archives, means, config)

    def _start_deletion(self, pictures: PictureCache, space: Space) -> Deletion:
        """Make what deletes, and start what empties the trash by it."""
        cache, changes = self.cache, self.changes
        deletion = Deletion(
            cache.store,
            cache.tombstones,
            cache.database,
            pictures,
            space,
            changes,
            cache.study_keys,
            has_archive=cache.has_archive,
            tell=cache.witness.tell,
        )
        if not cache.lacks_settings:  # which may say that it is kept for longer
            self.supervisor.start("trash", Emptying(cache.trash, deletion, changes).run)
        return deletion

    async def _start_updates(self, line: Line, space: Space) -> Updater:
        cache = self.cache
        means = UpdateMeans(
            line=line,
            dimse=self.dimse,
            is_quiet=lambda: space.is_idle and all(work.is_quiet for work in self._works),
            intake=self.intake,
            database=cache.database,
            audit=cache.audit,
            parts=self.supervisor.states,
            beat=cache.beat,
            secret=cache.keys.derive(PURPOSE),
        )
        self.updater, acts = await start_updates(self.supervisor, means, self._config)
        self._acts |= acts
        return self.updater

    async def _start_http(self, deletion: Deletion, calling: Calling, updater: Updater) -> None:
        means = HttpMeans(
            cache=self.cache,
            admission=self.admission,
            retrieval=self.retrieval,
            rendering=self.rendering,
            transcoding=self.transcoding,
            deletion=deletion,
            workers=self.workers,
            ledger=self.ledger,
            changes=self.changes,
            calling=calling,
            parts=self.parts,
            status=self.status,
            renewals=self._renewals,
            lock=self.holding.lock,
            applying=self.applying,
            file=self._file,
            backups=Backups(self._config, self._file, self.cache.keys, self.cache.database),
            updater=updater,
        )
        self.http, trouble = await start_http(self.supervisor, means, self._config)
        self._works.append(self.http)
        self._found[HTTPS] = "; ".join(filter(None, (self._found.get(HTTPS), trouble)))
        self.http_port = self.http.port
        self._acts |= {"rotate": self.cache.rotate, "log": last_lines}
        self._acts |= screen_acts(
            self.cache.folder, self.cache.users, self.cache.audit, self.status
        )
        await self._start_machine()

    async def serve_until(self, stopping: asyncio.Event) -> bool:
        """Wait for the end; whether the box must be opened again.

        Its index is damaged, which opening it mends; or it was locked, or gets other settings.
        """
        ends = stopping, self.cache.database.broken, self.holding.locking
        async with asyncio.TaskGroup() as group:
            events = (*ends, self.applying.asked)
            waiting = [group.create_task(event.wait()) for event in events]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in waiting:
                task.cancel()
        if self.applying.asked.is_set():
            others = self.giving, self.http
            await self.applying.wait(self.dimse, others, lambda: any(one.is_set() for one in ends))
        return not stopping.is_set()


async def _flush(uses: Uses) -> None:
    try:
        await uses.flush()
    except (DatabaseBroken, StorageFull) as error:
        log.warning("when instances were last used is not known exactly: %s", error)
