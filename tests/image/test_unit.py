"""The unit of the service: sound, tight, and with a service behind it that works all the same."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import httpx
import pytest

from tests.conformance.service import payload
from tests.image.booted import UNIT, booted, hindrance
from tests.image.walls import MAY, MAY_NOT
from tests.samples import packaged_file

analyses = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
MOST_EXPOSED = 1.6
"""Of ten, as systemd counts; a usual service has 9."""

# What the machine of this test lacks, or has elsewhere. No wall is among it.
ALONE = """
[Unit]
DefaultDependencies=no
Wants=
After=
[Service]
Environment=PYTHONPATH=/opt/edge
ExecStart=
ExecStart=/opt/edge/.venv/bin/python -m {program}
StandardOutput=append:/var/lib/{name}.log
StandardError=append:/var/lib/{name}.log
RestartSec=1
{more}
"""
SERVED = """
Environment=EDGE_APPLIANCE__LAB=true EDGE_HTTP__TLS=off EDGE_HTTP__AUTH=none
Environment=EDGE_HTTP__LISTEN=127.0.0.1:0 EDGE_DIMSE__LISTEN=127.0.0.1:0
WatchdogSec=8
"""


@analyses
def test_it_is_understood_whole():
    done = subprocess.run(
        ["systemd-analyze", "verify", str(UNIT)], capture_output=True, text=True, check=False
    )
    # That nothing is installed here yet is no fault of the unit.
    said = [line for line in done.stderr.splitlines() if "is not executable" not in line]
    assert not [line for line in said if "edge.service" in line], said


@analyses
def test_it_exposes_little():
    said = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--no-pager", "--json=short", str(UNIT)],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    exposed = {item["name"] for item in json.loads(said) if item.get("exposure")}
    assert {"PrivateNetwork=", "IPAddressDeny="} <= exposed  # it serves a network
    assert not [name for name in exposed if name.startswith("ProtectSystem")]
    done = subprocess.run(
        [
            *("systemd-analyze", "security", "--offline=yes", "--no-pager"),
            *(f"--threshold={MOST_EXPOSED * 10:.0f}", str(UNIT)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-200:]


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    """With the service, and a program that tries the walls of it."""
    if why := hindrance():
        pytest.skip(why)
    walls = ALONE.format(program="tests.image.walls", name="walls", more="Restart=no\nType=exec\n")
    root = tmp_path_factory.mktemp("machine")
    units = {
        "edge.service": UNIT.read_text(),
        "edge.service.d/alone.conf": ALONE.format(program="edge serve", name="edge", more=SERVED),
        "walls.service": UNIT.read_text(),
        "walls.service.d/alone.conf": walls,
    }
    with booted(root, units) as made:
        yield made


@pytest.fixture
def running(machine):
    """The service, ready; its address."""
    machine.systemctl("start", "edge")
    machine.until("edge", "ActiveState", "active")
    port = re.findall(r"HTTP on port (\d+)", machine.log())[-1]
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        yield client
    machine.systemctl("stop", "edge")


def test_behind_its_walls_it_stores_decodes_and_gives_back(machine, running):
    assert machine.show("edge", "StatusText") == "runs"
    data = packaged_file("JPEG2000.dcm").read_bytes()
    kind, body = payload([("Content-Type: application/dicom", data)], "application/dicom")
    answer = running.post("/dicom-web/studies", content=body, headers={"Content-Type": kind})
    assert answer.status_code == 200, answer.text
    [found] = running.get("/dicom-web/instances").json()
    study, series, sop = (found[tag]["Value"][0] for tag in ("0020000D", "0020000E", "00080018"))
    path = f"/dicom-web/studies/{study}/series/{series}/instances/{sop}"
    accept = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
    assert data[132:1000] in running.get(path, headers=accept).content
    picture = running.get(f"{path}/rendered", headers={"Accept": "image/png"})
    assert picture.content.startswith(b"\x89PNG")
    # Its own cages are as whole there as without the unit's filter.
    assert "lacks" not in machine.log()
    assert "RUNNING AS ROOT" not in machine.log()
    assert {path.stat().st_uid for path in machine.data.rglob("*")} == {987}
    assert {oct(path.stat().st_mode & 0o077) for path in machine.data.rglob("*")} == {"0o0"}


def test_it_ends_when_it_is_told_to_and_says_so(machine, running):
    machine.systemctl("stop", "edge")
    assert machine.show("edge", "Result") == "success"
    assert machine.log().rstrip().endswith("stopped")


def test_one_that_hangs_is_started_again(machine, running):
    before = int(machine.show("edge", "NRestarts"))
    pid = int(machine.show("edge", "MainPID"))
    subprocess.run(
        ["nsenter", "-t", str(machine.pid), "-p", "-m", "kill", "-STOP", str(pid)], check=True
    )
    machine.until("edge", "NRestarts", str(before + 1))
    machine.until("edge", "ActiveState", "active")
    assert int(machine.show("edge", "MainPID")) != pid


def test_the_walls_hold_and_stand_in_nobodys_way(machine):
    machine.systemctl("start", "walls")
    machine.until("walls", "ActiveState", "inactive")
    said = dict(line.split(": ", 1) for line in machine.log("walls").splitlines())
    assert [name for name in MAY if said[name] != "done"] == []
    assert [name for name in MAY_NOT if said[name] == "done"] == []
    assert said.keys() == {*MAY, *MAY_NOT}
