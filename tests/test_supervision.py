"""Parts that fail are started again; the others go on."""

from __future__ import annotations

import asyncio

import pytest

from edge import supervision
from edge.errors import StorageFull
from edge.supervision import Supervisor


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(supervision, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(supervision, "_LONGEST_PAUSE", 0.02)


async def forever():
    await asyncio.Event().wait()


async def test_a_part_that_fails_is_started_again_and_counted(caplog):
    runs = asyncio.Queue()

    third_time = asyncio.Event()

    async def fails_twice():
        runs.put_nowait(None)
        if runs.qsize() < 3:
            raise ValueError("on purpose")
        third_time.set()
        await forever()

    async with Supervisor() as supervisor, asyncio.timeout(5):
        supervisor.start("good", forever)
        supervisor.start("bad", fails_twice)
        await third_time.wait()
        assert supervisor.restarts == {"bad": 2}
        assert supervisor.states() == {"good": "running", "bad": "running"}
    assert "bad failed" in caplog.text


async def test_an_error_of_our_own_is_told_in_its_words_without_a_traceback(caplog):
    async def full():
        raise StorageFull("the disk is full")

    async with Supervisor() as supervisor:
        supervisor.start("eviction", full)
        await asyncio.sleep(0.005)
        assert "failed: the disk is full" in supervisor.states()["eviction"]
    assert "Traceback" not in caplog.text


async def test_a_part_that_ends_is_not_well(caplog):
    async def ends():
        pass

    async with Supervisor() as supervisor:
        supervisor.start("short", ends)
        await asyncio.sleep(0.005)
        assert supervisor.states()["short"].startswith("ended, starts again")


async def test_parts_are_stopped_in_reverse_order():
    stopped = []

    def part(name):
        async def run():
            try:
                await forever()
            finally:
                stopped.append(name)

        return run

    async with Supervisor() as supervisor:
        for name in ("cache", "sync", "door"):
            supervisor.start(name, part(name))
        await asyncio.sleep(0)
    assert stopped == ["door", "sync", "cache"]


async def test_a_part_that_can_not_begin_ends_the_start():
    async def taken(_ready):
        raise OSError("the port is taken")

    async def begin():
        async with Supervisor() as supervisor:
            await supervisor.start_ready("door", taken)

    with pytest.raises(OSError, match="the port is taken"):
        await begin()


async def test_a_part_is_waited_for_until_it_is_ready():
    order = []

    async def slow(ready):
        await asyncio.sleep(0.02)
        order.append("ready")
        ready.set()
        await forever()

    async with Supervisor() as supervisor:
        await supervisor.start_ready("door", slow)
        order.append("started")
    assert order == ["ready", "started"]


async def test_the_error_of_the_block_goes_on_as_it_is():
    async def broken():
        async with Supervisor() as supervisor:
            supervisor.start("part", forever)
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await broken()
