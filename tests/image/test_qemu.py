"""The disk image as a machine: booted, sent to, read from, killed, stolen, installed.

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
from tests.image.machine import Machine, built, hindrance, on_stick, overlay
from tests.image.technician import Technician
from tests.samples import CT_IMAGE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN, ct_series, write_series

pytestmark = [
    pytest.mark.skipif("EDGE_TEST_IMAGE" not in os.environ, reason="scripts/test-image runs it"),
    pytest.mark.skipif(bool(hindrance()), reason=hindrance()),
]
LAB = """[Service]
Environment=EDGE_APPLIANCE__LAB=true EDGE_HTTP__AUTH=none EDGE_DIMSE__UNKNOWN_PEERS=accept
"""
OPEN = {"edge.service": LAB}
"""A box that asks nobody who they are, where that is not what is tested."""
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
    flashed = flash(folder / "flashed.raw", {SETUP: technician.settings})
    machine = Machine(folder, flashed)
    yield machine
    machine.kill()


def flash(path: Path, files: dict[str, bytes]) -> Path:
    """A copy of the image, with files on its boot partition."""
    subprocess.run(["cp", "--sparse=always", str(built()), str(path)], check=True)
    esp = f"{path}@@{esp_offset(path)}"
    for name, content in files.items():
        subprocess.run(["mmd", "-D", "s", "-i", esp, f"::{Path(name).parent}"], check=False,
                       capture_output=True)  # fmt: skip
        subprocess.run(["mcopy", "-i", esp, "-", f"::{name}"], input=content, check=True)
    return path


def study_of(seed: int) -> str:
    return next(ct_series(1, rows=8, columns=8, seed=seed)).ref.study_uid


def kept(machine: Machine, seed: int, token: str = "") -> dict[str, str]:
    """SOP Instance UID -> digest of the pixels, of all that the box has of a study."""
    status, body = machine.ask(
        f"/dicom-web/studies/{study_of(seed)}",
        token=token,
        headers={"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'},
        seconds=300,
    )
    if status == 404:
        return {}
    assert status == 200, body[:500]
    boundary = body.partition(b"\r\n")[0]
    found = {}
    for part in body.split(boundary)[1:-1]:
        data = part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")
        uid, digest = fingerprint(data)
        found[uid] = digest
    return found


def fingerprint(data: bytes) -> tuple[str, str]:
    """SOP Instance UID, and a digest of the pixels: DCMTK encodes what is around them anew."""
    dataset = pydicom.dcmread(io.BytesIO(data))
    return str(dataset.SOPInstanceUID), hashlib.sha256(dataset.PixelData).hexdigest()


def has_failed(machine: Machine) -> list[str]:
    """Units that failed, as the serial console says."""
    return re.findall(r"\[\S*FAILED\S*\] (.*)", machine.console)


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


def test_what_a_modality_sends_a_viewer_reads(box, technician, tmp_path):
    sent = dict(fingerprint(item.data) for item in ct_series(SLICES, seed=801))
    write_series(tmp_path / "ct", SLICES, seed=801)
    done = subprocess.run(
        ["dcmsend", "--aetitle", "CT1", "--call", "EDGE", "--dimse-timeout", "300",
         "--scan-directories", "127.0.0.1", str(box.dicom_port), str(tmp_path / "ct")],
        env=os.environ | {"TCP_NODELAY": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert kept(box, 801, technician.token) == sent
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


def test_nothing_on_the_disk_can_be_read(box, tmp_path):
    raw = tmp_path / "disk.raw"
    subprocess.run(["qemu-img", "convert", "-O", "raw", str(box.disk), str(raw)], check=True)
    needle = pydicom.dcmread(io.BytesIO(next(ct_series(1, rows=8, columns=8, seed=801)).data))
    for word in (str(needle.PatientName), str(needle.PatientID), study_of(801), "CT1"):
        found = subprocess.run(
            ["grep", "-c", "-a", "-F", "-m", "1", word, str(raw)], capture_output=True, check=False
        )
        if len(word) > 4:
            assert found.returncode == 1, f"{word} stands on the disk"


def test_the_tpm_opens_the_data_and_nobody_else_does(tmp_path):
    machine = Machine(tmp_path / "own", built(), tpm=True, dropins=OPEN)
    try:
        machine.start().until_ready()
        machine.until_said(r"key in the TPM")
        machine.stop()
        machine.start().until_ready()
        machine.stop()
        # Another machine, with a TPM of its own, and this one's disk.
        thief = Machine(tmp_path / "other", tpm=True)
        thief.folder.mkdir()
        overlay(thief.disk, machine.disk)
        try:
            thief.start().until_said(r"the data can't be opened")
        finally:
            thief.kill()
    finally:
        machine.kill()


def test_after_a_factory_reset_it_is_a_new_box(box, technician):
    unit = """[Unit]
After=edge.service efi.automount
[Service]
Type=oneshot
ExecStartPre=/usr/bin/systemctl stop edge.service
ExecStart=/usr/lib/edge/factory-reset
"""
    box.units = {"test-reset.service": unit}
    box.options = "systemd.wants=test-reset.service"
    before = len(box.console)
    box.start()
    box.until_said(r"reboot: Restarting system", after=before)
    box.kill()
    box.units, box.options = {}, ""
    box.start()
    box.until_ready()
    # Nobody can log in: it is as on its first day.
    status, _ = box.ask("/api/v1/status", token=technician.token)
    assert status == 401
    box.stop()


def test_the_installer_puts_it_on_an_empty_disk(tmp_path):
    """Unattended: the answer lies on the stick."""
    answer = b'disk = "only"\nthen = "poweroff"\n'
    stick = flash(tmp_path / "stick.raw", {"EDGE-SETUP/install.toml": answer})
    machine = Machine(tmp_path / "machine", sticks=[stick], first=True, dropins=OPEN)
    try:
        machine.start()
        assert machine.process is not None
        machine.process.wait(1200)
        machine.kill()
        said = on_stick(Path(f"{stick}@@{esp_offset(stick)}"), "EDGE-SETUP/install.txt")
        assert said is not None
        assert said.startswith(b"installed: edge "), said
        # The stick is still in; the machine starts from its own disk.
        machine.first = False
        machine.start().until_ready()
        assert not has_failed(machine)
    finally:
        machine.kill()


def esp_offset(image: Path) -> int:
    """Where the ESP begins, in bytes."""
    said = subprocess.run(
        ["sfdisk", "--json", str(image)], capture_output=True, check=True, text=True
    )
    table = json.loads(said.stdout)["partitiontable"]
    kind = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
    start = next(part["start"] for part in table["partitions"] if part["type"] == kind)
    return int(start) * int(table.get("sectorsize", 512))


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
