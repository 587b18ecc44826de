"""The composition root: builds every part by its constructor, and owns the one task group.

``Appliance`` is the whole service as one value: ``async with Appliance(config) as box`` has it
running, with its index opened, recovered and served by every door; leaving the block ends it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from operator import itemgetter
from pathlib import Path
from types import TracebackType
from typing import Self

from edge.access.gate import Gate
from edge.access.tls import renew, server_context
from edge.admin import api
from edge.admin.absences import absence_routes
from edge.admin.edits import edit_routes
from edge.admin.local import local_door
from edge.admin.prefetch import prefetch_routes
from edge.admin.sync import sync_routes
from edge.admin.trash import trash_routes
from edge.admin.worklist import worklist_routes
from edge.cache.admission import Admission, StudyKeys
from edge.cache.backup import Backups
from edge.cache.catalogue import Catalogue
from edge.cache.changes import Changes
from edge.cache.custody import CustodyLedger
from edge.cache.deletion import Deletion
from edge.cache.edits import Edits
from edge.cache.emptying import Emptying
from edge.cache.eviction import Eviction, Uses
from edge.cache.expected import Expectations
from edge.cache.feed import ChangeFeed
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
from edge.cache.status import Parts, Status
from edge.cache.transcoding import Transcoding
from edge.cloud.archive import Archive
from edge.cloud.orthanc import archive_of
from edge.cloud.several import Several
from edge.config import Archive as ArchiveSettings
from edge.config import Config, Http, host_and_port
from edge.crypto.secrets import PURPOSE, open_secrets
from edge.dicomweb import changefeed, uri_service
from edge.dicomweb import server as dicomweb
from edge.dicomweb.listener import Listener
from edge.dicomweb.middleware import IDENTITY, access
from edge.dicomweb.root import create_root
from edge.dimse.peers import Peers
from edge.dimse.requestor import Dialer
from edge.dimsing import DimseMeans, start_dimse
from edge.dropfolder.watcher import DropFolder
from edge.errors import StorageFull
from edge.index.database import DatabaseBroken
from edge.opening import Cache, lock_folder, make_folder
from edge.pixels.workers import PixelWorkers
from edge.store.memory import keep_freed_memory
from edge.supervision import Supervisor
from edge.sync.arbitration import Arbitration
from edge.sync.line import Line
from edge.syncing import Means, by_role, start_sync

__all__ = ["Appliance"]

log = logging.getLogger(__name__)

_DAY = 86400.0
_Identity = tuple[Http, bytes, Path, list[str]]
"""What the certificate depends on: configuration, secret, folder, names."""


class Appliance:
    """The service, running.

    Args:
        config: All of it; ports may be 0, see ``http_port`` and ``dimse_port``.
        file: Where it was read; a backup has it as it is.
    """

    def __init__(self, config: Config, *, file: Path | None = None) -> None:
        self._config = config
        self._file = file
        self._stack = AsyncExitStack()
        self._parts: Callable[[], Parts] = lambda: {"start": "under way"}
        self.changes = Changes()
        self.http_port = 0
        self.dimse_port = 0

    async def __aenter__(self) -> Self:
        """Open, recover, listen.

        Raises:
            EdgeError: Something that is needed can't be had; the message names it.
            OSError: A port is taken.
        """
        keep_freed_memory()
        config = self._config
        async with AsyncExitStack() as stack:
            await asyncio.to_thread(make_folder, config.appliance.data_dir)
            lock = await asyncio.to_thread(lock_folder, config.appliance.data_dir)
            stack.callback(os.close, lock)
            await stack.enter_async_context(
                local_door(config.appliance.data_dir, self.parts, self.changes.wake)
            )
            cache = self.cache = await stack.enter_async_context(
                Cache(config, owned=True, changes=self.changes)
            )
            await cache.recover()
            changes, uses = self.changes, Uses(cache.database)
            stack.push_async_callback(_flush, uses)
            space = Space(config.cache, cache.database, cache.store)
            await space.refresh()
            ledger = self.ledger = CustodyLedger(cache.database, changes, trash=cache.trash)
            line = Line(config.sync, ledger)
            archives = await self._open_archives(stack, line)
            several = Several([archive for _, archive in archives]) if archives else None
            await ledger.set_roles({each.name: each.role for each, _ in archives})
            admission = self.admission = Admission(
                cache.store,
                StudyKeys(cache.keys, cache.database),
                cache.database,
                space,
                changes,
                max_instance_bytes=config.cache.max_instance_bytes,
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
            parts.start("store", cache.store.run)
            parts.start("fetching", fetching.run)
            parts.start("pixels", workers.run)
            parts.start("pictures", pictures.run)
            counting = [archive for each, archive in archives if each.role != "copy"]
            eviction = Eviction(
                config.cache, cache.store, cache.database, space, uses, ledger, counting
            )
            parts.start("eviction", eviction.run)
            if archives:
                self._start_sync(archives, fetching, space, line)
            if config.dropfolder.path != Path():
                parts.start(
                    "dropfolder",
                    DropFolder(config.dropfolder, admission, Leftovers(cache.database)).run,
                )
            means = DimseMeans(
                admission=admission,
                retrieval=retrieval,
                transcoding=self.transcoding,
                ledger=ledger,
                database=cache.database,
                changes=changes,
                peers=Peers(config.dimse),
                dialer=Dialer(config.dimse),
                worklist=cache.worklist,
            )
            self.dimse_port = (await start_dimse(parts, means, config)).port
            deletion = self._start_deletion(pictures, space, has_archive=bool(archives))
            self.http_port = await self._serve_http(admission, retrieval, deletion)
            self._parts = parts.states
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    def parts(self) -> Parts:
        """Part -> "running", or why it is not."""
        return self._parts()

    async def status(self) -> Status:
        """The state of the box and of its parts."""
        return await self.cache.status(self.parts())

    def _start_sync(
        self,
        archives: Sequence[tuple[ArchiveSettings, Archive]],
        fetching: Fetching,
        space: Space,
        line: Line,
    ) -> None:
        """Start what makes the box and its archives equal."""
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
        )
        self.supervisor.start("line", line.run)
        start_sync(self.supervisor, archives, means, config)

    async def _open_archives(
        self, stack: AsyncExitStack, line: Line
    ) -> list[tuple[ArchiveSettings, Archive]]:
        """What is configured of each, its secrets open, and its driver; the primary one first."""
        secret = self.cache.keys.derive(PURPOSE)
        cloud = await asyncio.to_thread(open_secrets, self._config.cloud, secret, "cloud")
        archives: list[tuple[ArchiveSettings, Archive]] = []
        for each in by_role(cloud.archive):
            driver = archive_of(each, line.way(each.name))
            stack.push_async_callback(driver.close)
            archives.append((each, driver))
        return archives

    def _start_deletion(
        self, pictures: PictureCache, space: Space, *, has_archive: bool
    ) -> Deletion:
        """Make what deletes, and start what empties the trash by it."""
        cache, changes = self.cache, self.changes
        deletion = Deletion(
            cache.store,
            cache.tombstones,
            cache.database,
            pictures,
            space,
            changes,
            has_archive=has_archive,
        )
        self.supervisor.start("trash", Emptying(cache.trash, deletion, changes).run)
        return deletion

    async def serve_until(self, stopping: asyncio.Event) -> bool:
        """Wait for the end; whether the box must be opened again, because its index is damaged.

        Opening it checks the index, and rebuilds it from the store if need be.
        """
        broken = self.cache.database.broken
        async with asyncio.TaskGroup() as group:
            waiting = [group.create_task(event.wait()) for event in (stopping, broken)]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in waiting:
                task.cancel()
        return broken.is_set() and not stopping.is_set()

    async def _serve_http(
        self, admission: Admission, retrieval: Retrieval, deletion: Deletion
    ) -> int:
        """Serve every application on the one HTTP port; which one it is."""
        config, cache = self._config, self.cache
        gate = Gate(cache.tokens, required=config.http.auth == "required")
        images = dicomweb.create_application(
            retrieval=retrieval,
            rendering=self.rendering,
            transcoding=self.transcoding,
            catalogue=Catalogue(cache.database),
            admission=admission,
            deletion=deletion,
            workers=self.workers,
            authorise=gate.authorise,
        )
        pictures = uri_service.create_application(
            retrieval=retrieval,
            rendering=self.rendering,
            transcoding=self.transcoding,
            authorise=gate.authorise,
        )
        feed = changefeed.create_application(ChangeFeed(cache.database), authorise=gate.authorise)
        administration = api.create_application(
            status=self.status,
            middlewares=[access(gate.authorise)],
            routes=[
                *sync_routes(cache.disputes, self.ledger, itemgetter(IDENTITY), self.changes.wake),
                *absence_routes(cache.absences, itemgetter(IDENTITY)),
                *trash_routes(cache.trash, itemgetter(IDENTITY)),
                *edit_routes(Edits(cache.database)),
                *prefetch_routes(
                    Expectations(cache.database),
                    cache.pins,
                    itemgetter(IDENTITY),
                    self.changes.wake,
                ),
                *worklist_routes(cache.worklist),
            ],
        )
        application = create_root(
            {
                "/dicom-web": images,
                "/wado": pictures,
                "/changefeed": feed,
                "/api/v1": administration,
            },
            cors_origins=config.http.cors_origins,
            only_names=_names(config) if config.http.auth == "none" else None,
        )
        application.add_routes(api.health_routes(self.parts))
        identity = (config.http, cache.keys.derive("tls"), cache.folder / "tls", _names(config))
        tls = await asyncio.to_thread(server_context, *identity)
        if tls is not None:
            self.supervisor.start("certificate", partial(_renew_daily, tls, identity))
        http = Listener(application, config.http.listen, tls)
        await self.supervisor.start_ready("http", lambda ready: http.serve(ready=ready))
        return http.port


async def _flush(uses: Uses) -> None:
    try:
        await uses.flush()
    except (DatabaseBroken, StorageFull) as error:
        log.warning("when instances were last used is not known exactly: %s", error)


async def _renew_daily(tls: ssl.SSLContext, identity: _Identity) -> None:
    """Renew the certificate before its end, and load what the clinic put in its place."""
    while True:
        await asyncio.sleep(_DAY)
        await asyncio.to_thread(renew, tls, *identity)


def _names(config: Config) -> list[str]:
    """What the box is called on the LAN, for its certificate."""
    name, host = config.appliance.name, socket.gethostname()
    names = [name, f"{name}.local", host, f"{host}.local", "localhost", "127.0.0.1", "::1"]
    listen, _ = host_and_port(config.http.listen)
    if listen not in ("0.0.0.0", "::"):  # noqa: S104 - compared with, not listened on
        names.append(listen)
    return list(dict.fromkeys(names))
