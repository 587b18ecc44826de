"""Small objects that stay in memory for a moment."""

from __future__ import annotations

import asyncio

from edge.store import recent
from edge.store.recent import Recent


def opening():
    return asyncio.get_running_loop().create_future()


async def test_the_longest_unused_objects_go_for_a_new_one():
    kept = Recent(100)
    first, second, third = opening(), opening(), opening()
    kept.keep("first", 40, first)
    kept.keep("second", 40, second)
    assert kept.get("first") is first
    kept.keep("third", 40, third)
    assert [kept.get(name) for name in ("first", "second", "third")] == [first, None, third]
    assert kept.size == 80
    kept.clear()
    assert kept.size == 0
    assert kept.get("first") is None


async def test_what_nobody_asks_for_any_more_goes(monkeypatch):
    monkeypatch.setattr(recent, "_UNUSED", 0.01)
    kept = Recent(100)
    kept.keep("one", 10, opening())
    await asyncio.sleep(0.1)
    assert kept.size == 0
    assert kept.get("one") is None


async def test_what_was_dropped_is_given_to_nobody():
    kept = Recent(100)
    kept.keep("one", 10, opening())
    kept.drop("one")
    kept.drop("one")
    assert kept.get("one") is None
    assert kept.size == 0
    kept.clear()
