"""The units of updates: understood whole, tight, and in the order that they need."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from edge import __main__
from edge.updates.held import LOCK
from edge.updates.loaders import Pi
from edge.updates.machine import Place
from tests.image.booted import UNIT

UNITS = UNIT.parent
NAMES = sorted(path.name for path in UNITS.iterdir() if re.match(r"edge-(update|media)", path.name))
analyses = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")


def said(name, key):
    """What a unit says under a key, in its order."""
    lines = (UNITS / name).read_text().splitlines()
    return [line.partition("=")[2] for line in lines if line.startswith(f"{key}=")]


def test_they_are_all_here():
    assert NAMES == [
        "edge-media@.service",
        "edge-update-back.service",
        "edge-update-check.service",
        "edge-update-look.service",
        "edge-update-look.timer",
        "edge-update-stick@.service",
        "edge-update-take.path",
        "edge-update-take.service",
    ]


@analyses
@pytest.mark.parametrize("name", NAMES)
def test_they_are_understood_whole(name, tmp_path):
    for each in (*NAMES, UNIT.name, "edge-stick@.service"):
        shutil.copy(UNITS / each, tmp_path / each)
    instance = name.replace("@", "@sda1")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", str(tmp_path / instance)],
        capture_output=True,
        text=True,
        check=False,
    )
    # That nothing is installed here yet is no fault of the unit.
    found = [line for line in done.stderr.splitlines() if "is not executable" not in line]
    assert not [line for line in found if instance in line or name in line], found


ON_TRIAL = [
    "|/var/lib/edge/update/trial.json",
    # That may be lost; whoever starts a version on trial counts it.
    f"|{Place().counted_file}",
]


@pytest.mark.parametrize(
    "name", [name for name in NAMES if name.endswith(".service") and "media" not in name]
)
def test_what_they_run_is_there(name):
    [command] = said(name, "ExecStart")
    words = command.replace("%i", "x").split()
    assert words[0] == "/opt/edge/.venv/bin/edge"
    options = __main__._commands().parse(words[1:])
    assert options.command == "update"


def test_the_gate_stands_before_the_machine_is_called_good():
    name = "edge-update-check.service"
    assert said(name, "Before") == ["boot-complete.target"]
    assert said(name, "RequiredBy") == ["boot-complete.target"]
    assert said(name, "ConditionPathExists") == ON_TRIAL
    # It is no root, and may write nothing but the data of the box.
    assert said(name, "User") == ["edge"]
    assert said(name, "ProtectSystem") == ["strict"]
    assert said(name, "CapabilityBoundingSet") == [""]


def test_a_version_that_is_gone_back_to_finds_that_it_runs_again():
    """Its loader counts no tries of it, so nothing asks for boot-complete.target."""
    assert said("edge-update-check.service", "WantedBy") == ["multi-user.target"]


def test_only_those_that_write_go_back_or_mount_are_root():
    roots = {name for name in NAMES if name.endswith(".service") and not said(name, "User")}
    assert roots == {
        "edge-update-back.service",
        "edge-update-take.service",
        "edge-media@.service",
    }
    for name in roots:
        assert said(name, "NoNewPrivileges") == ["yes"]
        # They speak with the service, and with no network.
        assert said(name, "RestrictAddressFamilies") == ["AF_UNIX"]


@pytest.mark.parametrize("name", ["edge-update-take.service", "edge-update-back.service"])
def test_those_that_change_what_starts_write_nothing_else(name):
    assert said(name, "ProtectSystem") == ["strict"]
    own = bool(said(name, "PrivateDevices"))
    assert said(name, "ReadOnlyPaths") == ["/run" if own else "/run /dev"]
    assert said(name, "InaccessiblePaths") == (["-/dev/shm -/dev/mqueue"] if own else [])
    # All else that root may write is its own: the lock beside which nobody else writes.
    assert said(name, "ReadWritePaths") == ["-/var/lib/edge/update -/efi -/boot/efi -/boot"]
    assert said(name, "RuntimeDirectory") == [LOCK.parent.name]
    assert said(name, "RuntimeDirectoryPreserve") == ["yes"]  # another one may hold it
    assert LOCK.parent.parent == Path("/run")
    assert said(name, "PrivateNetwork") == ["yes"]
    assert said(name, "SystemCallFilter") == ["@system-service"]
    if not own:
        assert said(name, "DevicePolicy") == ["closed"]
        assert said(name, "DeviceAllow") == ["block-* rw"]


def test_on_a_pi_alone_systemd_is_told_what_its_firmware_shall_start():
    profile = UNITS.parent / "mkosi.profiles/rpi/mkosi.extra/usr/lib/systemd/system"
    text = (profile / "edge-update-take.service.d/10-rpi.conf").read_text()
    # There lies reboot-param, which `systemctl reboot --reboot-argument=` writes itself.
    assert "ReadWritePaths=/run/systemd\n" in text
    assert Pi.restart[0].startswith("--reboot-argument=")


def test_a_gate_that_ends_without_a_verdict_is_seen_to():
    assert said("edge-update-check.service", "OnFailure") == ["edge-update-back.service"]
    name = "edge-update-back.service"
    # Nothing is gone back from but what is on trial; of a program that does not run, starts are
    # counted.
    assert said(name, "ConditionPathExists") == ON_TRIAL
    assert said(name, "FailureAction") == ["reboot"]
    assert said(name, "TimeoutStartSec") != ["infinity"]
    [command] = said(name, "ExecStart")
    assert __main__._commands().parse(command.split()[1:]).back


def test_the_order_is_where_the_service_leaves_it():
    [path] = said("edge-update-take.path", "PathExists")
    assert path == "/var/lib/edge/update/order.json"
    assert said("edge-update-take.path", "Unit") == ["edge-update-take.service"]


def test_what_unmounts_a_stick_is_run_with_the_stick_mounted():
    """systemd sets the owner of a RuntimeDirectory before each command: a FAT lets nobody do so."""
    name = "edge-media@.service"
    folder = "/run/edge-media/%i"
    assert not [key for key in ("RuntimeDirectory", "StateDirectory") if said(name, key)]
    [mount] = said(name, "ExecStart")
    assert mount.startswith(f"/bin/sh -c 'mkdir -p {folder} && mount ")
    assert said(name, "BindsTo") == ["dev-%i.device"]
    # After its device went, after it was stopped, and after a start that failed in between.
    [unmounts] = said(name, "ExecStopPost")
    told = "/run/edge-stick/%i"
    assert unmounts == f"-/bin/sh -c 'umount --lazy {folder}; rmdir {folder}; rm -rf {told}'"
    made = (UNITS / "edge-machine.tmpfiles").read_text()
    assert re.search(r"^d /run/edge-media +0755 root root", made, re.MULTILINE)


def test_a_stick_is_mounted_so_that_nothing_of_it_runs_and_everybody_sees_it():
    [mount] = said("edge-media@.service", "ExecStart")
    options = set(mount.split(" -o ")[1].partition(" /dev/")[0].split(","))
    assert options >= {"rw", "sync", "nosuid", "nodev", "noexec", "nosymfollow"}
    # Any of these would give it a mount namespace of its own, and the stick to nobody else.
    text = (UNITS / "edge-media@.service").read_text()
    assert not re.findall(r"^(Private|Protect|ReadOnly|ReadWrite|Inaccessible)", text, re.MULTILINE)
    [wanted] = said("edge-media@.service", "Wants")
    for name in wanted.replace("%i", "").split():
        assert said(name, "BindsTo") == ["edge-media@%i.service"]
        assert said(name, "User") == ["edge"]
        # What became of it is written onto it.
        [written] = said(name, "ReadWritePaths")
        assert "-/run/edge-media/%i" in written.split()
    rules = (UNITS / "90-edge-media.rules").read_text()
    assert 'ENV{SYSTEMD_WANTS}+="edge-media@%k.service"' in rules


@pytest.mark.parametrize("name", ["edge-stick@.service", "edge-update-stick@.service"])
def test_what_the_screen_says_of_a_stick_outlives_who_said_it(name):
    assert said(name, "RuntimeDirectory") == ["edge-stick/%i"]
    assert said(name, "RuntimeDirectoryPreserve") == ["yes"]
