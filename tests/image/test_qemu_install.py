"""The installer: from a stick onto the disk of a machine, by somebody at its screen and by a file.

Left out by ``scripts/test``; ``scripts/test-image install`` runs it. The tests of one machine stand
in the order in which its life goes on.
"""

from __future__ import annotations

import json
import re
import subprocess

import pytest

from tests.image.machine import Machine, built
from tests.image.media import esp_of, flash, on_stick, overlay, parts, raw
from tests.image.studies import LAB, NEEDS_IMAGE, has_failed, kept, send, sent
from tests.image.technician import Technician

pytestmark = NEEDS_IMAGE
SLICES = 12
ANSWER = "EDGE-SETUP/install.toml"
ANSWERS = b'disk = "DISK0"\n'
ANSWERED = "EDGE-SETUP/install.done.toml"
REPORT = "EDGE-SETUP/install.txt"
SETUP = "EDGE-SETUP/edge.toml"


@pytest.fixture(scope="module")
def attended(tmp_path_factory, hands):
    """A machine with an empty disk, one with somebody's pictures, and the stick.

    Its firmware starts what it finds, and what it was told since.
    """
    folder = tmp_path_factory.mktemp("attended")
    pictures = folder / "pictures.raw"
    with pictures.open("wb") as file:
        file.truncate(19 * 10**9)
    table = b"label: gpt\nsize=1GiB, name=pictures\n"
    subprocess.run(["sfdisk", "-q", str(pictures)], input=table, check=True)
    machine = Machine(
        folder / "machine",
        disk_kind="nvme",
        disks=[pictures],
        sticks=[overlay(folder / "stick.qcow2", built())],
        boots_from="firmware",
        units=hands.units,
        dropins={"edge.service": LAB} | hands.dropins,
    )
    yield machine
    machine.kill()


def test_it_shows_the_disks_and_what_is_on_each(attended):
    attended.start()
    attended.until_said(r"Type the number of the disk")
    shown = attended.console
    version = (built().parent / "version").read_text().strip()
    assert f"Edge {version}: the installer" in shown
    lines = [line.strip() for line in shown.splitlines() if "GB, " in line]
    assert any("nvme0n1, 17 GB" in line and line.endswith("DISK0; empty") for line in lines), lines
    assert any("vda, 19 GB" in line and "not empty: pictures" in line for line in lines), lines
    assert len(lines) == 2, f"the stick itself is none of them: {lines}"


def test_a_word_that_names_none_of_them_is_asked_again(attended):
    attended.type(["7", "ret"])
    attended.until_said(r"'7' names none of the disks")
    attended.until_said(r"(?s)names none of the disks.*Type the number of the disk")


def test_it_writes_reads_back_and_starts_from_the_disk_with_the_stick_still_in(attended, hands):
    before = len(attended.console)
    line = next(line for line in attended.console.splitlines() if "nvme0n1, 17 GB" in line)
    attended.type([line.split()[0], "ret"])
    for what in ("writing to nvme0n1", "reading back what was written"):
        attended.until_said(rf"{what}: 100 %", after=before)
        said = re.findall(rf"{what}: (\d+) %", attended.console[before:])
        assert len(said) > 5, f"how far it is is shown: {said}"
        assert said == sorted(said, key=int)
    attended.until_said(r"Installed\. Take the stick out, or press Enter", after=before)
    before = len(attended.console)
    attended.type(["ret"])
    print(f"start after it: {attended.until_ready():.0f} s")
    assert not has_failed(attended)
    assert hands.must("/usr/lib/edge/boot-disk").strip() == "nvme0n1"


def test_nothing_of_the_running_system_is_on_the_stick(attended, hands):
    assert runs_from(hands) == {"nvme0n1"}


def runs_from(hands):
    """The disks on which the system and its data are."""
    said = hands.must("lsblk", "--json", "--inverse", "--output", "NAME,TYPE",
                      "/dev/mapper/root", "/dev/mapper/edge-data")  # fmt: skip
    left, disks = json.loads(said)["blockdevices"], set()
    while left:
        one = left.pop()
        left += one.get("children", [])
        if one["type"] == "disk":
            disks.add(one["name"])
    return disks


def test_it_serves_and_its_disk_has_all_slots(attended, tmp_path):
    assert send(attended, SLICES, 831).returncode == 0
    assert kept(attended, 831) == sent(SLICES, 831)
    attended.stop()
    version = (built().parent / "version").read_text().strip()
    names = [part["name"] for part in parts(raw(tmp_path / "disk.raw", attended.disk))]
    assert names == [
        *("edge-esp", f"edge-root-{version}", f"edge-verity-{version}"),
        *("_empty", "_empty", "edge-data"),
    ]


def test_the_other_disk_was_not_written(attended):
    assert [part["name"] for part in parts(attended.disks[0])] == ["pictures"]
    assert attended.disks[0].stat().st_blocks * 512 < 1024**2


def test_the_stick_says_what_happened(attended, tmp_path):
    said = on_stick(esp_of(raw(tmp_path / "stick.raw", attended.sticks[0])), REPORT)
    assert said is not None
    assert said.startswith(b"installed: edge "), said
    assert b"nvme0n1" in said


@pytest.fixture(scope="module")
def technician():
    return Technician()


@pytest.fixture(scope="module")
def unattended(tmp_path_factory, technician, hands):
    """A machine at which nobody stands: the answers lie on the stick.

    Its disk is at a USB plug, too, and found after the stick at each start: it is meant by its
    serial number, for "only" means one inside.
    """
    folder = tmp_path_factory.mktemp("unattended")
    answers = {ANSWER: ANSWERS, SETUP: technician.settings}
    machine = Machine(
        folder / "machine",
        disk_kind="usb-storage,port=4",
        sticks=[flash(folder / "stick.raw", built(), answers)],
        boots_from="firmware",
        units=hands.units,
        dropins=hands.dropins,
    )
    yield machine
    machine.kill()


def test_a_file_on_the_stick_answers_and_the_settings_come_along(unattended, technician, hands):
    hands.let_go()
    unattended.start()
    unattended.until_said(r"EDGE-SETUP/edge\.toml went along to the machine")
    unattended.until_said(r"Installed\.")
    print(f"start after it: {unattended.until_ready():.0f} s")
    unattended.until_said(r"(Finished|Failed to start) .*edge-provision\.service")
    assert not has_failed(unattended)
    assert runs_from(hands) == {hands.must("/usr/lib/edge/boot-disk").strip()}
    technician.takes_over(unattended)
    assert send(unattended, SLICES, 832).returncode == 0
    unattended.stop()
    stick = esp_of(unattended.sticks[0])
    said = on_stick(stick, REPORT)
    assert said is not None
    assert said.startswith(b"installed: edge "), said
    assert on_stick(stick, SETUP) is None
    assert on_stick(stick, ANSWER) is None, "it holds for one machine"
    assert on_stick(stick, ANSWERED) == ANSWERS


def test_where_the_firmware_takes_the_stick_again_nothing_is_erased(unattended, technician):
    before = len(unattended.console)
    unattended.boots_from = "stick"
    unattended.start()
    unattended.until_said(r"is not done again", after=before)
    unattended.until_said(r"HAS THE DATA OF AN EDGE", after=before)
    unattended.until_said(r"Type the number of the disk", after=before)
    unattended.kill()
    unattended.boots_from = "disk"
    unattended.start().until_ready()
    assert kept(unattended, 832, technician.token) == sent(SLICES, 832)
    unattended.stop()
