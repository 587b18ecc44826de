"""Making room: VERIFIED objects by age of last use, and nothing else, ever."""

from __future__ import annotations

import pytest

from edge.cache.eviction import TRUSTED
from edge.cache.ledger import Settlement
from edge.dicom.instance import Availability, Custody
from edge.index import lookup
from tests.fakes.archive import FakeArchive, Fault
from tests.samples import ct_series


class Clock:
    """POSIX seconds that move when they are told to."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


async def verify(cache, *samples):
    rows = [await lookup.find_one(cache.database, sample.ref.sop_uid) for sample in samples]
    await cache.ledger.settle([Settlement(row.instance_id, Custody.VERIFIED) for row in rows])


async def online(cache, samples):
    rows = [await lookup.find_one(cache.database, sample.ref.sop_uid) for sample in samples]
    return [row.availability is Availability.ONLINE for row in rows]


async def test_the_longest_unused_goes_first_down_to_the_low_mark(open_cache, sealed_files):
    clock, samples = Clock(), list(ct_series(10, rows=64, columns=64))
    async with open_cache(max_bytes=10**9, clock=clock) as cache:
        for sample in samples:
            clock.now += 60
            await cache.send(sample)
        await verify(cache, *samples)
        clock.now += 60
        await cache.read(samples[0].ref)
        size = cache.space.used // 10
        await cache.uses.flush()
        clock.now += 60
    async with open_cache(max_bytes=size * 10, clock=clock) as cache:
        assert cache.space.above_high_mark
        assert await cache.eviction.make_room() == 2 * size
        assert await online(cache, samples) == [True, False, False, *[True] * 7]
        assert len(sealed_files()) == 8
        assert not cache.space.above_high_mark


async def test_what_is_not_verified_is_never_taken(open_cache, sealed_files):
    samples = list(ct_series(6, rows=64, columns=64))
    async with open_cache() as cache:
        for sample in samples:
            await cache.send(sample)
        size = cache.space.used // 6
    for custody in Custody:
        if custody is Custody.VERIFIED:
            continue
        async with open_cache(max_bytes=size) as cache:
            rows = [await lookup.find_one(cache.database, s.ref.sop_uid) for s in samples]
            await cache.ledger.settle([Settlement(r.instance_id, custody) for r in rows])
            assert await cache.eviction.make_room() == 0
            assert all(await online(cache, samples))
    assert len(sealed_files()) == 6


async def test_what_was_used_lately_is_spared_until_nothing_else_is_left(open_cache):
    clock, samples = Clock(), list(ct_series(4, rows=64, columns=64))
    async with open_cache(clock=clock) as cache:
        for sample in samples[:2]:
            await cache.send(sample)
        clock.now += 10 * 86400
        for sample in samples[2:]:
            await cache.send(sample)
        await verify(cache, *samples)
        size = cache.space.used // 4
    clock.now += 86400
    async with open_cache(max_bytes=size * 3, keep_days=5, clock=clock) as cache:
        await cache.eviction.make_room()
        assert await online(cache, samples) == [False, False, True, True]
    async with open_cache(max_bytes=size, keep_days=5, clock=clock) as cache:
        await cache.eviction.make_room()
        assert await online(cache, samples) == [False] * 4


async def test_an_object_that_is_being_read_is_read_to_its_end(open_cache):
    (sample,) = ct_series(1)
    async with open_cache() as cache:
        await cache.send(sample)
        await verify(cache, sample)
    async with open_cache(max_bytes=1) as cache:
        (entry,) = await cache.retrieval.instances(sample.ref.study_uid)
        async with cache.retrieval.open_instance(entry) as instance:
            assert await cache.eviction.make_room() > 0
            content = b"".join([piece async for piece in instance.stream()])
        assert content == sample.data


async def test_uses_of_a_clock_that_was_ahead_keep_nothing_here(open_cache):
    clock, samples = Clock(), list(ct_series(2, rows=64, columns=64))
    clock.now += 365 * 86400
    async with open_cache(clock=clock) as cache:
        for sample in samples:
            await cache.send(sample)
        await verify(cache, *samples)
    clock.now -= 365 * 86400
    async with open_cache(max_bytes=1, clock=clock) as cache:
        await cache.eviction.make_room()
        assert await online(cache, samples) == [False, False]


class TestBeforeItGoes:
    """The archive is asked whether it still has what is about to go."""

    @pytest.fixture
    async def archive(self):
        async with FakeArchive() as running:
            yield running

    @pytest.fixture
    async def samples(self, open_cache, archive):
        """Six that the archive has, verifiably, and the cache."""
        samples = list(ct_series(6, rows=64, columns=64))
        async with open_cache(clock=Clock()) as cache:
            for sample in samples:
                archive.put(sample.data)
                await cache.send(sample)
            await verify(cache, *samples)
        return samples

    async def test_what_the_archive_lists_goes(self, open_cache, archive, samples):
        async with open_cache(archive=archive, max_bytes=1) as cache:
            await cache.eviction.make_room()
            assert await online(cache, samples) == [False] * 6
        assert archive.asked("instances") == 1

    async def test_what_the_archive_lost_stays_and_is_owed_again(
        self, open_cache, archive, samples, caplog
    ):
        for sample in samples[:2]:
            del archive.instances[sample.ref.sop_uid]
        async with open_cache(archive=archive, max_bytes=1) as cache:
            await cache.eviction.make_room()
            assert await online(cache, samples) == [True, True, *[False] * 4]
            rows = [await lookup.find_one(cache.database, it.ref.sop_uid) for it in samples]
            assert [row.custody for row in rows[:2]] == [Custody.SENT] * 2
        assert "lost 2 instances" in caplog.text

    async def test_a_series_that_is_gone_stays_until_it_is_known_whether_it_was_deleted_there(
        self, open_cache, archive, samples
    ):
        archive.instances.clear()
        async with open_cache(archive=archive, max_bytes=1) as cache:
            assert await cache.eviction.make_room() == 0
            row = await lookup.find_one(cache.database, samples[0].ref.sop_uid)
            assert (row.availability, row.custody) == (Availability.ONLINE, Custody.VERIFIED)
            assert await cache.database.read("SELECT state, is_whole FROM absences") == [
                ("SUSPECTED", 0)
            ]
            asked = len(archive.requests)
            assert await cache.eviction.make_room() == 0
            assert len(archive.requests) == asked

    @pytest.mark.parametrize("fault", [Fault(status=503), Fault(status=400), Fault(cut_answer=5)])
    async def test_an_archive_that_can_not_be_asked_is_believed_for_a_while(
        self, open_cache, archive, samples, fault
    ):
        clock = Clock()
        clock.now += TRUSTED - 1
        archive.faults["search"].extend([fault] * 100)
        async with open_cache(archive=archive, clock=clock, max_bytes=1) as cache:
            await cache.eviction.make_room()
            assert await online(cache, samples) == [False] * 6

    async def test_but_not_for_ever(self, open_cache, archive, samples):
        clock = Clock()
        clock.now += TRUSTED + 1
        await archive.stop()
        async with open_cache(archive=archive, clock=clock, max_bytes=1) as cache:
            assert await cache.eviction.make_room() == 0
            assert await online(cache, samples) == [True] * 6

    async def test_an_archive_that_can_not_be_asked_is_let_alone_for_a_while(
        self, open_cache, archive, samples
    ):
        clock = Clock()
        clock.now += TRUSTED + 1
        archive.faults["search"].append(Fault(status=503))
        async with open_cache(archive=archive, clock=clock, max_bytes=1) as cache:
            for _ in range(5):
                assert await cache.eviction.make_room() == 0
            assert len(archive.requests) == 1
            clock.now += 61
            assert await cache.eviction.make_room() > 0

    async def test_an_archive_that_is_known_to_be_away_is_not_asked(
        self, open_cache, archive, samples
    ):
        async with open_cache(archive=archive, clock=Clock(), max_bytes=1) as cache:
            await cache.ledger.set_archive_state("cloud", online=False, reason="no line")
            await cache.eviction.make_room()
            assert await online(cache, samples) == [False] * 6
        assert archive.requests == []
