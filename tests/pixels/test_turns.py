"""Who is next: nobody waits behind all that somebody else wants."""

import asyncio

import pytest

from edge.errors import PixelWorkersBusy
from edge.pixels.turns import ASKER, Turns


@pytest.fixture
async def row():
    """Asks for turns, and says in which order they came; one step ends each turn."""
    order, asking = [], []

    async def ask(turns, asker, number):
        ASKER.set(asker)
        async with turns.take():
            order.append(f"{asker}{number}")
            await asyncio.sleep(0)

    async def queue(turns, *wanted):
        started = [asyncio.ensure_future(ask(turns, one[0], one[1:])) for one in wanted]
        asking.extend(started)
        await asyncio.sleep(0)
        return started

    yield order, queue
    await asyncio.gather(*asking, return_exceptions=True)


async def test_turns_go_round_among_those_who_ask(row):
    order, queue = row
    turns = Turns(1, 100)
    async with turns.take():
        asked = await queue(turns, "a1", "a2", "a3", "a4", "b1", "b2", "c1")
    await asyncio.gather(*asked)
    assert order == ["a1", "b1", "c1", "a2", "b2", "a3", "a4"]


async def test_who_comes_late_waits_for_one_turn_of_each_other(row):
    order, queue = row
    turns = Turns(1, 100)
    async with turns.take():
        first = await queue(turns, *(f"a{number}" for number in range(50)))
    second = await queue(turns, "b0")
    await asyncio.gather(*first, *second)
    assert order.index("b0") <= 2


async def test_a_full_room_refuses_the_last_one_of_who_has_most_in_it(row):
    order, queue = row
    turns = Turns(1, 4)
    async with turns.take():
        greedy = await queue(turns, "a1", "a2", "a3", "a4")
        [fifth] = await queue(turns, "a5")
        others = await queue(turns, "b1", "c1")
        with pytest.raises(PixelWorkersBusy):
            await fifth
    answers = await asyncio.gather(*greedy, *others, return_exceptions=True)
    assert [type(answer) for answer in answers[2:4]] == [PixelWorkersBusy] * 2
    assert order == ["a1", "b1", "c1", "a2"]


async def test_a_turn_is_never_lost_with_who_goes_away(row):
    order, queue = row
    turns = Turns(1, 100)
    async with turns.take():
        waiting, given, last = await queue(turns, "a1", "a2", "b1")
        waiting.cancel()
        await asyncio.sleep(0)
    # It was given to the next one, who goes away before noticing.
    given.cancel()
    last.cancel()
    answers = await asyncio.gather(waiting, given, last, return_exceptions=True)
    assert all(isinstance(answer, asyncio.CancelledError) for answer in answers)
    [again] = await queue(turns, "c1")
    await asyncio.wait_for(again, 5)
    assert order == ["c1"]
    assert turns._queues == {}


async def test_as_many_turns_are_taken_at_once_as_there_are():
    turns = Turns(2, 100)
    having = most = 0

    async def have():
        nonlocal having, most
        async with turns.take():
            having += 1
            most = max(most, having)
            await asyncio.sleep(0)
            having -= 1

    await asyncio.gather(*(have() for _ in range(20)))
    assert most == 2
    assert turns._free == 2
