"""The accountant of room."""

from __future__ import annotations

import asyncio

import pytest

from edge import config
from edge.cache.space import Space
from edge.errors import StorageFull


class Disk:
    """A store on a disk of a given size."""

    def __init__(self, free):
        self.free = free

    async def free_bytes(self):
        return self.free


class Index:
    """An index that names so many bytes."""

    missing_ballast = 0

    def __init__(self, used):
        self.used = used

    async def read(self, _):
        return [(self.used,)]


async def make(*, used=0, free=1000, patience=0.01, **limits):
    settings = config.Cache(**({"reserve_bytes": 100} | limits))
    space = Space(settings, Index(used), Disk(free), patience=patience)
    await space.refresh()
    return space


async def test_the_capacity_is_what_the_disk_has_beyond_the_reserve():
    assert (await make(used=500, free=1000)).capacity == 1400
    assert (await make(used=500, free=1000, max_bytes=700)).capacity == 700
    assert (await make(used=500, free=1000, max_bytes=5000)).capacity == 1400
    assert (await make(free=50)).capacity == 0


async def test_a_new_instance_is_refused_when_it_is_full():
    (await make(used=899, free=101)).check_room()
    with pytest.raises(StorageFull):
        (await make(used=900, free=100)).check_room()
    with pytest.raises(StorageFull):
        (await make(used=700, max_bytes=700)).check_room()


async def test_nothing_new_comes_in_while_it_is_closed_and_what_is_under_way_ends():
    why = ["the box powers off"]
    space = Space(config.Cache(reserve_bytes=100), Index(0), Disk(1000), closed=lambda: why[0])
    await space.refresh()
    with pytest.raises(StorageFull, match="powers off"):
        await space.make_room()  # at once: no eviction would help
    with space.reserve() as reservation:
        reservation.grow(10)
    why[0] = ""
    await space.make_room()


async def test_an_instance_is_under_way_from_before_its_first_byte():
    space = await make()
    assert space.is_idle
    with space.reserve():
        assert not space.is_idle
        with space.reserve():
            pass
        assert not space.is_idle
    assert space.is_idle


async def test_an_instance_under_way_may_use_most_of_the_reserve():
    space = await make(free=101)
    with space.reserve() as reservation:
        reservation.grow(80)
        with pytest.raises(StorageFull):
            reservation.grow(20)
        with pytest.raises(StorageFull):
            space.check_room()
    space.check_room()


async def test_a_new_instance_waits_for_eviction_a_moment():
    space = await make(used=700, max_bytes=700, patience=5)

    async def evict():
        await space.pressed.wait()
        space._database.used = 100
        await space.refresh()
        async with space.relieved:
            space.relieved.notify_all()

    async with asyncio.TaskGroup() as group:
        group.create_task(evict())
        await space.make_room()


async def test_what_the_ballast_lacks_is_not_free():
    space = await make(used=100, free=500)
    assert space.capacity == 500
    space._database.missing_ballast = 300
    await space.refresh()
    assert space.capacity == 200


async def test_the_high_mark_rings_for_eviction():
    space = await make(used=0, max_bytes=1000, free=100_000)
    space.stored(900)
    assert not space.pressed.is_set()
    space.stored(60)
    assert space.pressed.is_set()
    assert space.above_high_mark
    assert space.excess == 960 - 850
