"""The store's process: what becomes of objects when it ends, is crowded, or outlives all."""

from __future__ import annotations

import asyncio
import fcntl
import os
import resource
from pathlib import Path

import pytest

from edge.errors import EdgeError, StorageFull
from edge.store import keeper
from edge.store.messages import MEMORY, Begin
from edge.store.objects import PIECE
from edge.store.process import StoreProcess
from tests.store.conftest import suspend


@pytest.fixture
def key(keys):
    return keys.new_study_key()


async def put(store, key, content):
    writer = store.create(key, 0)
    await writer.write(content)
    await writer.begin_commit()
    return await writer.commit()


async def end(store):
    """Kill the process, as the kernel does where memory has run out."""
    process = await store._keeper.process()
    process._process.kill()
    await process.ended.wait()


async def test_one_that_was_killed_fails_what_was_arriving_and_nothing_else(store, key, tmp_path):
    writer = store.create(key, 0)
    await writer.write(os.urandom(2 * PIECE))
    await end(store)
    with pytest.raises(EdgeError, match="store's process"):
        await writer.begin_commit()
    await writer.discard()
    assert not list((tmp_path / "incoming").iterdir())
    assert (await put(store, key, b"content")).content_bytes == 7


async def test_that_one_ended_is_said_and_another_takes_its_place(store, key):
    running = asyncio.ensure_future(store.run())
    first = await store._keeper.process()
    await end(store)
    with pytest.raises(EdgeError, match="store's process ended"):
        await running
    assert (await put(store, key, b"content")).content_bytes == 7
    assert await store._keeper.process() is not first


async def test_more_than_the_common_memory_holds_waits_its_turn(store, key):
    contents = [os.urandom(PIECE) for _ in range(3 * MEMORY // PIECE)]
    stored = await asyncio.gather(*(put(store, key, content) for content in contents))
    for one, content in zip(stored, contents, strict=True):
        reader = await store.open(one.name)
        assert b"".join([piece async for piece in reader.stream()]) == content
        await reader.close()


async def test_a_crowd_that_gives_up_at_once_leaves_nothing(store, key, tmp_path):
    writers = [store.create(key, 0) for _ in range(600)]
    for writer in writers:
        writer._waiting.append(b"x")
        await writer._start("")
    await asyncio.gather(*(writer.discard() for writer in writers))
    assert not list((tmp_path / "incoming").iterdir())
    assert (await put(store, key, b"content")).content_bytes == 7


async def test_who_gives_up_giving_up_leaves_nothing_either(store, key, tmp_path):
    writers = [store.create(key, 0) for _ in range(60)]
    for writer in writers:
        writer._waiting.append(os.urandom(1000))
        await writer._start("")
    discarding = [asyncio.ensure_future(writer.discard()) for writer in writers]
    await asyncio.sleep(0)
    for task in discarding:
        task.cancel()
    await asyncio.wait(discarding)
    for _ in range(100):
        if not list((tmp_path / "incoming").iterdir()):
            break
        await asyncio.sleep(0.05)
    assert not list((tmp_path / "incoming").iterdir())
    assert (await put(store, key, b"content")).content_bytes == 7


async def test_an_object_of_which_a_piece_failed_is_never_stored(store, key, tmp_path):
    content = os.urandom(4 * PIECE)
    writer = store.create(key, 0)
    await writer.write(content[:PIECE])
    await writer._settle()
    pid = writer._process._process.pid
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (PIECE + 5000, before[1]))
    await writer.write(content[PIECE : 2 * PIECE])
    with pytest.raises(StorageFull):
        await writer._settle()
    resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
    await writer.write(content[2 * PIECE : 3 * PIECE])
    with pytest.raises(EdgeError, match="failed before"):
        await writer.begin_commit()
    await writer.discard()
    assert not list((tmp_path / "incoming").iterdir())
    assert (await put(store, key, content)).content_bytes == len(content)


async def test_a_killed_services_process_is_waited_for_at_the_next_start(store, tmp_path):
    incoming = tmp_path / "incoming"
    descriptor = os.open(incoming, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)  # as one does that still lives
    clearing = asyncio.ensure_future(store.clear_incoming())
    await asyncio.sleep(0.05)
    assert not clearing.done()
    os.close(descriptor)
    assert await clearing == 0


async def test_one_that_never_ends_is_named(store, tmp_path, monkeypatch):
    monkeypatch.setattr(keeper, "_ENDING", 0.2)
    descriptor = os.open(tmp_path / "incoming", os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    with pytest.raises(EdgeError, match="earlier run still works"):
        await store.clear_incoming()
    os.close(descriptor)
    assert await store.clear_incoming() == 0


async def test_none_is_started_while_the_folder_is_cleared(store, key):
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        running = group.create_task(store.run())
        for _ in range(10):
            await store._keeper.process()
            arriving = asyncio.ensure_future(put(store, key, b"content"))
            await asyncio.sleep(0)
            await asyncio.gather(store.clear_incoming(), arriving, return_exceptions=True)
        assert (await put(store, key, b"content")).content_bytes == 7
        assert not running.done()
        running.cancel()


async def test_one_that_does_not_answer_is_ended_by_who_gives_up(store, key, monkeypatch, tmp_path):
    monkeypatch.setattr("edge.store.writer._PATIENCE", 0.3)
    process = await store._keeper.process()
    writer = store.create(key, 0)
    await writer.write(os.urandom(PIECE))
    await suspend(process)

    async def finish():
        await writer.begin_commit()
        await writer.commit()

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(finish(), 0.2)
    await writer.discard()
    assert process.ended.is_set()
    assert not list((tmp_path / "incoming").iterdir())
    assert (await put(store, key, b"content")).content_bytes == 7


async def test_one_that_does_not_answer_is_ended(store, key, monkeypatch):
    monkeypatch.setattr(keeper, "_SILENT", 0.2)
    monkeypatch.setattr(keeper, "_PAUSE", 0.1)
    running = asyncio.ensure_future(store.run())
    process = await store._keeper.process()
    await suspend(process)
    with pytest.raises(EdgeError, match="store's process has ended"):
        await put(store, key, b"content")
    with pytest.raises(EdgeError, match="does not answer"):
        await running
    assert (await put(store, key, b"content")).content_bytes == 7


async def test_one_of_which_a_part_fails_ends_as_a_whole(store):
    process = await store._keeper.process()
    process._sealing._socket.send(b"\xc1 is no message")
    await asyncio.wait_for(process.ended.wait(), 10)


async def test_a_piece_that_can_not_be_told_of_fails_alone(store, key):
    process = await store._keeper.process()
    for folder, reason in (("\udcff", "surrogate"), ("x" * 20_000, "too long")):
        begin = Begin("name", folder, folder, b"", b"", 0)
        with pytest.raises(EdgeError, match=reason):
            await process.seal(process.new_object(), [b"x"], begin=begin)
    assert (await put(store, key, b"content")).content_bytes == 7


async def test_who_starts_one_and_is_cancelled_leaves_none(store, tmp_path):
    for delay in (0, 0.001, 0.01, 0.05):
        starting = asyncio.ensure_future(
            StoreProcess.start(tmp_path / "incoming", tmp_path / "objects")
        )
        await asyncio.sleep(delay)
        starting.cancel()
        await asyncio.wait([starting])
        if not starting.cancelled():  # it was quicker
            await starting.result().stop()
    assert await asyncio.wait_for(store.clear_incoming(), 10) == 0


def test_a_loop_that_ends_while_one_is_started_has_nothing_to_complain_of(tmp_path, caplog):
    async def begin():
        task = asyncio.ensure_future(StoreProcess.start(tmp_path / "incoming", tmp_path))
        await asyncio.sleep(0)
        return task

    (tmp_path / "incoming").mkdir()
    assert asyncio.run(begin()).cancelled()
    assert caplog.records == []


def mapped():
    return Path("/proc/self/maps").read_text(encoding="utf-8").count("memfd:edge-")


async def test_of_many_that_ended_no_memory_stays(store, key):
    for _ in range(5):
        await store._keeper.process()
        await end(store)
    await store._keeper.process()
    assert mapped() == 2


async def test_it_holds_the_lock_as_long_as_it_lives(store, tmp_path):
    await store._keeper.process()
    descriptor = os.open(tmp_path / "incoming", os.O_RDONLY | os.O_DIRECTORY)
    with pytest.raises(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    await end(store)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.close(descriptor)
