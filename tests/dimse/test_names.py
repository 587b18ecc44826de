"""Names of peers: one look-up at a time, remembered, and never everybody's threads."""

from __future__ import annotations

import asyncio
import threading

import pytest

from edge.dimse import names as module
from edge.dimse.names import Names, address_of

HERE, MOVED = address_of("10.0.0.5"), address_of("10.0.0.6")


class Clock:
    """Stands until it is moved."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Resolver:
    """Answers what it is told to; hangs while it is held."""

    def __init__(self):
        self.asked, self.means = [], frozenset({HERE})
        self.goes_on = threading.Event()
        self.goes_on.set()

    def __call__(self, name):
        self.asked.append(name)
        self.goes_on.wait(20)
        if self.means is None:
            raise OSError("no name server answers")
        return self.means


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def resolver():
    made = Resolver()
    yield made
    made.goes_on.set()


@pytest.fixture
def names(resolver, clock):
    return Names(resolver, clock=clock)


async def test_what_was_found_is_not_looked_up_again_for_a_while(names, resolver, clock):
    assert [await names.has("ct1", HERE) for _ in range(3)] == [True] * 3
    assert await names.has("ct1", MOVED) is False
    assert resolver.asked == ["ct1"]
    clock.now += 6
    resolver.means = frozenset({MOVED})
    assert await names.has("ct1", MOVED) is True  # it moved, and is looked up at once
    assert resolver.asked == ["ct1"] * 2


async def test_while_nothing_can_be_found_what_was_known_goes_on(names, resolver, clock):
    assert await names.has("ct1", HERE)
    resolver.means = None
    for _ in range(3):
        clock.now += 3600
        assert await names.has("ct1", HERE) is True
        assert await names.has("ct1", MOVED) is None  # it may have moved there
    assert await names.has("new", HERE) is None


async def test_one_look_up_is_under_way_however_many_call(names, resolver, monkeypatch):
    monkeypatch.setattr(module, "LONGEST", 0.1)
    resolver.goes_on.clear()
    assert await asyncio.gather(*(names.has("ct1", HERE) for _ in range(50))) == [None] * 50
    assert await names.has("ct1", HERE) is None
    assert resolver.asked == ["ct1"]


async def test_a_resolver_that_hangs_holds_no_thread_of_others(names, resolver, monkeypatch):
    monkeypatch.setattr(module, "LONGEST", 0.01)
    resolver.goes_on.clear()
    await asyncio.gather(*(names.has(f"ct{number}", HERE) for number in range(50)))
    held = [one for one in threading.enumerate() if one.name.startswith("names")]
    assert len(held) <= 2
    async with asyncio.timeout(5):
        assert await asyncio.to_thread(lambda: "free") == "free"
    resolver.goes_on.set()
    async with asyncio.timeout(5):
        while await names.has("ct1", HERE) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_what_can_be_no_name_is_not_found(clock):
    names = Names(clock=clock)
    assert await names.has("no such name", HERE) is None
    assert await names.has("x" * 300, HERE) is None


async def test_wrong_callers_have_a_name_looked_up_now_and_then_and_no_more(names, resolver, clock):
    for _ in range(100):
        assert await names.has("ct1", MOVED) is False
        clock.now += 0.1
    assert len(resolver.asked) <= 3
