"""The network, at the screen of the box: settings, tried before they are kept."""

from __future__ import annotations

from dataclasses import replace

from textual.widgets import Static

from edge.console import network
from edge.console.forms import Question
from edge.console.network import NetworkForm, Trial
from edge.machine.ports import Port
from edge.machine.wishes import Back, Keep, NetworkSettings
from tests.console.boxes import NEW, FakeBox
from tests.console.test_page import appears, form_text, press, shown, until, write, wrong_in

PORTS = (
    Port("enp1s0", "52:54:00:12:34:56", True),
    Port("enp2s0", "52:54:00:12:34:57", False),
    Port("enp3s0", "52:54:00:12:34:58", None),
)


def said(pilot, name):
    found = pilot.app.screen.query(f"#{name}")
    return str(found.first(Static).content) if found else ""


async def begun(pilot, **values):
    await pilot.press("n")
    await appears(pilot, NetworkForm)
    await write(pilot, **values)
    await press(pilot, "go")
    return await appears(pilot, Trial)


async def test_who_presses_enter_too_often_keeps_nothing(monkeypatch):
    monkeypatch.setattr(network, "_DEAF_SECONDS", 5.0)  # as long as a slow machine takes for these
    box = FakeBox(NEW)
    async with shown(box) as (page, pilot):
        await pilot.press("n")
        await appears(pilot, NetworkForm)
        await pilot.press(*["enter"] * 7)
        trial = await appears(pilot, Trial)
        await pilot.press("enter", "left", "enter", "escape", "tab", "enter")
        assert trial.is_deaf
        assert page.screen is trial
        assert page.focused.id == "no"
        await until(pilot, lambda: not trial.is_deaf)
        await pilot.press("enter")
        await until(pilot, lambda: (Back(), None) in box.asked)
    assert (Keep(), None) not in box.asked


async def test_a_trial_shows_where_the_box_is_now_and_the_time_that_is_left():
    box = FakeBox(NEW)
    async with shown(box) as (_, pilot):
        await begun(pilot)
        assert "192.168.1.10, fd00::10" in said(pilot, "seen")
        assert "https://radiology.local:8443/welcome" in said(pilot, "seen")
        box.view = replace(box.view, addresses=())
        await until(pilot, lambda: "none yet" in said(pilot, "seen"))
        box.view = replace(box.view, addresses=("10.1.2.3",))
        await until(pilot, lambda: "10.1.2.3" in said(pilot, "seen"))
        first = said(pilot, "left")
        assert " s." in first
        await until(pilot, lambda: said(pilot, "left") != first)
        for name in ("seen", "left", "yes", "no"):
            assert pilot.app.screen.query_one(f"#{name}").region.bottom < 24


async def test_what_nobody_keeps_in_time_goes_back_and_that_is_said(monkeypatch):
    monkeypatch.setattr(network, "TRIED_SECONDS", 6.0)  # one second of them is there to be seen
    monkeypatch.setattr(network, "_DEAF_SECONDS", 0.0)
    box = FakeBox(NEW)
    async with shown(box) as (page, pilot):
        await pilot.press("n")
        await appears(pilot, NetworkForm)
        await press(pilot, "go")
        await until(pilot, lambda: "Nobody kept" in str(form_text(pilot)))
        assert box.asked[-1] == (Back(), None)
        await until(pilot, lambda: page.focused is not None)
        await press(pilot, "yes")
        await until(pilot, lambda: len(page.screen_stack) == 1)


async def test_who_goes_back_by_hand_is_told_nothing():
    box = FakeBox(NEW)
    async with shown(box) as (page, pilot):
        await begun(pilot)
        await press(pilot, "no")
        await until(pilot, lambda: len(page.screen_stack) == 1 and not page.is_acting)
        assert not isinstance(page.screen, Question)


async def test_the_form_names_the_ports_that_there_are():
    async with shown(FakeBox(replace(NEW, ports=PORTS))) as (_, pilot):
        await pilot.press("n")
        await appears(pilot, NetworkForm)
        assert said(pilot, "notes").splitlines() == [
            "Ports: enp1s0  52:54:00:12:34:56  cable in",
            "       enp2s0  52:54:00:12:34:57  no cable",
            "       enp3s0  52:54:00:12:34:58  switched off",
        ]
        await write(pilot, vlan="20")
        await press(pilot, "go")
        await until(pilot, lambda: "fill in Port: enp1s0, enp2s0" in wrong_in(pilot))
        for name in ("notes", "wrong", "help", "go", "vlan"):
            assert pilot.app.screen.query_one(f"#{name}").region.bottom < 24, name


async def test_more_ports_than_there_is_room_for_are_named_in_one_line():
    form = NetworkForm(NetworkSettings(), [Port(f"eth{one}", "00:00", True) for one in range(6)])
    assert form.notes().splitlines()[-1] == "       and eth3, eth4, eth5"


async def test_mistakes_are_said_with_the_words_of_the_form():
    async with shown(FakeBox(NEW)) as (_, pilot):
        await pilot.press("n")
        await appears(pilot, NetworkForm)
        for wrong, words in (
            ({"dns": "there"}, "Name servers: 'there' is no address"),
            ({"dns": "", "ntp": "1.2.3"}, "Time servers: '1.2.3'"),
            ({"ntp": "", "interface": "a b"}, "Port: 'a b' is no port"),
        ):
            await write(pilot, **wrong)
            await press(pilot, "go")
            await until(pilot, lambda words=words: words in wrong_in(pilot))


async def test_arrow_keys_move_in_a_form_and_that_is_said():
    async with shown(FakeBox(NEW)) as (page, pilot):
        await pilot.press("n")
        await appears(pilot, NetworkForm)
        assert "Tab and arrows move, Enter goes on, Esc leaves" in said(pilot, "help")
        assert page.focused.id == "address"
        await pilot.press("down")
        assert page.focused.id == "gateway"
        await pilot.press("up")
        assert page.focused.id == "address"
