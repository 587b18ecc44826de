"""How somebody logs in at the screen of the box."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from textual.widgets import Footer, Input

from edge.console.entering import Checking
from edge.console.forms import LogInForm
from edge.console.view import CodeWrong, SecondFactorNeeded
from edge.errors import AccessDenied, TooManyAttempts
from tests.console.boxes import ANNA, IN_USE, FakeBox
from tests.console.test_network import said
from tests.console.test_page import appears, log_in, press, shown, until, write, wrong_in


class Box(FakeBox):
    """A log-in has these answers, one after the other."""

    def __init__(self, *answers, view=IN_USE):
        super().__init__(view)
        self.answers = list(answers)

    async def log_in(self, name, password, second):
        self.asked.append((name, password, second))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


async def code(pilot, typed):
    await until(pilot, lambda: pilot.app.screen.query("#second"))
    await write(pilot, second=typed)
    await press(pilot, "go")


async def test_a_wrong_code_is_asked_for_again_and_nothing_else():
    wrong = CodeWrong("the code is not right", hint="type it again")
    box = Box(SecondFactorNeeded(("totp", "recovery-code")), wrong, ANNA)
    async with shown(box) as (page, pilot):
        await pilot.press("s")
        await log_in(pilot)
        await code(pilot, "111111")
        await until(pilot, lambda: "the code is not right" in wrong_in(pilot))
        assert not pilot.app.screen.query("#password")
        await code(pilot, "222222")
        await until(pilot, lambda: page.person is not None)
    assert box.asked[1:] == [("anna", "right", "111111"), ("anna", "right", "222222")]


class Slow(Box):
    """A log-in is answered when the test says so."""

    def __init__(self, *answers):
        super().__init__(*answers)
        self.may_answer = asyncio.Event()

    async def log_in(self, name, password, second):
        self.asked.append((name, password, second))
        await self.may_answer.wait()
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.mark.parametrize("is_sent", [False, True])
async def test_a_code_that_is_typed_while_the_password_is_checked_is_not_lost(is_sent):
    box = Slow(SecondFactorNeeded(("totp",)), ANNA)
    async with shown(box) as (page, pilot):
        await pilot.press("s")
        await log_in(pilot)
        await until(pilot, lambda: isinstance(pilot.app.screen, Checking))
        assert "It is checked" in said(pilot, "text")
        await pilot.press("1", "2", "9", "backspace", *"3456")
        if is_sent:
            await pilot.press("enter")
        box.may_answer.set()
        if not is_sent:
            await until(pilot, lambda: pilot.app.screen.query("#second"))
            field = pilot.app.screen.query_one("#second", Input)
            await until(pilot, lambda: field.value == "123456")
            await press(pilot, "go")
        await until(pilot, lambda: page.person is not None and not page.is_acting)
        assert len(page.screen_stack) == 1
    assert box.asked == [("anna", "right", ""), ("anna", "right", "123456")]


async def test_beside_a_passkey_a_recovery_code_is_asked_for():
    box = Box(SecondFactorNeeded(("passkey", "recovery-code")))
    async with shown(box) as (_, pilot):
        await pilot.press("s")
        await log_in(pilot)
        await until(pilot, lambda: "A passkey can't be used here" in said(pilot, "notes"))


async def test_who_comes_by_an_identity_provider_is_told_that_they_can_not_here():
    async with shown(FakeBox(replace(IN_USE, has_issuer=True))) as (_, pilot):
        await pilot.press("s")
        await appears(pilot, LogInForm)
        assert "identity provider can't here" in said(pilot, "notes")


@pytest.mark.parametrize("second", [False, True])
async def test_who_failed_too_often_hears_how_long_to_wait(second):
    many = TooManyAttempts("too many attempts failed", hint="wait", retry_after=31.5)
    box = Box(*([SecondFactorNeeded()] if second else []), many)
    async with shown(box) as (_, pilot):
        await pilot.press("s")
        await log_in(pilot)
        if second:
            await code(pilot, "111111")
        await until(pilot, lambda: "wait 32 s" in wrong_in(pilot))
        assert bool(pilot.app.screen.query("#second")) is second


async def test_what_is_refused_otherwise_is_asked_for_anew():
    box = Box(SecondFactorNeeded(), AccessDenied("anna is no admin", hint="ask one"))
    async with shown(box) as (_, pilot):
        await pilot.press("s")
        await log_in(pilot)
        await code(pilot, "111111")
        await until(pilot, lambda: "anna is no admin" in wrong_in(pilot))
        assert pilot.app.screen.query("#password")


async def test_the_keys_say_who_would_log_out():
    async with shown(FakeBox()) as (page, pilot):
        await until(pilot, lambda: key_s(page) == "Log in")
        await pilot.press("s")
        await log_in(pilot)
        await until(pilot, lambda: key_s(page) == "Log out (anna)")
        await pilot.press("s")
        await until(pilot, lambda: key_s(page) == "Log in")


def key_s(page):
    keys = page.screen_stack[0].query_one(Footer).query("FooterKey")
    return next((one.description for one in keys if one.key == "s"), "")
