"""Which file systems on USB are mounted for the service's user, and how."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

import edge
from tests.image.test_tree import read

IMAGE = Path(edge.__file__).parent.parent / "image"
RULE = (IMAGE / "units/90-edge-media.rules").read_text()
UNIT = IMAGE / "units/edge-media@.service"


class Kernel:
    """A machine's disks, as its files show them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._number = 0
        for name in ("sys/class/block", "sys/dev/block", "sys/devices", "proc/self", "run"):
            (root / name).mkdir(parents=True)
        self._mounted: list[str] = []
        self.mount("0:20", "/proc")

    def disk(self, name: str, parts: int) -> None:
        """One with partitions."""
        self._device(name, f"usb/{name}")
        for number in range(1, parts + 1):
            part = self._device(f"{name}{number}", f"usb/{name}/{name}{number}")
            (part / "partition").write_text(f"{number}\n")

    def mapping(self, name: str, *slaves: str) -> None:
        """Made of other devices."""
        folder = self._device(name, f"virtual/{name}")
        for slave in slaves:
            (folder / "slaves" / slave).symlink_to(
                (self.root / "sys/class/block" / slave).resolve()
            )

    def _device(self, name: str, place: str) -> Path:
        folder = self.root / "sys/devices" / place
        (folder / "slaves").mkdir(parents=True)
        self._number += 1
        (self.root / "sys/class/block" / name).symlink_to(folder)
        (self.root / f"sys/dev/block/8:{self._number}").symlink_to(folder)
        return folder

    def number(self, name: str) -> str:
        """Of a device."""
        wanted = (self.root / "sys/class/block" / name).resolve()
        found = (self.root / "sys/dev/block").iterdir()
        return next(one.name for one in found if one.resolve() == wanted)

    def mount(self, device: str, place: str) -> None:
        """As the kernel lists it."""
        self._mounted.append(f"{len(self._mounted)} 1 {device} / {place} rw - type source rw\n")
        (self.root / "proc/self/mountinfo").write_text("".join(self._mounted))

    def is_foreign(self, name: str) -> bool:
        """What the program says."""
        program = IMAGE / "libexec/foreign-disk"
        done = subprocess.run([program, name, self.root], capture_output=True, check=False)
        assert done.returncode in (0, 1), done.stderr
        return done.returncode == 0


@pytest.fixture
def kernel(tmp_path):
    kernel = Kernel(tmp_path)
    kernel.disk("sda", 6)
    kernel.disk("sdb", 1)
    return kernel


def test_no_partition_of_the_disk_that_the_image_found_is_anybodys(kernel):
    (kernel.root / "run/edge-disk").mkdir()
    (kernel.root / "run/edge-disk/whole").symlink_to("/dev/sda")
    assert not kernel.is_foreign("sda1")
    assert not kernel.is_foreign("sda6")
    assert not kernel.is_foreign("sda")
    assert kernel.is_foreign("sdb1")
    assert kernel.is_foreign("sdb")


def test_nor_of_the_disk_under_the_root_before_it_was_found(kernel):
    kernel.mapping("dm-0", "sda2", "sda3")
    kernel.mount(kernel.number("dm-0"), "/")
    assert not kernel.is_foreign("sda1")
    assert not kernel.is_foreign("dm-0")
    assert kernel.is_foreign("sdb1")


def test_nor_of_the_disk_with_the_boot_partition(kernel):
    kernel.mount(kernel.number("sdb1"), "/boot/efi")
    kernel.mount(kernel.number("sda1"), "/media/somebody")
    assert not kernel.is_foreign("sdb1")
    assert kernel.is_foreign("sda1")


def named(kernel: Kernel, disk: str, number: int, label: str) -> None:
    """A partition has a name."""
    part = kernel.root / f"sys/class/block/{disk}/{disk}{number}/uevent"
    part.write_text(f"MAJOR=8\nDEVTYPE=partition\nPARTN={number}\nPARTNAME={label}\n")


@pytest.mark.parametrize("label", ["edge-data", "edge-data-new-1a2b3c4d", "edge-data-old-1a2b3c4d"])
def test_nor_of_another_disk_of_a_box_such_as_one_that_its_data_moves_to(kernel, label):
    kernel.disk("sdc", 6)
    named(kernel, "sdc", 6, label)
    named(kernel, "sdb", 1, "PHOTOS")
    assert not kernel.is_foreign("sdc1")
    assert kernel.is_foreign("sdb1")


@pytest.mark.parametrize(
    "label",
    [
        *("edge-esp", "edge-root-1.2", "edge-verity-1.2"),
        *("edge-select", "edge-boot-a", "edge-boot-b"),
    ],
)
def test_nor_of_a_stick_with_the_installer_or_of_another_card(kernel, label):
    """What lies on it is run by the next start from it."""
    kernel.disk("sdc", 3)
    named(kernel, "sdc", 2, label)
    assert not kernel.is_foreign("sdc1")
    assert not kernel.is_foreign("sdc2")


def test_what_is_not_there_is_not_foreign(kernel):
    done = subprocess.run([IMAGE / "libexec/foreign-disk", "sdz1", kernel.root], check=False,
                          capture_output=True)  # fmt: skip
    assert done.returncode


def test_both_the_rule_and_the_unit_ask():
    assert 'PROGRAM=="/usr/lib/edge/foreign-disk %k"' in RULE
    service = read(UNIT)["Service"]
    assert service["ExecCondition"] == "/usr/lib/edge/foreign-disk %I"
    assert "edge-disk.service" in read(UNIT)["Unit"]["After"]


def test_only_what_is_fat_or_exfat_is_mounted_whatever_the_rule_saw():
    [types] = re.findall(r"mount -t (\S+) -o (\S+)", read(UNIT)["Service"]["ExecStart"])
    assert types[0] == "vfat,exfat"
    assert {"nosuid", "nodev", "noexec", "nosymfollow"} <= set(types[1].split(","))
    assert 'ENV{ID_FS_TYPE}=="vfat|exfat"' in RULE


def test_the_stick_with_the_key_of_the_data_is_not_the_services_to_read():
    assert 'ENV{ID_FS_LABEL}!="EDGE-KEY"' in RULE
