"""The door over the real cache: what was dropped is found, and leaves as it came in."""

import asyncio
import contextlib
import shutil

from edge import config
from edge.cache.leftovers import Leftovers
from edge.dropfolder.watcher import DropFolder
from tests import samples


@contextlib.asynccontextmanager
async def watching(drop, cache):
    settings = config.DropFolder(path=drop, settle_seconds=0.05)
    memory = Leftovers(cache.database)
    door = DropFolder(settings, cache.admission, memory, sweep_seconds=0.2, patience_seconds=0.1)
    task = asyncio.create_task(door.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_a_series_leaves_as_it_came_in(open_cache, drop, files, until):
    paths = samples.write_series(drop / "study", 10, rows=128, columns=128)
    sent = {path.read_bytes() for path in paths}
    async with open_cache() as cache:
        async with watching(drop, cache):
            await until(lambda: not files(drop))
        entries = await cache.retrieval.instances(samples.sample_uid(0, "study"))
        kept = set()
        for entry in entries:
            async with cache.retrieval.open_instance(entry) as instance:
                kept.add(b"".join([piece async for piece in instance.stream()]))
    assert kept == sent


async def test_a_medium_dropped_twice_is_kept_once(open_cache, drop, until):
    async with open_cache() as cache:
        for _ in range(2):
            shutil.copytree(samples.dicomdir_media() / "TINY_ALPHA", drop / "CD")
            async with watching(drop, cache):
                await until(lambda: not (drop / "CD").exists())
        rows = await cache.database.read("SELECT count(*) FROM instances")
    assert rows[0][0] == 50
    assert not (drop / "rejected").exists()


async def test_other_bytes_under_a_known_name_are_kept_and_told(
    open_cache, drop, files, caplog, until
):
    (sample,) = samples.ct_series(1, rows=16, columns=16)
    async with open_cache() as cache:
        await cache.send(sample)
        (drop / "other.dcm").write_bytes(sample.data[:-1] + bytes([sample.data[-1] ^ 1]))
        async with watching(drop, cache):
            await until(lambda: not files(drop))
        rows = await cache.database.read("SELECT count(*) FROM quarantine")
    assert rows[0][0] == 1
    assert "came with other bytes than before; both are kept" in caplog.text


async def test_a_full_cache_leaves_the_file_where_it_is(open_cache, drop, files, caplog, until):
    shutil.copy(samples.packaged_file("CT_small.dcm"), drop)
    async with open_cache(reserve_bytes=10**18) as cache, watching(drop, cache):
        await until(lambda: "waits for" in caplog.text)
    assert files(drop) == ["CT_small.dcm"]
