"""What the machine under the box has people do, on the first page."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import SimpleNamespace

import pytest

from edge.cache.condition import Level, level_of
from edge.machine.health import DiskHealth, MachineState
from edge.pages.alarms import alarms_of
from edge.pages.state import CUT_OFF, cut_off_of, sentence_of
from edge.pages.words import Messages, Words

NURSE = SimpleNamespace(words=Words("en", Messages()), may=lambda act: False)
FAILING = DiskHealth("sda", problem="3 sectors can't be read", is_failing=True)
WORN = DiskHealth("sdb", problem="it is worn: 95 %")

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(
    ("machine", "level", "text", "words"),
    [
        (MachineState(mains="low"), Level.ALARM, "battery is nearly empty", ""),
        (MachineState(mains="ending"), Level.ALARM, "The box powers off.", ""),
        (MachineState(mains="battery"), Level.WARNING, "runs on its battery", ""),
        (MachineState(disks=(FAILING,)), Level.ALARM, "disk sda may fail", FAILING.problem),
        (MachineState(disks=(WORN,)), Level.WARNING, "disk sdb is not as it should", WORN.problem),
        (MachineState(85.0), Level.WARNING, "too hot", ""),
        (MachineState(lost_ups=True), Level.WARNING, "battery beside the box", ""),
        (MachineState(doors="no eth1"), Level.WARNING, "firewall of the box is not", "no eth1"),
        (MachineState(replace_battery=True), Level.WARNING, "battery beside the box", ""),
    ],
)
async def test_a_nurse_reads_what_is_wrong_and_what_to_do(scene, machine, level, text, words):
    status = replace(await scene.box.status(), machine=machine)
    [alarm] = [one for one in alarms_of(status, NURSE, 0.0) if text in one.text]
    assert (alarm.level, alarm.words) == (level, words)
    assert alarm.advice
    assert level_of(status) is level


async def test_a_machine_that_is_sound_is_not_spoken_of(scene):
    sound = MachineState(45.0, (DiskHealth("sda", "ACME", 30.0, 3),), "line")
    status = await scene.box.status()
    quiet = {one.text for one in alarms_of(replace(status, machine=MachineState()), NURSE, 0.0)}
    assert {one.text for one in alarms_of(replace(status, machine=sound), NURSE, 0.0)} == quiet


async def test_the_screen_has_the_sentence_of_the_page(scene, browse, cookies):
    sentence = await asyncio.to_thread(sentence_of, await scene.box.status())
    assert "only here: no cloud archive is set up." in sentence
    assert sentence in (await browse("/", cookies[next(iter(cookies))])).text


async def test_a_box_on_no_network_tells_on_its_screen_what_exists_only_there(scene):
    status = await scene.box.status()
    said = await asyncio.to_thread(cut_off_of, status)
    assert said.startswith(f"{CUT_OFF} ")
    assert said.endswith(" only here.")
    assert "intake" not in said
    stopped = replace(status, parts=None)
    assert cut_off_of(stopped) == sentence_of(stopped)
