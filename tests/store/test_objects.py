"""Sealed objects on a real disk."""

from __future__ import annotations

import asyncio
import hashlib
import os
import resource
import tracemalloc
from contextlib import ExitStack
from pathlib import Path

import pytest

from edge.crypto.sealed import CHUNK, sealed_length
from edge.errors import InstanceNotFound, SealBroken, StorageFull
from edge.store.objects import PIECE


async def new_key(keys):
    return await asyncio.to_thread(keys.new_study_key)


async def put(store, keys, content, *, step=100_000):
    writer = store.create(await new_key(keys), dataset_offset=len(content) // 3)
    for start in range(0, len(content), step):
        await writer.write(content[start : start + step])
    await writer.begin_commit()
    stored = await writer.commit()
    meta, dataset = content[: len(content) // 3], content[len(content) // 3 :]
    assert stored.meta_digest == hashlib.sha256(meta).digest()
    assert stored.dataset_digest == hashlib.sha256(dataset).digest()
    return stored


def files(tmp_path):
    return [
        p for sub in ("objects", "incoming") for p in (tmp_path / sub).rglob("*") if p.is_file()
    ]


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_who_gives_up_opening_leaves_no_file_open(store, keys):
    stored = await put(store, keys, os.urandom(3 * PIECE))
    before = open_files()
    openings = [asyncio.create_task(store.open(stored.name)) for _ in range(50)]
    await asyncio.sleep(0)  # each has asked a worker
    for opening in openings:
        opening.cancel()
    await asyncio.wait(openings)
    assert all(opening.cancelled() for opening in openings)
    reader = await store.open(stored.name)  # behind them, in the same workers
    await asyncio.sleep(0.05)
    assert open_files() == before + 1
    await reader.close()
    assert open_files() == before


@pytest.mark.parametrize("length", [0, 1, 65536, PIECE, 3 * PIECE + 12345])
async def test_what_was_put_is_read_back(store, keys, length):
    content = os.urandom(length)
    stored = await put(store, keys, content)
    assert stored.content_bytes == length
    assert stored.sealed_bytes == sealed_length(length)
    reader = await store.open(stored.name)
    assert reader.length == length
    assert b"".join([piece async for piece in reader.stream()]) == content
    assert await reader.read(length // 2, 1000) == content[length // 2 : length // 2 + 1000]
    middle = [piece async for piece in reader.stream(length // 3, length // 3)]
    assert b"".join(middle) == content[length // 3 : length // 3 * 2]
    await reader.close()


async def test_the_name_of_an_object_says_nothing_and_shapes_the_path(store, keys, tmp_path):
    stored = await put(store, keys, b"content")
    (path,) = files(tmp_path)
    assert path == tmp_path / "objects" / stored.name[:2] / stored.name
    assert path.stat().st_mode & 0o077 == 0
    assert path.stat().st_size == stored.sealed_bytes
    assert await store.names(stored.name[:2]) == {stored.name: stored.sealed_bytes}


async def test_nothing_of_a_discarded_object_stays(store, keys, tmp_path):
    for length in (0, 10, 2 * PIECE):
        writer = store.create(await new_key(keys), 0)
        await writer.write(bytes(length))
        await writer.discard()
    stored_and_regretted = store.create(await new_key(keys), 0)
    await stored_and_regretted.write(b"x")
    await stored_and_regretted.begin_commit()
    await stored_and_regretted.commit()
    await stored_and_regretted.discard()
    assert files(tmp_path) == []


async def test_content_never_reaches_the_disk_in_the_clear(store, keys, tmp_path):
    content = b"PATIENT^NAME" * 100_000
    writer = store.create(await new_key(keys), 0)
    for start in range(0, len(content), 4096):
        await writer.write(content[start : start + 4096])
    (arriving,) = files(tmp_path)
    assert b"PATIENT" not in arriving.read_bytes()
    await writer.begin_commit()
    await writer.commit()
    (whole,) = files(tmp_path)
    assert b"PATIENT" not in whole.read_bytes()


async def test_a_writer_that_is_cancelled_in_the_middle_can_still_be_discarded(
    store, keys, tmp_path
):
    writer = store.create(await new_key(keys), 0)

    async def send():
        while True:
            await writer.write(bytes(PIECE))

    task = asyncio.ensure_future(send())
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await writer.discard()
    assert files(tmp_path) == []


async def held_of(store, keys, writers):
    """Bytes of content that each writer holds when it has been given half a mebibyte."""
    made = [store.create(await new_key(keys), 0) for _ in range(writers)]
    for _ in range(PIECE // 2 // 16_000):
        for writer in made:
            await writer.write(bytes(16_000))
    held = [writer._waiting_bytes for writer in made]
    for writer in made:
        await writer.discard()
    return held


async def test_one_arriving_object_holds_large_pieces_and_a_crowd_small_ones(store, keys):
    assert min(await held_of(store, keys, 2)) > PIECE // 2 - 16_000
    with ExitStack() as crowd:
        for _ in range(300):
            crowd.enter_context(store.allowance)
        assert max(await held_of(store, keys, 2)) <= CHUNK


async def test_one_stream_reads_large_pieces_and_a_crowd_small_ones(store, keys):
    content = os.urandom(3 * PIECE + 5)
    stored = await put(store, keys, content)
    reader = await store.open(stored.name)
    assert [len(piece) async for piece in reader.stream()] == [PIECE, PIECE, PIECE, 5]
    crowd = [reader.stream() for _ in range(300)]
    for stream in crowd:
        await anext(stream)
    pieces = [piece async for piece in reader.stream(100)]
    assert b"".join(pieces) == content[100:]
    assert max(map(len, pieces)) == CHUNK
    for stream in crowd:
        await stream.aclose()
    assert len([piece async for piece in reader.stream()]) == 4
    await reader.close()


async def test_crumbs_of_content_take_no_more_memory_than_their_bytes(store, keys):
    content = os.urandom(60_000)
    writer = store.create(await new_key(keys), 0)
    tracemalloc.start()
    for start in range(0, len(content), 2):
        await writer.write(content[start : start + 2])
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken < 4 * len(content)
    await writer.begin_commit()
    stored = await writer.commit()
    reader = await store.open(stored.name)
    assert await reader.read(0, len(content)) == content
    await reader.close()


async def fill(writer):
    for _ in range(4):
        await writer.write(bytes(PIECE))
    await writer.begin_commit()
    await writer.commit()


async def test_a_full_disk_is_named_and_leaves_nothing(store, keys, tmp_path):
    process = await store._keeper.process()
    pid = process._process.pid
    limit = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    writer = store.create(await new_key(keys), 0)
    # The kernel's own refusal: EFBIG past this size, as ENOSPC would be on a full disk.
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (PIECE, limit[1]))
    with pytest.raises(StorageFull):
        await fill(writer)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, limit)
    await writer.discard()
    assert files(tmp_path) == []
    assert (await put(store, keys, b"content")).content_bytes == 7


async def test_half_written_files_are_cleared_at_the_next_start(store, keys, tmp_path):
    writer = store.create(await new_key(keys), 0)
    await writer.write(bytes(2 * PIECE))
    await asyncio.sleep(0.05)
    assert await store.clear_incoming() == 1
    assert files(tmp_path) == []
    await writer.discard()


async def test_an_object_that_is_not_there_is_not_found(store):
    with pytest.raises(InstanceNotFound):
        await store.open("0" * 32)
    await store.delete("0" * 32)


async def test_a_damaged_object_does_not_open_but_its_sound_chunks_do(store, keys, tmp_path):
    content = os.urandom(5 * 65536)
    stored = await put(store, keys, content)
    (path,) = files(tmp_path)
    sealed = bytearray(path.read_bytes())
    sealed[64 + 2 * 65552 + 5] ^= 1
    path.write_bytes(sealed)
    reader = await store.open(stored.name)
    assert await reader.read(0, 65536) == content[:65536]
    with pytest.raises(SealBroken):
        await reader.read(2 * 65536, 10)
    with pytest.raises(SealBroken):
        async for _ in reader.stream():
            pass
    await reader.close()


async def test_objects_of_a_destroyed_key_do_not_open(store, keys):
    stored = await put(store, keys, b"content")
    await asyncio.to_thread(keys.destroy, [stored.key_id])
    with pytest.raises(SealBroken, match="destroyed"):
        await store.open(stored.name)


async def test_a_reader_outlives_the_deletion_of_its_object(store, keys):
    content = os.urandom(3 * PIECE)
    stored = await put(store, keys, content)
    reader = await store.open(stored.name)
    await store.delete(stored.name)
    assert b"".join([piece async for piece in reader.stream()]) == content
    await reader.close()


async def test_closing_waits_for_the_piece_that_is_read_ahead(store, keys):
    stored = await put(store, keys, bytes(4 * PIECE))
    reader = await store.open(stored.name)
    async for _ in reader.stream():
        break
    await reader.close()
    await reader.close()


async def test_what_is_not_ours_is_let_alone(store, tmp_path):
    strays = [tmp_path / "objects" / "aa" / "note.bak", tmp_path / "incoming" / "folder" / "x"]
    for stray in strays:
        stray.parent.mkdir(exist_ok=True)
        stray.touch()
    (tmp_path / "objects" / "aa" / ("a" * 32)).symlink_to("nowhere")
    assert await store.names("aa") == {}
    assert await store.clear_incoming() == 0
    assert all(stray.exists() for stray in strays)


async def test_an_object_that_is_set_aside_is_found_by_its_name_and_known_as_such(store, keys):
    name = (await put(store, keys, b"content")).name
    await store.set_aside(name)
    await store.set_aside(name)
    assert await store.aside(name[:2]) == {name}
    assert set(await store.names(name[:2])) == {name}
    reader = await store.open(name)
    assert await reader.read(0, 100) == b"content"
    await reader.close()
    await store.delete(name)
    assert await store.names(name[:2]) == {}
    assert await store.aside(name[:2]) == set()


async def test_shelves_under_which_anything_lies_are_known(store, keys):
    assert await store.filled_shelves() == set()
    names = [(await put(store, keys, b"content")).name for _ in range(3)]
    await store.set_aside(names[0])
    assert await store.filled_shelves() == {name[:2] for name in names}


async def test_an_object_that_is_taken_back_is_the_one_of_its_uid_again(store, keys):
    name = (await put(store, keys, b"content")).name
    await store.set_aside(name)
    for _ in range(2):
        await store.take_back(name)
        assert await store.aside(name[:2]) == set()
        assert set(await store.names(name[:2])) == {name}
    reader = await store.open(name)
    assert await reader.read(0, 100) == b"content"
    await reader.close()
    await store.take_back("0" * 32)
