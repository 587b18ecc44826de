import asyncio
import tracemalloc

import pytest

from edge.dimse.data_set import (
    HIGH_WATER,
    PIECE,
    RECEIVE,
    RECEIVE_WHEN_TIGHT,
    IncomingDataSet,
    Intake,
)
from edge.errors import PeerError


class Wire:
    """A fake `Flow`."""

    def __init__(self):
        self.is_paused = False

    def pause_reading(self):
        assert not self.is_paused
        self.is_paused = True

    def resume_reading(self):
        assert self.is_paused
        self.is_paused = False


def incoming(max_bytes=1 << 30, intake=None):
    wire = Wire()
    return IncomingDataSet(wire, intake or Intake(), max_bytes), wire


async def collect(data_set):
    return [piece async for piece in data_set]


async def test_every_byte_comes_out_in_order():
    data_set, _ = incoming()
    for value in range(5):
        data_set.feed(memoryview(bytes([value]) * 100))
    data_set.end()
    assert b"".join(await collect(data_set)) == b"".join(bytes([v]) * 100 for v in range(5))


async def test_small_fragments_are_joined_and_large_ones_are_not():
    data_set, _ = incoming()
    for _ in range(20):
        data_set.feed(memoryview(bytes(8192)))
    data_set.feed(memoryview(bytes(PIECE)))
    data_set.end()
    assert [len(piece) for piece in await collect(data_set)] == [PIECE, PIECE, 32768 + PIECE]


async def test_fragments_of_two_bytes_take_no_more_memory_than_their_bytes():
    data_set, _ = incoming()
    fragment = memoryview(b"ab")
    tracemalloc.start()
    for _ in range(PIECE // 2 - 1):
        data_set.feed(fragment)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken < 4 * PIECE
    data_set.end()
    assert await collect(data_set) == [b"ab" * (PIECE // 2 - 1)]


async def test_an_empty_data_set_is_just_its_end():
    data_set, _ = incoming()
    data_set.end()
    assert await collect(data_set) == []


async def test_a_reader_waits_for_the_rest():
    data_set, _ = incoming()
    reader = asyncio.ensure_future(collect(data_set))
    await asyncio.sleep(0)
    data_set.feed(memoryview(b"ab"))
    await asyncio.sleep(0)
    assert not reader.done()
    data_set.feed(memoryview(b"cd"))
    data_set.end()
    assert await reader == [b"abcd"]


async def test_reading_stops_while_the_handler_is_behind():
    data_set, wire = incoming()
    for _ in range(HIGH_WATER // PIECE):
        assert not wire.is_paused
        data_set.feed(memoryview(bytes(PIECE)))
    assert wire.is_paused
    while wire.is_paused:
        await anext(data_set)
    data_set.end()
    await collect(data_set)


async def test_an_aborted_transfer_is_never_a_silent_end():
    data_set, wire = incoming()
    data_set.feed(memoryview(bytes(HIGH_WATER)))
    assert wire.is_paused
    data_set.fail(PeerError("gone"))
    assert not wire.is_paused
    with pytest.raises(PeerError, match="gone"):
        await anext(data_set)
    with pytest.raises(PeerError, match="gone"):
        await data_set.drain()


async def test_a_waiting_reader_hears_of_the_abort():
    data_set, _ = incoming()
    reader = asyncio.ensure_future(collect(data_set))
    await asyncio.sleep(0)
    data_set.fail(PeerError("gone"))
    with pytest.raises(PeerError, match="gone"):
        await reader


async def test_a_complete_data_set_survives_the_end_of_the_connection():
    data_set, _ = incoming()
    data_set.feed(memoryview(b"whole"))
    data_set.end()
    data_set.fail(PeerError("gone"))
    assert data_set.error is None
    assert await collect(data_set) == [b"whole"]


async def test_draining_holds_nothing():
    intake = Intake()
    data_set, wire = incoming(intake=intake)
    data_set.feed(memoryview(bytes(HIGH_WATER)))
    drained = asyncio.ensure_future(data_set.drain())
    await asyncio.sleep(0)
    assert not wire.is_paused
    for _ in range(100):
        data_set.feed(memoryview(bytes(HIGH_WATER)))
        assert intake.held == 0
    data_set.end()
    await drained


async def test_a_data_set_without_end_is_refused():
    data_set, _ = incoming(max_bytes=1000)
    data_set.feed(memoryview(bytes(1000)))
    with pytest.raises(PeerError, match="longer than 1000 bytes"):
        data_set.feed(memoryview(b"x"))


async def test_the_common_account_makes_everyone_small():
    intake = Intake(limit=PIECE)
    assert len(intake.buffer) == RECEIVE
    first, wire = incoming(intake=intake)
    first.feed(memoryview(bytes(PIECE + 1)))
    assert intake.is_tight
    assert wire.is_paused
    assert len(intake.buffer) == RECEIVE_WHEN_TIGHT
    second, other_wire = incoming(intake=intake)
    second.feed(memoryview(b"a little"))
    assert other_wire.is_paused
    # A paused reader gets what is there: waiting for more would be for ever.
    assert await anext(second) == b"a little"
    assert not other_wire.is_paused
    first.discard()
    assert not wire.is_paused
    assert intake.held == 0
    assert not intake.is_tight
