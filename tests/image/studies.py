"""What tests of the image send to a machine and find there: studies, known by their seed."""

from __future__ import annotations

import hashlib
import io
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest

from tests.image.machine import Machine, hindrance
from tests.samples import ct_series, write_series

__all__ = [
    "AS_STORED",
    "LAB",
    "NEEDS_IMAGE",
    "OPEN",
    "fingerprint",
    "has_failed",
    "instances",
    "kept",
    "marks_of",
    "send",
    "send_folder",
    "sent",
    "study_of",
]

NEEDS_IMAGE = [
    pytest.mark.skipif("EDGE_TEST_IMAGE" not in os.environ, reason="scripts/test-image runs it"),
    pytest.mark.skipif(bool(hindrance()), reason=hindrance()),
]
"""Of each file of tests that starts machines: they take a built image, and minutes without KVM."""
LAB = """[Service]
Environment=EDGE_APPLIANCE__LAB=true EDGE_HTTP__AUTH=none EDGE_DIMSE__UNKNOWN_PEERS=accept
"""
OPEN = {"edge.service": LAB}
"""A box that asks nobody who they are, where that is not what is tested."""
AS_STORED = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
_RUN = 48
"""Bytes of pixels that are looked for: no chance makes them twice."""


def study_of(seed: int) -> str:
    """Its Study Instance UID."""
    return next(ct_series(1, rows=8, columns=8, seed=seed)).ref.study_uid


def sent(slices: int, seed: int) -> dict[str, str]:
    """What `send` sends: SOP Instance UID -> digest of the pixels."""
    return dict(fingerprint(item.data) for item in ct_series(slices, seed=seed))


def send(
    machine: Machine, slices: int, seed: int, port: int = 0
) -> subprocess.CompletedProcess[str]:
    """Send a study to a machine as a modality does; how that went.

    Args:
        machine: Runs.
        slices: Of the study.
        seed: By which it is known.
        port: Of loopback, where it is not the machine's first.
    """
    with tempfile.TemporaryDirectory() as name:
        write_series(Path(name) / "ct", slices, seed=seed)
        return send_folder(machine, Path(name) / "ct", port=port)


def send_folder(
    machine: Machine, folder: Path, seconds: float = 900, port: int = 0
) -> subprocess.CompletedProcess[str]:
    """The same of files that are there."""
    return subprocess.run(
        [
            *("dcmsend", "--aetitle", "CT1", "--call", "EDGE", "--dimse-timeout", "300"),
            *("127.0.0.1", str(port or machine.dicom_port), "--scan-directories", str(folder)),
        ],
        env=os.environ | {"TCP_NODELAY": "1"},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def kept(machine: Machine, seed: int, token: str = "") -> dict[str, str]:
    """SOP Instance UID -> digest of the pixels, of all that the box has of a study."""
    status, body = machine.ask(
        f"/dicom-web/studies/{study_of(seed)}",
        token=token,
        headers=AS_STORED,
        seconds=300,
    )
    if status == 404:
        return {}
    assert status == 200, body[:500]
    return dict(fingerprint(data) for data in instances(body))


def instances(body: bytes) -> Iterator[bytes]:
    """Those in an answer of WADO-RS."""
    boundary = body.partition(b"\r\n")[0]
    for part in body.split(boundary)[1:-1]:
        yield part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")


def fingerprint(data: bytes) -> tuple[str, str]:
    """SOP Instance UID, and a digest of the pixels: DCMTK encodes what is around them anew."""
    dataset = pydicom.dcmread(io.BytesIO(data))
    return str(dataset.SOPInstanceUID), hashlib.sha256(dataset.PixelData).hexdigest()


def marks_of(slices: int, seed: int) -> list[bytes]:
    """What would betray a study to who reads a disk: names, numbers, UIDs, runs of pixels."""
    marks: set[bytes] = set()
    for item in ct_series(slices, seed=seed):
        dataset = pydicom.dcmread(io.BytesIO(item.data))
        words = ("PatientID", "AccessionNumber", "StudyDescription")
        marks |= {str(dataset.get(word, "")).encode() for word in words}
        marks.add(dataset.PatientName.given_name.encode())
        marks |= {str(dataset.get(word)).encode() for word in dataset.dir("InstanceUID")}
        size = len(dataset.PixelData)
        for place in (0, size // 3, size // 2, size - _RUN):
            marks.add(dataset.PixelData[place : place + _RUN])
    return sorted(mark for mark in marks if len(mark) > 5)


def has_failed(machine: Machine) -> list[str]:
    """Units that failed, as the serial console says."""
    return re.findall(r"\[\S*FAILED\S*\] (.*)", machine.console)
