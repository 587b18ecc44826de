"""What leaves the trash for good: after its days or by a person's wish, and only if it is safe."""

from __future__ import annotations

import asyncio

import pytest

from edge.cache.ledger import Settlement
from edge.cache.trash import Query
from edge.dicom.instance import Custody, Withheld
from edge.errors import StorageFull
from edge.index import lookup
from tests.cache.test_eviction import Clock, verify
from tests.index.rows import counters_are_true
from tests.samples import ct_series

DAY = 86400.0
SAMPLES = list(ct_series(3, rows=32, columns=32))
REFS = [sample.ref for sample in SAMPLES]


@pytest.fixture
async def trashed(open_cache):
    """A cache with two of three images in the trash, and a clock."""
    clock = Clock()
    async with open_cache(clock=clock) as cache:
        for sample in SAMPLES:
            await cache.send(sample)
        await verify(cache, *SAMPLES)
        await cache.trash.put(REFS[:2], archive="cloud", reason="gone")
        cache.now = clock
        yield cache


async def test_it_is_erased_after_its_days_and_not_before(trashed, sealed_files, tmp_path):
    trashed.now.now += 30 * DAY - 1
    assert await trashed.emptying.step() == 0
    assert len(sealed_files()) == 3
    trashed.now.now += 1
    assert await trashed.emptying.step() == 2
    assert len(sealed_files()) == 1
    assert await lookup.find_one(trashed.database, REFS[0].sop_uid) is None
    assert await counters_are_true(trashed.database)
    await trashed.trash.tidy()
    assert list((tmp_path / "trash").glob("*")) == []
    assert list((tmp_path / "tombstones").glob("*")) == []
    # The archive may have it again: nothing keeps it from coming back.
    assert await trashed.database.read("SELECT count(*) FROM tombstones") == [(0,)]
    assert await trashed.database.read("SELECT count(*) FROM changes WHERE action = 'DELETE'") == [
        (2,)
    ]
    await trashed.send(SAMPLES[0])
    assert (await lookup.find_one(trashed.database, REFS[0].sop_uid)).withheld is Withheld.NO


async def test_a_clock_that_was_behind_ends_no_days(trashed, sealed_files):
    assert await trashed.emptying.step() == 0
    trashed.now.now += 40 * DAY  # It is set right.
    assert await trashed.emptying.step() == 0
    assert len(sealed_files()) == 3
    for _ in range(24 * 30 + 1):
        trashed.now.now += 3600.0
        if await trashed.emptying.step():
            break
    assert len(sealed_files()) == 1


async def test_a_clock_that_was_ahead_makes_nobody_wait_for_longer(trashed):
    assert await trashed.emptying.step() == 0
    trashed.now.now -= 8 * DAY
    assert await trashed.emptying.step() == 0
    [first, _] = (await trashed.trash.contents(Query())).items
    assert abs(first.until - trashed.now.now - 30 * DAY) < 1


async def test_a_person_need_not_wait(trashed, sealed_files):
    assert await trashed.trash.empty(Query((REFS[0].sop_uid, REFS[2].sop_uid))) == 1
    [first, second] = (await trashed.trash.contents(Query())).items
    assert {first.until is None, second.until is None} == {True, False}
    assert await trashed.emptying.step() == 1
    assert len(sealed_files()) == 2


async def test_what_has_a_doubt_about_it_is_taken_back_and_not_erased(trashed, sealed_files):
    row = await lookup.find_one(trashed.database, REFS[0].sop_uid)
    await trashed.ledger.settle([Settlement(row.instance_id, Custody.ACKNOWLEDGED)])
    row = await lookup.find_one(trashed.database, REFS[1].sop_uid)
    await trashed.database.write(
        lambda db: db.execute("INSERT INTO remedies VALUES (?, '', '{}', NULL)", (row.instance_id,))
    )
    trashed.now.now += 31 * DAY
    assert await trashed.emptying.step() == 0
    assert len(sealed_files()) == 3
    rows = [await lookup.find_one(trashed.database, ref.sop_uid) for ref in REFS[:2]]
    assert [row.withheld for row in rows] == [Withheld.NO, Withheld.NO]
    assert [row.custody for row in rows] == [Custody.ACKNOWLEDGED, Custody.EDGE_ONLY]


async def test_one_that_is_taken_back_while_it_is_being_erased_stays(trashed, monkeypatch):
    trashed.now.now += 31 * DAY
    write = trashed.tombstones.write
    once = []

    async def and_taken_back(record):
        if not once:
            once.append(record)
            await trashed.trash.take_back([REFS[0].sop_uid])
        return await write(record)

    monkeypatch.setattr(trashed.tombstones, "write", and_taken_back)
    assert await trashed.emptying.step() == 1
    assert await trashed.read(REFS[0]) == SAMPLES[0].data
    assert await trashed.tombstones.read_all() == {}


async def test_a_study_of_which_nothing_is_left_takes_its_key_along(open_cache):
    async with open_cache() as cache:
        await cache.send(SAMPLES[0])
        await verify(cache, SAMPLES[0])
        await cache.trash.put(REFS, archive="cloud", reason="gone")
        await cache.trash.empty(Query())
        assert len(cache.keys.key_ids()) == 1
        assert await cache.emptying.step() == 1
        assert cache.keys.key_ids() == set()
    async with open_cache() as cache:
        assert cache.report.unused_keys == 0


async def test_the_part_looks_when_a_person_wants_it(trashed, sealed_files):
    task = asyncio.create_task(trashed.emptying.run())
    try:
        await asyncio.sleep(0.05)
        await trashed.trash.empty(Query())
        async with asyncio.timeout(60):
            with trashed.changes.subscribe() as woken:
                while len(sealed_files()) > 1:
                    await woken.wait(0.05)
    finally:
        task.cancel()


async def test_a_full_disk_erases_nothing(trashed, sealed_files, monkeypatch):
    async def full(_):
        raise StorageFull("full")

    monkeypatch.setattr(trashed.tombstones, "write", full)
    trashed.now.now += 31 * DAY
    with pytest.raises(StorageFull):
        await trashed.emptying.step()
    assert len(sealed_files()) == 3
