"""Whether the mains are there, and what may come in."""

from __future__ import annotations

import pytest

from edge.errors import DecisionRefused
from edge.machine.power import IntakeStop, PowerState, note_power, read_power


def test_without_a_battery_nothing_is_known(places):
    assert read_power(places) == PowerState()
    assert IntakeStop().why() == ""


def test_it_is_known_since_when(places):
    note_power(places, "battery", lambda: 10.0)
    note_power(places, "battery", lambda: 20.0)
    assert read_power(places) == PowerState("battery", 10.0)
    note_power(places, "line", lambda: 30.0)
    assert read_power(places) == PowerState("line", 30.0)


def test_what_was_said_before_and_comes_later_changes_nothing(places):
    note_power(places, "low", lambda: 10.0)
    note_power(places, "battery", lambda: 20.0)
    assert read_power(places) == PowerState("low", 10.0)
    note_power(places, "line", lambda: 30.0)
    assert read_power(places).state == "line"
    note_power(places, "ending", lambda: 40.0)
    for event in ("low", "battery", "line"):
        note_power(places, event, lambda: 50.0)
    assert read_power(places) == PowerState("ending", 40.0)


def test_what_is_wrong_with_the_battery_stays_beside_it(places):
    note_power(places, "line", lambda: 10.0)
    note_power(places, "replace")
    note_power(places, "lost")
    assert read_power(places) == PowerState("line", 10.0, replace=True, lost=True)
    note_power(places, "found")
    assert not read_power(places).lost


def test_damage_says_nothing(places):
    places.power.write_bytes(b"{")
    assert read_power(places) == PowerState()


async def test_nothing_comes_in_once_the_battery_is_nearly_empty():
    stop = IntakeStop()
    for state in ("", "line", "battery"):
        stop.power = PowerState(state)
        assert stop.why() == ""
    stop.power = PowerState("low")
    assert "battery is nearly empty" in stop.why()
    stop.power = PowerState("ending")
    assert "powers off" in stop.why()


async def test_an_act_may_end_it_and_let_it_go_on():
    stop = IntakeStop()
    await stop.asked({"closed": "the box is being reset"})
    assert stop.why() == "the box is being reset"
    await stop.asked({"closed": ""})
    assert stop.why() == ""


async def test_intake_that_somebody_ended_who_is_gone_begins_again_by_itself():
    stop = IntakeStop()
    await stop.asked({"closed": "a reset", "seconds": 0.0})
    assert stop.why() == ""
    await stop.asked({"closed": "a reset", "seconds": 600.0})
    assert stop.why() == "a reset"
    assert (await stop.asked({}))["is_quiet"]  # who only asks changes nothing
    assert stop.why() == "a reset"
    stop.is_quiet = lambda: False
    assert not (await stop.asked({"closed": "a reset"}))["is_quiet"]
    assert stop.why() == "a reset"  # for good
    await stop.asked({"closed": ""})
    assert stop.why() == ""


async def test_only_who_closed_intake_opens_it():
    stop = IntakeStop()
    assert (await stop.asked({"owner": "a", "closed": "a reset"}))["holds"]
    with pytest.raises(DecisionRefused, match="somebody else"):
        await stop.asked({"owner": "b", "closed": "another", "seconds": 1.0})
    assert not (await stop.asked({"owner": "b", "closed": ""}))["holds"]
    assert stop.why() == "a reset"
    await stop.asked({"owner": "a", "closed": ""})
    assert stop.why() == ""


async def test_intake_ends_for_good_only_if_it_was_closed_all_the_time():
    stop = IntakeStop()
    wish = {"owner": "a", "closed": "a reset", "held": True}
    with pytest.raises(DecisionRefused, match="could come in"):
        await stop.asked(wish)
    assert stop.why() == ""
    await stop.asked({"owner": "a", "closed": "a reset", "seconds": 0.0})
    with pytest.raises(DecisionRefused, match="could come in"):
        await stop.asked(wish)
    said = await stop.asked({"owner": "a", "closed": "a reset", "seconds": 600.0})
    assert await stop.asked(wish) == said  # of the same run
    assert (await IntakeStop().asked({}))["run"] != said["run"]
