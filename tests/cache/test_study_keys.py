"""Keys of studies: lent to whoever seals, and never destroyed under what is sealed with them."""

from __future__ import annotations

import asyncio
import errno
import os

import pytest

from edge.cache.admission import Outcome
from edge.crypto.twin import PLACE, copies
from edge.errors import NotDicom, SealBroken
from edge.index import lookup
from tests.cache.conftest import MODALITY
from tests.samples import chunks, ct_series

SLICES = list(ct_series(3, rows=16, columns=16))
REF = SLICES[0].ref


async def key_of(cache, sample=SLICES[0]):
    return (await lookup.find_one(cache.database, sample.ref.sop_uid)).key_id


async def test_all_of_a_study_is_sealed_with_one_key_and_another_with_another(cache):
    other = next(iter(ct_series(1, rows=16, columns=16, seed=7)))
    for sample in (*SLICES, other):
        await cache.send(sample)
    names = {await key_of(cache, sample) for sample in SLICES}
    assert len(names) == 1
    assert await key_of(cache, other) not in names


async def test_the_key_of_what_is_here_is_not_destroyed(cache):
    await cache.send(SLICES[0])
    assert await cache.study_keys.destroy_unused({await key_of(cache)}) == 0
    assert await cache.read(REF) == SLICES[0].data


async def test_a_key_that_is_lent_is_not_destroyed_before_it_is_given_back(cache):
    first = await cache.study_keys.lend(REF.study_uid)
    assert await cache.study_keys.lend(REF.study_uid) == first
    for _ in range(2):
        assert await cache.study_keys.destroy_unused({first.key_id}) == 0
        cache.study_keys.give_back(first)
    assert await cache.study_keys.destroy_unused({first.key_id}) == 1
    assert cache.keys.key_ids() == set()
    # The study is not tied to it: it gets another one.
    assert await cache.study_keys.lend(REF.study_uid) != first


async def test_what_arrives_while_its_study_is_deleted_keeps_a_key(cache):
    """Deleted between every two pieces of an image that comes in."""
    for at in range(4):
        await cache.send(SLICES[0])
        reached, go = asyncio.Event(), asyncio.Event()

        async def pieces(at=at, reached=reached, go=go):
            data, size = SLICES[1].data, -(-len(SLICES[1].data) // 3)
            for number in range(4):
                if number == at:
                    reached.set()
                    await go.wait()
                if number < 3:
                    yield data[number * size : (number + 1) * size]

        arriving = asyncio.create_task(cache.admission.store_instance(pieces(), MODALITY))
        await reached.wait()
        await cache.deletion.delete(REF.study_uid)
        go.set()
        assert (await arriving).outcome is Outcome.STORED
        assert await cache.read(SLICES[1].ref) == SLICES[1].data
        assert await key_of(cache, SLICES[1]) in cache.keys.key_ids()
        await cache.deletion.delete(REF.study_uid)
        assert cache.keys.key_ids() == set()


async def test_many_come_and_go_at_once_and_all_that_is_here_opens(cache):
    async def come():
        for sample in SLICES * 5:
            await cache.send(sample)

    async def go():
        for _ in range(20):
            try:
                await cache.deletion.delete(REF.study_uid)
            except Exception:  # noqa: BLE001 - nothing was there, or it changes all the time
                await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(come())
        group.create_task(go())
    for row in await lookup.find(cache.database, REF.study_uid):
        assert await cache.read(row.ref)


async def test_what_was_broken_off_lends_nothing(cache):
    async def half():
        yield SLICES[0].data[:2000]
        raise ConnectionResetError

    for stream, error in ((half(), ConnectionResetError), (chunks(b"no DICOM" * 100), NotDicom)):
        with pytest.raises(error):
            await cache.admission.store_instance(stream, MODALITY)
    assert await cache.study_keys.destroy_unused(cache.keys.key_ids()) <= 1
    assert cache.keys.key_ids() == set()


async def test_an_image_of_a_study_whose_key_is_damaged_is_taken_in_under_another(
    open_cache, tmp_path
):
    async with open_cache() as cache:
        await cache.send(SLICES[0])
        before = await key_of(cache)
    for number, copy in enumerate(copies(tmp_path / "keys.db")):
        content = bytearray(copy.read_bytes())
        content[3 * PLACE + 30 + number] ^= 1
        copy.write_bytes(content)
    async with open_cache() as cache:
        with pytest.raises(SealBroken):
            cache.keys.study_key(before)
        await cache.send(SLICES[1])
        assert await key_of(cache, SLICES[1]) != before
        assert await cache.read(SLICES[1].ref) == SLICES[1].data


async def test_a_disk_that_takes_nothing_fails_no_deletion_and_the_next_start_ends_the_key(
    open_cache, monkeypatch, caplog
):
    async with open_cache() as cache:
        await cache.send(SLICES[0])

        def broken(*_):
            raise OSError(errno.EIO, "Input/output error")

        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", broken)
            await cache.deletion.delete(REF.study_uid)
        assert "can't be destroyed before the next start" in caplog.text
        assert len(cache.keys.key_ids()) == 1
    async with open_cache() as cache:
        assert cache.keys.key_ids() == set()
