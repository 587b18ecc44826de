"""Of two disks with the same system on them, the one is run from that was started."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import edge

IMAGE = Path(edge.__file__).parent.parent / "image"
INITRD = IMAGE / "mkosi.images/initrd/mkosi.extra/usr/lib"
PROGRAM = INITRD / "edge/of-boot-disk"
NUMBER = INITRD / "edge/machine-id"
AFTERWARDS = IMAGE / "libexec/boot-disk"
VARIABLE = "LoaderDevicePartUUID-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
DISK, STICK = (f"{letter * 8}-0000-4000-8000-00000000000{letter}" for letter in "ab")
DRAWN = "d7a36c1e-4b52-4f0a-9c3d-2e8f6a1b7c90"
SYSTEM = "5e5e5e5e-0000-4000-8000-000000000000"


class Disks:
    """A disk ``sdb`` and a stick ``sda``, each with an ESP of its own and the same system."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.variable = root / "sys/firmware/efi/efivars" / VARIABLE
        self.variable.parent.mkdir(parents=True)
        self.random = root / "proc/sys/kernel/random/uuid"
        self.random.parent.mkdir(parents=True)
        self.random.write_text(f"{DRAWN}\n")
        for folder in ("dev", "bin", "run/edge-disk", "sys/class/block"):
            (root / folder).mkdir(parents=True)
        program = root / "bin/blkid"
        program.write_text(
            "#!/bin/sh\nfor last; do :; done\n"
            'case " $* " in *" PART_ENTRY_NAME "*) last=$last.label ;; esac\n'
            'cat "$last" 2>/dev/null\n'
        )
        program.chmod(0o755)
        for disk, esp, removable in (("sdb", DISK, 0), ("sda", STICK, 1)):
            self.device(disk, f"devices/{disk}")
            self.write_whole(disk)
            (root / f"sys/devices/{disk}/removable").write_text(f"{removable}\n")
            for number, uuid in ((1, esp), (2, SYSTEM), (3, SYSTEM)):
                name = f"{disk}{number}"
                folder = self.device(name, f"devices/{disk}/{name}")
                (folder / "partition").write_text(f"{number}\n")
                (root / "dev" / name).write_text(f"{uuid}\n")

    def has_data(self, disk: str, uuid: str, label: str = "edge-data") -> None:
        """Its last partition has the data."""
        name = f"{disk}4"
        if not (self.root / f"sys/devices/{disk}/{name}").exists():
            folder = self.device(name, f"devices/{disk}/{name}")
            (folder / "partition").write_text("4\n")
        (self.root / "dev" / name).write_text(f"{uuid}\n")
        (self.root / f"dev/{name}.label").write_text(f"{label}\n")

    def device(self, name: str, place: str) -> Path:
        """One that the kernel has; its folder."""
        folder = self.root / "sys" / place
        folder.mkdir(parents=True)
        (self.root / "sys/class/block" / name).symlink_to(folder)
        return folder

    def are_copies(self) -> None:
        """The disk was written as the stick was, and not started yet."""
        (self.root / "dev/sdb1").write_text(f"{STICK}\n")

    def write_whole(self, disk: str) -> None:
        """With the table of partitions, which the last sector of the image has once more."""
        header = b"EFI PART".ljust(32, b"\0") + (9).to_bytes(8, "little")
        header = header.ljust(88, b"\0") + b"\1\2\3\4"
        image = header.ljust(512, b"\0").rjust(1024, b"\0") + bytes(7 * 512)
        (self.root / "dev" / disk).write_bytes(image + header.ljust(512, b"\0"))

    def write_part(self, disk: str, left: bytes = b"") -> None:
        """What was to write the image was broken off, and left at its end what was there before."""
        with (self.root / "dev" / disk).open("r+b") as file:
            file.seek(9 * 512)
            file.write(left.ljust(512, b"\0"))

    def run_from(self, *parts: str) -> None:
        """What the root file system lies on."""
        folder = self.device("dm-0", "devices/virtual/block/dm-0")
        (folder / "dm").mkdir()
        (folder / "dm/name").write_text("root\n")
        (folder / "slaves").mkdir()
        for part in parts:
            (folder / "slaves" / part).symlink_to(self.root / "sys/class/block" / part)

    def started_from(self, uuid: str) -> None:
        """What the boot loader says, as the firmware keeps it."""
        self.variable.write_bytes(bytes((6, 0, 0, 0)) + f"{uuid.upper()}\0".encode("utf-16-le"))

    def has(self, name: str) -> bool:
        """Whether the partition is on the disk that was started."""
        done = self._run(PROGRAM, name)
        assert done.returncode in (0, 1), done.stderr
        return done.returncode == 0

    @property
    def found(self) -> str:
        """What the running system takes for its disk; empty if none."""
        return self._run(AFTERWARDS).stdout.strip()

    @property
    def chosen(self) -> str:
        """The UUID that the data partition gets where it is made now; empty: any."""
        file = self.root / "run/edge-disk/repart.d/30-data.conf.d/uuid.conf"
        if not file.exists():
            return ""
        told = configparser.ConfigParser()
        told.read_string(file.read_text())
        return told["Partition"]["UUID"]

    @property
    def number(self) -> str:
        """What the system takes for the machine's number; empty if it has to find one itself."""
        shutil.rmtree(self.root / "run/edge-disk/repart.d", ignore_errors=True)
        file = self.root / "run/machine-id"
        file.unlink(missing_ok=True)
        done = self._run(NUMBER)
        assert done.returncode == 0, done.stderr
        return file.read_text() if file.exists() else ""

    def _run(self, program: Path, *words: str) -> subprocess.CompletedProcess[str]:
        path = f"{self.root / 'bin'}:{os.environ['PATH']}"
        return subprocess.run(
            [program, *words, self.root],
            env={"PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def disks(tmp_path):
    return Disks(tmp_path)


def test_what_was_started_from_the_disk_does_not_run_from_the_stick(disks):
    disks.started_from(DISK)
    assert disks.has("sdb1")
    assert disks.has("sdb2")
    assert not disks.has("sda1")
    assert not disks.has("sda2")


def test_what_was_started_from_the_stick_does_not_run_from_the_disk(disks):
    disks.started_from(STICK)
    assert disks.has("sda2")
    assert not disks.has("sdb2")


def test_where_no_loader_says_so_every_disk_may_have_it(disks):
    assert disks.has("sda2")
    assert disks.has("sdb2")


def test_of_a_disk_and_a_stick_with_the_same_uuids_the_disk_has_it(disks):
    disks.are_copies()
    disks.started_from(STICK)
    assert disks.has("sdb2")
    assert not disks.has("sda2")


def test_a_disk_with_another_version_is_not_taken_for_the_stick_that_was_started(disks):
    disks.are_copies()  # as far as the ESP goes, whose UUID every version has
    (disks.root / "dev/sdb2").write_text("0d0d0d0d-0000-4000-8000-000000000000\n")
    (disks.root / "dev/sdb3").write_text("0e0e0e0e-0000-4000-8000-000000000000\n")
    disks.started_from(STICK)
    assert disks.has("sda2")


OLDER = b"EFI PART".ljust(88, b"\0") + b"\4\3\2\1"


@pytest.mark.parametrize("left", [b"", OLDER], ids=["nothing", "an older image"])
def test_a_disk_that_the_image_was_not_written_to_whole_is_not_preferred_to_the_stick(disks, left):
    disks.are_copies()
    disks.write_part("sdb", left)
    disks.started_from(STICK)
    for number in (1, 2, 3):
        assert disks.has(f"sda{number}")
        assert not disks.has(f"sdb{number}")


@pytest.mark.parametrize("removable", [0, 1])
def test_a_stick_that_the_image_was_not_written_to_whole_is_not_taken_for_the_disk(
    disks, removable
):
    disks.are_copies()
    (disks.root / "sys/devices/sda/removable").write_text(f"{removable}\n")  # those in cases are 0
    disks.write_part("sda")
    disks.started_from(STICK)
    assert disks.has("sdb2")
    assert not disks.has("sda2")


def test_of_two_that_are_not_whole_the_disk_has_it_as_of_two_that_are(disks):
    disks.are_copies()
    for disk in ("sda", "sdb"):
        disks.write_part(disk)
    disks.started_from(STICK)
    assert disks.has("sdb2")
    assert not disks.has("sda2")


def test_a_disk_of_its_own_is_started_whatever_became_of_the_end_of_its_table(disks):
    disks.write_part("sdb")
    disks.started_from(DISK)
    assert disks.has("sdb2")


def test_the_disk_is_that_of_the_loader_that_was_started(disks):
    disks.run_from("sdb2", "sdb3")
    disks.started_from(DISK)
    assert disks.found == "sdb"


def test_a_stick_that_was_started_is_the_disk(disks):
    disks.run_from("sda2", "sda3")
    disks.started_from(STICK)
    assert disks.found == "sda"


def test_of_two_with_the_same_uuids_it_is_the_one_that_the_system_is_read_from(disks):
    disks.are_copies()
    disks.started_from(STICK)
    disks.run_from("sdb2", "sdb3")
    assert disks.found == "sdb"


def test_a_stick_beside_a_disk_with_half_of_the_image_is_where_the_system_is_read_from(disks):
    disks.are_copies()
    disks.write_part("sdb")
    disks.started_from(STICK)
    disks.run_from("sda2", "sda3")
    assert disks.found == "sda"


def test_a_system_that_is_read_from_both_is_no_stick(disks):
    disks.are_copies()
    disks.started_from(STICK)
    disks.run_from("sda2", "sdb3")
    assert disks.found == "sdb"


def test_what_was_found_at_the_start_is_not_asked_again(disks):
    """Afterwards the ESP has an UUID of its own, and that which was started is the stick's."""
    disks.started_from(STICK)
    disks.run_from("sdb2", "sdb3")
    (disks.root / "run/edge-disk/whole").symlink_to("/dev/sdb")
    assert disks.found == "sdb"


def test_where_no_loader_says_so_the_system_does(disks):
    disks.run_from("sdb2", "sdb3")
    assert disks.found == "sdb"


def test_where_nobody_says_so_there_is_none(disks):
    assert disks.found == ""


def test_the_rule_takes_the_name_by_which_the_system_is_found():
    rule = (INITRD / "udev/rules.d/61-edge-boot-disk.rules").read_text()
    assert 'PROGRAM!="/usr/lib/edge/of-boot-disk %k"' in rule
    assert 'SYMLINK-="disk/by-partuuid/$env{ID_PART_ENTRY_UUID}"' in rule


DATA = "da7ada7a-1111-4222-8333-444455556666"


def test_the_machine_has_a_number_of_its_own_that_stays(disks):
    disks.run_from("sdb2", "sdb3")
    disks.has_data("sdb", DATA)
    disks.has_data("sda", DATA.replace("d", "e"))
    number = disks.number
    assert disks.chosen == ""
    assert re.fullmatch(r"[0-9a-f]{32}\n", number)
    assert number == disks.number
    assert number.strip() not in DATA.replace("-", ""), "it is told to nobody"
    disks.has_data("sdb", DATA, "edge-data-old-1a2b3c4d")
    assert number == disks.number, "the data moved to a bigger disk beside it"
    disks.has_data("sdb", DATA.replace("a", "b"))
    assert disks.number not in ("", number), "after a factory reset it is another box"


def test_at_the_first_start_it_has_the_number_that_it_keeps(disks):
    """Else the log of that start was another machine's, which nobody reads or clears."""
    disks.run_from("sdb2", "sdb3")
    disks.has_data("sda", DATA)
    number = disks.number
    assert disks.chosen == DRAWN, "the data partition gets it"
    disks.has_data("sdb", disks.chosen)
    assert disks.number == number
    assert disks.chosen == ""
    disks.has_data("sdb", DATA, "edge-erased")
    disks.random.write_text(f"{DATA.replace('a', 'b')}\n")
    assert disks.number != number, "what a factory reset left of it is made anew"
    assert disks.chosen == DATA.replace("a", "b")


def test_the_data_is_made_with_what_was_chosen():
    kept = IMAGE / "mkosi.extra/usr/lib/edge"
    for folder in ("repart.d", "repart-tpm2.d"):
        assert (kept / folder / "30-data.conf").is_file(), "what is chosen is added to that"
    laid_out = (
        (IMAGE / "libexec/disk.d/making")
        .read_text()
        .partition("\nlay_out() {")[2]
        .partition("\n}")[0]
    )
    assert '--definitions="$definitions" --definitions="$run/repart.d"' in laid_out


def test_the_number_is_there_before_the_system_starts():
    unit = INITRD / "systemd/system/edge-machine-id.service"
    wanted = INITRD / "systemd/system/initrd-root-fs.target.wants/edge-machine-id.service"
    assert wanted.resolve() == unit
    text = unit.read_text()
    assert "Before=initrd-root-fs.target" in text
    assert "After=initrd-root-device.target" in text
    assert "RemainAfterExit=yes" in text, "else once more, while the system starts"
    # Else UUIDs were made of a number that cheap boards share.
    for name in ("disk.d/making", "installer/writing.py"):
        assert "--seed=random" in (IMAGE / "libexec" / name).read_text()
