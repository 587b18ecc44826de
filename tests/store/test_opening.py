"""Opening, by the store's process or a thread: what is given, what is shared, what fails."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import ExitStack
from pathlib import Path

import pytest

from edge.crypto.sealed import CHUNK, Algorithm
from edge.errors import EdgeError, InstanceNotFound, SealBroken
from edge.store.keeper import ProcessKeeper
from edge.store.messages import MEMORY, SLOT
from edge.store.objects import PIECE, ObjectStore, Wanted, abandon
from edge.store.opening import Opening
from tests.store.conftest import suspend


@pytest.fixture(params=["the process", "a thread"])
def opened_by(request, monkeypatch):
    """Who opens small objects."""
    if request.param == "a thread":
        monkeypatch.setattr(ProcessKeeper, "now", None)
    return request.param


@pytest.fixture(autouse=True)
def told(monkeypatch):
    """How often a thread has opened something."""
    told = []
    opening = Opening._open_each

    def watched(self, wanted, begin):
        told.extend(wanted)
        return opening(self, wanted, begin)

    monkeypatch.setattr(Opening, "_open_each", watched)
    return told


async def put(store, keys, content):
    key = await asyncio.to_thread(keys.new_study_key)
    writer = store.create(key, 0)
    await writer.write(content)
    await writer.begin_commit()
    return await writer.commit()


def wanted(stored):
    return Wanted(stored.name, stored.content_bytes, stored.key_id)


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


async def read(opening):
    """All of what was opened, which is closed."""
    reader = await opening
    content = b"".join([piece async for piece in reader.stream()])
    await reader.close()
    return content


@pytest.mark.usefixtures("opened_by")
@pytest.mark.parametrize("length", [0, 1, 65536, 65537, PIECE, PIECE + 1])
async def test_an_object_is_opened_while_other_things_are_done(store, keys, length):
    content = os.urandom(length)
    stored = await put(store, keys, content)
    before = open_files()
    reader = await store.start_opening(wanted(stored))
    assert open_files() == before + (length > PIECE)
    assert reader.content == (content if length <= PIECE else None)
    assert reader.key_id == stored.key_id
    assert await reader.read(0, length + 5) == content
    assert await reader.read(length // 2, 7) == content[length // 2 :][:7]
    assert b"".join([piece async for piece in reader.stream(1)]) == content[1:]
    await reader.close()
    assert open_files() == before


async def test_small_ones_are_opened_by_the_process_and_long_ones_are_not(store, keys, told):
    small = [await put(store, keys, os.urandom(PIECE)) for _ in range(3)]
    long = await put(store, keys, os.urandom(PIECE + 1))
    for opening in store.open_all([wanted(one) for one in (*small, long)]):
        await (await opening).close()
    assert told == [wanted(long)]


async def test_more_than_the_lane_holds_waits_its_turn(store, keys, told):
    contents = [os.urandom(5 * SLOT - number) for number in range(20)]
    stored = [await put(store, keys, content) for content in contents]
    many = [wanted(one) for one in stored] * (2 * MEMORY // (100 * SLOT) + 1)
    found = await asyncio.gather(*map(read, store.open_all(many)))
    assert [hash(one) for one in found] == [hash(one) for one in contents] * (len(many) // 20)
    assert told == []


async def test_very_many_tiny_ones_are_asked_for_in_messages_that_fit(store, keys, told):
    stored = await put(store, keys, b"tiny")
    found = await asyncio.gather(*map(read, store.open_all([wanted(stored)] * 1000)))
    assert set(found) == {b"tiny"}
    assert told == []


async def test_one_that_was_set_aside_is_opened_too(store, keys, told):
    stored = await put(store, keys, b"content")
    await store.set_aside(stored.name)
    assert await read(store.start_opening(wanted(stored))) == b"content"
    assert told == [wanted(stored)]


async def test_a_key_that_was_not_met_yet_is_found(store, keys, told):
    stored = await put(store, keys, b"content")
    keys._open.clear()
    assert await read(store.start_opening(wanted(stored))) == b"content"
    assert await read(store.start_opening(wanted(stored))) == b"content"
    assert told == [wanted(stored)]


async def test_with_a_key_that_was_destroyed_nothing_opens(store, keys):
    stored = await put(store, keys, b"content")
    await asyncio.to_thread(keys.destroy, [stored.key_id])
    with pytest.raises(SealBroken, match="destroyed"):
        await store.start_opening(wanted(stored))


@pytest.mark.usefixtures("opened_by")
async def test_a_changed_byte_is_found_wherever_it_is(store, keys, tmp_path):
    stored = await put(store, keys, os.urandom(2 * CHUNK + 5))
    path = tmp_path / "objects" / stored.name[:2] / stored.name
    sound = path.read_bytes()
    for at in (0, 10, 40, 63, 64, 64 + CHUNK, len(sound) - 1):
        path.write_bytes(sound[:at] + bytes([sound[at] ^ 1]) + sound[at + 1 :])
        with pytest.raises(SealBroken):
            await store.start_opening(wanted(stored))
    for changed in (sound[:-1], sound + b"x", sound[:10], b"", sound[: 64 + CHUNK + 16]):
        path.write_bytes(changed)
        with pytest.raises(SealBroken):
            await store.start_opening(wanted(stored))


async def test_a_process_that_ends_takes_no_reading_with_it(store, keys, told):
    stored = [await put(store, keys, os.urandom(PIECE)) for _ in range(6)]
    process = await store._keeper.process()
    await suspend(process)
    openings = store.open_all([wanted(one) for one in stored])
    await asyncio.sleep(0.05)
    assert not any(opening.done() for opening in openings)
    process._process.kill()
    contents = await asyncio.gather(*map(read, openings))
    assert [len(content) for content in contents] == [PIECE] * 6
    assert sorted(told) == sorted(wanted(one) for one in stored)


async def test_one_that_hangs_holds_nobody_up(store, keys, monkeypatch, told):
    for place in ("process", "opening"):
        monkeypatch.setattr(f"edge.store.{place}.PROMPT", 0.1)
    stored = await put(store, keys, b"content")
    process = await store._keeper.process()
    await suspend(process)
    with store.streaming, store.streaming:
        (first,), (second,) = store.open_all([wanted(stored)]), store.open_all([wanted(stored)])
        assert first is second
        assert await asyncio.wait_for(read(first), 5) == b"content"
    assert told == [wanted(stored)]
    assert await read(store.start_opening(wanted(stored))) == b"content"
    assert len(told) == 2
    process._process.send_signal(signal.SIGCONT)
    async with asyncio.timeout(30):
        while not process.opens_promptly:  # noqa: ASYNC110 - it answers what it was asked
            await asyncio.sleep(0.01)
    for place in ("process", "opening"):
        monkeypatch.setattr(f"edge.store.{place}.PROMPT", 30.0)
    assert await read(store.start_opening(wanted(stored))) == b"content"
    assert len(told) == 2


async def test_a_folder_with_a_long_name_holds_as_many(tmp_path, keys, told):
    folder = tmp_path.joinpath(*["x" * 200] * 5)
    await asyncio.to_thread(folder.mkdir, parents=True)
    async with ObjectStore(folder, keys, algorithm=Algorithm.AES_256_GCM) as store:
        stored = await put(store, keys, b"content")
        found = await asyncio.gather(*map(read, store.open_all([wanted(stored)] * 200)))
        assert set(found) == {b"content"}
        assert told == []
        assert store._keeper.now is not None


async def test_who_reads_when_the_store_is_closed_is_told(tmp_path, keys):
    async with ObjectStore(tmp_path, keys, algorithm=Algorithm.AES_256_GCM) as store:
        stored = await put(store, keys, b"content")
        process = await store._keeper.process()
        await suspend(process)
        openings = store.open_all([wanted(stored)] * 5)
    for found in await asyncio.gather(*map(read, openings), return_exceptions=True):
        assert found == b"content" or (isinstance(found, EdgeError) and "closed" in str(found))


@pytest.mark.usefixtures("opened_by")
@pytest.mark.parametrize("length", [10, 3 * PIECE])
async def test_who_gives_up_what_is_being_opened_leaves_no_file_open(store, keys, length):
    stored = await put(store, keys, bytes(length))
    before = open_files()
    for _ in range(10):
        opening = store.start_opening(wanted(stored))
        opening.add_done_callback(abandon)
        cancelled = store.start_opening(wanted(stored))
        cancelled.cancel()
        await (await store.start_opening(wanted(stored))).close()
    await asyncio.sleep(0.05)
    assert open_files() == before


@pytest.mark.usefixtures("opened_by")
@pytest.mark.parametrize("length", [0, 1, 65536, PIECE, 3 * PIECE + 12345])
async def test_a_reader_may_come_with_its_first_piece(store, keys, length):
    content = os.urandom(length)
    stored = await put(store, keys, content)
    for offset, count in ((0, None), (0, length // 2), (length // 3, length // 3), (length, 1)):
        (opening,) = store.open_all([wanted(stored)])
        reader = await opening
        pieces = [piece async for piece in reader.stream(offset, count)]
        assert b"".join(pieces) == content[offset : None if count is None else offset + count]
        assert all(pieces)
        assert b"".join([piece async for piece in reader.stream()]) == content
        assert await reader.read(length // 2, 1000) == content[length // 2 : length // 2 + 1000]
        await reader.close()


async def open_twice(store, stored):
    """What two who ask at the same time are given."""
    both = [wanted(stored)], [wanted(stored)]
    (first,), (second,) = map(store.open_all, both)
    return await first, await second


@pytest.mark.usefixtures("opened_by")
async def test_a_small_object_is_opened_once_for_all_who_read_it_now(store, keys):
    content = os.urandom(CHUNK + 1)
    stored = await put(store, keys, content)
    with store.streaming, store.streaming:
        one, other = await open_twice(store, stored)
        assert one is other
        await one.close()
        assert b"".join([piece async for piece in other.stream()]) == content
        assert b"".join([piece async for piece in one.stream()]) == content
        await other.close()


@pytest.mark.usefixtures("opened_by")
async def test_who_reads_alone_leaves_nothing_in_memory(store, keys):
    stored = await put(store, keys, b"content")
    with store.streaming:
        one, other = await open_twice(store, stored)
    assert one is not other


async def test_a_large_object_is_opened_for_each_reader(store, keys):
    stored = await put(store, keys, os.urandom(PIECE + 1))
    with store.streaming, store.streaming:
        one, other = await open_twice(store, stored)
    assert one is not other
    await one.close()
    assert len([piece async for piece in other.stream()]) == 2
    await other.close()


async def test_a_crowd_shares_what_each_of_it_may_hold_and_no_more(store, keys):
    stored = await put(store, keys, bytes(2 * CHUNK))
    with ExitStack() as crowd:
        for _ in range(300):
            crowd.enter_context(store.streaming)
        one, other = await open_twice(store, stored)
    assert one is not other
    await one.close()
    await other.close()


@pytest.mark.usefixtures("opened_by")
async def test_what_was_deleted_is_not_given_to_the_next(store, keys):
    stored = await put(store, keys, b"content")
    with store.streaming, store.streaming:
        await open_twice(store, stored)
        await store.delete(stored.name)
        (opening,) = store.open_all([wanted(stored)])
        with pytest.raises(InstanceNotFound):
            await opening


async def test_who_gives_up_waiting_takes_nothing_from_the_others(store, keys):
    stored = await put(store, keys, b"content")
    with store.streaming, store.streaming:
        (first,), (second,) = store.open_all([wanted(stored)]), store.open_all([wanted(stored)])
        impatient = asyncio.ensure_future(asyncio.wait_for(asyncio.shield(first), 0))
        with pytest.raises(TimeoutError):
            await impatient
        assert await (await second).read(0, 100) == b"content"


@pytest.mark.usefixtures("opened_by")
async def test_of_several_objects_those_that_are_sound_open(store, keys, tmp_path):
    stored = [await put(store, keys, bytes(number)) for number in (10, 20, 30)]
    path = tmp_path / "objects" / stored[1].name[:2] / stored[1].name
    path.write_bytes(path.read_bytes()[:-1])
    all_of_them = [wanted(one) for one in stored]
    missing = all_of_them[0]._replace(name="0" * 32)
    openings = store.open_all([*all_of_them, missing, all_of_them[0]._replace(length=11)])
    found = await asyncio.gather(*openings, return_exceptions=True)
    assert [found[0].length, found[2].length] == [10, 30]
    assert [type(found[number]) for number in (1, 3, 4)] == [
        SealBroken,
        InstanceNotFound,
        SealBroken,
    ]
