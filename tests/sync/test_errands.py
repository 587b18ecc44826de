import asyncio

from edge.sync.errands import Errands
from tests.sync.test_batches import owed


async def test_what_one_has_in_hand_is_free_when_it_ends():
    errands, rung = Errands(), []
    errands.ring = lambda: rung.append(set(errands.ids))

    async def work():
        assert errands.ids == {1, 2}

    async with asyncio.TaskGroup() as group:
        errands.start(group, "work", owed(1, 2), work())
        assert errands.ids == {1, 2}
    assert rung == [set()]


async def test_an_error_ends_no_other_and_is_told_once():
    errands, done = Errands(), []

    async def fail():
        raise ValueError("it went wrong")

    async def work():
        await asyncio.sleep(0.01)
        done.append(True)

    async with asyncio.TaskGroup() as group:
        errands.start(group, "fails", owed(1), fail())
        errands.start(group, "works", owed(2), work())
    assert done
    assert isinstance(errands.take_error(), ValueError)
    assert errands.take_error() is None
