"""When tokens were used: noted in memory, written now and then."""

from __future__ import annotations

import asyncio

import pytest

from edge.access import uses
from edge.access.uses import TokenUses
from edge.errors import StorageFull

NOON = 1_790_000_000.0


class Store:
    """Takes uses, or fails."""

    def __init__(self):
        self.written = []
        self.error = None
        self.wrote = asyncio.Event()

    async def write(self, found):
        if self.error is not None:
            raise self.error
        self.written.extend(found)
        self.wrote.set()


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def noted(store):
    return TokenUses(store.write, now=lambda: NOON)


async def test_what_is_written_already_is_not_written_again(noted, store):
    noted.note("a", "10.0.0.1", known=("", ""))
    day, address = noted.noted("a")
    await noted.flush()
    noted.note("a", "10.0.0.1", known=(day, address))
    await noted.flush()
    assert store.written == [("a", day, "10.0.0.1")]
    assert noted.noted("a") is None


async def test_of_many_addresses_the_last_is_written_once(noted, store):
    for number in range(50):
        noted.note("a", f"10.0.0.{number}", known=("", ""))
    await noted.flush()
    assert [address for _, _, address in store.written] == ["10.0.0.49"]


async def test_what_can_not_be_written_now_is_written_later(noted, store):
    noted.note("a", "10.0.0.1", known=("", ""))
    store.error = StorageFull("the disk is full")
    await noted.flush()
    store.error = None
    await noted.flush()
    assert len(store.written) == 1


async def test_what_is_noted_while_it_is_written_is_not_lost(store):
    async def write(found):
        noted.note("a", "10.0.0.2", known=("", ""))
        await store.write(found)

    noted = TokenUses(write, now=lambda: NOON)
    noted.note("a", "10.0.0.1", known=("", ""))
    await noted.flush()
    assert noted.noted("a")[1] == "10.0.0.2"


async def test_it_is_written_by_itself(noted, store, monkeypatch):
    monkeypatch.setattr(uses, "_PAUSE", 0.0)
    noted.note("a", "10.0.0.1", known=("", ""))
    running = asyncio.ensure_future(noted.run())
    async with asyncio.timeout(60):
        await store.wrote.wait()
    running.cancel()
    assert len(store.written) == 1
