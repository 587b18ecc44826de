"""One reader for all who listen."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

from edge.cache.arrivals import Arrivals
from edge.cache.changes import Changes
from edge.cache.live import Happening, Listener, Live
from edge.cache.reading_status import read_status
from edge.config import Config
from edge.errors import TooManyListeners
from edge.index.database import Database

PATIENCE = 60.0


class Box:
    """A state that tests change, and how often it was read."""

    def __init__(self, status):
        self.status = status
        self.reads = 0
        self.looks = 0
        self.looked = asyncio.Event()
        self.changes = Changes()
        self.live = Live(self.changes, self.read, Coming(self), soon=0.01, pause=0.2, longest=30.0)

    async def read(self):
        self.reads += 1
        return self.status

    def come(self, studies):
        self.status = replace(self.status, summary=replace(self.status.summary, studies=studies))
        self.changes.wake()


class Coming:
    def __init__(self, box):
        self.box = box

    async def read(self, waiting):
        self.box.looks += 1
        self.box.looked.set()
        return Arrivals()


@pytest.fixture
async def box(tmp_path):
    async def free_bytes():
        return 10**12

    async with Database(tmp_path / "index.db", bytes(32)) as database:
        disk = SimpleNamespace(free_bytes=free_bytes)
        made = Box(await read_status(Config(), database, disk, {"dimse": "running"}))
    task = asyncio.create_task(made.live.run())
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def hear(listener, kind):
    async with asyncio.timeout(PATIENCE):
        while (news := await listener.next(1.0)) is not None:
            for event in news:
                if event.kind == kind:
                    return json.loads(event.data)
    raise AssertionError("the end")


async def test_nothing_is_read_while_nobody_listens(box):
    box.come(1)
    await asyncio.sleep(0)
    assert (box.reads, box.looks) == (0, 0)


async def test_a_listener_hears_how_it_is_and_what_changes(box):
    with box.live.listen("anna") as listener:
        assert (await hear(listener, "state"))["studies"] == 0
        box.come(1)
        assert (await hear(listener, "state"))["studies"] == 1


async def test_one_reading_serves_all(box):
    with box.live.listen("anna") as first:
        await hear(first, "state")
        with box.live.listen("anna") as second, box.live.listen("anna") as third:
            await hear(second, "state")
            await hear(third, "state")
            assert box.reads == 1
            box.come(5)
            heard = await asyncio.gather(*(hear(one, "state") for one in (first, second, third)))
            assert {one["studies"] for one in heard} == {5}
            assert box.reads == 2


async def test_a_burst_is_read_once_and_its_end_is_told(box):
    with box.live.listen("anna") as listener:
        await hear(listener, "state")
        before = box.reads
        for number in range(1, 101):
            box.come(number)
            await asyncio.sleep(0)
        async with asyncio.timeout(PATIENCE):
            while (await hear(listener, "state"))["studies"] != 100:
                pass
        assert box.reads - before <= 2


async def test_a_reading_that_takes_long_makes_no_pause_beyond_the_longest(box):
    async def slow():
        await asyncio.sleep(0.5)  # what it takes under load
        return await box.read()

    live = Live(box.changes, slow, Coming(box), soon=0.01, pause=0.1, longest=1.0)
    began = time.monotonic()
    for reads in (1, 2):
        async with asyncio.timeout(PATIENCE):
            while box.reads < reads:
                await live.status()
                await asyncio.sleep(0.01)
    # Twenty times the reading would be ten seconds.
    assert time.monotonic() - began < 8.0


async def test_what_comes_in_is_looked_at_before_the_state_may_be_read_again(box):
    with box.live.listen("anna") as listener:
        await hear(listener, "state")
        box.come(1)
        await hear(listener, "state")
        looks, reads = box.looks, box.reads
        box.looked.clear()
        box.changes.wake()
        async with asyncio.timeout(PATIENCE):
            await box.looked.wait()
        assert box.looks > looks
        assert box.reads == reads


async def test_a_slow_listener_gets_the_newest_of_each_kind_alone():
    listener = Listener("anna")
    for number in range(100):
        listener.tell(Happening("state", number, b"{}", b"{}"))
        listener.tell(Happening("arrivals", 1000 + number, b"{}", b"{}"))
    assert [event.number for event in await listener.next(0)] == [99, 1099]
    assert await listener.next(0) == []


async def test_there_is_a_most():
    live = Live(Changes(), None, None, most=1)
    with live.listen("anna"), pytest.raises(TooManyListeners), live.listen("anna"):
        pass
    with live.listen("anna"):
        assert live.listeners == 1


async def test_nobody_takes_every_place():
    live = Live(Changes(), None, None, most_of_one=1)
    with live.listen("anna"), live.listen("bert"):
        with pytest.raises(TooManyListeners, match="anna"), live.listen("anna"):
            pass
        assert live.listeners == 2


async def test_the_end_of_the_reader_is_the_end_of_all(box):
    task = asyncio.create_task(box.live.run())
    with box.live.listen("anna") as listener:
        await hear(listener, "state")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        async with asyncio.timeout(PATIENCE):
            while await listener.next(1.0) is not None:
                pass
