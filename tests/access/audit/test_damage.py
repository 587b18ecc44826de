"""Damage of the record is an alarm until it is gone, or somebody knows of it."""

from __future__ import annotations

import pytest

from edge.access.audit.check import Fault, Finding, Report
from edge.access.audit.damage import Damages, flaws_of
from edge.errors import StorageFull

CHANGED = Finding(Fault.CHANGED, 3, 12, 14, "entries 12 to 14 do not open")
MISSING = Finding(Fault.MISSING, 4, 20, 21, "entries 20 to 21 are missing")
TORN = Finding(Fault.TORN, 5, 30, 30, "7 bytes do not open", is_harmless=True)


@pytest.fixture
def damages(memory):
    ticks = iter(range(100, 200))
    return Damages(memory, clock=lambda: float(next(ticks)))


def report(*findings):
    return Report(findings=list(findings))


def flaws(*findings):
    return flaws_of(report(*findings))


async def test_it_is_an_alarm_until_somebody_knows_of_it(damages, memory):
    found = await damages.checked(report(CHANGED, MISSING, TORN))
    assert found.what == "entries 12 to 14 do not open, and 1 more"
    assert await Damages(memory).known() == found
    assert (await damages.see(flaws(CHANGED, MISSING))).what == ""
    assert (await damages.checked(report(CHANGED, MISSING, TORN))).what == ""
    assert (await damages.checked(report(MISSING))).what == ""


async def test_what_is_beyond_that_is_an_alarm_again(damages):
    await damages.checked(report(CHANGED))
    await damages.see(flaws(CHANGED))
    assert (await damages.checked(report(CHANGED, MISSING))).what


async def test_what_grew_is_an_alarm_again(damages):
    """Of segments that are gone, no entry can be named."""
    few = Finding(Fault.REMOVED, 3, 0, 0, "segments 3 to 4 are gone")
    more = Finding(Fault.REMOVED, 3, 0, 0, "segments 3 to 9 are gone")
    await damages.checked(report(few))
    await damages.see(flaws(few))
    assert (await damages.checked(report(more))).what == "segments 3 to 9 are gone"


async def test_of_more_than_can_be_told_apart_one_more_is_an_alarm_again(damages):
    many = [Finding(Fault.MISSING, 4, at, at, f"entry {at} is missing") for at in range(1, 700)]
    await damages.checked(report(*many))
    assert len(flaws(*many)) == 501
    assert (await damages.see(flaws(*many))).what == ""
    assert (await damages.checked(report(*many))).what == ""
    last = Finding(Fault.MISSING, 4, 700, 700, "entry 700 is missing")
    assert (await damages.checked(report(*many, last))).what


async def test_nobody_knows_of_what_they_were_not_told(damages):
    """Somebody looks at what one check found; another check finds more meanwhile."""
    await damages.checked(report(CHANGED))
    told = flaws(CHANGED)
    await damages.checked(report(CHANGED, MISSING))
    assert (await damages.see(told)).what
    assert (await damages.checked(report(CHANGED, MISSING))).what
    assert (await damages.see(told | flaws(MISSING))).what == ""


async def test_nobody_knows_of_what_was_never_found(damages):
    await damages.checked(report(CHANGED))
    await damages.see(flaws(CHANGED, MISSING))
    assert (await damages.checked(report(CHANGED, MISSING))).what


async def test_what_was_found_since_the_check_stays_an_alarm(damages):
    await damages.checked(report(CHANGED))
    await damages.note("entries 40 to 41 are missing, or not all of them open")
    assert (await damages.see(flaws(CHANGED))).what
    assert (await damages.checked(report(CHANGED))).what == ""


async def test_what_can_not_be_kept_is_not_said_to_be_seen(damages, memory, monkeypatch):
    await damages.checked(report(CHANGED))

    async def full(_):
        raise StorageFull("the disk is full")

    monkeypatch.setattr(memory, "set_damage", full)
    with pytest.raises(StorageFull):
        await damages.see(flaws(CHANGED))
    with pytest.raises(StorageFull):
        await damages.note("more of it")
    assert (await damages.known()).what
    assert (await damages.checked(report())).what == "", "what a check found is told all the same"


async def test_what_is_found_as_the_record_goes_on_is_one_whatever_is_known(damages):
    await damages.checked(report(CHANGED))
    await damages.see(flaws(CHANGED))
    await damages.note("entries 40 to 41 are missing, or not all of them open")
    first = await damages.known()
    await damages.note("more of it")
    assert first.what.startswith("entries 40")
    assert (await damages.known()).since == first.since


async def test_what_a_check_says_stays_where_the_record_only_goes_on(damages):
    exact = await damages.checked(report(CHANGED))
    await damages.note("entries 2 to 4 are missing, or not all of them open")
    known = await damages.known()
    assert (known.what, known.since) == (exact.what, exact.since)


async def test_it_is_over_once_all_is_sound(damages):
    await damages.note("something")
    assert (await damages.checked(report(TORN))).what == ""


async def test_what_is_found_while_a_check_runs_outlives_it(damages):
    for _ in range(2):  # the second time there is an alarm already
        begun = (await damages.known()).notes
        await damages.note("entries 40 to 41 are missing, or not all of them open")
        after = await damages.checked(report(), begun)
        assert after.is_noted
        assert after.what.startswith("entries 40")
    assert (await damages.see(frozenset())).what
    assert (await damages.checked(report(), after.notes)).what == ""
