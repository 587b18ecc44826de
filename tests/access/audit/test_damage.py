"""Damage of the record is an alarm until it is gone, or somebody knows of it."""

from __future__ import annotations

import pytest

from edge.access.audit.check import Fault, Finding, Report
from edge.access.audit.damage import Damages

CHANGED = Finding(Fault.CHANGED, 3, 12, 14, "entries 12 to 14 do not open")
MISSING = Finding(Fault.MISSING, 4, 20, 21, "entries 20 to 21 are missing")
TORN = Finding(Fault.TORN, 5, 30, 30, "7 bytes do not open", is_harmless=True)


@pytest.fixture
def damages(memory):
    ticks = iter(range(100, 200))
    return Damages(memory, clock=lambda: float(next(ticks)))


def report(*findings):
    return Report(findings=list(findings))


async def test_it_is_an_alarm_until_somebody_knows_of_it(damages, memory):
    found = await damages.checked(report(CHANGED, MISSING, TORN))
    assert found.what == "entries 12 to 14 do not open, and 1 more"
    assert await Damages(memory).known() == found
    assert (await damages.see()).what == ""
    assert (await damages.checked(report(CHANGED, MISSING, TORN))).what == ""
    assert (await damages.checked(report(MISSING))).what == ""


async def test_what_is_beyond_that_is_an_alarm_again(damages):
    await damages.checked(report(CHANGED))
    await damages.see()
    assert (await damages.checked(report(CHANGED, MISSING))).what


async def test_what_is_found_as_the_record_goes_on_is_one_whatever_is_known(damages):
    await damages.checked(report(CHANGED))
    await damages.see()
    await damages.note("entries 40 to 41 are missing, or not all of them open")
    first = await damages.known()
    await damages.note("more of it")
    assert first.what.startswith("entries 40")
    assert (await damages.known()).since == first.since


async def test_what_a_check_says_stays_where_the_record_only_goes_on(damages):
    exact = await damages.checked(report(CHANGED))
    await damages.note("entries 2 to 4 are missing, or not all of them open")
    assert await damages.known() == exact


async def test_it_is_over_once_all_is_sound(damages):
    await damages.note("something")
    assert (await damages.checked(report(TORN))).what == ""
