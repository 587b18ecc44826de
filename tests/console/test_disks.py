"""Disks, at the screen of the box: the data moves to a bigger one."""

from __future__ import annotations

import pytest

from edge.console.forms import DiskForm, Question
from edge.machine.disks import Disk
from edge.machine.wishes import EraseOld, Move, Stay
from tests.console.boxes import NEW, FakeBox
from tests.console.test_page import appears, form_text, press, shown, text, until, write, wrong_in

OWN = Disk("sda", 64 * 10**9, "A disk", "1", ("edge-data",), "has the data of this box", "busy")
EMPTY = Disk("sdb", 500 * 10**9, "A bigger one", "2", (), "", "")
USED = Disk("sdc", 500 * 10**9, "Another", "3", ("ntfs",), "", "")


@pytest.fixture
def box():
    box = FakeBox(NEW)
    box.disks_found = [OWN, EMPTY, USED]
    return box


async def test_the_data_moves_to_an_empty_disk_and_how_far_it_is_is_shown(box):
    async with shown(box) as (page, pilot):
        await pilot.press("d")
        await appears(pilot, DiskForm)
        assert "sdb, 500 GB, A bigger one 2: empty" in wrong_in(pilot)
        await write(pilot, disk="sdb")
        await press(pilot, "go")
        await until(pilot, lambda: "43 %" in text(page, "facts"))
    assert box.asked == [(Move("sdb", EMPTY.seen), None)]


async def test_what_can_not_be_is_said_and_nothing_is_erased_that_was_not_said(box):
    async with shown(box) as (page, pilot):
        await pilot.press("d")
        await appears(pilot, DiskForm)
        for disk, said in (("sdz", "no disk sdz"), ("sda", "busy"), ("sdc", "type erase")):
            await write(pilot, disk=disk)
            await press(pilot, "go")
            await until(pilot, lambda said=said: said in wrong_in(pilot))
        assert box.asked == []
        await write(pilot, erase="erase")
        await press(pilot, "go")
        await until(pilot, lambda: box.asked and len(page.screen_stack) == 1)
    assert box.asked == [(Move("sdc", USED.seen, erase=True), None)]


async def test_a_move_goes_on_unless_somebody_ends_it(box):
    async with shown(box) as (page, pilot):
        await box.wish(Move("sdb", EMPTY.seen), None)
        await until(pilot, lambda: "43 %" in text(page, "facts"))
        for button, asked in (("no", 1), ("yes", 2)):
            await pilot.press("d")
            await appears(pilot, Question)
            await press(pilot, button)
            await until(pilot, lambda: len(page.screen_stack) == 1)
            assert len(box.asked) == asked
        assert box.asked[-1] == (Stay(), None)
        await until(pilot, lambda: "43 %" not in text(page, "facts"))


async def test_an_old_copy_is_destroyed_if_somebody_says_so(box):
    left = Disk("sda", 64 * 10**9, "A disk", "1", (), "has the data as it was", "", is_left=True)
    box.disks_found = [left, EMPTY]
    async with shown(box) as (page, pilot):
        await pilot.press("d")
        await appears(pilot, Question)
        assert "has the data as it was" in str(form_text(pilot))
        await press(pilot, "no")
        await until(pilot, lambda: len(page.screen_stack) == 1)
        assert box.asked == []
        await pilot.press("d")
        await appears(pilot, Question)
        await press(pilot, "yes")
        await until(pilot, lambda: box.asked == [(EraseOld(), None)])
