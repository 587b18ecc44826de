"""The demonstration shows what it says, and its phantom is a legal instance."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys

import pydicom
import pytest

from edge.demo import phantom, show
from edge.dicom.scanner import InstanceScanner


@contextlib.contextmanager
def demonstration(folder, until):
    """It runs, in a folder of its own, and has said that."""
    with subprocess.Popen(
        [sys.executable, "-m", "edge", "demo"],
        env=os.environ | {"TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        for line in process.stdout:
            if until in line:
                break
        yield process


def test_the_phantom_is_a_legal_series():
    study = phantom("NOBODY^AT^ALL", "0", 5)
    uids = set()
    for instance in study:
        file = io.BytesIO()
        instance.save_as(file, enforce_file_format=True)
        scanner = InstanceScanner()
        scanner.feed(file.getvalue())
        scanned = scanner.finish()
        uids.add(scanned.ref.sop_uid)
        assert scanned.layout.pixels.number_of_frames == 1
        pixels = pydicom.dcmread(io.BytesIO(file.getvalue())).pixel_array
        assert {int(pixels.min()), int(pixels.max())} == {24, 1064}
    assert len(uids) == 5


async def test_the_line_is_cut_and_restored_and_both_sides_are_equal(tmp_path, capsys):
    await show(tmp_path, offline=True)
    told = capsys.readouterr().out
    assert "1 study exists only here; the line is down" in told
    assert "40 instances on the edge, 40 in the cloud: the same bytes on both sides." in told


@pytest.mark.parametrize(
    ("moment", "number", "status"),
    [
        ("Starting", signal.SIGINT, 130),
        ("Starting", signal.SIGTERM, 130),
        ("A modality sent", signal.SIGINT, 130),
        ("Ctrl-C ends it", signal.SIGINT, 0),
        ("Ctrl-C ends it", signal.SIGTERM, 0),
    ],
)
def test_whenever_it_is_interrupted_it_leaves_and_complains_of_nothing(
    tmp_path, moment, number, status
):
    with demonstration(tmp_path, until=moment) as process:
        process.send_signal(number)
        _, complaints = process.communicate(timeout=60)
    assert (process.returncode, complaints) == (status, "")
    assert not list(tmp_path.iterdir())


def test_a_second_signal_does_not_keep_its_folder_from_being_removed(tmp_path):
    with demonstration(tmp_path, until="Ctrl-C ends it") as process:
        while process.poll() is None:  # all the while that it ends
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.05)
    assert not list(tmp_path.iterdir())
