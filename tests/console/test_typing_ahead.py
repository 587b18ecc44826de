"""Who types faster than a busy box shows its forms: no password stands where it can be read."""

from __future__ import annotations

from textual import events
from textual.app import App
from textual.widgets import Input

from edge.console.entering import Checking
from edge.console.forms import LogInForm
from edge.console.view import SecondFactorNeeded
from edge.errors import AccessDenied
from tests.console.boxes import ANNA, FakeBox
from tests.console.test_entering import Slow
from tests.console.test_page import appears, log_in, shown, until, wrong_in

NAMED = {"\t": "tab", "\r": "enter"}


def types(page, text):
    """All at once: the page has had no time for anything between two keys."""
    for one in text:
        page.post_message(events.Key(NAMED.get(one, one), one))


async def test_a_password_that_is_typed_at_once_never_stands_in_the_name(monkeypatch):
    seen = set()
    watched = Input._watch_value

    def watch(field, value):
        if field.id == "name":
            seen.add(value)
        return watched(field, value)

    monkeypatch.setattr(Input, "_watch_value", watch)
    box = FakeBox()
    async with shown(box) as (page, pilot):
        types(page, "sanna\tright\r")
        await until(pilot, lambda: page.person is not None)
    assert box.asked == [("log in", "anna", "right", "")]
    assert seen <= {"", "a", "an", "ann", "anna"}


async def test_enter_leads_to_the_next_field_before_what_is_typed_behind_it():
    box = FakeBox()
    box.wants_second = True
    async with shown(box) as (page, pilot):
        types(page, "sanna\rright\r123456\r")
        await until(pilot, lambda: page.person is not None)
    assert box.asked == [("log in", "anna", "right", ""), ("log in", "anna", "right", "123456")]


async def test_before_settings_that_need_a_log_in_it_is_the_same():
    box = FakeBox()
    async with shown(box) as (page, pilot):
        types(page, "nanna\tright\r")
        await until(pilot, lambda: page.person is not None)
    assert box.asked == [("log in", "anna", "right", "")]


async def test_the_page_of_the_box_is_not_seen_before_a_log_in_is_over(monkeypatch):
    box = Slow(SecondFactorNeeded(("totp",)), AccessDenied("it is not right"), ANNA)
    async with shown(box) as (page, pilot):
        await pilot.press("s")
        form = await appears(pilot, LogInForm)
        seen, popped = [], App.pop_screen

        def pop(app):
            awaited = popped(app)
            seen.append(type(app.screen))
            return awaited

        monkeypatch.setattr(App, "pop_screen", pop)
        await log_in(pilot)
        await until(pilot, lambda: pilot.app.screen is not form)
        assert seen == [Checking]
        await pilot.press("s")
        box.may_answer.set()
        await until(pilot, lambda: pilot.app.screen.query("#second"))
        types(page, "\r")
        await until(pilot, lambda: "not right" in wrong_in(pilot))
        assert pilot.app.screen.query_one("#name", Input).value == ""
        assert set(seen) == {Checking}


async def test_what_is_typed_behind_a_refused_password_is_forgotten():
    box = Slow(AccessDenied("it is not right"), ANNA)
    async with shown(box) as (page, pilot):
        types(page, "sanna\twrong\r")
        await until(pilot, lambda: box.asked)
        types(page, "secret")
        await until(pilot, lambda: isinstance(page.screen, Checking) and page.keys.waiting == 6)
        box.may_answer.set()
        await until(pilot, lambda: "not right" in wrong_in(pilot))
        await appears(pilot, LogInForm)
        assert page.screen.query_one("#name", Input).value == ""
