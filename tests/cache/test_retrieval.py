"""The one way out: local, or one shared fetch; the first request already gets it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import zlib
from contextlib import aclosing
from pathlib import Path

import pydicom
import pytest
from pydicom.encaps import generate_frames

from edge.cloud.archive import first_value
from edge.dicom.instance import Availability, Custody
from edge.errors import CloudError, CloudUnreachable, InstanceNotFound, SealBroken
from edge.index import lookup
from tests.fakes.archive import FakeArchive, Fault
from tests.samples import ct_series, packaged_file


async def joined(pieces):
    return b"".join([piece async for piece in pieces])


@pytest.fixture
async def archive():
    async with FakeArchive() as running:
        yield running


@pytest.fixture
async def cache(open_cache, archive):
    async with open_cache(archive=archive) as opened:
        yield opened


async def test_a_study_that_only_the_archive_has_opens_at_the_first_request(cache, archive):
    samples = list(ct_series(3, rows=32, columns=32))
    for sample in samples:
        archive.put(sample.data)
    for sample in samples:
        assert await cache.read(sample.ref) == sample.data
    row = await lookup.find_one(cache.database, samples[0].ref.sop_uid)
    assert (row.availability, row.custody) == (Availability.ONLINE, Custody.VERIFIED)


async def test_it_still_opens_when_the_archive_is_gone(cache, archive):
    (sample,) = ct_series(1, rows=32, columns=32)
    archive.put(sample.data)
    await cache.read(sample.ref)
    await archive.stop()
    assert await cache.read(sample.ref) == sample.data


async def test_many_viewers_join_one_fetch(cache, archive):
    (sample,) = ct_series(1, rows=64, columns=64)
    archive.put(sample.data)
    await cache.retrieval.instances(sample.ref.study_uid)
    archive.faults["retrieve"].append(Fault(hang=0.2))
    contents = await asyncio.gather(*(cache.read(sample.ref) for _ in range(10)))
    assert set(contents) == {sample.data}
    retrievals = [path for _, path, _ in archive.requests if path.endswith(sample.ref.sop_uid)]
    assert len(retrievals) == 1


async def test_a_viewer_that_goes_away_ends_nothing_for_the_others(cache, archive):
    (sample,) = ct_series(1, rows=64, columns=64)
    archive.put(sample.data)
    await cache.retrieval.instances(sample.ref.study_uid)
    archive.faults["retrieve"].append(Fault(hang=0.2))
    async with asyncio.TaskGroup() as group:
        first = group.create_task(cache.read(sample.ref))
        second = group.create_task(cache.read(sample.ref))
        await asyncio.sleep(0.05)
        first.cancel()
    assert second.result() == sample.data


async def test_the_rest_of_a_series_follows_the_first_request(cache, archive):
    samples = list(ct_series(10, rows=16, columns=16))
    for sample in samples:
        archive.put(sample.data)
    await cache.read(samples[0].ref)
    async with asyncio.timeout(60):
        while True:
            rows = await lookup.find(cache.database, samples[0].ref.study_uid)
            if all(row.availability is Availability.ONLINE for row in rows):
                break
            await asyncio.sleep(0.02)
    assert len(rows) == 10


async def test_an_unreachable_archive_is_one_error(cache, archive):
    (sample,) = ct_series(1, rows=16, columns=16)
    archive.put(sample.data)
    (entry,) = await cache.retrieval.instances(sample.ref.study_uid)
    await archive.stop()
    with pytest.raises(CloudUnreachable, match="only the archive has this study"):
        async with cache.retrieval.open_instance(entry):
            pass
    await archive.start()
    assert await cache.read(sample.ref) == sample.data


async def test_an_unknown_study_is_nowhere(cache, archive):
    assert await cache.retrieval.instances("1.2.3.4.5") == []
    assert not await cache.retrieval.discover("1.2.3.4.5")


async def test_a_study_is_discovered_once(cache, archive):
    (sample,) = ct_series(1, rows=16, columns=16)
    archive.put(sample.data)
    assert await cache.retrieval.discover(sample.ref.study_uid)
    assert not await cache.retrieval.discover(sample.ref.study_uid)
    assert len(await lookup.find(cache.database, sample.ref.study_uid)) == 1


async def test_a_study_that_is_found_between_two_looks_is_given(cache, archive, monkeypatch):
    (sample,) = ct_series(1, rows=16, columns=16)
    archive.put(sample.data)

    async def is_known_by_now(database, study_uid):
        monkeypatch.undo()
        return await cache.retrieval.discover(study_uid)  # As a sweep that was under way.

    monkeypatch.setattr(lookup, "is_known", is_known_by_now)
    (entry,) = await cache.retrieval.instances(sample.ref.study_uid)
    assert entry.ref == sample.ref


async def test_an_unknown_study_is_not_denied_while_the_archive_can_not_be_asked(cache, archive):
    await archive.stop()
    with pytest.raises(CloudUnreachable):
        await cache.retrieval.instances("1.2.3.4.5")
    await archive.start()
    await cache.ledger.set_archive_state("cloud", online=False, reason="the line is down")
    with pytest.raises(CloudUnreachable, match="line to the archive is down"):
        await cache.retrieval.instances("1.2.3.4.5")
    assert archive.requests == []


async def test_a_fetch_that_breaks_off_leaves_nothing(cache, archive, sealed_files):
    (sample,) = ct_series(1)
    archive.put(sample.data)
    (entry,) = await cache.retrieval.instances(sample.ref.study_uid)
    archive.faults["retrieve"].append(Fault(cut_answer=200_000))
    with pytest.raises(CloudUnreachable):
        async with cache.retrieval.open_instance(entry):
            pass
    assert sealed_files() == []
    assert await cache.read(sample.ref) == sample.data


async def test_the_wrong_instance_from_the_archive_is_not_taken(cache, archive, sealed_files):
    one, two = ct_series(2, rows=16, columns=16)
    held = archive.put(one.data)
    (entry,) = await cache.retrieval.instances(one.ref.study_uid)
    archive.instances[one.ref.sop_uid] = type(held)(
        **{name: getattr(held, name) for name in held.__dataclass_fields__ if name != "part10"},
        part10=two.data,
    )
    with pytest.raises(CloudError, match="announced"):
        async with cache.retrieval.open_instance(entry):
            pass
    assert sealed_files() == []


async def test_metadata_of_a_remote_study_comes_before_its_bytes(cache, archive):
    samples = list(ct_series(3, rows=16, columns=16))
    for sample in samples:
        archive.put(sample.data)
    study_uid = samples[0].ref.study_uid
    documents = [
        json.loads(zlib.decompress(one)) async for _, one in cache.retrieval.metadata(study_uid)
    ]
    assert [first_value(one, "00080018") for one in documents] == [s.ref.sop_uid for s in samples]
    asked = archive.asked("metadata")
    async for _ in cache.retrieval.metadata(study_uid):
        pass
    assert archive.asked("metadata") == asked
    rows = await lookup.find(cache.database, study_uid)
    assert {row.availability for row in rows} == {Availability.NEARLINE}


async def test_when_there_is_no_room_the_instance_passes_through(open_cache, archive):
    mine, theirs = (next(iter(ct_series(1, rows=64, columns=64, seed=seed))) for seed in (1, 2))
    archive.put(theirs.data)
    async with open_cache(archive=archive, max_bytes=5_000) as cache:
        await cache.send(mine)
        (entry,) = await cache.retrieval.instances(theirs.ref.study_uid)
        async with cache.retrieval.open_instance(entry) as instance:
            content = b"".join([piece async for piece in instance.stream()])
            frame = await joined(instance.frame(1))
        assert content == theirs.data
        assert frame == theirs.data[-len(frame) :]
        row = await lookup.find_one(cache.database, theirs.ref.sop_uid)
        assert row.availability is Availability.NEARLINE


async def test_metadata_opens_no_object(cache, sealed_files):
    (sample,) = ct_series(1, rows=16, columns=16)
    await cache.send(sample)
    for path in sealed_files():
        path.unlink()
    ((ref, document),) = [one async for one in cache.retrieval.metadata(sample.ref.study_uid)]
    assert ref == sample.ref
    assert json.loads(zlib.decompress(document))["7FE00010"]["BulkDataURI"] == "7FE00010"


@pytest.mark.parametrize(
    "name",
    ["CT_small.dcm", "JPEG-lossy.dcm", "examples_ybr_color.dcm", "liver_1frame.dcm"],
)
async def test_frames_are_given_as_stored(cache, name):
    path = packaged_file(name)
    admitted = await cache.send(path.read_bytes())
    dataset = pydicom.dcmread(path)
    count = int(dataset.get("NumberOfFrames", 1))
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        expected = list(generate_frames(dataset.PixelData, number_of_frames=count))
    else:
        bits = dataset.Rows * dataset.Columns * dataset.SamplesPerPixel * dataset.BitsAllocated
        whole = int.from_bytes(dataset.PixelData, "little")
        expected = [
            (whole >> (bits * n) & (1 << bits) - 1).to_bytes(-(-bits // 8), "little")
            for n in range(count)
        ]
    (entry,) = await cache.retrieval.instances(admitted.ref.study_uid)
    assert entry.number_of_frames == count
    async with cache.retrieval.open_instance(entry) as instance:
        for number, frame in enumerate(expected, 1):
            assert await joined(instance.frame(number)) == frame
            assert instance.frame_length(number) == len(frame)
        for number in (0, count + 1):
            with pytest.raises(InstanceNotFound):
                await joined(instance.frame(number))


async def test_bulk_values_and_inline_ones_are_given_by_their_path(cache):
    path = packaged_file("CT_small.dcm")
    admitted = await cache.send(path.read_bytes())
    dataset = pydicom.dcmread(path)
    (entry,) = await cache.retrieval.instances(admitted.ref.study_uid)
    async with cache.retrieval.open_instance(entry) as instance:
        pixels = b"".join([piece async for piece in instance.bulk("7FE00010")])
        assert pixels == dataset.PixelData
        for wrong in ("00100010", "7FE00010/0/00100010", "nonsense", "99999999", "0008/x"):
            with pytest.raises(InstanceNotFound):
                async for _ in instance.bulk(wrong):
                    pass


async def test_a_deflated_data_set_gives_its_pixels(cache):
    path = packaged_file("image_dfl.dcm")
    admitted = await cache.send(path.read_bytes())
    (entry,) = await cache.retrieval.instances(admitted.ref.study_uid)
    async with cache.retrieval.open_instance(entry) as instance:
        assert await joined(instance.frame(1)) == pydicom.dcmread(path).PixelData[: 512 * 512]


async def test_a_damaged_object_is_never_served(cache, sealed_files):
    (sample,) = ct_series(1, rows=256, columns=256)
    await cache.send(sample)
    (path,) = sealed_files()
    sealed = bytearray(path.read_bytes())
    sealed[len(sealed) // 2] ^= 1
    path.write_bytes(sealed)
    with pytest.raises(SealBroken):
        await cache.read(sample.ref)


async def whole(cache, entries):
    found = []

    async def take(piece):
        found[-1][2].extend(piece)

    async with aclosing(cache.retrieval.whole_instances(entries)) as instances:
        async for instance in instances:
            found.append((instance.entry.ref.sop_uid, instance.size, bytearray()))
            await instance.pass_to(take)
    return found


async def test_many_instances_are_read_whole_in_their_order(cache, archive):
    samples = list(ct_series(7, rows=32, columns=32))
    for sample in samples:
        archive.put(sample.data)
    entries = await cache.retrieval.instances(samples[0].ref.study_uid)
    assert {entry.object for entry in entries} == {""}
    expected = [(sample.ref.sop_uid, len(sample.data), sample.data) for sample in samples]
    assert await whole(cache, entries) == expected

    entries = await cache.retrieval.instances(samples[0].ref.study_uid)
    assert all(entry.object for entry in entries)
    await archive.stop()
    assert await whole(cache, entries) == expected


async def test_of_many_instances_a_damaged_one_is_fetched_again(cache, archive, sealed_files):
    samples = list(ct_series(3, rows=32, columns=32))
    for sample in samples:
        archive.put(sample.data)
    for sample in samples:
        await cache.read(sample.ref)
    entries = await cache.retrieval.instances(samples[0].ref.study_uid)
    (path,) = (path for path in sealed_files() if path.name == entries[1].object)
    path.write_bytes(b"x" + path.read_bytes()[1:])
    assert [content for _, _, content in await whole(cache, entries)] == [
        sample.data for sample in samples
    ]


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


async def until_open(count):
    """Wait until so many files are open, and stay so for a while."""
    async with asyncio.timeout(30):
        while True:
            await asyncio.sleep(0.2)
            if open_files() == count:
                return


async def gone(_piece):
    raise ConnectionError


@pytest.mark.parametrize("size", [32, 1024])
async def test_who_stops_reading_many_instances_leaves_no_file_open(cache, size):
    samples = list(ct_series(5, rows=size, columns=size))
    for sample in samples:
        await cache.send(sample)
    entries = await cache.retrieval.instances(samples[0].ref.study_uid)
    before = open_files()
    async with aclosing(cache.retrieval.whole_instances(entries)) as instances:
        async for instance in instances:
            with pytest.raises(ConnectionError):
                await instance.pass_to(gone)
            break
    await until_open(before)  # those behind it were being opened


async def test_many_instances_that_can_not_be_opened_leave_no_file_open(cache, sealed_files):
    samples = list(ct_series(4, rows=1024, columns=1024))
    for sample in samples:
        await cache.send(sample)
    entries = await cache.retrieval.instances(samples[0].ref.study_uid)
    (path,) = (path for path in sealed_files() if path.name == entries[0].object)
    path.unlink()
    path.symlink_to(path)
    before = open_files()
    for _ in range(3):
        with pytest.raises(OSError, match="symbolic"):
            await whole(cache, entries)
    await until_open(before)  # those behind it were being opened


async def test_another_instance_never_passes_through(open_cache, archive):
    mine, asked, other = (next(iter(ct_series(1, rows=64, columns=64, seed=n))) for n in (1, 2, 3))
    held = archive.put(asked.data)
    async with open_cache(archive=archive, max_bytes=5_000) as cache:
        await cache.send(mine)
        (entry,) = await cache.retrieval.instances(asked.ref.study_uid)
        archive.instances[asked.ref.sop_uid] = dataclasses.replace(held, part10=other.data)
        with pytest.raises(CloudError, match="announced"):
            async with cache.retrieval.open_instance(entry):
                pass


async def test_a_damaged_object_is_fetched_again_where_the_archive_has_it(
    cache, archive, sealed_files
):
    (sample,) = ct_series(1, rows=256, columns=256)
    archive.put(sample.data)
    await cache.read(sample.ref)
    for position in (0, -20):
        path = max(sealed_files(), key=lambda found: found.stat().st_mtime_ns)
        sealed = bytearray(path.read_bytes())
        sealed[position] ^= 1
        path.write_bytes(sealed)
        try:
            content = await cache.read(sample.ref)
        except SealBroken:
            content = await cache.read(sample.ref)
        assert content == sample.data


async def test_a_damaged_object_that_is_nowhere_else_is_reported_as_lost(cache, sealed_files):
    (sample,) = ct_series(1, rows=64, columns=64)
    await cache.send(sample)
    (path,) = sealed_files()
    path.write_bytes(b"x" + path.read_bytes()[1:])
    with pytest.raises(InstanceNotFound, match="was lost"):
        await cache.read(sample.ref)
    row = await lookup.find_one(cache.database, sample.ref.sop_uid)
    assert row.availability is Availability.UNAVAILABLE
    await cache.send(sample)
    assert await cache.read(sample.ref) == sample.data


async def test_an_entry_of_before_a_replacement_opens_what_is_here_now(cache):
    first, second = ct_series(2, rows=32, columns=32)
    for sample in (first, second):
        await cache.send(sample)
    entry, other = await cache.retrieval.instances(first.ref.study_uid)
    if entry.ref != first.ref:
        entry, other = other, entry
    # Its row now names another object than the entry does.
    stale = dataclasses.replace(entry, object=other.object, size=other.size)
    async with cache.retrieval.open_instance(stale) as instance:
        assert await joined(instance.stream()) == first.data
    gone = dataclasses.replace(entry, object="0" * 32)
    async with cache.retrieval.open_instance(gone) as instance:
        assert await joined(instance.stream()) == first.data


async def test_who_goes_away_while_an_instance_is_opened_leaves_no_file_open(cache):
    sample = next(iter(ct_series(1, rows=900, columns=900)))  # more than is opened as a whole
    await cache.send(sample)
    (entry,) = await cache.retrieval.instances(sample.ref.study_uid)
    before = open_files()

    async def look():
        async with cache.retrieval.open_instance(entry):
            await asyncio.Event().wait()

    for turns in range(12):
        viewer = asyncio.create_task(look())
        for _ in range(turns):
            await asyncio.sleep(0.0005)
        viewer.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await viewer
    await until_open(before)
