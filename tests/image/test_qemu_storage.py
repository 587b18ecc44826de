"""The data of a machine moves to a bigger disk while it works, and the power goes in the last step.

Left out by ``scripts/test``; ``scripts/test-image storage`` runs it. The tests of one machine stand
in the order in which its life goes on.
"""

from __future__ import annotations

import contextlib
import re
import time

import pytest

from tests.image.hands import Hands
from tests.image.machine import Machine, built
from tests.image.media import run
from tests.image.studies import LAB, NEEDS_IMAGE, OPEN, has_failed, kept, send, sent
from tests.image.usb import put_in

pytestmark = NEEDS_IMAGE
SLICES = 12
AS_SERVICE = ("setpriv", "--reuid=edge", "--regid=edge", "--init-groups", "edge", "machine")
ENVIRONMENT = dict(word.split("=", 1) for word in LAB.split("Environment=")[1].split())
PATIENCE = 1200.0


@pytest.fixture(scope="module")
def hands():
    with Hands() as made:
        yield made


@pytest.fixture(scope="module", params=["disk", "tpm"])
def box(request, tmp_path_factory, hands):
    """A machine whose key is on its disk, and one whose key is in its TPM."""
    folder = tmp_path_factory.mktemp("box")
    made = Machine(
        folder,
        built(),
        disk_size="6G",
        tpm=request.param == "tpm",
        units=hands.units,
        dropins=OPEN | hands.dropins,
    )
    hands.let_go()
    yield made
    made.kill()


@pytest.fixture(scope="module")
def bigger(box):
    """A disk in a USB case."""
    path = box.folder / "bigger.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", path, "9G")
    return path


def done(hands, *words):
    """What a technician has done; asked again where the machine is too slow to answer in time."""
    deadline = time.monotonic() + PATIENCE
    while True:
        ended = hands.run(*AS_SERVICE, *words, environment=ENVIRONMENT)
        if b"the machine does not answer" not in ended.stderr or time.monotonic() > deadline:
            assert ended.returncode == 0, (words, ended.stdout, ended.stderr)
            return ended.stdout.decode(errors="replace")


def disks_of(hands):
    """What a technician is shown of the disks: name -> the rest."""
    said = done(hands, "disks")
    return dict(line.split(", ", 1) for line in said.splitlines() if ", " in line)


def until_disks(hands, wanted):
    deadline = time.monotonic() + PATIENCE
    while not wanted(said := done(hands, "disks")):
        assert "does not move" not in said, said
        assert time.monotonic() < deadline, said
        time.sleep(1)


def test_a_bigger_disk_that_is_plugged_in_is_shown(box, hands, bigger):
    box.start().until_ready()
    assert send(box, SLICES, 841).returncode == 0
    put_in(box, bigger, "bigger", is_stick=False)
    until_disks(hands, lambda said: "sda" in said)
    assert "has the data of this box" in disks_of(hands)["vda"]
    assert disks_of(hands)["sda"].endswith(": empty")


def test_it_is_copied_there_while_images_come_in(box, hands):
    done(hands, "move-data", "sda")
    assert send(box, SLICES, 842).returncode == 0
    until_disks(hands, lambda said: "restart the box" in said)
    assert send(box, SLICES, 843).returncode == 0
    assert not has_failed(box)


def test_when_the_power_goes_in_the_last_step_it_is_done_at_the_next_start(box, hands, bigger):
    seen = len(box.console)
    with contextlib.suppress(ConnectionError):  # it may end before it says so
        done(hands, "restart")
    box.until_said(r"the data moves to sda", after=seen)
    box.kill()
    hands.let_go()
    seen = len(box.console)
    box.disks = [bigger]  # it found a place inside meanwhile
    box.start()
    box.until_said(r"the data has moved: the machine starts anew", after=seen)
    box.until_ready()
    for seed in (841, 842, 843):
        assert kept(box, seed) == sent(SLICES, seed)
    assert send(box, SLICES, 844).returncode == 0
    assert not has_failed(box)
    hands.let_go()
    assert "has the data" in disks_of(hands)["vdb"]
    assert "as it was before it moved" in disks_of(hands)["vda"]


def test_the_old_copy_is_destroyed_when_somebody_says_so(box, hands):
    assert hands.run("cryptsetup", "isLuks", "/dev/vda6").returncode == 0
    done(hands, "erase-old")
    assert hands.run("cryptsetup", "isLuks", "/dev/vda6").returncode != 0
    assert "its keys are destroyed" in disks_of(hands)["vda"]
    assert kept(box, 844) == sent(SLICES, 844)
    box.stop()


def test_in_the_place_of_the_old_disk_the_new_one_is_the_box(box, hands, bigger):
    box.disk.rename(box.folder / "old.qcow2")
    bigger.rename(box.disk)
    box.disks = []
    seen = len(box.console)
    hands.let_go()
    box.start().until_ready()
    for seed in (841, 842, 843, 844):
        assert kept(box, seed) == sent(SLICES, seed)
    assert not re.findall(r"\[\S*FAILED\S*\] (.*)", box.console[seen:])
    assert list(disks_of(hands)) == ["vda"]
    assert "has the data of this box" in disks_of(hands)["vda"]
    size = int(hands.must("blockdev", "--getsize64", "/dev/mapper/edge-data"))
    assert size > 6 * 2**30, "it has all the room of the bigger disk"
    box.stop()


def test_the_old_disk_alone_does_not_begin_as_a_new_box(box):
    (box.folder / "old.qcow2").rename(box.disk)
    seen = len(box.console)
    box.start()
    box.until_said(r"the data has moved to another disk, which is not there", after=seen)
    box.kill()
