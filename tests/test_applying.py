"""Settings come into force between associations, never in one."""

from __future__ import annotations

import asyncio

from edge.applying import Applying


class Dimse:
    """Associations that end when a test says so."""

    def __init__(self):
        self.is_quiet = self.is_idle = False
        self.away = asyncio.Event()

    def turn_away(self, why):
        if why:
            self.away.set()
        else:
            self.away.clear()


class Upload:
    """Under way until a test says that it is not."""

    is_quiet = False


def begin(dimse, *others, **seconds):
    return asyncio.create_task(Applying().wait(dimse, others, lambda: False, **seconds))


async def test_it_waits_until_no_association_is_under_way():
    dimse = Dimse()
    waiting = begin(dimse)
    await asyncio.sleep(0.3)
    assert not waiting.done()
    assert not dimse.away.is_set()
    dimse.is_quiet = True
    await asyncio.wait_for(waiting, 30)


async def test_where_there_is_no_gap_new_ones_are_told_to_come_again():
    dimse = Dimse()
    waiting = begin(dimse, patience=0)
    await asyncio.wait_for(dimse.away.wait(), 30)
    assert not waiting.done()
    dimse.is_quiet = True
    await asyncio.wait_for(waiting, 30)


async def test_who_keeps_an_association_open_does_not_keep_the_others_out():
    """A device that says that it is alive every 30 seconds is never silent for long."""
    dimse, began = Dimse(), asyncio.get_running_loop().time()
    dimse.is_idle = True
    await asyncio.wait_for(begin(dimse, patience=0.3), 30)
    # There was time for a gap, and then for the others to end by themselves.
    assert asyncio.get_running_loop().time() - began > 0.6
    assert dimse.away.is_set()


async def test_no_request_is_cut_however_long_it_takes():
    dimse = Dimse()
    waiting = begin(dimse, patience=0)
    await asyncio.sleep(0.5)
    assert not waiting.done()
    dimse.is_idle = True
    await asyncio.wait_for(waiting, 30)


async def test_it_waits_for_whatever_else_is_under_way():
    dimse, upload = Dimse(), Upload()
    dimse.is_quiet = dimse.is_idle = True
    waiting = begin(dimse, upload, patience=0)
    await asyncio.sleep(0.5)
    assert not waiting.done()
    assert not dimse.away.is_set()  # no device could end that by waiting
    upload.is_quiet = True
    await asyncio.wait_for(waiting, 30)
    assert dimse.away.is_set()


async def test_devices_come_in_again_while_something_else_takes_long():
    dimse, upload = Dimse(), Upload()
    upload.is_quiet = True
    waiting = begin(dimse, upload, patience=0.2, long=0.2)
    await asyncio.wait_for(dimse.away.wait(), 30)
    upload.is_quiet = False
    async with asyncio.timeout(30):
        while dimse.away.is_set():  # noqa: ASYNC110 - there is no event of its end
            await asyncio.sleep(0.01)
    upload.is_quiet = True
    await asyncio.wait_for(dimse.away.wait(), 30)
    dimse.is_quiet = True
    await asyncio.wait_for(waiting, 30)


async def test_nobody_waits_where_the_service_ends_anyway():
    await asyncio.wait_for(Applying().wait(Dimse(), [Upload()], lambda: True), 30)


async def test_who_asks_is_answered_first():
    applying = Applying()
    applying.ask()
    assert not applying.asked.is_set()
    await asyncio.wait_for(applying.asked.wait(), 30)
