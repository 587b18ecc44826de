"""The data partition is made unreadable for good."""

from __future__ import annotations

import os

import pytest

from edge.errors import MachineRefused
from edge.machine.erasing import ERASED, wipe

MIB = 1024 * 1024
RESTARTS = "systemctl --no-block reboot --force"


@pytest.fixture
def disk(places):
    """A partition, full of what must go."""
    disk = places.devices / "sda5"
    disk.parent.mkdir(parents=True)
    with disk.open("wb") as file:
        file.write(b"LUKS\xba\xbe")
        file.truncate(40 * MIB)
        file.seek(36 * MIB)
        file.write(b"noise")
    places.data_disk.parent.mkdir(parents=True)
    places.data_disk.symlink_to(disk)
    return disk


def test_its_slots_are_erased_and_its_head_is_overwritten(machine, disk):
    wipe(machine.places, machine.tools)
    assert machine.called == [
        "systemctl stop edge.service edge-console@tty1.service edge-console-serial@*.service",
        f"cryptsetup luksErase --disable-locks --batch-mode {machine.places.data_disk}",
        RESTARTS,
    ]
    with disk.open("rb") as file:
        assert file.read(32 * MIB) == ERASED.ljust(32 * MIB, b"\0")
        assert file.seek(0, os.SEEK_END) == 40 * MIB
        file.seek(36 * MIB)
        assert file.read(5) == b"noise"


def test_a_small_one_does_not_grow(machine, disk):
    os.truncate(disk, MIB + 7)
    wipe(machine.places, machine.tools)
    assert disk.read_bytes() == ERASED.ljust(MIB + 7, b"\0")


def test_the_head_goes_even_if_cryptsetup_fails(machine, disk):
    machine.breaks("cryptsetup")
    wipe(machine.places, machine.tools)
    with disk.open("rb") as file:
        assert file.read(32 * MIB) == ERASED.ljust(32 * MIB, b"\0")
    assert machine.called[-1] == RESTARTS


def test_without_such_a_partition_the_machine_restarts_all_the_same(machine):
    wipe(machine.places, machine.tools)
    assert machine.called[-1] == RESTARTS


def test_the_image_does_it_by_its_own_program(machine, disk):
    machine.places.reset.parent.mkdir(parents=True)
    machine.places.reset.symlink_to(machine.root / "programs/cryptsetup")
    wipe(machine.places, machine.tools)
    assert machine.called[1].startswith("factory-reset")
    assert machine.called[-1] == RESTARTS


def test_if_the_images_program_fails_the_head_goes_all_the_same(machine, disk):
    machine.places.reset.parent.mkdir(parents=True)
    machine.places.reset.symlink_to(machine.root / "programs/smartctl")
    machine.breaks("factory-reset")
    wipe(machine.places, machine.tools)
    assert machine.called[1].startswith("factory-reset")
    with disk.open("rb") as file:
        assert file.read(32 * MIB) == ERASED.ljust(32 * MIB, b"\0")
    assert machine.called[-1] == RESTARTS


def test_who_can_not_restart_says_so(machine):
    machine.breaks("systemctl")
    with pytest.raises(MachineRefused, match="systemctl"):
        wipe(machine.places, machine.tools)
