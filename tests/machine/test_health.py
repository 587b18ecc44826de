"""Disks that age, and heat."""

from __future__ import annotations

import json

import pytest

from edge.machine.health import DiskHealth, MachineState, look, read_machine
from edge.machine.power import note_power

ATA = {
    "model_name": "ACME SSD 1",
    "smart_status": {"passed": True},
    "temperature": {"current": 34},
    "ata_smart_attributes": {
        "table": [
            {"id": 5, "raw": {"value": 0}},
            {"id": 197, "raw": {"value": 0}},
            {"id": 198, "raw": {"value": 0}},
        ]
    },
}
NVME = {
    "model_name": "ACME NVMe 2",
    "smart_status": {"passed": True},
    "temperature": {"current": 41},
    "nvme_smart_health_information_log": {"critical_warning": 0, "percentage_used": 7},
}


@pytest.fixture
def seen(machine):
    """What is seen of one disk that says this."""

    def seen(said, name="sda"):
        (machine.places.blocks / name).mkdir(parents=True, exist_ok=True)
        machine.says("smartctl", said if isinstance(said, str) else json.dumps(said))
        return look(machine.places, machine.tools).disks

    return seen


def ata(number, count):
    table = [{"id": number, "raw": {"value": count}}]
    return ATA | {"ata_smart_attributes": {"table": table}}


def nvme(**log):
    return NVME | {"nvme_smart_health_information_log": log}


def test_a_disk_that_is_sound(machine, seen):
    assert seen(ATA) == (DiskHealth("sda", "ACME SSD 1", 34.0),)
    assert machine.called[-1].endswith(f"--nocheck=standby {machine.places.devices}/sda")
    assert read_machine(machine.places, 40.0).disks == (DiskHealth("sda", "ACME SSD 1", 34.0),)
    assert read_machine(machine.places, 40.0).is_fine
    assert seen(NVME, "nvme0n1")[0].worn == 7


def test_a_disk_that_hangs_is_said_and_keeps_none_from_being_heard(machine):
    """The kernel may hold whoever asks it for minutes: such a disk is about to fail."""
    for name in ("sda", "sdb", "sdc"):
        (machine.places.blocks / name).mkdir(parents=True)
    machine.says("smartctl", json.dumps(ATA))
    program = machine.root / "programs/smartctl"
    usual = program.read_text().removeprefix("#!/bin/sh\n")
    program.write_text(f"#!/bin/sh\ncase $* in *sdb) exec /bin/sleep 15;; esac\n{usual}")
    disks = look(machine.places, machine.tools, patience=3).disks
    assert [(one.name, bool(one.problem)) for one in disks] == [
        ("sda", False),
        ("sdb", True),
        ("sdc", False),
    ]
    [trouble] = read_machine(machine.places, None).troubles()
    assert trouble == "Disk sdb: it did not say within 3 s how it is"


@pytest.mark.parametrize(
    ("said", "problem", "is_failing"),
    [
        (ATA | {"smart_status": {"passed": False}}, "it says itself that it fails", True),
        (ata(197, 3), "3 sectors can't be read", True),
        (ata(198, 1), "1 sectors are lost", True),
        (ata(5, 120), "120 sectors were replaced", False),
        (ata(5, 3), "", False),
        (nvme(critical_warning=4, percentage_used=1), "it warns of itself (NVMe 0x04)", True),
        (nvme(critical_warning=2, percentage_used=1), "", False),
        (nvme(critical_warning=0, percentage_used=95), "it is worn: 95 %", False),
        (ATA | {"temperature": {"current": 71}}, "it is too hot: 71 °C", False),
    ],
)
def test_what_is_wrong_with_one(seen, said, problem, is_failing):
    [disk] = seen(said)
    assert (disk.problem, disk.is_failing) == (problem, is_failing)


@pytest.mark.parametrize(
    "said",
    ["", "no JSON", "[]", "{}", '{"smart_status": null}', '{"messages": [{"string": "no SMART"}]}'],
)
def test_a_disk_that_tells_nothing_is_passed_over(seen, said):
    assert seen(said) == ()


def test_nonsense_of_a_disk_is_no_trouble(seen):
    [disk] = seen(
        {
            "smart_status": {"passed": "maybe"},
            "temperature": "warm",
            "ata_smart_attributes": {"table": [None, {"id": 5}, {"id": 197, "raw": "x"}]},
            "nvme_smart_health_information_log": {"critical_warning": "x", "percentage_used": []},
        }
    )
    assert disk == DiskHealth("sda")


def test_what_is_no_disk_is_not_asked(machine):
    for name in ("loop0", "ram0", "zram0", "dm-0", "md127", "sr0", "mmcblk0boot0"):
        (machine.places.blocks / name).mkdir(parents=True)
    assert look(machine.places, machine.tools).disks == ()
    assert machine.called == []


@pytest.mark.parametrize(
    ("age", "end", "problem", "is_failing"),
    [
        ("0x01 0x02", "0x01", "", False),
        ("0x09 0x01", "0x01", "it is worn: 90 %", False),
        ("0x01 0x01", "0x02", "it is worn: 10 %", False),
        ("0x0b 0x01", "0x03", "its spare blocks are nearly used up", True),
    ],
)
def test_an_emmc_tells_how_worn_it_is(machine, age, end, problem, is_failing):
    device = machine.places.blocks / "mmcblk0/device"
    device.mkdir(parents=True)
    (device / "life_time").write_text(f"{age}\n")
    (device / "pre_eol_info").write_text(f"{end}\n")
    (device / "name").write_text("BJTD4R\n")
    [disk] = look(machine.places, machine.tools).disks
    assert (disk.model, disk.problem, disk.is_failing) == ("BJTD4R", problem, is_failing)


def test_a_card_has_no_such_registers(machine):
    (machine.places.blocks / "mmcblk0/device").mkdir(parents=True)
    assert look(machine.places, machine.tools).disks == ()


def test_what_was_seen_long_ago_is_not_said(machine, seen):
    seen(ata(197, 3))
    assert read_machine(machine.places, None).is_grave
    later = read_machine(machine.places, None, clock=lambda: 4e9)
    assert later == MachineState()


def test_a_machine_that_tells_nothing_is_fine(places):
    state = read_machine(places, None)
    assert state.is_fine
    assert not list(state.lines())


def test_troubles_are_told_the_gravest_first(places):
    failing = DiskHealth("sda", problem="3 sectors can't be read", is_failing=True)
    worn = DiskHealth("sdb", worn=95, problem="it is worn: 95 %")
    state = MachineState(85.0, (worn, failing), "battery", replace_battery=True, lost_ups=True)
    assert list(state.troubles()) == [
        "Disk sda may fail: 3 sectors can't be read",
        "The mains failed: the box runs on battery",
        "The box is too hot: 85 °C",
        "Disk sdb: it is worn: 95 %",
        "The battery of the UPS must be replaced",
        "The UPS does not answer",
    ]
    assert state.is_grave
    assert "temperature 85 °C" in list(state.lines())


def test_the_mains_are_part_of_it(places):
    note_power(places, "low", lambda: 5.0)
    state = read_machine(places, None)
    assert (state.mains, state.mains_since, state.is_grave) == ("low", 5.0, True)


def test_who_powers_off_is_told_nothing_of_the_mains(places):
    note_power(places, "ending", lambda: 5.0)
    assert list(read_machine(places, None).troubles()) == ["The box powers off"]
