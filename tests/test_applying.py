"""Settings come into force between associations, never in one."""

from __future__ import annotations

import asyncio

from edge.applying import Applying


class Dimse:
    """Associations that end when a test says so."""

    def __init__(self):
        self.is_quiet = False
        self.away = asyncio.Event()

    def turn_away(self, why):
        self.away.set()


async def test_it_waits_until_no_association_is_under_way():
    dimse = Dimse()
    waiting = asyncio.create_task(Applying().wait(dimse, lambda: False))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    assert not dimse.away.is_set()
    dimse.is_quiet = True
    await asyncio.wait_for(waiting, 5)


async def test_where_there_is_no_gap_new_ones_are_told_to_come_again():
    dimse = Dimse()
    waiting = asyncio.create_task(Applying().wait(dimse, lambda: False, patience=0))
    await asyncio.wait_for(dimse.away.wait(), 5)
    assert not waiting.done()
    dimse.is_quiet = True
    await asyncio.wait_for(waiting, 5)


async def test_nobody_waits_where_the_service_ends_anyway():
    await asyncio.wait_for(Applying().wait(Dimse(), lambda: True), 5)


async def test_who_asks_is_answered_first():
    applying = Applying()
    applying.ask()
    assert not applying.asked.is_set()
    await asyncio.wait_for(applying.asked.wait(), 5)
