"""What is erased here can't be opened any more, wherever copies of its sealed objects are."""

from __future__ import annotations

import asyncio
import shutil

import pytest

from edge.cache.ledger import Settlement
from edge.cache.trash import Query
from edge.crypto.twin import copies
from edge.dicom.instance import Availability, Custody
from edge.errors import SealBroken
from edge.index import lookup
from edge.pixels.presentation import Picture
from tests.fakes.archive import FakeArchive
from tests.samples import ct_series

SLICES = list(ct_series(3, rows=16, columns=16))
REF = SLICES[0].ref


async def fill(cache):
    for sample in SLICES:
        await cache.send(sample)


async def verify(cache):
    rows = await lookup.find(cache.database, REF.study_uid)
    await cache.ledger.settle([Settlement(row.instance_id, Custody.VERIFIED) for row in rows])


def keep_copies(tmp_path, sealed_files):
    """Somebody copies every sealed object; where they were."""
    kept = {}
    for path in sealed_files():
        kept[path] = tmp_path / f"{path.name}.stolen"
        shutil.copy(path, kept[path])
    return kept


async def nothing_opens(cache, kept):
    """The objects are put back, and opened with the ring as it is now."""
    for path, stolen in kept.items():
        shutil.copy(stolen, path)
        with pytest.raises(SealBroken, match="destroyed"):
            await cache.store.open(path.name)
        path.unlink()


async def test_a_study_that_was_deleted_can_t_be_opened_from_copies_of_its_objects(
    cache, tmp_path, sealed_files
):
    await fill(cache)
    kept = keep_copies(tmp_path, sealed_files)
    (key_id,) = cache.keys.key_ids()
    await cache.deletion.delete(REF.study_uid)
    assert len(kept) == 3
    await nothing_opens(cache, kept)
    for copy in copies(tmp_path / "keys.db"):
        assert key_id not in copy.read_bytes()


async def test_a_study_of_which_something_is_left_keeps_its_key(cache):
    await fill(cache)
    await cache.deletion.delete(REF.study_uid, REF.series_uid, REF.sop_uid)
    assert len(cache.keys.key_ids()) == 1
    assert await cache.read(SLICES[1].ref) == SLICES[1].data


async def test_what_is_in_quarantine_of_a_study_goes_with_its_key(cache, tmp_path, sealed_files):
    await fill(cache)
    await cache.send(SLICES[0].data.replace(SLICES[0].data[-64:], bytes(64)))
    kept = keep_copies(tmp_path, sealed_files)
    assert len(kept) == 4
    await cache.deletion.delete(REF.study_uid)
    assert cache.keys.key_ids() == set()
    await nothing_opens(cache, kept)


async def test_a_key_lives_as_long_as_something_in_quarantine_needs_it(cache):
    await fill(cache)
    (key_id,) = cache.keys.key_ids()
    await cache.database.write(
        lambda db: db.execute(
            "INSERT INTO quarantine (study_uid, series_uid, sop_uid, object, key_id, content_bytes,"
            " sealed_bytes, transfer_syntax, dataset_digest, origin, peer, received)"
            " VALUES ('1', '1', '1', 'x', ?, 1, 1, '1', x'00', 'DIMSE', '', 0)",
            (key_id,),
        )
    )
    await cache.deletion.delete(REF.study_uid)
    assert cache.keys.key_ids() == {key_id}


async def test_what_leaves_the_trash_for_good_takes_its_key_along(cache, tmp_path, sealed_files):
    await fill(cache)
    await verify(cache)
    kept = keep_copies(tmp_path, sealed_files)
    refs = [sample.ref for sample in SLICES]
    await cache.trash.put(refs, archive="cloud", reason="gone")
    assert len(cache.keys.key_ids()) == 1
    await cache.trash.empty(Query())
    assert await cache.emptying.step() == 3
    assert cache.keys.key_ids() == set()
    await nothing_opens(cache, kept)


async def test_a_study_that_was_evicted_whole_loses_its_key_and_comes_back_under_another(
    open_cache, tmp_path, sealed_files
):
    async with FakeArchive() as archive:
        for sample in SLICES:
            archive.put(sample.data)
        async with open_cache() as cache:
            await fill(cache)
            await verify(cache)
            kept = keep_copies(tmp_path, sealed_files)
            (before,) = cache.keys.key_ids()
        async with open_cache(archive=archive, max_bytes=1) as cache:
            await cache.eviction.make_room()
            rows = await lookup.find(cache.database, REF.study_uid)
            assert {row.availability for row in rows} == {Availability.NEARLINE}
            assert cache.keys.key_ids() == {before}
            assert await cache.erasure.step() == 1
            assert cache.keys.key_ids() == set()
            await nothing_opens(cache, kept)
        async with open_cache(archive=archive) as cache:
            assert await cache.read(REF) == SLICES[0].data
            (after,) = cache.keys.key_ids()
            assert after != before


async def test_the_part_looks_at_its_start_and_whenever_something_was_evicted(open_cache):
    async with open_cache() as cache:
        await fill(cache)
        await verify(cache)
    async with open_cache(max_bytes=1) as cache:
        looked = asyncio.Event()

        async def step():
            looked.set()

        cache.erasure.step = step
        running = asyncio.create_task(cache.erasure.run())
        await looked.wait()
        looked.clear()
        await cache.eviction.make_room()
        await looked.wait()
        running.cancel()


async def test_a_study_that_was_evicted_keeps_its_key_while_a_picture_of_it_is_here(open_cache):
    async with open_cache() as cache:
        await fill(cache)
        await verify(cache)
        (key_id,) = cache.keys.key_ids()
        pictures = cache.pictures
        picture = Picture("image/png", b"patient", 1, 1)
        pictures.keep(pictures.name("one"), key_id, picture, pictures.deletions)
        assert await pictures.sealed_with({key_id, b"other"}) == {key_id}  # it waits
        await pictures.flush()
        assert await pictures.sealed_with({key_id, b"other"}) == {key_id}
    async with open_cache(max_bytes=1) as cache:
        await cache.eviction.make_room()
        assert await cache.erasure.step() == 0
        assert (await cache.pictures.get(cache.pictures.name("one"))).data == b"patient"
    async with open_cache(max_bytes=1, rendered_bytes=0) as cache:
        assert await cache.pictures.sealed_with({key_id}) == set()
        assert await cache.erasure.step() == 1


async def test_a_study_of_which_an_object_is_damaged_and_nowhere_else_keeps_its_key(cache):
    await fill(cache)
    await cache.retrieval._lose((await lookup.find_one(cache.database, REF.sop_uid)).object)
    await cache.database.write(
        lambda db: db.execute(
            "UPDATE instances SET availability = 'NEARLINE', object = NULL, sealed_bytes = 0,"
            " custody = 'VERIFIED' WHERE sop_uid <> ?",
            (REF.sop_uid,),
        )
    )
    assert await cache.erasure.step() == 0
    assert len(cache.keys.key_ids()) == 1


async def test_while_objects_can_not_be_read_no_key_goes_that_may_be_theirs(open_cache):
    async with open_cache() as cache:
        await fill(cache)
        await verify(cache)
    async with open_cache(max_bytes=1, rendered_bytes=0) as cache:
        await cache.eviction.make_room()
        cache.study_keys.spares = True
        assert await cache.erasure.step() == 0
        assert len(cache.keys.key_ids()) == 1
        cache.study_keys.spares = False
        assert await cache.erasure.step() == 1
