"""``edge machine``: what is wished of the machine under the box."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest

from edge.__main__ import main
from edge.commands import machine as command
from edge.machine.carrying import Carrier
from edge.machine.networks import Networks, read_network
from edge.machine.power import read_power
from edge.machine.wishes import NetworkSettings
from edge.opening import Cache
from tests.machine.machines import served
from tests.witnesses import recorded

FIXED = NetworkSettings(address=("192.168.1.10/24",), gateway=("192.168.1.1",))


@pytest.fixture
def edge(machine, started):
    """The command, on that machine, with root that carries out what it leaves."""
    file = started()

    def edge(*words, is_served=True):
        if not is_served:
            return main(["machine", *words, "--root", str(machine.root), "--config", str(file)])
        carrier = Carrier(machine.places, machine.tools)
        root = threading.Thread(target=asyncio.run, args=(served(carrier),))
        root.start()
        try:
            return main(["machine", *words, "--root", str(machine.root), "--config", str(file)])
        finally:
            root.join()

    return edge


def test_network_settings_are_tried_and_kept(edge, machine, loaded, capsys):
    words = ("--address", "192.168.1.10/24", "--gateway", "192.168.1.1")
    assert edge("network", *words) == 0
    assert read_network(machine.places).tried == FIXED
    assert "edge machine keep" in capsys.readouterr().out
    edge("show", is_served=False)
    assert "network: address 192.168.1.10/24" in capsys.readouterr().out
    assert edge("keep") == 0
    assert read_network(machine.places).kept == FIXED
    assert edge("keep") == 1
    assert "went back" in capsys.readouterr().err

    async def told():
        async with Cache(loaded) as cache:
            return await asyncio.to_thread(recorded, cache)

    known = [one for one in asyncio.run(told()) if one.what.startswith("edge machine")]
    assert [(one.what, int(one.outcome)) for one in known] == [
        ("edge machine network", 0),
        ("edge machine keep", 0),
        ("edge machine keep", 4),
    ]
    assert known[0].detail["address"] == "192.168.1.10/24"


def test_what_can_not_be_is_refused_and_nothing_is_wished(edge, machine, capsys):
    assert edge("network", "--address", "192.168.1.10", is_served=False) == 1
    assert "address: '192.168.1.10' is no address with a length" in capsys.readouterr().err
    assert not list(machine.places.requests.iterdir())


def test_restart_and_power_off(edge, machine):
    assert edge("restart") == 0
    assert edge("power-off") == 0
    assert machine.called == ["systemctl --no-block reboot", "systemctl --no-block poweroff"]


def test_what_upsmon_says_is_wished_and_waited_for_by_nobody(edge, machine, monkeypatch):
    for kind, state in (("ONBATT", "battery"), ("LOWBATT", "low"), ("ONLINE", "line")):
        monkeypatch.setenv("NOTIFYTYPE", kind)
        assert edge("ups", "UPS edge@localhost says something", is_served=False) == 0
        Carrier(machine.places, machine.tools).carry_out()
        assert read_power(machine.places).state == state
    monkeypatch.setenv("NOTIFYTYPE", "SHUTDOWN")
    assert edge("ups", is_served=False) == 0
    assert not list(machine.places.requests.iterdir())


def test_what_root_runs(edge, machine, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(machine.root / "programs"))
    monkeypatch.setattr("edge.machine.tools._USUAL", str(machine.root / "programs"))
    monkeypatch.setattr(command, "_networks", lambda _: networks_of(machine))
    assert edge("start", is_served=False) == 0
    assert machine.places.ca_bundle.exists()
    networks_of(machine).offer(FIXED)
    assert edge("back", is_served=False) == 0
    assert edge("back", is_served=False) == 0
    out = capsys.readouterr().out
    assert "went back" in out
    assert "no network settings were tried" in out
    assert read_network(machine.places).tried is None


def networks_of(machine):
    return Networks(machine.places, machine.tools)


def test_a_machine_that_is_no_appliance_says_so(edge, machine, capsys):
    machine.places.requests.rmdir()
    assert edge("restart", is_served=False) == 1
    assert "takes no wishes" in capsys.readouterr().err
    assert edge("show", is_served=False) == 0
    assert "takes no wishes" in capsys.readouterr().err


LISTED = {
    "blockdevices": [
        {
            "name": "sdb",
            "size": 500 * 10**9,
            "type": "disk",
            "ro": False,
            "rm": False,
            "model": "A [red]disk\x1b",
            "serial": "12",
            "fstype": "ntfs",
            "mountpoints": [None],
        },
        {"name": "sdc", "size": 10**9, "type": "disk", "ro": False, "rm": True, "fstype": None},
    ]
}


@pytest.fixture
def listed(machine):
    """Disks, as this machine says that it has them."""
    machine.says("lsblk", json.dumps(LISTED))


def test_disks_are_listed_and_what_keeps_them_from_taking_the_data(edge, listed, capsys):
    assert edge("disks") == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "sdb, 500 GB, A ?red?disk? 12: not empty (ntfs)"
    assert said[1].startswith("sdc, 1 GB, without a name: empty; it is removable")


def test_a_disk_that_is_not_there_takes_nothing(edge, listed, capsys):
    assert edge("move-data", "sdz") == 1
    assert "no disk sdz" in capsys.readouterr().err


def test_what_root_copies_and_switches_is_nothing_where_nothing_moves(edge, machine, capsys):
    machine.places.own_disk.mkdir(parents=True)
    assert edge("copy", is_served=False) == 0
    assert edge("switch", is_served=False) == 1
    assert "the data stays where it is" in capsys.readouterr().err
    assert (machine.places.own_disk / "move-failed").read_text()
