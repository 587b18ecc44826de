"""The one way in: what is said to be stored is, and what is not leaves nothing."""

from __future__ import annotations

import asyncio
import struct
import tracemalloc
from contextlib import ExitStack

import pytest

from edge.cache import admission as admission_module
from edge.cache.admission import Outcome, Source
from edge.dicom.instance import Custody, Origin
from edge.errors import (
    InstanceMismatch,
    InstanceTooLong,
    NotDicom,
    NotStorable,
    PeerError,
    StorageFull,
)
from edge.index import lookup
from edge.store.objects import PIECE
from tests.cache.conftest import MODALITY
from tests.samples import chunks, ct_series, distinct_files, multiframe, sample_uid


async def test_every_legal_packaged_file_goes_in_and_comes_out_byte_for_byte(cache):
    for path in distinct_files():
        data = path.read_bytes()
        admitted = await cache.send(data)
        assert admitted.outcome is Outcome.STORED, path.name
        assert await cache.read(admitted.ref) == data, path.name


async def test_the_pieces_do_not_matter(cache):
    (sample,) = ct_series(1, rows=32, columns=32)
    await cache.send(sample, size=1)
    assert await cache.read(sample.ref) == sample.data


async def test_the_same_bytes_again_are_a_success_and_nothing_is_written(cache, sealed_files):
    (sample,) = ct_series(1, rows=32, columns=32)
    assert (await cache.send(sample)).outcome is Outcome.STORED
    before = sealed_files()
    assert (await cache.send(sample)).outcome is Outcome.DUPLICATE
    assert sealed_files() == before


async def test_the_same_uid_with_other_bytes_is_kept_too_and_visible(cache, sealed_files):
    (sample,) = ct_series(1, rows=32, columns=32)
    changed = sample.data[:-2] + bytes([sample.data[-2] ^ 1, sample.data[-1]])
    await cache.send(sample)
    assert (await cache.send(changed)).outcome is Outcome.CONFLICT
    assert await cache.read(sample.ref) == sample.data
    assert len(sealed_files()) == 2
    assert await cache.database.read("SELECT count(*) FROM quarantine") == [(1,)]


async def test_two_senders_of_one_uid_at_once_leave_one_object(cache, sealed_files):
    (sample,) = ct_series(1, rows=64, columns=64)
    outcomes = await asyncio.gather(*(cache.send(sample, size=500) for _ in range(8)))
    assert sorted(admitted.outcome for admitted in outcomes) == ["DUPLICATE"] * 7 + ["STORED"]
    assert len(sealed_files()) == 1


async def test_instances_of_a_study_share_a_key_and_studies_do_not(cache):
    for seed in (1, 2):
        for sample in ct_series(3, rows=16, columns=16, seed=seed):
            await cache.send(sample)
    rows = await cache.database.read("SELECT DISTINCT study_id, key_id FROM instances")
    assert len(rows) == len({key for _, key in rows}) == 2


@pytest.mark.parametrize("keep", [0, 100, 132, 200, 1000, -1])
async def test_a_stream_that_ends_early_leaves_nothing(cache, sealed_files, keep):
    (sample,) = ct_series(1, rows=32, columns=32)
    with pytest.raises(NotDicom):
        await cache.send(sample.data[:keep])
    assert sealed_files() == []
    assert await cache.database.read("SELECT count(*) FROM studies") == [(0,)]


async def test_rubbish_is_refused(cache, sealed_files):
    for rubbish in (b"\x00" * 5000, b"GIF89a" * 1000, bytes(128) + b"DICM" + b"\xff" * 500):
        with pytest.raises(NotDicom):
            await cache.send(rubbish)
    assert sealed_files() == []


async def test_a_sender_that_breaks_off_leaves_nothing(cache, sealed_files):
    (sample,) = ct_series(1)

    async def broken():
        yield sample.data[:300_000]
        raise PeerError("the association was aborted")

    with pytest.raises(PeerError):
        await cache.admission.store_instance(broken(), MODALITY)
    assert sealed_files() == []


async def test_a_sender_that_is_cancelled_leaves_nothing(cache, sealed_files):
    (sample,) = ct_series(1)
    stuck = asyncio.Event()

    async def slow():
        yield sample.data[:300_000]
        stuck.set()
        await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(cache.admission.store_instance(slow(), MODALITY))
        await stuck.wait()
        task.cancel()
    assert sealed_files() == []


@pytest.mark.parametrize("which", ["sop_class_uid", "sop_uid", "study_uid"])
async def test_another_instance_than_was_announced_is_refused(cache, sealed_files, which):
    (sample,) = ct_series(1, rows=16, columns=16)
    with pytest.raises(InstanceMismatch, match="announced") as caught:
        await cache.admission.store_instance(
            chunks(sample.data), MODALITY, **{which: sample_uid("another")}
        )
    assert "1.2." not in str(caught.value)  # the message goes to the log
    assert sealed_files() == []


async def test_an_instance_that_is_too_long_is_refused(open_cache, sealed_files):
    (sample,) = ct_series(1)
    async with open_cache(max_instance_bytes=100_000) as cache:
        with pytest.raises(InstanceTooLong, match="longer than"):
            await cache.send(sample)
    assert sealed_files() == []


async def test_a_full_cache_refuses_before_it_takes_a_byte(open_cache):
    first, second = ct_series(2, rows=128, columns=128)
    async with open_cache(max_bytes=30_000) as cache:
        await cache.send(first)
        asked = False

        async def counted():
            nonlocal asked
            asked = True
            yield second.data

        with pytest.raises(StorageFull):
            await cache.admission.make_room()
        with pytest.raises(StorageFull):
            await cache.admission.store_instance(counted(), MODALITY)
        assert not asked


async def test_what_arrives_is_indexed_with_its_digests_and_owed(cache):
    (sample,) = ct_series(1, rows=16, columns=16)
    await cache.send(sample)
    row = await lookup.find_one(cache.database, sample.ref.sop_uid)
    assert row.content_bytes == len(sample.data)
    assert row.custody is Custody.EDGE_ONLY
    (owed,) = await cache.ledger.owed(1e12, max_bytes=1, max_count=10)
    assert owed.ref == sample.ref
    assert len(owed.dataset_digest) == 32


async def test_a_long_object_passes_through_in_bounded_pieces(cache):
    ref, pieces = multiframe(64 * 1024 * 1024)
    largest = 0

    async def stream():
        nonlocal largest
        for piece in pieces:
            yield piece
            largest = max(largest, cache.space._arriving)

    admitted = await cache.admission.store_instance(stream(), MODALITY)
    assert admitted.ref == ref
    assert cache.space._arriving == 0


async def test_in_a_crowd_little_is_held_until_the_study_is_known(cache):
    (sample,) = ct_series(1, rows=32, columns=32)
    # A private value of a mebibyte comes before the Study Instance UID; the sender then halts.
    meta = 144 + int.from_bytes(sample.data[140:144], "little")
    value = b"\x09\x00\x01\x10OB\x00\x00" + (1 << 20).to_bytes(4, "little") + bytes(900_000)
    halted, halt = asyncio.Event(), asyncio.Event()

    async def slowly():
        yield sample.data[:meta]
        for start in range(0, len(value), 10_000):
            yield value[start : start + 10_000]
        halted.set()
        await halt.wait()

    for crowd in (0, 300):
        with ExitStack() as others:
            for _ in range(crowd):
                others.enter_context(cache.store.allowance)
            halted.clear()
            sender = asyncio.create_task(cache.admission.store_instance(slowly(), MODALITY))
            tracemalloc.start()
            await halted.wait()
            held, _ = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            sender.cancel()
            await asyncio.wait([sender])
            assert (held < 400_000) is bool(crowd)
    assert cache.store.allowance.each == PIECE


async def test_attributes_without_number_are_refused_only_where_others_need_the_memory(
    cache, monkeypatch, sealed_files
):
    monkeypatch.setattr(admission_module, "MODELS", 2_000_000)
    greedy, other, small = ct_series(3, rows=16, columns=16)

    def many(sample):
        """The sample with private values before its end that count as 1.2 MB when understood."""
        pixels = sample.data.index(b"\xe0\x7f\x10\x00")
        extra = b"".join(
            struct.pack("<HH2sH", 0x5001 + 2 * (n // 0xF000), 0x1000 + n % 0xF000, b"LO", 8)
            + bytes(8)
            for n in range(2500)
        )
        return sample.data[:pixels] + extra + sample.data[pixels:]

    halted, halt = asyncio.Event(), asyncio.Event()

    async def slowly(data):
        yield data
        halted.set()
        await halt.wait()

    first = asyncio.create_task(cache.admission.store_instance(slowly(many(greedy)), MODALITY))
    await asyncio.wait_for(halted.wait(), 10)
    assert 1_000_000 < cache.admission._models < 2_000_000
    with pytest.raises(StorageFull, match="attributes"):
        await cache.send(many(other))
    assert (await cache.send(small)).outcome is Outcome.STORED
    halt.set()
    assert (await first).outcome is Outcome.STORED
    assert (await cache.send(many(other))).outcome is Outcome.STORED
    assert cache.admission._models == 0


async def test_a_change_wakes_whoever_waits(cache):
    (sample,) = ct_series(1, rows=16, columns=16)
    with cache.changes.subscribe() as woken:
        assert not await woken.wait(0.01)
        await cache.send(sample)
        assert await woken.wait(1)
        assert not await woken.wait(0.01)


@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
async def test_what_is_sent_again_replaces_an_object_that_is_damaged(cache, sealed_files, damage):
    (sample,) = ct_series(1, rows=256, columns=256)
    await cache.send(sample)
    (path,) = sealed_files()
    sealed = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(sealed[:-1] if damage == "cut" else sealed[:-1] + bytes([sealed[-1] ^ 1]))
    assert (await cache.send(sample)).outcome is Outcome.STORED
    assert await cache.read(sample.ref) == sample.data
    assert (await cache.send(sample)).outcome is Outcome.DUPLICATE


async def test_what_is_deleted_while_it_is_compared_is_stored_anew_and_was_not_damaged(
    cache, caplog
):
    (sample,) = ct_series(1)
    await cache.send(sample)
    opened = cache.store.open

    async def open_too_late(name):
        cache.store.open = opened
        await cache.deletion.delete(sample.ref.study_uid, only_copies=True)
        return await opened(name)

    cache.store.open = open_too_late
    assert (await cache.send(sample)).outcome is Outcome.STORED
    assert await cache.read(sample.ref) == sample.data
    assert "damaged" not in caplog.text


@pytest.mark.parametrize("sop_class", ["1.2.840.10008.1.1", "1.2.840.10008.5.1.4.38.1"])
async def test_what_is_of_another_service_than_storage_is_refused(cache, sealed_files, sop_class):
    (sample,) = ct_series(1)
    ct = b"1.2.840.10008.5.1.4.1.1.2\0"
    assert sample.data.count(ct) == 2
    data = sample.data.replace(ct, sop_class.encode().ljust(len(ct), b"\0"))
    with pytest.raises(NotStorable):
        await cache.send(data)
    assert sealed_files() == []
    # A private one can only be meant for storage.
    private = sample.data.replace(ct, b"1.2.826.0.1.3680043.1.1.2\0")
    assert (await cache.send(private)).outcome is Outcome.STORED
    source = Source(Origin.CLOUD, vouches=True)
    assert (await cache.admission.store_instance(chunks(data, 1000), source)).sop_class_uid
