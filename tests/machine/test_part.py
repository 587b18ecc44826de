"""What the service itself wishes of the machine."""

from __future__ import annotations

import asyncio
import contextlib

import msgspec
import pytest

from edge.errors import MachineRefused
from edge.machine import part
from edge.machine.booting import answer_setup
from edge.machine.carrying import Carrier
from edge.machine.firewall import rules_of
from edge.machine.networks import NetworkState
from edge.machine.part import MachinePart
from edge.machine.power import IntakeStop, note_power
from edge.machine.wishes import Doors, NetworkSettings, SetupTaken
from tests.dimse.raw import until

LEVEL = "safe"
VLAN = NetworkSettings(interface="eth1", vlan=7)


@pytest.fixture
def names():
    return []


@pytest.fixture
async def root(machine, names):
    """Carries out what is wished, as systemd would have it."""
    carrier = Carrier(machine.places, machine.tools, rename=names.append)

    async def work():
        while True:
            await asyncio.to_thread(carrier.carry_out)
            await asyncio.sleep(0.01)

    working = asyncio.create_task(work())
    yield
    working.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await working


@contextlib.asynccontextmanager
async def running(machine, stop, level, doors=Doors(9443), people=()):  # noqa: B008
    async def says():
        return level[0]

    async def is_set_up():
        return bool(people)

    one = MachinePart(machine.places, "radiology", doors, says, stop, is_set_up, every=0.01)
    task = asyncio.create_task(one.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_the_machine_is_called_as_the_box(machine, root, names):
    async with running(machine, IntakeStop(), ["safe"]):
        await until(lambda: names == ["radiology"])


async def test_intake_ends_with_the_power(machine, root):
    stop = IntakeStop()
    async with running(machine, stop, ["safe"]):
        await asyncio.to_thread(note_power, machine.places, "low")
        await until(stop.why)
        await asyncio.to_thread(note_power, machine.places, "line")
        await until(lambda: not stop.why())


async def test_lights_show_the_state_when_it_changes(machine, root, monkeypatch):
    monkeypatch.setattr(part, "_LIGHTS", 0.01)
    light = machine.places.leds / "platform:green:status"
    light.mkdir(parents=True)
    level = ["safe"]

    def trigger():
        path = light / "trigger"
        return path.read_text() if path.exists() else ""

    async with running(machine, IntakeStop(), level):
        await until(lambda: trigger() == "none")
        level[0] = "alarm"
        await until(lambda: trigger() == "timer")


async def test_the_page_is_kept_to_its_port_once_that_is_there(machine, root, monkeypatch):
    monkeypatch.setattr(part, "_PORT", 0.01)
    places, wished = machine.places, Doors(9443, page_by="eth1")
    places.firewall.parent.mkdir(parents=True)
    places.firewall.touch()

    def holds(doors):
        kept = places.firewall_kept
        return kept.exists() and kept.read_text() == rules_of(doors)

    async with running(machine, IntakeStop(), ["safe"], wished):
        await until(lambda: holds(Doors(9443)) and places.doors.exists())
        (places.ports / "eth1").mkdir(parents=True)
        await until(lambda: holds(wished) and not places.doors.exists())
        # A VLAN on it is tried, and goes back: as long as it is there, that port has no address.
        state = places.network_state
        state.write_bytes(msgspec.json.encode(NetworkState(tried=VLAN)))
        await until(lambda: holds(Doors(9443)) and places.doors.exists())
        state.unlink()
        await until(lambda: holds(wished) and not places.doors.exists())


async def test_a_file_that_waits_goes_once_the_box_is_set_up(machine, root, monkeypatch):
    """It lay in the clear until the next start."""
    monkeypatch.setattr(part, "_SETUP", 0.01)
    folder = machine.places.boot[0] / "EDGE-SETUP"
    folder.mkdir(parents=True)
    (folder / "edge.toml").write_text("[setup]\n")
    people = []
    async with running(machine, IntakeStop(), ["safe"], people=people):
        wish = SetupTaken("The network did not come up.\n", "later")
        await asyncio.to_thread(answer_setup, machine.places, wish.answer, wish.outcome)
        await until(machine.places.setup_waits.exists)
        assert (folder / "edge.toml").exists()
        people.append("anna")
        await until(lambda: not machine.places.setup_waits.exists())
    assert [path.name for path in folder.iterdir()] == ["result.txt"]
    said = await asyncio.to_thread((folder / "result.txt").read_text)
    assert "set up in another way" in said


async def test_a_machine_that_refuses_stops_nothing(machine, monkeypatch, caplog):
    monkeypatch.setattr("edge.machine.asking._PATIENCE", 0.01)
    monkeypatch.setattr("edge.machine.part.ask", refuse)
    stop = IntakeStop()
    async with running(machine, stop, ["safe"]):
        await asyncio.to_thread(note_power, machine.places, "low")
        await until(stop.why)
    assert "the machine: not today" in caplog.text


async def refuse(places, wish):
    raise MachineRefused("not today")
