"""Whether memory may be written to a disk in the clear, on machines of several kinds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge.swap import exposure


@pytest.fixture
def machine(tmp_path):
    """A root folder, with what the kernel shows of swap."""

    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def build(*areas, uuid=None, slaves=None, backing="none", limit="max"):
        lines = "".join(f"{area}\t\tpartition\t524284\t0\t-2\n" for area in areas)
        write("proc/swaps", "Filename\t\tType\t\tSize\t\tUsed\t\tPriority\n" + lines)
        write("proc/self/cgroup", "0::/system.slice/edge.service\n")
        write("sys/fs/cgroup/system.slice/edge.service/memory.swap.max", f"{limit}\n")
        for device, text in (uuid or {}).items():
            write(f"sys/class/block/{device}/dm/uuid", text)
        for device, others in (slaves or {}).items():
            for other in others:
                write(f"sys/class/block/{device}/slaves/{other}", "")
        write("sys/class/block/zram0/backing_dev", f"{backing}\n")
        return tmp_path

    return build


def test_no_swap_is_no_danger(machine):
    assert exposure(machine()) == ""


@pytest.mark.parametrize("area", ["/dev/sda2", "/dev/dm-3", "/swap.img", "/with\\040blank"])
def test_swap_in_the_clear_is_named(machine, area):
    words = exposure(machine(area, uuid={"dm-3": "LVM-abc"}))
    assert "swap is on and not encrypted" in words
    assert area.replace("\\040", " ") in words


def test_swap_on_an_encrypted_device_is_no_danger(machine):
    assert exposure(machine("/dev/dm-0", uuid={"dm-0": "CRYPT-LUKS2-0123-swap"})) == ""


def test_a_volume_on_encrypted_devices_is_no_danger_and_one_of_both_kinds_is(machine):
    uuids = {"dm-1": "CRYPT-PLAIN-x", "dm-2": "LVM-y"}
    assert exposure(machine("/dev/dm-2", uuid=uuids, slaves={"dm-2": ["dm-1"]})) == ""
    assert exposure(machine("/dev/dm-2", uuid=uuids, slaves={"dm-2": ["dm-1", "sda3"]}))


def test_compressed_memory_is_no_danger_unless_it_has_a_disk_behind_it(machine):
    assert exposure(machine("/dev/zram0")) == ""
    assert exposure(machine("/dev/zram0", backing="/dev/sdb1"))


def test_a_service_that_is_never_swapped_is_in_no_danger(machine):
    assert exposure(machine("/dev/sda2", limit="0")) == ""
    assert "/dev/sda2" in exposure(machine("/dev/sda2", limit="1048576"))


def test_a_file_is_as_safe_as_the_device_that_it_lies_on(machine, tmp_path):
    root = machine("/swap.img")
    (tmp_path / "swap.img").write_bytes(b"")
    device = (tmp_path / "swap.img").stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    assert exposure(root)  # it can't be told
    (tmp_path / "sys/dev/block").mkdir(parents=True)
    (tmp_path / "sys/class/block/dm-5/dm").mkdir(parents=True)
    (tmp_path / "sys/dev/block" / number).symlink_to("../../class/block/dm-5")
    assert exposure(root)
    (tmp_path / "sys/class/block/dm-5/dm/uuid").write_text("CRYPT-LUKS1-0")
    assert exposure(root) == ""


def test_of_this_machine_something_can_be_said():
    assert isinstance(exposure(), str)
    assert exposure(Path("/nowhere")) == ""
