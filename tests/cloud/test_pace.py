from __future__ import annotations

import asyncio

import pytest

from edge.cloud.pace import TooSlow, steady


async def given(pieces, pause):
    for piece in pieces:
        await asyncio.sleep(pause)
        yield piece


async def test_what_comes_fast_enough_is_handed_on_as_it_is():
    pieces = [b"a" * 100, b"", b"b" * 100]
    found = [it async for it in steady(given(pieces, 0.0), least=1.0, window=60.0)]
    assert found == pieces


async def test_a_drip_is_given_up():
    drip = steady(given([b"x"] * 1000, 0.01), least=1000.0, window=0.05)
    with pytest.raises(TooSlow, match="1000 bytes a second"):
        [piece async for piece in drip]


async def test_who_takes_them_slowly_is_not_the_archives_fault():
    found = 0
    async for _ in steady(given([b"x"] * 10, 0.0), least=1000.0, window=0.05):
        await asyncio.sleep(0.02)
        found += 1
    assert found == 10
