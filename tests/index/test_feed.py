"""The change feed's rows: their order, what they mean by now, and where a follower goes on."""

from __future__ import annotations

import asyncio
import time
import zlib
from functools import partial

import pytest

from edge.dicom.instance import InstanceRef
from edge.index import feed
from edge.index.database import Database
from edge.index.feed import Action, State
from tests.index.conftest import KEY

REF = InstanceRef("1.2.3", "1.2.3.1", "1.2.3.1.1")


@pytest.fixture
def record(database):
    async def call(action, ref=REF, *, at=1000.0):
        await database.write(lambda db: feed.record(db, action, ref, at))

    return call


def other(number):
    return InstanceRef("1.2.3", "1.2.3.1", f"1.2.3.1.{number}")


async def test_an_instance_that_comes_in_is_a_creation(database, put, new_instance):
    await put(new_instance(sop="1.2.3.1.7"), now=1234.5)
    [change] = await feed.changes_after(database, 0, limit=10)
    assert change.action is Action.CREATE
    assert change.state is State.CURRENT
    assert change.ref == InstanceRef("1.2.3", "1.2.3.1", "1.2.3.1.7")
    assert change.at == 1234.5


async def test_what_a_change_means_depends_on_what_came_after(database, record):
    await record("CREATE", other(2))
    for action, states in (
        ("CREATE", ["current"]),
        ("UPDATE", ["replaced", "current"]),
        ("DELETE", ["deleted", "deleted", "deleted"]),
        ("CREATE", ["replaced", "replaced", "replaced", "current"]),
    ):
        await record(action)
        changes = await feed.changes_after(database, 0, limit=10)
        assert [change.state for change in changes] == ["current", *states]


async def test_numbers_have_no_gaps_though_writes_fail(database, record):
    def fail(db):
        feed.record(db, "CREATE", REF, 1.0)
        raise ValueError("this one is undone")

    for number in range(20):
        await record("CREATE", other(number))
        with pytest.raises(ValueError, match="undone"):
            await database.write(fail)
    numbers = [change.sequence for change in await feed.changes_after(database, 0, limit=100)]
    assert numbers == list(range(numbers[0], numbers[0] + 20))


async def test_who_follows_by_number_misses_nothing_that_is_written_meanwhile(database, record):
    seen, done = [], asyncio.Event()

    async def follow():
        while not done.is_set() or await feed.changes_after(database, seen[-1], limit=1):
            page = await feed.changes_after(database, seen[-1] if seen else 0, limit=7)
            seen.extend(change.sequence for change in page)

    async def write(sender):
        for number in range(50):
            await record("CREATE", other(sender * 100 + number))

    async with asyncio.TaskGroup() as group:
        group.create_task(follow())
        async with asyncio.TaskGroup() as senders:
            for sender in range(4):
                senders.create_task(write(sender))
        done.set()
    assert seen == list(range(seen[0], seen[0] + 200))


@pytest.mark.parametrize("by_number", [False, True])
async def test_a_follower_may_count_or_go_on_by_number(database, record, by_number):
    for number in range(10):
        await record("CREATE", other(number))
    seen = []
    for _ in range(5):
        position = seen[-1].sequence if by_number and seen else len(seen)
        after = await feed.position_after(database, position)
        seen += await feed.changes_after(database, after, limit=3)
    assert [change.ref for change in seen] == [other(number) for number in range(10)]


async def test_nothing_is_found_behind_the_end(database, record):
    assert await feed.position_after(database, 5) == 5
    assert await feed.latest_change(database) is None
    await record("CREATE")
    latest = await feed.latest_change(database)
    assert await feed.changes_after(database, latest.sequence, limit=10) == []
    assert await feed.position_after(database, 7) > latest.sequence


async def test_an_index_made_anew_goes_on_above_the_lost_one(tmp_path):
    numbers = []
    for name in ("lost", "anew"):
        async with Database(tmp_path / name, KEY) as database:
            for number in range(5):
                await database.write(
                    partial(feed.record, action="CREATE", ref=other(number), now=1.0)
                )
            numbers.append((await feed.latest_change(database)).sequence)
        await asyncio.sleep(1.1)
    lost, anew = numbers
    assert anew - 5 >= lost
    assert anew < 2**53


async def test_a_span_of_time_begins_with_its_start_and_ends_before_its_end(database, record):
    for at in (10.0, 20.0, 30.0):
        await record("CREATE", other(at), at=at)

    async def times(start, end, **page):
        found = await feed.changes_between(database, start, end, **{"offset": 0, "limit": 9} | page)
        return [change.at for change in found]

    assert await times(10.0, 30.0) == [10.0, 20.0]
    assert await times(10.5, 99.0) == [20.0, 30.0]
    assert await times(0.0, 99.0, offset=1, limit=1) == [20.0]
    assert await times(31.0, 99.0) == []


async def test_a_span_is_in_the_order_of_commit_though_the_clock_was_set_back(database, record):
    for at in (50.0, 40.0, 60.0):
        await record("CREATE", other(at), at=at)
    changes = await feed.changes_between(database, 0.0, 99.0, offset=0, limit=9)
    assert [change.at for change in changes] == [50.0, 40.0, 60.0]


async def test_a_span_waits_for_what_is_being_committed(database, record):
    writes = [
        asyncio.ensure_future(record("CREATE", other(number), at=time.time()))
        for number in range(30)
    ]
    await asyncio.sleep(0)
    changes = await feed.changes_between(database, 0.0, time.time() + 1, offset=0, limit=99)
    assert len(changes) == 30
    await asyncio.gather(*writes)


async def test_reading_uses_the_indexes(database, record):
    async def plan(sql, *parameters):
        rows = await database.read(f"EXPLAIN QUERY PLAN {sql}", parameters)
        return "; ".join(row[3] for row in rows)

    text = await plan(f"{feed._CHANGE} WHERE c.sequence > ? ORDER BY c.sequence LIMIT ?", 1, 2)
    assert "SCAN" not in text
    assert "changes_by_instance" in text


async def test_the_document_is_that_of_now(database, put, new_instance):
    await put(new_instance(sop="1.2.3.1.7", t00080060=("CS", "MR")))
    assert b'"MR"' in zlib.decompress(await feed.document_of(database, "1.2.3.1.7"))
    assert await feed.document_of(database, "1.2.3.1.8") is None
