"""The demonstration shows what it says, and its phantom is a legal instance."""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import subprocess
import sys
import time

import httpx
import pydicom
import pytest

from edge.demo import show
from edge.dicom.scanner import InstanceScanner
from edge.phantom import phantom


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


def _said(process, until):
    """What it says, up to a line that has that in it."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        if until in line:
            break
    return "".join(lines)


def test_the_line_is_cut_and_restored_while_somebody_looks_at_the_page(tmp_path):
    ours, its = os.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "edge", "demo"],
        env=os.environ | {"TMPDIR": str(tmp_path)},
        stdin=its,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        said = _said(process, "Ctrl-C ends it")
        assert f"o and Enter, or kill -USR1 {process.pid}" in said
        os.write(ours, b"o\n")
        _said(process, "The line is cut")
        process.send_signal(signal.SIGUSR1)
        _said(process, "The line is restored")
        process.send_signal(signal.SIGTERM)
        _, complaints = process.communicate(timeout=60)
    os.close(ours)
    os.close(its)
    assert (process.returncode, complaints) == (0, "")


def test_its_page_says_what_is_so_and_settings_come_into_force(tmp_path):
    with demonstration(tmp_path, until="Starting") as process:
        said = _said(process, "Ctrl-C ends it")
        port = re.search(r"EDGE at 127.0.0.1:(\d+)", said)[1]
        page = re.search(r"web page  (\S+)/", said)[1]
        token = re.search(r"token     (\S+)", said)[1]
        with httpx.Client(
            base_url=f"{page}/api/v1",
            headers={"Authorization": f"Bearer {token}"},
            trust_env=False,
            timeout=60,
        ) as client:
            before = client.get("/settings").json()
            known = {one["key"]: one for one in before["settings"]}
            assert [one["name"] for one in known["cloud.archive"]["value"]] == ["cloud"]
            assert known["dimse.unknown_peers"]["value"] == "learn"
            ran = subprocess.run(
                ["echoscu", "-aet", "STRANGER", "-aec", "EDGE", "127.0.0.1", port], check=False
            )
            assert ran.returncode != 0
            changed = client.post("/settings", json={"changes": {"appliance.name": "St. Nobody"}})
            assert changed.status_code == 200, changed.text
            deadline = time.monotonic() + 60
            while not _has_begun_anew(client, before["since"]):
                assert time.monotonic() < deadline
                time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        _, complaints = process.communicate(timeout=60)
    assert (process.returncode, complaints) == (0, "")


def _has_begun_anew(client, since):
    with contextlib.suppress(httpx.TransportError):
        return client.get("/settings").json()["since"] > since
    return False


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
