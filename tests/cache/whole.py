"""A whole cache in a folder, with or without an archive behind it; no doors."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from types import SimpleNamespace

from edge import config, others
from edge.cache.admission import Admission, Source
from edge.cache.changes import Changes
from edge.cache.custody import CustodyLedger
from edge.cache.deletion import Deletion
from edge.cache.emptying import Emptying
from edge.cache.erasure import Erasure
from edge.cache.eviction import Eviction, Uses
from edge.cache.fetching import Fetching
from edge.cache.pictures import PictureCache
from edge.cache.recovery import Recovery, open_index
from edge.cache.retrieval import Retrieval
from edge.cache.space import Space
from edge.cache.study_keys import StudyKeys
from edge.cache.trash import Trash
from edge.cloud.dicomweb import DicomwebArchive
from edge.cloud.several import Several
from edge.crypto.keys import KeyRing
from edge.crypto.providers import FileKeyProvider
from edge.crypto.sealed import Algorithm
from edge.dicom.instance import Origin
from edge.store.objects import ObjectStore
from edge.store.tombstones import TombstoneStore, TrashStore
from tests.samples import chunks

__all__ = ["open_cache"]

MODALITY = Source(Origin.DIMSE, "MODALITY")


@asynccontextmanager
async def open_cache(folder, *, archive=None, recover=True, clock=None, **limits):
    """Open it; again and again, as after restarts."""
    settings = config.Cache(**({"reserve_bytes": 0} | limits))
    async with AsyncExitStack() as stack:
        keys = await asyncio.to_thread(
            KeyRing, folder / "keys.db", FileKeyProvider(folder / "root.key")
        )
        stack.callback(keys.close)
        store = await stack.enter_async_context(
            ObjectStore(folder, keys, algorithm=Algorithm.AES_256_GCM)
        )
        database = await open_index(folder / "index.db", keys.derive("index"))
        stack.push_async_exit(database)
        tombstones = TombstoneStore(folder, keys, algorithm=Algorithm.AES_256_GCM)
        trash_records = TrashStore(folder, keys, algorithm=Algorithm.AES_256_GCM)
        recovery = Recovery(store, database, keys, tombstones, trash_records)
        report = await recovery.run() if recover else None
        timing = {} if clock is None else {"clock": clock}
        changes, uses = Changes(), Uses(database, **timing)
        space = Space(settings, database, store, patience=0.2)
        await space.refresh()
        study_keys = StudyKeys(keys, database)
        admission = Admission(
            store,
            study_keys,
            database,
            space,
            changes,
            max_instance_bytes=settings.max_instance_bytes,
            **timing,
        )
        cloud = several = None
        if archive is not None:
            cloud = DicomwebArchive(others.Archive(name="cloud", url=archive.url))
            stack.push_async_callback(cloud.close)
            several = Several([cloud])
        ledger = CustodyLedger(database, changes, **timing)
        fetching = Fetching(several, admission)
        retrieval = Retrieval(store, database, fetching, ledger, several, uses)
        pictures = PictureCache(settings, folder, keys, Algorithm.AES_256_GCM)
        await pictures.open()
        erasure = Erasure(study_keys, database, pictures, pause=0.0)
        eviction = Eviction(
            settings,
            store,
            database,
            space,
            uses,
            ledger,
            [cloud] if cloud else [],
            **timing,
            evicted=erasure.note,
        )
        deletion = Deletion(
            store,
            tombstones,
            database,
            pictures,
            space,
            changes,
            study_keys,
            has_archive=archive is not None,
            **timing,
        )
        trash = Trash(store, trash_records, database, changes, days=30, **timing)
        emptying = Emptying(trash, deletion, changes)
        group = await stack.enter_async_context(asyncio.TaskGroup())
        running = group.create_task(fetching.run())
        stack.callback(running.cancel)

        async def send(sample, size=100_000):
            data = getattr(sample, "data", sample)
            return await admission.store_instance(chunks(data, size), MODALITY)

        async def read(ref):
            (entry,) = await retrieval.instances(ref.study_uid, ref.series_uid, ref.sop_uid)
            async with retrieval.open_instance(entry) as instance:
                return b"".join([piece async for piece in instance.stream()])

        yield SimpleNamespace(**locals())
