"""Root's units under systemd itself: they may write what they need, and nothing else."""

from __future__ import annotations

import errno
import shutil
import subprocess

import pytest

from tests.image.booted import UNIT, booted, hindrance

# What the machine of this test lacks, or has elsewhere. No wall is among it.
ALONE = """
[Unit]
DefaultDependencies=no
ConditionPathExists=
RequiresMountsFor=
FailureAction=none
[Service]
Environment=PYTHONPATH=/opt/edge
ExecStart=
ExecStart=/opt/edge/.venv/bin/python -m tests.image.root_walls {paths}
StandardOutput=append:/var/lib/{name}.log
StandardError=append:/var/lib/{name}.log
"""
MADE = """
[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
ExecStart=/bin/mkdir -p /run/edge-machine /run/edge-disk /run/systemd/network
ExecStart=/bin/mount -t tmpfs tmpfs /boot
"""
UPDATE = ("/var/lib/edge/update", "/run/edge-update")
MACHINE = ("/run/edge-machine", "/run/systemd/network")
MAY = {
    "edge-update-take": (*UPDATE, "DISK"),
    "edge-update-back": UPDATE,
    "edge-machine": (*MACHINE, "/run/edge-disk", "/var/lib/edge-machine", "/boot", "DISK"),
    # What it tells the others lies in /run, under several names.
    "edge-machine-start": (
        *("/run", "/run/systemd", "/run/lock", "/dev", "/dev/shm"),
        *("/var/lib/edge-machine", "/boot"),
    ),
    "edge-machine-back": MACHINE,
    "edge-health": ("/run/edge-machine",),
}
"""Unit -> what it needs; DISK is a block device."""
MAY_NOT = (
    *("/", "/etc", "/usr", "/var/lib", "/var/lib/edge", "/run", "/run/systemd", "/run/lock"),
    *("/dev", "/dev/shm", "/opt/edge"),
)


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    """A device that is a file; None where the machine has none to give."""
    image = tmp_path_factory.mktemp("disk") / "disk"
    image.write_bytes(bytes(1024**2))
    words = ["losetup", "--find", "--show", str(image)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        yield None
        return
    try:
        yield done.stdout.strip()
    finally:
        subprocess.run(["losetup", "--detach", done.stdout.strip()], check=True)


@pytest.fixture(scope="module")
def machine(tmp_path_factory, disk):
    if why := hindrance():
        pytest.skip(why)
    if not shutil.which("losetup"):
        pytest.skip("needs losetup (mount)")
    units = {"made.service": MADE}
    for name, may in MAY.items():
        paths = " ".join((*needed(may, disk), *may_not(name)))
        units[f"{name}.service"] = (UNIT.parent / f"{name}.service").read_text()
        units[f"{name}.service.d/alone.conf"] = ALONE.format(name=name, paths=paths)
    with booted(tmp_path_factory.mktemp("machine"), units) as made:
        for folder in ("edge/update", "edge-machine"):
            (made.root / "var" / folder).mkdir(parents=True)
        made.systemctl("start", "made")
        yield made


def needed(may, disk):
    """What a unit must be able to write, as far as this machine has it."""
    return [disk if path == "DISK" else path for path in may if path != "DISK" or disk]


def may_not(name):
    """What a unit must not be able to write."""
    return [path for path in MAY_NOT if path not in MAY[name]]


@pytest.mark.parametrize("name", MAY)
def test_root_writes_what_it_needs_and_nothing_else(machine, disk, name):
    machine.systemctl("start", name)
    said = dict(line.split(": ", 1) for line in machine.log(name).splitlines())
    may = needed(MAY[name], disk)
    assert said.keys() == {*may, *may_not(name)}
    assert [path for path in may if said[path] != "done"] == []
    assert [
        path for path in may_not(name) if not said[path].startswith(f"OSError {errno.EROFS}")
    ] == []
