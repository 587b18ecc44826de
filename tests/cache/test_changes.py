"""Wake-ups: one that is doubled or early does no harm."""

from __future__ import annotations

import asyncio

from edge.cache.changes import Changes


async def test_a_wake_up_before_the_wait_is_not_lost():
    changes = Changes()
    with changes.subscribe() as woken:
        changes.wake()
        changes.wake()
        assert await woken.wait(0)  # it rang already, so no time is needed
        assert not await woken.wait(0.01)


async def test_every_waiter_hears_it():
    changes = Changes()

    async def wait():
        with changes.subscribe() as woken:
            return await woken.wait(5)

    async with asyncio.TaskGroup() as group:
        waiters = [group.create_task(wait()) for _ in range(5)]
        await asyncio.sleep(0)
        changes.wake()
    assert all(waiter.result() for waiter in waiters)


async def test_who_left_is_not_rung():
    changes = Changes()
    with changes.subscribe():
        pass
    assert changes._bells == set()
