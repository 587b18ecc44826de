"""Reading ahead: the order stays, memory stays bounded, nothing is left running."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager

import pytest

from edge.dicomweb import ahead
from edge.dicomweb.ahead import ReadAhead
from edge.errors import CloudUnreachable, SealBroken


class Source:
    """Instances of numbered pieces; counts what is open and what was handed out."""

    def __init__(self, pieces=3):
        self.pieces = pieces
        self.open = self.most_open = self.handed = 0
        self.failing = {}
        self.broken = {}
        self.gate = asyncio.Event()
        self.gate.set()

    @asynccontextmanager
    async def open_instance(self, entry):
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            await self.gate.wait()
            if entry in self.failing:
                raise self.failing[entry]
            yield Opened(self, entry)
        finally:
            self.open -= 1


class Opened:
    def __init__(self, source, entry):
        self.entry = f"opened {entry}"
        self._source, self._number = source, entry

    async def stream(self):
        for index in range(self._source.pieces):
            if index == self._source.broken.get(self._number):
                raise SealBroken("damaged")
            self._source.handed += 1
            yield f"{self._number}.{index}"


async def collect(source, entries, seen=None):
    """What was opened; the pieces go to *seen*."""
    seen, opened = [] if seen is None else seen, []
    async with ReadAhead(source, entries) as instances:
        async for entry, pieces in instances:
            opened.append(entry)
            async for piece in pieces:
                seen.append(piece)
    assert source.open == 0
    return opened


@pytest.mark.parametrize("count", [0, 1, 2, 7])
async def test_the_order_is_that_of_the_list(count):
    seen = []
    opened = await collect(Source(), range(count), seen)
    assert opened == [f"opened {number}" for number in range(count)]
    assert seen == [f"{number}.{index}" for number in range(count) for index in range(3)]


async def test_the_next_is_opened_while_one_is_sent_and_no_more():
    source = Source()
    async with ReadAhead(source, range(9)) as instances:
        async for _, pieces in instances:
            await asyncio.sleep(0.01)  # a slow client
            async for _ in pieces:
                await asyncio.sleep(0)
    assert source.most_open == ahead.DEPTH


async def test_a_client_that_does_not_read_holds_the_readers_back():
    source = Source(pieces=1000)
    async with ReadAhead(source, range(9)) as instances:
        async for _, pieces in instances:
            async with aclosing(pieces):
                async for _ in pieces:
                    break
            await asyncio.sleep(0.05)
            break
    assert source.handed <= 3 * ahead.DEPTH
    assert source.open == 0


async def test_an_error_comes_when_the_turn_of_its_instance_does():
    source = Source()
    source.failing[2] = CloudUnreachable("gone")
    seen = []
    with pytest.raises(CloudUnreachable):
        await collect(source, range(5), seen)
    assert seen == ["0.0", "0.1", "0.2", "1.0", "1.1", "1.2"]
    assert source.open == 0


async def test_damage_in_the_middle_comes_after_what_was_whole():
    source = Source()
    source.broken[0] = 2
    seen = []
    with pytest.raises(SealBroken):
        await collect(source, [0], seen)
    assert seen == ["0.0", "0.1"]


async def test_an_error_of_the_sender_goes_on_as_it_is():
    class Gone(list):
        def append(self, piece):
            raise ConnectionResetError

    source = Source()
    with pytest.raises(ConnectionResetError):
        await collect(source, range(5), Gone())
    assert source.open == 0


async def test_who_is_cancelled_leaves_nothing_behind():
    source = Source()
    source.gate.clear()
    task = asyncio.create_task(collect(source, range(5)))
    await asyncio.sleep(0.01)
    assert source.open == ahead.DEPTH
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert source.open == 0


async def test_an_error_whose_turn_never_comes_is_forgotten(recwarn):
    source = Source()
    source.failing = {number: CloudUnreachable("gone") for number in range(1, 5)}
    async with ReadAhead(source, range(5)) as instances:
        async for _ in instances:
            await asyncio.sleep(0.01)
            break
    assert not recwarn.list
