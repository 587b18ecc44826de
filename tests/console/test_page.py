"""The page on the screen of the box, as somebody with a keyboard finds it."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from itertools import count

import pytest
from rich.color import ColorSystem
from textual.geometry import Region
from textual.widgets import Button, Input, Static

from edge.cache.condition import Level
from edge.console.facts import lines_of
from edge.console.forms import (
    LogInForm,
    Question,
    ResetForm,
    UnlockForm,
    harmless,
)
from edge.console.network import NetworkForm, Trial
from edge.console.page import ConsolePage
from edge.console.silence import Silence
from edge.errors import EdgeError, MachineRefused, Needs
from edge.machine.asking import NoAnswer
from edge.machine.wishes import Back, Keep, Network, NetworkSettings, PowerOff, Restart
from tests.console.boxes import ANNA, IN_USE, NEW, FakeBox

PATIENCE = 60.0
FILLED, PLAIN = (0, 7, False, False), (15, 0, False, False)
"""Black on white, and white on black, of a text console."""


@contextlib.asynccontextmanager
async def shown(box, *, idle=300.0, size=(80, 24)):
    """The page, drawn once."""
    page = ConsolePage(box, every=0.2, idle=idle)
    async with page.run_test(size=size) as pilot:
        await until(pilot, lambda: page.view is not None or box.fails is not None)
        yield page, pilot


async def until(pilot, condition):
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await pilot.pause(0.01)


async def appears(pilot, kind):
    """A form, once it can be typed into."""
    await until(pilot, lambda: isinstance(pilot.app.screen, kind) and pilot.app.focused is not None)
    return pilot.app.screen


async def write(pilot, **values):
    for name, value in values.items():
        pilot.app.screen.query_one(f"#{name}", Input).value = value
    await pilot.pause()


async def press(pilot, button):
    pilot.app.screen.query_one(f"#{button}", Button).press()
    await pilot.pause()


def text(page, name):
    return str(page.screen_stack[0].query_one(f"#{name}", Static).content)


async def log_in(pilot, password="right"):
    await appears(pilot, LogInForm)
    await write(pilot, name="anna", password=password)
    await press(pilot, "go")


# What is shown ----------------------------------------------------------------------------------


async def test_it_says_how_the_box_is_and_where_its_page_is():
    async with shown(FakeBox()) as (page, pilot):
        await until(pilot, lambda: "safe in the cloud" in text(page, "sentence"))
        assert text(page, "title") == "radiology"
        facts = text(page, "facts")
        assert "Web page     https://radiology.local:8443/" in facts
        assert "Address      192.168.1.10\n             fd00::10" in facts
        assert "Fingerprint  00:01:02:03:04:05:06:07\n             08:09" in facts
        assert "Set-up code" not in facts
        assert page.screen.query_one("#sentence").has_class("safe")


async def test_a_new_box_shows_the_code_of_its_first_admin():
    async with shown(FakeBox(NEW)) as (page, pilot):
        await until(pilot, lambda: "7K2M-Q0XE-41TR-ZB9D" in text(page, "facts"))
        await pilot.press("c")
        await appears(pilot, Question)
        await press(pilot, "no")
        assert page._box.asked == []
        await pilot.press("c")
        await appears(pilot, Question)
        await press(pilot, "yes")
        await until(pilot, lambda: "AAAA-BBBB-CCCC-DDDD" in text(page, "facts"))


async def test_it_fits_on_the_smallest_screen_with_its_code():
    async with shown(FakeBox(NEW)) as (page, pilot):
        await until(pilot, lambda: text(page, "picture"))
        width = max(map(len, text(page, "picture").splitlines()))
        picture = page.screen.query_one("#picture")
        await until(pilot, lambda: picture.content_region.width >= width)
        for name in ("facts", "picture"):
            region = page.screen.query_one(f"#{name}").region
            assert region.bottom < 24, name
            assert region.right <= 80, name


async def test_a_change_is_shown_by_itself():
    box = FakeBox()
    async with shown(box) as (page, pilot):
        box.view = replace(box.view, sentence="New images are refused.", level=Level.ALARM)
        await until(pilot, lambda: "refused" in text(page, "sentence"))
        assert page.screen.query_one("#sentence").has_class("alarm")
        box.fails = EdgeError("the disk is gone")
        await until(pilot, lambda: "the disk is gone" in text(page, "sentence"))
        box.fails = None
        await until(pilot, lambda: "refused" in text(page, "sentence"))


async def test_a_look_that_takes_longer_than_the_pause_between_two_is_shown_all_the_same():
    box = FakeBox()
    box.takes = 0.6
    async with shown(box) as (page, pilot):
        await until(pilot, lambda: "safe in the cloud" in text(page, "sentence"))


async def test_troubles_of_the_machine_are_named():
    view = replace(IN_USE, troubles=("Disk sda may fail: 3 sectors can't be read",))
    assert "! Disk sda may fail: 3 sectors can't be read" in lines_of(view)


async def test_without_a_network_it_asks_for_the_cable():
    lines = lines_of(replace(IN_USE, addresses=()))
    assert "Address      none" in lines
    assert "             Is the cable plugged in?" in lines


async def test_no_terminal_obeys_what_others_said():
    said = "archive \x1b[2J[red]gone[/red]\x07"
    box = FakeBox(replace(IN_USE, sentence=said))
    async with shown(box) as (page, pilot):
        await until(pilot, lambda: "archive" in text(page, "sentence"))
        assert text(page, "sentence") == "archive \ufffd[2J[red]gone[/red]\ufffd"
    assert harmless("a\nb") == "a\nb"


@pytest.mark.parametrize("key", ["ctrl+c", "ctrl+q", "ctrl+z", "ctrl+d", "escape", "q", "ctrl+p"])
async def test_no_key_leaves_it(key):
    async with shown(FakeBox()) as (page, pilot):
        await pilot.press(key)
        await pilot.pause()
        assert page.is_running
        assert len(page.screen_stack) == 1


# What can be done -------------------------------------------------------------------------------


async def test_whoever_stands_there_restarts_and_powers_off_after_a_question():
    box = FakeBox()
    async with shown(box) as (page, pilot):
        for key, wish in (("r", Restart()), ("p", PowerOff())):
            await pilot.press(key)
            await appears(pilot, Question)
            await pilot.press("enter")  # the answer that changes nothing has the focus
            await until(pilot, lambda: len(page.screen_stack) == 1)
            assert (wish, None) not in box.asked
            await pilot.press(key)
            await appears(pilot, Question)
            await press(pilot, "yes")
            await until(pilot, lambda wish=wish: (wish, None) in box.asked)


FIXED = NetworkSettings(address=("192.168.1.10/24",), gateway=("192.168.1.1",), vlan=0)


async def tried(pilot):
    form = await appears(pilot, NetworkForm)
    await write(pilot, address="192.168.1.10/24", gateway="192.168.1.1")
    await press(pilot, "go")
    return form


async def test_on_a_new_box_the_network_is_set_without_a_log_in():
    box = FakeBox(NEW)
    async with shown(box) as (_, pilot):
        await pilot.press("n")
        await tried(pilot)
        await appears(pilot, Question)
        await press(pilot, "yes")
        await until(pilot, lambda: (Keep(), None) in box.asked)
    assert box.asked == [(Network(FIXED), None), (Keep(), None)]
    assert box.view.network.kept == FIXED


async def test_else_an_admin_logs_in_first_with_a_second_factor():
    box = FakeBox()
    box.wants_second = True
    async with shown(box) as (page, pilot):
        await pilot.press("n")
        await log_in(pilot, "wrong")
        await until(pilot, lambda: "wrong" in wrong_in(pilot))
        await log_in(pilot)
        await until(pilot, lambda: pilot.app.screen.query("#second"))
        await write(pilot, second="123456")
        await press(pilot, "go")
        await tried(pilot)
        await appears(pilot, Question)
        await press(pilot, "no")
        await until(pilot, lambda: (Back(), "anna") in box.asked)
        assert page.person.name == "anna"
    assert ("log in", "anna", "right", "123456") in box.asked
    assert box.view.network.kept == NetworkSettings()


async def test_what_can_not_be_is_said_in_the_form_and_nothing_is_tried():
    box = FakeBox(NEW)
    async with shown(box) as (_, pilot):
        await pilot.press("n")
        await appears(pilot, NetworkForm)
        for wrong, said in (
            ({"address": "192.168.1.10"}, "Address:"),
            ({"address": "192.168.1.10/24", "gateway": "10.0.0.1"}, "Gateway:"),
            ({"gateway": "", "vlan": "many"}, "VLAN:"),
        ):
            await write(pilot, **wrong)
            await press(pilot, "go")
            shown_words = pilot.app.screen.query_one("#wrong", Static)
            await until(pilot, lambda said=said, at=shown_words: said in str(at.content))
        await pilot.press("escape")
        await until(pilot, lambda: len(pilot.app.screen_stack) == 1)
    assert box.asked == []


async def test_the_keyboard_alone_is_enough():
    box = FakeBox()
    async with shown(box) as (page, pilot):
        await pilot.press("s")
        await appears(pilot, LogInForm)
        await write(pilot, name="anna")
        await pilot.press("enter", *"right", "enter")
        await until(pilot, lambda: page.person is not None and len(page.screen_stack) == 1)
        await pilot.press("n")
        await appears(pilot, NetworkForm)
        await pilot.press(*"10.0.0.2/8", "enter")
        assert page.focused.id == "gateway"
        page.screen.query_one("#vlan").focus()
        await pilot.press("enter")
        trial = await appears(pilot, Trial)
        await until(pilot, lambda: not trial.is_deaf)
        await pilot.press("left", "enter")
        await until(pilot, lambda: (Keep(), "anna") in box.asked)
    assert box.view.network.kept == NetworkSettings(address=("10.0.0.2/8",))


async def test_a_machine_that_refuses_says_why():
    box = FakeBox(NEW)
    async with shown(box) as (page, pilot):
        box.fails = MachineRefused("networkctl failed", hint="look at its log")
        await pilot.press("p")
        await appears(pilot, Question)
        await press(pilot, "yes")
        form = await appears(pilot, Question)
        await until(pilot, lambda: "networkctl failed" in str(form_text(pilot)))
        assert form is not None
        await press(pilot, "yes")
        await until(pilot, lambda: len(page.screen_stack) == 1)


async def test_a_disk_that_fails_ends_nothing_of_the_page():
    box = FakeBox(NEW)
    async with shown(box) as (page, pilot):
        await pilot.press("p")
        await appears(pilot, Question)
        box.fails = OSError(5, "Input/output error")
        await press(pilot, "yes")
        await until(pilot, lambda: "Input/output error" in str(form_text(pilot)))
        await press(pilot, "yes")
        await until(pilot, lambda: len(page.screen_stack) == 1)
        assert page.is_running


def form_text(pilot):
    found = pilot.app.screen.query("#text")
    return found.first(Static).content if found else ""


@pytest.mark.parametrize("needs", [Needs.PASSPHRASE, Needs.RECOVERY_KEY, Needs.NEW_PASSPHRASE])
async def test_a_locked_box_is_opened_by_what_it_needs(needs):
    box = FakeBox(replace(IN_USE, needs=needs, sentence="The box is locked: anna locked it."))
    async with shown(box) as (page, pilot):
        await pilot.press("s")  # nobody can be let in there
        await pilot.press("u")
        await appears(pilot, UnlockForm)
        if needs is Needs.NEW_PASSPHRASE:
            assert "Choose the passphrase" in page.screen.heading
            notes = str(page.screen.query_one("#notes", Static).content)
            assert "At least 16 characters" in notes
            assert "nothing opens the box without it" in notes
            await write(pilot, secret="right", again="rigth")
            await press(pilot, "go")
            assert box.asked == []
            await write(pilot, again="right")
        else:
            await write(pilot, secret="wrong")
            await press(pilot, "go")
            await until(pilot, lambda: "does not open" in wrong_in(pilot))
            await write(pilot, secret="right")
        await press(pilot, "go")
        await until(pilot, lambda: "safe in the cloud" in text(page, "sentence"))
    assert box.asked[-1] == ("unlock", "right", needs)


def wrong_in(pilot):
    found = pilot.app.screen.query("#wrong")
    return str(found.first(Static).content) if found else ""


@pytest.mark.parametrize("needs", [Needs.ADMIN, Needs.SERVER])
async def test_who_only_stands_there_opens_no_locked_box(needs):
    box = FakeBox(replace(IN_USE, needs=needs))
    async with shown(box) as (page, pilot):
        await pilot.press("u")
        await pilot.pause()
        assert len(page.screen_stack) == 1
    assert box.asked == []


async def test_who_walks_away_is_logged_out():
    box = FakeBox()
    async with shown(box) as (page, pilot):
        await pilot.press("s")
        await log_in(pilot)
        await until(pilot, lambda: page.person is not None)
        page._idle = 0.3
        await until(pilot, lambda: ("log out", "anna") in box.asked)
        await until(pilot, lambda: page.person is None)


async def test_a_form_that_somebody_walked_away_from_closes():
    box = FakeBox(NEW)
    async with shown(box) as (page, pilot):
        await pilot.press("n")
        await appears(pilot, NetworkForm)
        page._idle = 0.3
        await until(pilot, lambda: len(page.screen_stack) == 1)
    assert box.asked == []


async def test_a_box_that_does_not_end_is_said_to_be_there_yet():
    page = ConsolePage(FakeBox(), every=0.2, ends=1.0)
    async with page.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: page.view is not None)
        await pilot.press("p")
        await appears(pilot, Question)
        await press(pilot, "yes")
        await until(pilot, lambda: text(page, "sentence") == "The box ends.")
        await until(pilot, lambda: "has not ended" in str(form_text(pilot)))
        await until(pilot, lambda: "safe in the cloud" in text(page, "sentence"))


async def test_as_long_as_the_machine_does_not_answer_the_page_says_that_it_is_asked():
    box = FakeBox()
    box.answers_wishes = asyncio.Event()
    async with shown(box) as (page, pilot):
        await pilot.press("r")
        await appears(pilot, Question)
        await press(pilot, "yes")
        await until(pilot, lambda: text(page, "sentence") == "The machine is asked ...")
        box.fails = NoAnswer("the machine does not answer", hint="systemctl status edge-machine")
        box.answers_wishes.set()
        await until(pilot, lambda: "switch the box off by its button" in str(form_text(pilot)))
        assert "systemctl" not in str(form_text(pilot))
        box.fails = None
        await until(pilot, lambda: "safe in the cloud" in text(page, "sentence"))


async def test_who_logged_in_is_named_and_logs_out():
    box = FakeBox()
    async with shown(box) as (page, pilot):
        await pilot.press("s")
        await log_in(pilot)
        await until(pilot, lambda: "anna is logged in" in text(page, "title"))
        await pilot.press("s")
        await until(pilot, lambda: ("log out", "anna") in box.asked)
        await until(pilot, lambda: text(page, "title") == "radiology")


async def test_a_factory_reset_is_for_who_logged_in_and_types_the_name():
    box = FakeBox()
    async with shown(box) as (page, pilot):
        await pilot.press("f")
        await pilot.pause()
        assert len(page.screen_stack) == 1
        await pilot.press("s")
        await log_in(pilot)
        await until(pilot, lambda: page.person is not None and len(page.screen_stack) == 1)
        await pilot.press("f")
        await appears(pilot, ResetForm)
        await write(pilot, name="cardiology")
        await press(pilot, "go")
        assert not [one for one in box.asked if one[0] == "reset"]
        await write(pilot, name="radiology")
        await press(pilot, "go")
        await until(pilot, lambda: ("reset", "anna", False) in box.asked)


def drawn(button):
    """How a text console has a button: of its words, and behind them, which of its colours."""
    for strip in button.render_lines(Region(0, 0, *button.outer_size)):
        for segment in strip:
            if button.label.plain in segment.text:
                style = segment.style
                colours = (style.color, style.bgcolor)
                numbers = (one.downgrade(ColorSystem.STANDARD).number for one in colours)
                return (*numbers, bool(style.bold), bool(style.reverse))
    raise AssertionError(button.label)


async def test_on_a_text_console_the_button_that_enter_presses_looks_chosen():
    box = FakeBox(NEW)
    async with shown(box) as (page, pilot):
        await pilot.press("c")
        asked = await appears(pilot, Question)
        yes, no = (asked.query_one(f"#{name}", Button) for name in ("yes", "no"))
        for chosen, other in ((no, yes), (yes, no)):
            await until(pilot, lambda chosen=chosen: page.focused is chosen)
            await until(pilot, lambda chosen=chosen: drawn(chosen) == FILLED)
            assert drawn(other) == PLAIN
            await pilot.press("tab")
        await until(pilot, lambda: page.focused is no)
        await pilot.press("tab", "enter")
        await until(pilot, lambda: "new code" in box.asked)


async def test_no_key_breaks_a_reset_off():
    box = FakeBox()
    async with shown(box) as (page, pilot):
        await pilot.press("s")
        await log_in(pilot)
        await until(pilot, lambda: page.person is not None and not page.is_acting)
        box.may_end.clear()
        await pilot.press("f")
        await appears(pilot, ResetForm)
        await write(pilot, name="radiology")
        await press(pilot, "go")
        await until(pilot, lambda: ("reset", "anna", False) in box.asked)
        looked = len(box.looks)
        for key in ("n", "s", "c", "r", "p", "f", "escape"):
            await pilot.press(key)
        await until(pilot, lambda: len(box.looks) > looked + 2)
        assert len(page.screen_stack) == 1
        said = text(page, "sentence")  # as long as it takes
        assert said.startswith("What exists only here is counted")
        assert "being reset" not in said  # it may yet be refused
        box.may_end.set()
        await until(pilot, lambda: box.ended == ["reset"])


async def test_what_is_refused_to_who_forces_it_is_told():
    box = FakeBox()
    async with shown(box) as (page, pilot):
        await pilot.press("s")
        await log_in(pilot)
        await until(pilot, lambda: page.person is not None and not page.is_acting)
        box.refuses = "images are still coming in"
        await pilot.press("f")
        await appears(pilot, ResetForm)
        await write(pilot, name="radiology")
        await press(pilot, "go")
        await until(pilot, lambda: "still coming in" in str(form_text(pilot)))
        await press(pilot, "yes")
        await appears(pilot, ResetForm)
        await write(pilot, name="radiology")
        box.may_end.clear()
        await press(pilot, "go")
        await until(pilot, lambda: ("reset", "anna", True) in box.asked)
        assert text(page, "sentence") == "The box is being reset. Leave it on."
        box.may_end.set()
        await until(pilot, lambda: "still coming in" in str(form_text(pilot)))
        await press(pilot, "yes")
        await until(pilot, lambda: "safe in the cloud" in text(page, "sentence"))


async def test_what_exists_only_here_is_destroyed_by_who_says_so_twice():
    box = FakeBox()
    box.only_here = 37
    async with shown(box) as (page, pilot):
        await pilot.press("s")
        await log_in(pilot)
        await until(pilot, lambda: page.person is not None and len(page.screen_stack) == 1)
        await pilot.press("f")
        await appears(pilot, ResetForm)
        await write(pilot, name="radiology")
        await press(pilot, "go")
        await until(pilot, lambda: "37 studies exist only here." in str(form_text(pilot)))
        assert "line to the archive" not in str(form_text(pilot))  # there may be none
        await press(pilot, "yes")
        await appears(pilot, ResetForm)
        assert "is not reset" not in wrong_in(pilot)
        await until(pilot, lambda: "37 studies" in str(page.screen.query_one("#wrong").content))
        await write(pilot, name="radiology")
        await press(pilot, "go")
        await until(pilot, lambda: ("reset", "anna", True) in box.asked)


async def test_a_box_that_does_not_answer_is_said_so_and_logs_out_all_the_same():
    box = FakeBox()
    minutes = count(step=60)
    silence = Silence("The box", lambda: next(minutes))
    page = ConsolePage(box, every=0.1, idle=0.3, patience=0.2, silence=silence)
    async with page.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "safe in the cloud" in text(page, "sentence"))
        box.takes = 600.0
        page.person = ANNA
        await until(pilot, lambda: page.person is None)
        await until(pilot, lambda: "has not answered" in text(page, "sentence"))
        assert "logged in" not in text(page, "title")
        page._idle = 300.0  # the question stays on a slow machine, too
        await pilot.press("r")
        await appears(pilot, Question)


async def test_a_look_that_is_over_once_the_page_has_ended_shows_nothing():
    async with shown(FakeBox()) as (page, _):
        pass
    assert page.screen_stack == []
    await page._look()


async def test_what_fails_in_the_page_is_not_shown_on_the_screen():
    page = ConsolePage(FakeBox())
    with pytest.raises(RuntimeError, match="secret"):
        async with page.run_test():
            page._handle_exception(RuntimeError("secret"))
    assert page._exit_renderables == []
    assert page.return_code == 1
