"""The disk image as a machine: booted, sent to, read from, killed.

Left out by ``scripts/test``: it takes a built image, and some twenty minutes without KVM;
``scripts/test-image`` runs it. The tests of one machine stand in the order in which its life goes
on.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from pynetdicom import AE

from tests.fakes.orthanc import PASSWORD, USER, Orthanc
from tests.fakes.orthanc import missing as orthanc_lacks
from tests.image.machine import Machine, built
from tests.image.media import flash, on_stick
from tests.image.studies import NEEDS_IMAGE, fingerprint, has_failed, kept, send, sent
from tests.image.technician import Technician
from tests.samples import CT_IMAGE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN, ct_series

pytestmark = NEEDS_IMAGE
SLICES = 24
SETUP = "EDGE-SETUP/edge.toml"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    if lacks := orthanc_lacks():
        pytest.skip(lacks)
    orthanc = Orthanc(tmp_path_factory.mktemp("orthanc"))
    orthanc.start()
    yield orthanc
    orthanc.stop()


@pytest.fixture(scope="module")
def technician(archive: Orthanc) -> Technician:
    return Technician(archive)


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory, technician: Technician) -> Iterator[Machine]:
    """A machine whose disk was flashed, with the settings on it, over all of its life."""
    folder = tmp_path_factory.mktemp("box")
    flashed = flash(folder / "flashed.raw", built(), {SETUP: technician.settings})
    machine = Machine(folder, flashed)
    yield machine
    machine.kill()


def test_flashed_it_boots_and_serves(box):
    box.start()
    print(f"first start: {box.until_ready():.0f} s")
    assert not has_failed(box)
    status, body = box.ask("/healthz")
    assert status == 200, body


def test_the_file_on_its_boot_partition_sets_it_up(box, technician):
    # Codes are not tried before it knows them: guessing is slowed down.
    box.until_said(r"(Finished|Failed to start) .*edge-provision\.service")
    assert not has_failed(box)
    technician.takes_over(box)
    status, body = box.ask("/api/v1/status", token=technician.token)
    assert status == 200, body


def test_what_a_modality_sends_a_viewer_reads(box, technician):
    done = send(box, SLICES, 801)
    assert done.returncode == 0, done.stderr
    assert kept(box, 801, technician.token) == sent(SLICES, 801)
    status, body = box.ask("/viewer/", token=technician.token)
    assert (status, b"<html" in body.lower()) == (200, True)


def test_it_arrives_in_the_archive(box, technician, archive):
    deadline = time.monotonic() + 300
    while True:
        status, body = box.ask("/api/v1/status", token=technician.token)
        assert status == 200, body
        answer = subprocess.run(
            ["curl", "-s", "-u", f"{USER}:{PASSWORD}", f"{archive.url}/statistics"],
            capture_output=True, check=True,
        )  # fmt: skip
        if json.loads(answer.stdout)["CountInstances"] == SLICES:
            return
        assert time.monotonic() < deadline, body
        time.sleep(1)


def test_of_what_was_acknowledged_nothing_is_lost_when_the_power_goes(box, technician):
    acknowledged: dict[str, str] = {}
    enough = threading.Event()

    def send() -> None:
        modality = AE("CT1")
        modality.add_requested_context(CT_IMAGE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN)
        association = modality.associate("127.0.0.1", box.dicom_port, ae_title="EDGE")
        for item in ct_series(400, seed=802):
            if not association.is_established:
                break
            dataset = pydicom.dcmread(io.BytesIO(item.data))
            try:
                answer = association.send_c_store(dataset)
            except RuntimeError:  # the association went while it was sent
                break
            if "Status" in answer and answer.Status == 0:
                uid, digest = fingerprint(item.data)
                acknowledged[uid] = digest
            if len(acknowledged) >= SLICES:
                enough.set()
        enough.set()

    sender = threading.Thread(target=send)
    sender.start()
    assert enough.wait(300)
    box.kill()
    sender.join(120)
    assert len(acknowledged) >= SLICES
    box.start()
    print(f"start after the power went: {box.until_ready():.0f} s")
    found = kept(box, 802, technician.token)
    assert {uid: found.get(uid) for uid in acknowledged} == acknowledged
    assert kept(box, 801, technician.token).keys(), "what was there before is there"
    print(f"{len(acknowledged)} were acknowledged, all of them are there")


def test_the_power_button_ends_it_in_order(box):
    before = len(box.console)
    box.stop()
    assert "Unmounted" in box.console[before:] or "Power down" in box.console[before:]


def test_the_same_commit_is_the_same_image(tmp_path):
    if "EDGE_TEST_REBUILD" not in os.environ:
        pytest.skip("EDGE_TEST_REBUILD=yes builds it a second time")
    folder = built().parent
    first = hashlib.sha256((folder / "edge.root.raw").read_bytes()).hexdigest()
    shutil.move(folder, tmp_path / "first")
    try:
        subprocess.run(["scripts/build-image", "amd64"], check=True)
        assert hashlib.sha256((folder / "edge.root.raw").read_bytes()).hexdigest() == first
    finally:
        shutil.rmtree(tmp_path / "first")


CARD = built("rpi")
NEEDED = (
    *("start4.elf", "fixup4.dat", "config.txt", "cmdline.txt", "vmlinuz", "initrd"),
    *("bcm2711-rpi-4-b.dtb", "bcm2712-rpi-5-b.dtb"),
)
"""By the firmware of a Raspberry Pi 4; that of a Pi 5 is on its board, and takes the last six."""


@pytest.mark.skipif(not CARD.exists(), reason="scripts/build-image rpi makes it")
def test_the_card_of_a_raspberry_pi_has_what_its_firmware_asks_for():
    said = subprocess.run(["sfdisk", "--json", str(CARD)], capture_output=True, check=True)
    parts = json.loads(said.stdout)["partitiontable"]["partitions"]
    names = [part["name"].partition("-0.")[0] for part in parts]
    assert names == ["edge-select", "edge-boot-a", "edge-boot-b", "edge-root", "edge-verity"]
    select, boot = (f"{CARD}@@{part['start'] * 512}" for part in parts[:2])
    chooses = on_stick(Path(select), "autoboot.txt")
    assert chooses is not None
    assert b"tryboot_a_b=1\nboot_partition=2\n[tryboot]\nboot_partition=3" in chooses
    for name in NEEDED:
        assert on_stick(Path(boot), name), f"the boot partition has no {name}"
    command = on_stick(Path(boot), "cmdline.txt")
    assert command is not None
    root = re.search(rb"roothash=([0-9a-f]{64})", command)
    assert root, command
    assert b"\n" not in command.strip()
    # The root is found by its hash: partition UUIDs are its two halves.
    uuids = [part["uuid"].replace("-", "").lower() for part in parts[3:]]
    assert "".join(uuids) == root[1].decode()
    configured = on_stick(Path(boot), "config.txt")
    assert configured is not None
    for named in re.findall(rb"^(?:kernel|initramfs|cmdline)[= ](\S+)", configured, re.MULTILINE):
        assert on_stick(Path(boot), named.decode()), named
