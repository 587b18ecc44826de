"""Of two disks with the same system on them, the one is run from that was started."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

import edge

INITRD = Path(edge.__file__).parent.parent / "image/mkosi.images/initrd/mkosi.extra/usr/lib"
PROGRAM = INITRD / "edge/of-boot-disk"
VARIABLE = "LoaderDevicePartUUID-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
DISK, STICK = (f"{letter * 8}-0000-4000-8000-00000000000{letter}" for letter in "ab")


class Disks:
    """A disk ``sda`` and a stick ``sdb``, each with an ESP of its own and a system."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.variable = root / "sys/firmware/efi/efivars" / VARIABLE
        self.variable.parent.mkdir(parents=True)
        (root / "dev").mkdir()
        (root / "sys/class/block").mkdir(parents=True)
        (root / "bin").mkdir()
        program = root / "bin/blkid"
        program.write_text('#!/bin/sh\nfor last; do :; done\ncat "$last"\n')
        program.chmod(0o755)
        for disk, esp in (("sda", DISK), ("sdb", STICK)):
            for number, uuid in ((1, esp), (2, "5e5e5e5e-0000-4000-8000-000000000000")):
                name = f"{disk}{number}"
                folder = root / "sys/devices" / disk / name
                folder.mkdir(parents=True)
                (folder / "partition").write_text(f"{number}\n")
                (root / "sys/class/block" / name).symlink_to(folder)
                (root / "dev" / name).write_text(f"{uuid}\n")

    def started_from(self, uuid: str) -> None:
        """What the boot loader says, as the firmware keeps it."""
        self.variable.write_bytes(bytes((6, 0, 0, 0)) + f"{uuid.upper()}\0".encode("utf-16-le"))

    def has(self, name: str) -> bool:
        """Whether the partition is on the disk that was started."""
        path = f"{self.root / 'bin'}:{os.environ['PATH']}"
        done = subprocess.run(
            [PROGRAM, name, self.root], env={"PATH": path}, capture_output=True, check=False
        )
        assert done.returncode in (0, 1), done.stderr
        return done.returncode == 0


@pytest.fixture
def disks(tmp_path):
    return Disks(tmp_path)


def test_what_was_started_from_the_disk_does_not_run_from_the_stick(disks):
    disks.started_from(DISK)
    assert disks.has("sda1")
    assert disks.has("sda2")
    assert not disks.has("sdb1")
    assert not disks.has("sdb2")


def test_what_was_started_from_the_stick_does_not_run_from_the_disk(disks):
    disks.started_from(STICK)
    assert disks.has("sdb2")
    assert not disks.has("sda2")


def test_where_no_loader_says_so_every_disk_may_have_it(disks):
    assert disks.has("sda2")
    assert disks.has("sdb2")


def test_the_rule_takes_the_name_by_which_the_system_is_found():
    rule = (INITRD / "udev/rules.d/61-edge-boot-disk.rules").read_text()
    assert 'PROGRAM!="/usr/lib/edge/of-boot-disk %k"' in rule
    assert 'SYMLINK-="disk/by-partuuid/$env{ID_PART_ENTRY_UUID}"' in rule
