"""Status LEDs."""

from __future__ import annotations

import pytest

from edge.machine.lights import lights_of, show


@pytest.fixture
def led(places):
    def led(name, **files):
        folder = places.leds / name
        folder.mkdir(parents=True)
        for file, text in {"trigger": "none", "brightness": "0", **files}.items():
            (folder / file).write_text(text)
        return folder

    return led


def shown(folder):
    return {
        path.name: path.read_text() for path in folder.iterdir() if path.name != "max_brightness"
    }


def test_a_machine_without_any_shows_nothing(places):
    assert lights_of(places) == []
    assert show(places, "alarm") == 0


def test_only_those_that_show_a_state_are_ours(places, led):
    led("input3::capslock")
    led("mmc0::")
    led("platform:green:status")
    led("PWR")
    assert [one.name for one in lights_of(places)] == ["PWR", "platform:green:status"]


def test_steady_slow_and_quick(places, led):
    light = led("platform:green:status", max_brightness="255")
    assert show(places, "safe") == 1
    assert shown(light) == {"trigger": "none", "brightness": "255"}
    show(places, "warning")
    assert shown(light) | {"brightness": ""} == {
        "trigger": "timer",
        "brightness": "",
        "delay_on": "500",
        "delay_off": "500",
    }
    show(places, "alarm")
    assert shown(light)["delay_on"] == "125"


def test_one_for_trouble_is_dark_without_any(places, led):
    light = led("platform:red:fault")
    show(places, "safe")
    assert shown(light)["brightness"] == "0"
    show(places, "alarm")
    assert shown(light)["trigger"] == "timer"
    show(places, "busy")
    assert shown(light)["trigger"] == "none"


def test_one_that_can_not_be_written_keeps_no_other_dark(places, led):
    broken = led("a:red:status")
    (broken / "trigger").unlink()
    (broken / "trigger").mkdir()
    light = led("b:green:status")
    assert show(places, "alarm") == 1
    assert shown(light)["trigger"] == "timer"
