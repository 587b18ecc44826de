"""The sealing process: what becomes of objects when it ends, is crowded, or outlives all."""

from __future__ import annotations

import asyncio
import fcntl
import os

import pytest

from edge.crypto.keys import KeyRing
from edge.crypto.providers import FileKeyProvider
from edge.crypto.sealed import Algorithm
from edge.errors import EdgeError
from edge.store.messages import ARENA
from edge.store.objects import PIECE, ObjectStore


@pytest.fixture
def keys(tmp_path):
    ring = KeyRing(tmp_path / "keys.db", FileKeyProvider(tmp_path / "root.key"))
    yield ring
    ring.close()


@pytest.fixture
def key(keys):
    return keys.new_study_key()


@pytest.fixture
async def store(tmp_path, keys):
    async with ObjectStore(tmp_path, keys, algorithm=Algorithm.AES_256_GCM) as opened:
        yield opened


async def put(store, key, content):
    writer = store.create(key, 0)
    await writer.write(content)
    await writer.begin_commit()
    return await writer.commit()


async def end(store):
    """Kill the process, as the kernel does where memory has run out."""
    process = await store._sealing.process()
    process._process.kill()
    await process.ended.wait()


async def test_one_that_was_killed_fails_what_was_arriving_and_nothing_else(store, key, tmp_path):
    writer = store.create(key, 0)
    await writer.write(os.urandom(2 * PIECE))
    await end(store)
    with pytest.raises(EdgeError, match="sealing process"):
        await writer.begin_commit()
    await writer.discard()
    assert not list((tmp_path / "incoming").iterdir())
    assert (await put(store, key, b"content")).content_bytes == 7


async def test_one_that_is_kept_ready_is_replaced(store, key, caplog):
    async with asyncio.TaskGroup() as group:
        running = group.create_task(store.run())
        first = await store._sealing.process()
        await end(store)
        assert (await put(store, key, b"content")).content_bytes == 7
        assert await store._sealing.process() is not first
        running.cancel()
    assert "the sealing process ended" in caplog.text


async def test_more_than_the_common_memory_holds_waits_its_turn(store, key):
    contents = [os.urandom(PIECE) for _ in range(3 * ARENA // PIECE)]
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


async def test_a_killed_services_process_is_waited_for_at_the_next_start(store, tmp_path):
    incoming = tmp_path / "incoming"
    descriptor = os.open(incoming, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)  # as one does that still lives
    clearing = asyncio.ensure_future(store.clear_incoming())
    await asyncio.sleep(0.05)
    assert not clearing.done()
    os.close(descriptor)
    assert await clearing == 0


async def test_it_holds_the_lock_as_long_as_it_lives(store, tmp_path):
    await store._sealing.process()
    descriptor = os.open(tmp_path / "incoming", os.O_RDONLY | os.O_DIRECTORY)
    with pytest.raises(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    await end(store)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.close(descriptor)
