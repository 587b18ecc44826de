"""Values that wait for their instance count as bytes under way, and go with the request."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.errors import StorageFull


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_what_waits_is_counted_and_gone_at_the_end(cache, sealed_files):
    async with cache.admission.spooling() as spooling:
        await spooling.write(b"first")
        at = spooling.length
        await spooling.write(memoryview(b"second"))
        await spooling.finish()
        assert await spooling.read(at, 6) == b"second"
        assert cache.space._arriving == 11
        assert not sealed_files()
        descriptors = open_files()
    assert cache.space._arriving == 0
    assert open_files() < descriptors


async def test_what_finds_no_room_is_refused_and_leaves_nothing(cache):
    cache.space._free = 100
    with pytest.raises(StorageFull):
        async with cache.admission.spooling() as spooling:
            await spooling.write(bytes(200))
    assert cache.space._arriving == 0


async def test_nothing_that_waits_takes_no_file(cache):
    async with cache.admission.spooling() as spooling:
        await spooling.finish()
        assert spooling.length == 0
        assert await spooling.read(0, 0) == b""
