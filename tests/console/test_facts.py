"""What stands on the page, laid out for the smallest screen."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from edge.console.facts import laid_out, lines_of, rows_of
from edge.console.picture import drawn
from edge.console.times import zone_of
from edge.console.view import Code, FormerShown
from tests.console.boxes import IN_USE, NEW, FakeBox
from tests.console.test_page import shown, text, until

LONG = "radiology-and-nuclear-medicine.hospital-of-the-town.example"
"""59 characters."""


def fingerprint_in(lines):
    at = next(at for at, line in enumerate(lines) if line.startswith("Fingerprint"))
    return ":".join(line[13:] for line in lines[at : at + 4])


@pytest.mark.parametrize("view", [IN_USE, NEW])
def test_a_short_name_has_its_code_beside_it(view):
    lines, picture = laid_out(view, 80, 20)
    assert picture == drawn(view.address)
    assert fingerprint_in(lines) == view.fingerprint


@pytest.mark.parametrize("view", [IN_USE, NEW])
@pytest.mark.parametrize("length", range(20, 60))
def test_whatever_the_name_fingerprint_and_code_are_whole_or_the_code_is_not_there(view, length):
    page = "welcome" if view is NEW else ""
    view = replace(view, address=f"https://{LONG[:length]}:8443/{page}")
    for sentence in ("It is.", "A sentence that is longer than the screen is wide. " * 2):
        rows = 24 - 3 - rows_of(sentence, 80)
        lines, picture = laid_out(view, 80, rows)
        assert fingerprint_in(lines) == view.fingerprint
        assert view.address in "".join(line[13:] for line in lines[:4])
        assert len(lines) <= rows
        assert picture in ((), drawn(view.address))
        assert len(picture) <= rows
        beside = len(picture[0]) + 2 if picture else 0
        assert max(map(len, lines)) + 2 + beside <= 80


def test_of_a_renamed_box_both_fingerprints_stand_each_with_where_it_is_shown():
    until = time.mktime((2026, 5, 4, 18, 5, 0, 0, 0, -1))
    former = FormerShown(":".join(["FF"] * 32), "edge.local", until)
    lines, _ = laid_out(replace(IN_USE, former=former), 80, 20)
    assert fingerprint_in(lines) == IN_USE.fingerprint
    at = lines.index("Until 18:05  at edge.local, and by address:")
    assert ":".join(line[13:] for line in lines[at + 1 : at + 5]) == former.fingerprint
    assert len(lines) <= 20


def test_of_a_stick_that_is_in_it_is_said_what_came_of_it():
    said = "not taken: result.txt on it says why; you may take it out"
    lines, _ = laid_out(replace(NEW, sticks=(said,)), 80, 20)
    at = next(at for at, line in enumerate(lines) if line.startswith("Stick        not taken: "))
    assert " ".join(line[13:] for line in lines[at : at + 3]).startswith(said)
    assert fingerprint_in(lines) == NEW.fingerprint
    assert len(lines) <= 20
    assert not [line for line in lines_of(NEW) if "Stick" in line]


async def test_on_the_screen_nothing_is_cut():
    view = replace(NEW, address=f"https://{LONG}:8443/welcome")
    async with shown(FakeBox(view)) as (page, pilot):
        await until(pilot, lambda: "Fingerprint" in text(page, "facts"))
        facts = page.screen.query_one("#facts")
        lines = text(page, "facts").splitlines()
        await until(pilot, lambda: facts.content_region.width >= max(map(len, lines)))
        assert facts.region.bottom < 24
        assert fingerprint_in(lines) == view.fingerprint
        await pilot.resize_terminal(120, 40)
        await until(pilot, lambda: text(page, "picture"))
        assert len(text(page, "picture").splitlines()) == len(drawn(view.address))


def test_times_are_those_of_the_place(monkeypatch):
    """Of a page that was there before the box was told where it is."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    former = FormerShown("AB:CD", "edge.local", 1_900_000_000.0)
    said = "\n".join(lines_of(replace(NEW, former=former)))
    assert "until 17 Mar 17:46 UTC" in said
    assert "Until 17:46  at edge.local" in said
    for zone, told in (("Europe/Brussels", "18:46"), ("Asia/Kolkata", "23:16"), ("X/Y", "17:46")):
        said = "\n".join(lines_of(replace(NEW, former=former, zone=zone_of(zone))))
        assert f"until 17 Mar {told}" in said
        assert f"Until {told}  at edge.local" in said


def test_a_code_that_was_handed_out_can_be_replaced_and_that_is_said():
    lines = lines_of(replace(NEW, code=Code("", 1_900_000_000.0)))
    assert "Set-up code  a stick's token, or from before; c makes another" in lines
