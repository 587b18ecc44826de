"""The disk image as a machine: booted, sent to, read from, killed.

Left out by ``scripts/test``: it takes a built image, and some twenty minutes without KVM;
``scripts/test-image`` runs it. The tests of one machine stand in the order in which its life goes
on.
"""

from __future__ import annotations

import io
import json
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
from tests.image.media import on_stick, sector_of, stick
from tests.image.studies import NEEDS_IMAGE, fingerprint, has_failed, kept, send, sent
from tests.image.technician import Technician
from tests.samples import CT_IMAGE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN, ct_series

pytestmark = NEEDS_IMAGE
SLICES = 24
SETUP = "EDGE-SETUP/edge.toml"
RESULT = "EDGE-SETUP/result.txt"


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
def settings(tmp_path_factory: pytest.TempPathFactory, technician: Technician) -> Path:
    """A stick with the settings of the box."""
    return stick(tmp_path_factory.mktemp("stick") / "stick.img", {SETUP: technician.settings})


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory, settings: Path) -> Iterator[Machine]:
    """A machine whose disk was flashed, over all of its life; the stick stays in it."""
    machine = Machine(tmp_path_factory.mktemp("box"), built(), sticks=[settings])
    yield machine
    machine.kill()


def test_the_esp_that_was_built_has_sectors_as_disks_have():
    """Of larger ones, some firmware reads none."""
    assert sector_of(built()) == 512


def test_flashed_it_boots_and_serves(box):
    box.start()
    print(f"first start: {box.until_ready():.0f} s")
    assert not has_failed(box)
    status, body = box.ask("/healthz")
    assert status == 200, body


def test_the_stick_sets_it_up_and_says_so(box, settings, technician):
    # Codes are not tried before it knows them: guessing is slowed down.
    deadline = time.monotonic() + 300
    while b"This box was set up by the stick" not in (said := on_stick(settings, RESULT) or b""):
        assert time.monotonic() < deadline, (said, box.console[-4000:])
        time.sleep(1)
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


def test_of_what_was_acknowledged_nothing_is_lost_when_the_power_goes(
    box, technician, record_property
):
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
    record_property("start to readyz after the power went", box.until_ready())
    found = kept(box, 802, technician.token)
    assert {uid: found.get(uid) for uid in acknowledged} == acknowledged
    assert kept(box, 801, technician.token) == sent(SLICES, 801), "so is what was there before"
    print(f"{len(acknowledged)} were acknowledged, all of them are there")


def test_the_power_button_ends_it_in_order(box):
    before = len(box.console)
    box.stop()
    assert "Unmounted" in box.console[before:] or "Power down" in box.console[before:]
