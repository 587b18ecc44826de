"""The units of an UPS: NUT behind their walls, where its dummy driver stands for a device.

It takes longer than most tests: NUT polls, and an UPS is believed the second time it says so.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.image.booted import PATIENCE, UNIT, booted, hindrance

UNITS = UNIT.parent
NAMES = ("edge-ups-driver", "edge-ups-server", "edge-ups")
LOOK = "edge-ups-look"
MOST_EXPOSED = {"edge-ups-driver": 2.5, "edge-ups-server": 1.4, "edge-ups": 2.9, LOOK: 1.5}
"""Of ten, as systemd counts; without walls it is 9.6."""
EDGE = "env PYTHONPATH=/opt/edge /opt/edge/.venv/bin/python -m edge machine"
ALONE = """
[Unit]
DefaultDependencies=no
[Service]
StandardOutput=append:/var/lib/{name}.log
StandardError=append:/var/lib/{name}.log
"""
FOUND = """
ExecCondition=
ExecCondition=/usr/bin/install -m 640 -g nut {files} /run/edge-nut
"""
LOOKS = """
Environment=PYTHONPATH=/opt/edge
ExecCondition=
ExecCondition=/opt/edge/.venv/bin/python -m edge machine find-ups
"""
READY = """
[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'install -d -m 770 -g nut /run/nut && \
install -d -m 3777 /run/edge-machine/requests && install -d /run/edge-machine/answers'
"""
LOOKED = "/var/lib/looked"
DOES_NOTHING = "[Unit]\nDefaultDependencies=no\n"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
@pytest.mark.parametrize("name", [*NAMES, LOOK])
def test_they_expose_little(name):
    done = subprocess.run(
        [
            *("systemd-analyze", "security", "--offline=yes", "--no-pager"),
            *(f"--threshold={MOST_EXPOSED[name] * 10:.0f}", str(UNITS / f"{name}.service")),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-200:]


@pytest.mark.parametrize("name", [*NAMES, LOOK])
def test_their_walls_are_those_of_the_other_units(name):
    lines = (UNITS / f"{name}.service").read_text().splitlines()
    for wall in (
        *("NoNewPrivileges=yes", "ProtectSystem=strict", "ProtectHome=yes", "PrivateTmp=yes"),
        *("ProtectKernelTunables=yes", "ProtectKernelModules=yes", "ProtectControlGroups=yes"),
        *("RestrictNamespaces=yes", "RestrictSUIDSGID=yes", "MemoryDenyWriteExecute=yes"),
        *("SystemCallArchitectures=native", "SystemCallFilter=@system-service"),
    ):
        assert wall in lines
    assert any(line.startswith("CapabilityBoundingSet=") for line in lines)
    assert "PrivateDevices=yes" in lines or "DevicePolicy=closed" in lines


def looking():
    """What the timer starts, which needs nothing but systemd here."""
    alone = ALONE.format(name=LOOK) + "[Unit]\nConditionPathExists=\n"
    text = (UNITS / f"{LOOK}.service").read_text()
    return {f"{LOOK}.service": text, f"{LOOK}.service.d/alone.conf": alone}


def test_the_timer_has_it_looked_for_before_anything_waits_for_the_driver():
    assert "Unit=edge-ups-look.service" in (UNITS / "edge-ups.timer").read_text().splitlines()


@pytest.fixture
def machine(tmp_path):
    """With an UPS that says what stands in a file."""
    if why := hindrance():
        pytest.skip(why)
    if not Path("/lib/nut/upsmon").exists() or not Path("/lib/nut/dummy-ups").exists():
        pytest.skip("needs nut-server and nut-client")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    names = ("ups.conf", "upsd.conf", "upsd.users", "upsmon.conf", "ups.dev")
    paths = " ".join(f"/var/lib/nut-files/{name}" for name in names)
    units = {"ready.service": READY, "poweroff.target": DOES_NOTHING}
    units |= looking()
    for name in NAMES:
        units[f"{name}.service"] = (UNITS / f"{name}.service").read_text()
        more = FOUND.format(files=paths) if name == "edge-ups-driver" else ""
        units[f"{name}.service.d/alone.conf"] = ALONE.format(name=name) + more
    files = {
        "ups.conf": "[edge]\n  driver = dummy-ups\n  port = /run/edge-nut/ups.dev\n",
        "upsd.conf": f"LISTEN 127.0.0.1 {port}\n",
        "upsd.users": "[edge]\n  password = x\n  upsmon primary\n",
        "upsmon.conf": f"MONITOR edge@127.0.0.1:{port} 1 edge x primary\nRUN_AS_USER nut\n"
        f'NOTIFYCMD "{EDGE} ups"\nSHUTDOWNCMD "{EDGE} end"\n'
        "NOTIFYFLAG ONBATT EXEC\nPOLLFREQ 1\nPOLLFREQALERT 1\nFINALDELAY 0\nDEADTIME 5\n"
        "MINSUPPLIES 1\nPOWERDOWNFLAG /run/edge-nut/killpower\n",
        "ups.dev": "ups.status: OL\n",
    }
    root = tmp_path / "machine"
    with booted(root, units) as made:
        folder = root / "var/nut-files"
        folder.mkdir()
        for name, text in files.items():
            (folder / name).write_text(text)
        made.port = port
        made.systemctl("start", "ready")
        made.systemctl("start", LOOK)
        assert made.show(NAMES[-1], "ActiveState") == "active", [made.log(one) for one in NAMES]
        yield made


def test_behind_its_walls_the_driver_s_unit_looks_for_one_and_finds_none(tmp_path):
    if why := hindrance():
        pytest.skip(why)
    if not shutil.which("nut-scanner"):
        pytest.skip("needs nut-client")
    words = ["nut-scanner", "--usb_scan", "--disp_nut_conf", "--quiet"]
    if "[" in subprocess.run(words, capture_output=True, text=True, check=False).stdout:
        pytest.skip("there is an UPS beside this machine")
    name = NAMES[0]
    units = {
        "ready.service": READY,
        f"{name}.service": (UNITS / f"{name}.service").read_text(),
        f"{name}.service.d/alone.conf": ALONE.format(name=name) + LOOKS,
    }
    with booted(tmp_path / "machine", units) as made:
        made.systemctl("start", "ready")
        made.systemctl("start", name)  # 0, for a condition that does not hold is no failure
        assert made.show(name, "ActiveState") == "inactive", "its driver was not started"
        assert made.log(name) == "", "nothing was in its way"


def test_without_one_nothing_is_said_to_have_failed(tmp_path):
    """What needs the driver is not even asked for: its job would end with a yellow DEPEND."""
    if why := hindrance():
        pytest.skip(why)
    units = {"ready.service": READY} | looking()
    for name in NAMES:
        units[f"{name}.service"] = (UNITS / f"{name}.service").read_text()
        units[f"{name}.service.d/alone.conf"] = ALONE.format(name=name)
        units[f"{name}.service.d/alone.conf"] += "[Unit]\nOnFailure=failed@%p.service\n"
    none = f"[Service]\nExecCondition=\nExecCondition=+/bin/sh -c 'touch {LOOKED}; exit 1'\n"
    units[f"{NAMES[0]}.service.d/alone.conf"] += none
    units["failed@.service"] = READY
    with booted(tmp_path / "machine", units) as made:
        made.systemctl("start", "ready")
        made.systemctl("start", LOOK)
        assert (made.root / "var/looked").exists(), made.log(LOOK)
        assert "failed@" not in made.systemctl("list-jobs") + made.systemctl("list-units")
        made.systemctl("start", NAMES[-1], check=False)  # as the timer did
        made.until(f"failed@{NAMES[-1]}", "ActiveState", "active")


def until(condition):
    """Wait until it holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_behind_them_the_ups_is_heard_and_ends_the_machine(machine):
    run = Path(f"/proc/{machine.pid}/root/run")
    logs = {name: machine.log(name) for name in NAMES}

    def status():
        words = ["upsc", f"edge@127.0.0.1:{machine.port}", "ups.status"]
        return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()

    def says(text):
        (run / "edge-nut/ups.dev").write_text(f"ups.status: {text}\n")

    until(lambda: status() == "OL")
    says("OB")
    requests = run / "edge-machine/requests"
    until(lambda: [one for one in requests.glob("*.json") if b'"battery"' in one.read_bytes()])
    [wish] = requests.glob("*.json")
    assert wish.owner() == "nut", logs
    says("OB LB")
    machine.until("poweroff.target", "ActiveState", "active")
    assert (run / "edge-nut/killpower").exists()
    assert "ending" in (run / "edge-machine/power.json").read_text()
