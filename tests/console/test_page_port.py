"""The port by which alone the web page is reached, chosen at the screen of the box."""

from __future__ import annotations

from dataclasses import replace

import pytest
from textual.widgets import Button

from edge.console.facts import lines_of
from edge.console.forms import Question
from edge.console.network import NetworkForm
from edge.console.page_port import PagePortForm
from edge.errors import Needs
from edge.machine.ports import Port
from tests.console.boxes import IN_USE, NEW, FakeBox
from tests.console.test_network import said
from tests.console.test_page import appears, log_in, press, shown, until, write, wrong_in

PORTS = (Port("enp1s0", "52:54:00:12:34:56", True), Port("enp2s0", "52:54:00:12:34:57", None))
TWO = replace(NEW, ports=PORTS, page_ports=PORTS)


async def begun(pilot):
    await pilot.press("n")
    await appears(pilot, NetworkForm)
    await press(pilot, "page")
    return await appears(pilot, PagePortForm)


async def test_it_is_chosen_and_said_on_the_page():
    box = FakeBox(TWO)
    async with shown(box) as (_, pilot):
        await begun(pilot)
        assert "enp2s0  52:54:00:12:34:57  switched off" in said(pilot, "notes")
        await write(pilot, port="enp2s0")
        await press(pilot, "go")
        told = await appears(pilot, Question)
        assert "by port enp2s0 alone in a moment" in told._text
        await press(pilot, "yes")
    assert box.asked == [("keep page", "enp2s0", None)]
    assert "             by port enp2s0 alone" in lines_of(box.view)


async def test_an_admin_has_it_reached_by_each_again():
    box = FakeBox(replace(TWO, needs_login=True, page_by="enp2s0"))
    async with shown(box) as (_, pilot):
        await pilot.press("n")
        await log_in(pilot)
        await appears(pilot, NetworkForm)
        await press(pilot, "page")
        await appears(pilot, PagePortForm)
        await write(pilot, port="")
        await press(pilot, "go")
        assert "by each port" in (await appears(pilot, Question))._text
    assert box.asked[-1] == ("keep page", "", "anna")
    assert not any("alone" in line for line in lines_of(box.view))


async def test_what_can_not_be_is_said_and_changes_nothing():
    box = FakeBox(TWO)
    box.refuses = "http.interface is fixed by /etc/edge/edge.toml:3"
    async with shown(box) as (_, pilot):
        await begun(pilot)
        await write(pilot, port="enp9s0")
        await press(pilot, "go")
        await until(pilot, lambda: "there is no enp9s0" in wrong_in(pilot))
        assert "one of enp1s0, enp2s0" in wrong_in(pilot)
        assert box.asked == []
        await write(pilot, port="enp1s0")
        await press(pilot, "go")
        assert "is fixed by" in (await appears(pilot, Question))._text


async def test_who_leaves_it_as_it_is_changes_nothing():
    box = FakeBox(replace(TWO, page_by="enp1s0"))
    async with shown(box) as (page, pilot):
        await begun(pilot)
        await press(pilot, "go")
        await until(pilot, lambda: not page.is_acting)
        await begun(pilot)
        await pilot.press("escape")
        await until(pilot, lambda: not page.is_acting)
    assert box.asked == []


async def test_a_choice_that_does_not_hold_yet_can_be_made_again():
    """The service did not answer when it was made."""
    box = FakeBox(replace(TWO, page_by="enp1s0", page_waits=True))
    async with shown(box) as (_, pilot):
        await begun(pilot)
        await press(pilot, "go")
        await appears(pilot, Question)
    assert box.asked == [("keep page", "enp1s0", None)]


@pytest.mark.parametrize(
    ("view", "is_asked"),
    [
        (TWO, True),
        (replace(TWO, page_ports=PORTS[:1]), False),
        (replace(TWO, page_ports=PORTS[:1], page_by="enp7s0"), True),
        (replace(TWO, page_ports=(), page_by="enp1s0"), False),
        (replace(IN_USE, page_ports=PORTS, needs=Needs.SERVER), False),
    ],
    ids=["two", "one", "a missing one", "no firewall", "locked"],
)
async def test_it_is_asked_where_there_is_a_choice_and_who_may_choose(view, is_asked):
    async with shown(FakeBox(view)) as (_, pilot):
        await pilot.press("n")
        form = await appears(pilot, NetworkForm)
        assert bool(form.query("#page")) == is_asked


async def test_all_of_the_form_fits_on_the_smallest_screen():
    async with shown(FakeBox(TWO)) as (_, pilot):
        await pilot.press("n")
        form = await appears(pilot, NetworkForm)
        await pilot.pause()
        for button in form.query(Button):
            assert button.region.right < 76, button.id
            assert button.region.bottom < 24, button.id
            assert button.region.height == 3, button.id


async def test_of_a_port_that_is_missing_the_page_is_not_said_to_be_reached_by_it():
    assert not any("alone" in line for line in lines_of(replace(TWO, page_by="enp7s0")))
