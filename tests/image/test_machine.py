"""Units of the machine under the box, under systemd itself: who wishes, and who carries it out."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time

import pytest

from edge.machine.wishes import Network, NetworkSettings, to_bytes
from tests.image.booted import REPOSITORY, booted, hindrance

UNITS = REPOSITORY / "image/units"
PATIENCE = 60.0
OURS = re.compile(r"edge-(machine|move|health|clock|provision|stick|console|ups)")
NAMES = sorted(
    path.name for path in UNITS.iterdir() if OURS.match(path.name) and path.suffix == ".service"
)
ALONE = """
[Unit]
DefaultDependencies=no
After=
Before=
Wants=
RequiresMountsFor=
[Service]
Environment=PYTHONPATH=/opt/edge
StandardOutput=append:/var/lib/edge.log
StandardError=append:/var/lib/edge.log
"""
MADE = """
[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c "install -d /run/edge-machine /run/edge-machine/answers /run/systemd/network /var/lib/edge-machine; install -d -m 3770 -g edge /run/edge-machine/requests"
"""  # noqa: E501
WISHING = """
[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
User=edge
Environment=PYTHONPATH=/opt/edge NOTIFYTYPE=ONBATT
ExecStart=/opt/edge/.venv/bin/python -m edge machine ups
StandardOutput=append:/var/lib/edge.log
StandardError=append:/var/lib/edge.log
"""
NETWORKD = """
[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/true
"""


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
@pytest.mark.parametrize("name", NAMES)
def test_each_is_understood_whole(name):
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(UNITS / name)],
        capture_output=True,
        text=True,
        check=False,
    )
    # That neither we nor those that mount sticks are installed here is no fault of the unit.
    passed_over = ("is not executable", "edge-media@", "is not absolute")
    said = [line for line in done.stderr.splitlines() if not any(map(line.count, passed_over))]
    assert not [line for line in said if OURS.search(line)], said


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    if why := hindrance():
        pytest.skip(why)
    units = {
        name: (UNITS / name).read_text()
        for name in (
            "edge-machine.path",
            "edge-machine.service",
            "edge-machine-back.timer",
            "edge-machine-back.service",
            "edge-machine-start.service",
        )
    }
    for name in list(units):
        if name.endswith(".service"):
            act = re.search(r"ExecStart=\S+ (.*)", units[name])[1]
            command = f"ExecStart=\nExecStart=/opt/edge/.venv/bin/python -m edge {act}\n"
            units[f"{name}.d/alone.conf"] = ALONE + command
        else:
            units[f"{name}.d/alone.conf"] = "[Unit]\nDefaultDependencies=no\n"
    units["edge-machine-back.timer.d/soon.conf"] = "[Timer]\nOnActiveSec=\nOnActiveSec=3s\n"
    units |= {
        "made.service": MADE,
        "wishing.service": WISHING,
        "systemd-networkd.service": NETWORKD,
    }
    with booted(tmp_path_factory.mktemp("machine"), units) as made:
        made.systemctl("start", "made")
        made.systemctl("start", "edge-machine-start")
        made.systemctl("start", "edge-machine.path")
        yield made


def inside(machine, *words, given=b""):
    """What a program says that runs in the machine, as root."""
    return subprocess.run(
        ["nsenter", "-t", str(machine.pid), "-m", "-p", *words],
        input=given,
        capture_output=True,
        check=False,
    ).stdout


def becomes(machine, path, wanted):
    """Wait until a file of the machine says that."""
    deadline = time.monotonic() + PATIENCE
    while not wanted(found := inside(machine, "cat", path)):
        assert time.monotonic() < deadline, (path, found, machine.log())
        time.sleep(0.1)
    return found


def test_the_user_of_the_service_wishes_and_root_carries_it_out(machine):
    machine.systemctl("start", "wishing")
    said = becomes(machine, "/run/edge-machine/power.json", lambda text: b"battery" in text)
    assert json.loads(said)["state"] == "battery"
    assert inside(machine, "ls", "/run/edge-machine/requests") == b""
    assert inside(machine, "stat", "-c%U %a", "/run/edge-machine/power.json") == b"root 644\n"


def test_network_settings_that_nobody_keeps_go_back_by_themselves(machine):
    wish = to_bytes(Network(NetworkSettings(address=("192.168.1.10/24",))))
    name = f"{'a' * 32}.json"
    put = f"cat >/run/edge-machine/requests/.new; mv /run/edge-machine/requests/.new /run/edge-machine/requests/{name}"  # noqa: E501
    inside(machine, "sh", "-c", put, given=wish)
    answer = becomes(machine, f"/run/edge-machine/answers/{name}", bool)
    assert json.loads(answer) == {"done": True}
    file = "/run/systemd/network/10-edge.network"
    assert b"Address=192.168.1.10/24" in inside(machine, "cat", file)
    becomes(machine, file, lambda text: not text)
    state = becomes(machine, "/run/edge-machine/network.json", lambda text: b"tried" not in text)
    assert json.loads(state) in ({}, {"kept": {}})


def test_a_flood_of_nonsense_is_carried_off_and_the_next_wish_is_heard(machine):
    script = "cd /run/edge-machine/requests; for at in $(seq 200); do echo x >$at.json; done"
    inside(machine, "sh", "-c", script)
    deadline = time.monotonic() + PATIENCE
    while inside(machine, "ls", "/run/edge-machine/requests"):
        assert time.monotonic() < deadline, machine.log()
        time.sleep(0.1)
    assert machine.show("edge-machine.path", "ActiveState") == "active"
    machine.systemctl("start", "wishing")


SERVED = """
Environment=EDGE_APPLIANCE__LAB=true EDGE_HTTP__TLS=off EDGE_HTTP__AUTH=none
Environment=EDGE_HTTP__LISTEN=127.0.0.1:0 EDGE_DIMSE__LISTEN=127.0.0.1:0
ExecStart=
ExecStart=/opt/edge/.venv/bin/python -m edge serve
[Unit]
DefaultDependencies=no
"""
STICK = """
[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c "install -d -m 700 -o edge /run/edge-media/%i /run/edge-media/%i/EDGE-SETUP; install -m 600 -o edge /var/lib/edge.toml /run/edge-media/%i/EDGE-SETUP/edge.toml"
"""  # noqa: E501
TOKEN = "7K2M-Q0XE-41TR-ZB9D"
SETUP = f"""[setup]
token = "{TOKEN}"

[appliance]
name = "radiology"
"""


@pytest.fixture
def box(tmp_path_factory):
    """With the service, and a stick that is put in."""
    if why := hindrance():
        pytest.skip(why)
    alone = ALONE.replace("[Service]", "[Service]\nPrivateTmp=no")
    units = {
        "edge.service": (UNITS / "edge.service").read_text(),
        "edge.service.d/alone.conf": alone + SERVED,
        "edge-stick@.service": (UNITS / "edge-stick@.service").read_text(),
        "edge-stick@.service.d/alone.conf": alone
        + "ExecStart=\nExecStart=/opt/edge/.venv/bin/python -m edge provision stick"
        " /run/edge-media/%i\n",
        "edge-media@.service": STICK,
        "made.service": MADE,
    }
    root = tmp_path_factory.mktemp("box")
    with booted(root, units) as made:
        (root / "var/edge.toml").write_text(SETUP)
        made.systemctl("start", "made")
        made.systemctl("start", "edge")
        made.until("edge", "ActiveState", "active")
        yield made


def test_a_stick_sets_the_box_up_behind_the_walls_of_its_unit(box):
    """A service, started twice: it begins anew with the settings of the stick."""
    box.systemctl("start", "edge-media@sda1", "edge-stick@sda1", check=False)
    answer = "/run/edge-media/sda1/EDGE-SETUP/result.txt"
    said = becomes(box, answer, bool).decode()
    assert "This box was set up by the stick" in said, (said, box.log())
    assert "Name       radiology" in said
    file = inside(box, "cat", "/run/edge-media/sda1/EDGE-SETUP/edge.toml").decode()
    assert TOKEN not in file
    assert 'name = "radiology"' in (box.data / "settings.toml").read_text()
    assert inside(box, "ls", "/run/edge-media/sda1/EDGE-SETUP") == b"edge.toml\nresult.txt\n"
    # The screen has it from there, behind the walls of another unit.
    told = becomes(box, "/run/edge-stick/sda1/setup.json", lambda text: b"true" in text)
    assert json.loads(told) == {"words": "has set this box up", "is_over": True}
    assert inside(box, "stat", "-c%U %a", "/run/edge-stick/sda1") == b"edge 755\n"
