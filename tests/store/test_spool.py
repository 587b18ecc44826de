"""What waits on the disk: it comes back as it was, and leaves nothing there."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from edge.crypto.sealed import Algorithm
from edge.errors import StorageFull
from edge.store.spool import Spool


@pytest.fixture
def workers():
    with ThreadPoolExecutor(1) as pool:
        yield pool


@pytest.fixture
async def spool(workers, tmp_path):
    spool = Spool(workers, tmp_path, Algorithm.AES_256_GCM)
    yield spool
    await spool.close()


async def test_any_range_comes_back(spool):
    content = os.urandom(3 * 1024 * 1024 + 17)
    for at in range(0, len(content), 100_000):
        await spool.write(memoryview(content)[at : at + 100_000])
    assert spool.length == len(content)
    await spool.finish()
    for offset, length in ((0, 10), (65_530, 100_000), (len(content) - 5, 50), (0, len(content))):
        assert await spool.read(offset, length) == content[offset : offset + length]


async def test_it_has_no_name_and_can_not_be_read_by_others(spool, tmp_path):
    await spool.write(b"PATIENT" * 500_000)
    await spool.finish()
    assert list(tmp_path.iterdir()) == []
    on_disk = os.pread(spool._descriptor, 10**7, 0)
    assert len(on_disk) > 7 * 500_000
    assert b"PATIENT" not in on_disk


async def test_nothing_is_read_before_its_end(spool):
    await spool.write(b"x")
    with pytest.raises(RuntimeError):
        await spool.read(0, 1)


async def test_a_full_disk_is_told(spool, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr("edge.store.spool.os.write", full)
    with pytest.raises(StorageFull):
        await spool.write(bytes(2 * 1024 * 1024))


async def test_it_may_be_closed_whenever_and_twice(workers, tmp_path):
    spool = Spool(workers, tmp_path, Algorithm.AES_256_GCM)
    await spool.close()
    await spool.write(bytes(2 * 1024 * 1024))
    await spool.close()
    await spool.close()
