"""Who can write to the disk changes a byte, cuts, swaps, renames, or puts an older file back.

Each time it is found, nothing false is served, and what the archive has is fetched again. What
can't be found out is said in `edge.crypto`.
"""

from __future__ import annotations

import asyncio
import shutil

import pytest

from edge.cache.ledger import Settlement
from edge.crypto.sealed import CHUNK, HEADER_LENGTH, TAG
from edge.crypto.twin import copies
from edge.dicom.instance import Availability, Custody
from edge.errors import EdgeError, InstanceNotFound, SealBroken
from edge.index import lookup
from tests.fakes.archive import FakeArchive
from tests.samples import ct_series

PAGE = 4096
WAL_HEADER, FRAME = 32, 24 + PAGE


@pytest.fixture
async def archive():
    async with FakeArchive() as running:
        yield running


async def verify(cache, *samples):
    rows = [await lookup.find_one(cache.database, sample.ref.sop_uid) for sample in samples]
    await cache.ledger.settle([Settlement(row.instance_id, Custody.VERIFIED) for row in rows])


async def file_of(cache, sealed_files, sample):
    row = await lookup.find_one(cache.database, sample.ref.sop_uid)
    (path,) = (path for path in sealed_files() if path.name == row.object)
    return path


async def read(cache, ref):
    """What is served; damage behind the beginning tears the first answer off."""
    try:
        return await cache.read(ref)
    except SealBroken:
        return await cache.read(ref)


# Sealed objects -----------------------------------------------------------------------------------


def flipped(content):
    """A byte of every part of it: header, each chunk, each tag."""
    places = {*range(HEADER_LENGTH), len(content) - 1, len(content) - TAG}
    for start in range(HEADER_LENGTH, len(content), CHUNK + TAG):
        end = min(start + CHUNK + TAG, len(content))
        places |= {start, (start + end) // 2, end - TAG, end - 1}
    for at in sorted(places):
        yield f"flipped at {at}", content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def cut(content):
    """At every length that something could be thought to end at."""
    lengths = {0, 1, HEADER_LENGTH - 1, HEADER_LENGTH, HEADER_LENGTH + TAG, len(content) - 1}
    for end in range(HEADER_LENGTH, len(content), CHUNK + TAG):
        lengths |= {end - 1, end, end + 1, end + TAG}
    for length in sorted(lengths - {len(content)}):
        yield f"cut to {length}", content[:length]
    yield "longer", content + b"x"
    yield "zeros", bytes(len(content))


@pytest.mark.parametrize("damages", [flipped, cut])
async def test_an_object_that_was_changed_or_cut_is_fetched_again(
    open_cache, archive, sealed_files, damages
):
    (sample,) = ct_series(1, rows=256, columns=200)  # two chunks
    archive.put(sample.data)
    async with open_cache(archive=archive) as cache:
        assert await cache.read(sample.ref) == sample.data
        whole = (await file_of(cache, sealed_files, sample)).read_bytes()
        assert len(whole) > CHUNK + 100
        for number, (name, _) in enumerate(damages(whole)):
            path = await file_of(cache, sealed_files, sample)
            here = path.read_bytes()  # each fetch seals it anew
            path.write_bytes(list(damages(here))[number][1])
            assert await read(cache, sample.ref) == sample.data, name
            assert await file_of(cache, sealed_files, sample) != path, name
            path.unlink()


async def test_an_object_that_is_nowhere_else_is_lost_and_kept_aside_and_never_served(
    open_cache, sealed_files
):
    samples = list(ct_series(3, rows=16, columns=16))
    async with open_cache() as cache:
        for sample in samples:
            await cache.send(sample)
        paths = [await file_of(cache, sealed_files, sample) for sample in samples]
    for path, at in zip(paths, (10, 70, -1), strict=True):
        content = bytearray(path.read_bytes())
        content[at] ^= 1
        path.write_bytes(content)
    for number in range(2):
        async with open_cache() as cache:
            for sample in samples:
                with pytest.raises(InstanceNotFound, match="was lost"):
                    await read(cache, sample.ref)
                row = await lookup.find_one(cache.database, sample.ref.sop_uid)
                assert row.availability is Availability.UNAVAILABLE
            assert sorted(sealed_files()) == sorted(paths)
            # Found by whoever looks for it at the next start, and still served to nobody.
            assert len(cache.report.unreadable) == (len(paths) if number else 0)


async def test_objects_that_were_exchanged_are_fetched_again(open_cache, archive, sealed_files):
    one, two = ct_series(2, rows=16, columns=16)
    (other,) = ct_series(1, rows=16, columns=16, seed=7)
    for sample in (one, two, other):
        archive.put(sample.data)
    async with open_cache(archive=archive) as cache:
        for first, second in ((one, two), (one, other), (two, other)):
            for sample in (one, two, other):
                assert await read(cache, sample.ref) == sample.data
            pair = [await file_of(cache, sealed_files, sample) for sample in (first, second)]
            contents = [path.read_bytes() for path in pair]
            for path, content in zip(pair, reversed(contents), strict=True):
                path.write_bytes(content)
            for sample in (first, second):
                assert await read(cache, sample.ref) == sample.data


async def test_an_object_under_the_name_of_another_is_no_image(open_cache, sealed_files):
    one, two = ct_series(2, rows=16, columns=16)
    async with open_cache() as cache:
        await cache.send(one)
        await cache.send(two)
        path = await file_of(cache, sealed_files, one)
    named = path.with_name("0" * 32)
    folder = path.parents[1] / "00"
    folder.mkdir(exist_ok=True)
    shutil.copy(path, folder / named.name)
    async with open_cache() as cache:
        assert cache.report.unreadable == [named.name]
        assert len(await cache.retrieval.instances(one.ref.study_uid)) == 2


# The ring of keys ---------------------------------------------------------------------------------


def take(tmp_path, pattern):
    """Copies of files as they are now."""
    return {path: path.read_bytes() for path in tmp_path.glob(pattern)}


def put_back(files):
    for path, content in files.items():
        path.write_bytes(content)


async def test_an_older_ring_revives_no_study_that_was_erased(open_cache, tmp_path, sealed_files):
    (sample,) = ct_series(1, rows=16, columns=16)
    async with open_cache() as cache:
        await cache.send(sample)
        path = await file_of(cache, sealed_files, sample)
    ring, stolen = take(tmp_path, "keys.db*"), path.read_bytes()
    async with open_cache() as cache:
        await cache.deletion.delete(sample.ref.study_uid)
    assert len(ring) == 2
    put_back(ring)
    async with open_cache() as cache:
        assert cache.report.unused_keys == 1
        assert cache.keys.key_ids() == set()
        path.write_bytes(stolen)
        with pytest.raises(SealBroken, match="destroyed"):
            await cache.store.open(path.name)


async def test_an_older_ring_is_told_by_its_epoch(open_cache, tmp_path, caplog):
    async with open_cache():
        pass
    ring = take(tmp_path, "keys.db*")
    async with open_cache() as cache:
        await asyncio.to_thread(cache.keys.rotate)
    async with open_cache() as cache:
        assert not cache.report.older_ring
    put_back(ring)
    async with open_cache() as cache:
        assert cache.report.older_ring
    assert "the ring of keys is an older one than there was" in caplog.text
    async with open_cache() as cache:
        assert not cache.report.older_ring  # it is told once


async def test_what_an_older_ring_does_not_open_is_fetched_again_and_the_loss_is_told(
    open_cache, archive, tmp_path, caplog
):
    (before,) = ct_series(1, rows=16, columns=16)
    (after,) = ct_series(1, rows=16, columns=16, seed=7)
    for sample in (before, after):
        archive.put(sample.data)
    async with open_cache(archive=archive) as cache:
        await cache.read(before.ref)
    ring = take(tmp_path, "keys.db*")
    async with open_cache(archive=archive) as cache:
        await cache.read(after.ref)
    put_back(ring)
    async with open_cache(archive=archive) as cache:
        assert cache.report.missing_keys == 1
        assert "1 keys that objects need are not in the ring" in caplog.text
        for sample in (before, after):
            assert await read(cache, sample.ref) == sample.data
    async with open_cache(archive=archive) as cache:
        assert cache.report.missing_keys == 0
        assert await cache.read(after.ref) == after.data


async def test_what_one_copy_of_the_ring_lacks_is_of_no_consequence(open_cache, tmp_path):
    samples = [next(iter(ct_series(1, rows=16, columns=16, seed=seed))) for seed in range(5)]
    async with open_cache() as cache:
        await cache.send(samples[0])
    older = (tmp_path / "keys.db").read_bytes()
    async with open_cache() as cache:
        for sample in samples[1:]:
            await cache.send(sample)
    for copy in copies(tmp_path / "keys.db"):
        copy.write_bytes(older)
        async with open_cache() as cache:
            assert cache.report.missing_keys == 0
            for sample in samples:
                assert await cache.read(sample.ref) == sample.data


# The index ----------------------------------------------------------------------------------------


async def test_a_log_that_was_changed_or_cut_loses_no_image_and_shows_nothing_false(
    open_cache, tmp_path
):
    samples = list(ct_series(6, rows=16, columns=16))
    async with open_cache() as cache:
        for sample in samples:
            await cache.send(sample)
        files = await asyncio.to_thread(take, tmp_path, "index.db*")  # as a power cut leaves them
    index, log = tmp_path / "index.db", tmp_path / "index.db-wal"
    whole = files[log]
    frames = (len(whole) - WAL_HEADER) // FRAME
    assert frames > 20
    damages = [whole[: WAL_HEADER + frame * FRAME + 9] for frame in (0, 1, frames // 2, frames - 1)]
    damages += [b"", whole[:5], whole[: len(whole) // 2], bytes(len(whole))]
    for frame in (0, 1, frames // 3, frames // 2, frames - 2, frames - 1):
        for at in (3, 9, 24, 1000, FRAME - 1):
            damaged = bytearray(whole)
            damaged[WAL_HEADER + frame * FRAME + at] ^= 1
            damages.append(bytes(damaged))
    # Every byte of the log's header, and of the header of a frame that was committed.
    for at in (*range(WAL_HEADER), *range(WAL_HEADER + FRAME, WAL_HEADER + FRAME + 24)):
        damages.append(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    turned = bytearray(whole)  # two frames trade places
    first, second = (WAL_HEADER + frame * FRAME for frame in (frames // 2, frames // 2 + 1))
    turned[first : first + FRAME], turned[second : second + FRAME] = (
        whole[second : second + FRAME],
        whole[first : first + FRAME],
    )
    damages.append(bytes(turned))
    for number, damaged in enumerate(damages):
        for path in tmp_path.glob("index.db*"):
            path.unlink()
        index.write_bytes(files[index])
        log.write_bytes(damaged)
        async with open_cache() as cache:
            found = {row.ref for row in await lookup.find(cache.database, samples[0].ref.study_uid)}
            assert found == {sample.ref for sample in samples}, number
            for sample in samples:
                assert await cache.read(sample.ref) == sample.data, number


async def test_an_index_of_an_earlier_day_forgets_no_image(open_cache, tmp_path):
    samples = list(ct_series(4, rows=16, columns=16))
    async with open_cache() as cache:
        await cache.send(samples[0])
        await verify(cache, samples[0])
    older = take(tmp_path, "index.db*")
    async with open_cache() as cache:
        for sample in samples[1:]:
            await cache.send(sample)
    put_back(older)
    async with open_cache() as cache:
        assert cache.report.adopted == 3
        for sample in samples:
            assert await cache.read(sample.ref) == sample.data


async def test_what_was_deleted_stays_so_under_an_index_of_an_earlier_day(open_cache, tmp_path):
    (sample,) = ct_series(1, rows=16, columns=16)
    async with open_cache() as cache:
        await cache.send(sample)
    older = take(tmp_path, "index.db*")
    async with open_cache() as cache:
        await cache.deletion.delete(sample.ref.study_uid)
    put_back(older)
    async with open_cache() as cache:
        with pytest.raises(EdgeError):
            await read(cache, sample.ref)
