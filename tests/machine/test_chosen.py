"""The disk that was chosen is found again by what it is, and never by its name alone."""

from __future__ import annotations

import json

import pytest

from edge.errors import MachineRefused
from edge.machine.chosen import Chosen
from edge.machine.disks import disks_of

SDA = {"name": "sda", "size": 500 * 10**9, "type": "disk", "ro": False, "rm": False}
SDA |= {"model": "A disk", "serial": "12", "wwn": None, "fstype": "ext4", "uuid": "ab-1"}
SDB = SDA | {"name": "sdb", "serial": "34", "uuid": "ab-2"}


@pytest.fixture
def found(machine):
    """What becomes of the first of the disks that the machine had, once it has others."""
    machine.places.start_id.parent.mkdir(parents=True)
    machine.places.start_id.write_text("1\n")

    def find(*after, before=(SDA, SDB), starts=True):
        machine.says("lsblk", json.dumps({"blockdevices": before}))
        chosen = Chosen.of(disks_of(machine.places, machine.tools)[0], machine.places)
        machine.says("lsblk", json.dumps({"blockdevices": after}))
        if starts:
            machine.places.start_id.write_text("2\n")
        return chosen.find("a table", machine.places, machine.tools).name

    return find


def called(disk, name, **more):
    return disk | {"name": name} | more


def test_it_is_found_by_its_serial_number_under_any_name(found):
    assert found(called(SDB, "sda"), called(SDA, "sdb")) == "sdb"


def test_it_is_found_by_its_wwn_where_there_is_no_serial_number(found):
    disk = SDA | {"serial": None, "wwn": "0x5000"}
    other = called(disk, "sda", wwn="0x5001")
    assert found(other, called(disk, "sdb"), before=(disk,)) == "sdb"


def test_it_may_be_empty_by_now(found):
    assert found(called(SDA, "sdb", fstype=None, uuid=None)) == "sdb"


@pytest.mark.parametrize("change", [{"serial": "34"}, {"size": 10**12}, {"model": "B"}])
def test_another_disk_is_not_it(found, change):
    with pytest.raises(MachineRefused, match="it is not there"):
        found(SDA | change)


@pytest.mark.parametrize("change", [{"uuid": "ab-3"}, {"fstype": "ntfs"}, {"ptuuid": "0x1"}])
def test_what_is_on_it_by_now_stays(found, change):
    with pytest.raises(MachineRefused, match="something else on it"):
        found(SDA | change)


def test_one_that_is_in_use_or_is_the_boxs_own_is_refused(found):
    with pytest.raises(MachineRefused, match="it is in use"):
        found(SDA | {"mountpoints": ["/mnt"]})
    below = {"name": "vg", "type": "lvm", "mountpoints": ["/mnt"]}
    part = {"name": "sda1", "type": "part", "mountpoints": [None], "children": [below]}
    disk = SDA | {"fstype": None, "children": [part]}
    with pytest.raises(MachineRefused, match="it is in use"):
        found(disk, before=(disk,))


def test_of_two_that_say_the_same_of_themselves_none_is_it(found):
    with pytest.raises(MachineRefused, match="two disks say that they are it"):
        found(SDA, called(SDA, "sdb"))


def test_one_without_a_number_is_known_by_its_name_until_the_machine_starts_anew(found):
    disk = SDA | {"serial": None}
    assert found(disk, before=(disk,), starts=False) == "sda"
    with pytest.raises(MachineRefused, match="not there"):
        found(SDA, before=(disk,), starts=False)
    with pytest.raises(MachineRefused, match="no serial number"):
        found(disk, before=(disk,))
