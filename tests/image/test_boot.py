"""What is done at a machine that ``scripts/boot-image`` runs: a real one, which finds no system."""

from __future__ import annotations

import time

import pytest

from tests.image.accelerator import TRANSLATED
from tests.image.acts import HELP, Acts, stick_of
from tests.image.machine import Machine, lacking, switched_on
from tests.image.media import on_stick

pytestmark = pytest.mark.skipif(bool(lacking()), reason=lacking())


@pytest.fixture
def said():
    return []


@pytest.fixture
def setup(tmp_path):
    """A folder for a stick."""
    folder = tmp_path / "setup"
    (folder / "EDGE-SETUP").mkdir(parents=True)
    (folder / "EDGE-SETUP/edge.toml").write_text("[appliance]\n")
    return folder


@pytest.fixture
def machine(tmp_path, setup):
    """With a stick in it, and nothing on its disk."""
    folder = tmp_path / "machine"
    folder.mkdir()
    first = stick_of(folder / "stick0", setup, "SETUP")
    with switched_on(
        Machine(folder, memory=256, cores=1, disk_size="1M", sticks=[first], accelerator=TRANSLATED)
    ) as on:
        until_it_listens(on)
        yield on


def until_it_listens(machine):
    deadline = time.monotonic() + 60
    while True:
        try:
            return machine.monitor("query-status")
        except OSError:
            assert time.monotonic() < deadline, (machine.folder / "qemu.log").read_text()
            time.sleep(0.02)


def blocks(machine):
    return sorted(one["node-name"] for one in machine.monitor("query-named-block-nodes"))


def test_sticks_power_cable_and_picture(machine, setup, said, tmp_path):
    acts = Acts(machine, say=said.append)
    began = blocks(machine)
    assert "stick0" in began
    acts.do("out")
    assert said.pop() == "it is out"
    assert "stick0" not in blocks(machine)
    acts.do(f"stick {setup} EDGE-KEY")
    assert "put1" in blocks(machine)
    assert on_stick(machine.folder / "put1.img", "EDGE-SETUP/edge.toml") == b"[appliance]\n"
    assert f"mtype -i {machine.folder / 'put1.img'} " in said.pop()
    for word in ("out", "out"):
        acts.do(word)
    assert said[-2:] == ["it is out", "out: no stick is in"]
    acts.do("cable")
    acts.do("cable")
    assert said[-2:] == ["the cable is out", "the cable is in"]
    acts.do(f"picture {tmp_path / 'screen.png'}")
    assert (tmp_path / "screen.png").read_bytes().startswith(b"\x89PNG")
    acts.do("press d ret")
    assert said[-1] == "pressed"
    acts.do("power")
    assert acts.is_off
    acts.do("cable")
    assert said[-2:] == ["the power is gone", "it is off: button or power switches it on"]
    acts.do("power")
    assert not acts.is_off
    until_it_listens(machine)
    assert "stick0" in blocks(machine)


def test_the_power_goes_while_a_study_is_sent(machine, said):
    acts = Acts(machine, say=said.append)
    acts.do("send 500")  # nobody is there yet to take it, and it is waited for
    (began,) = said
    assert began.startswith("CT1 sends 500 images of patient QEMU-")
    acts.do("send")
    assert said.pop() == "send: CT1 is still sending"
    acts.do("power")
    assert "the power is gone" in said
    acts.finish(20)
    (told,) = [one for one in said if "acknowledged" in one]
    assert told.startswith("0 of 500 images of patient QEMU-")
    assert "nobody accepts it" in told
    assert not acts.has_ended()


def test_the_power_button_switches_it_off_and_on(machine, said):
    acts = Acts(machine, say=said.append)
    acts.do("button")
    assert said == ["its power button is pressed"]
    assert acts.is_going_off
    assert not acts.has_ended()
    machine.monitor("quit")  # what QEMU does once a system switched it off
    machine.process.wait(60)
    assert not acts.has_ended()
    assert said[-1].startswith("it is off, 0 s after its button was pressed")
    assert acts.is_off
    assert not acts.is_going_off
    acts.do("button")
    assert said[-1] == "it is on"
    until_it_listens(machine)


def test_a_machine_that_ends_otherwise_has_ended(machine, said):
    acts = Acts(machine, say=said.append)
    acts.do("button")
    machine.process.kill()
    machine.process.wait(60)
    assert acts.has_ended()


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        ("dance", HELP),
        ("out of it", HELP),
        ("stick", HELP),
        ("stick /nowhere", "stick: there is no /nowhere"),
        ("archive", "archive: none runs: start with --archive"),
        ("press nothing-of-it", "press: "),
        ("send some", "send: "),
        ("send 0", "send: it takes one image or more"),
        ("send rest", "send: nothing is left of what was sent"),
    ],
)
def test_what_can_not_be_done_is_said(machine, said, typed, answer):
    Acts(machine, say=said.append).do(typed)
    (told,) = said
    assert told.startswith(answer)
    assert machine.process.poll() is None


def test_what_lies_on_an_image_is_not_written_to(tmp_path):
    image = tmp_path / "edge.raw"
    image.write_bytes(bytes(1024**2))
    kept = stick_of(tmp_path / "put1", image, "SETUP")
    assert kept.suffix == ".qcow2"
    assert stick_of(tmp_path / "put1", image, "SETUP") == kept
