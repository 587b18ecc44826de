"""The gate behind an update, as systemd runs it: in its walls, beside the service in its own.

It takes longer than most tests: two boxes start, and an image goes through one of them.
"""

from __future__ import annotations

import subprocess

import pytest

from edge.updates.history import Deed
from edge.updates.journal import Folder, Trial
from tests.image.booted import UNIT, booted, hindrance
from tests.image.test_unit import ALONE, SERVED

CHECK = UNIT.parent / "edge-update-check.service"
NAME = "edge-update-check"
JUDGING = """
[Unit]
DefaultDependencies=no
RequiresMountsFor=
[Service]
Environment=PYTHONPATH=/opt/edge
Environment=EDGE_APPLIANCE__LAB=true EDGE_HTTP__TLS=off EDGE_HTTP__AUTH=none
Environment=EDGE_HTTP__LISTEN=127.0.0.1:0 EDGE_DIMSE__LISTEN=127.0.0.1:0
ExecStart=
ExecStart=/opt/edge/.venv/bin/python -m edge update check
StandardOutput=append:/var/lib/edge-update-check.log
StandardError=append:/var/lib/edge-update-check.log
BindReadOnlyPaths={release}:/usr/lib/os-release
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    if why := hindrance():
        pytest.skip(why)
    root = tmp_path_factory.mktemp("machine")
    release = root.parent / f"{root.name}-os-release"
    release.write_text("IMAGE_ID=edge\nIMAGE_VERSION=1.1\n")
    units = {
        "edge.service": UNIT.read_text(),
        "edge.service.d/alone.conf": ALONE.format(program="edge serve", name="edge", more=SERVED),
        f"{NAME}.service": CHECK.read_text(),
        f"{NAME}.service.d/alone.conf": JUDGING.format(release=release),
        "boot-complete.target": f"[Unit]\nDefaultDependencies=no\nRequires={NAME}.service\n",
    }
    with booted(root, units) as made:
        made.release = release
        made.systemctl("start", "edge")
        made.until("edge", "ActiveState", "active")
        yield made


def put_on_trial(machine, **more):
    """As root's helper leaves it; who runs the service owns it."""
    folder = Folder(machine.data)
    folder.write_trial(Trial(version="1.1", before="1.0", boot_id="another", **more))
    subprocess.run(["chown", "-R", "987:987", folder.path], check=True)
    assert folder.trial() is not None
    return folder


def test_a_version_that_works_is_good_and_the_start_complete(machine):
    folder = put_on_trial(machine)
    machine.systemctl("start", "--no-block", "boot-complete.target")
    machine.until("boot-complete.target", "ActiveState", "active")
    assert machine.show(NAME, "Result") == "success", machine.log(NAME)
    assert "edge: good" in machine.log(NAME)
    assert folder.trial() is None
    assert folder.history()[-1].deed is Deed.GOOD
    assert "lacks" not in machine.log(NAME)
    assert {path.stat().st_uid for path in machine.data.rglob("*")} == {987}
    machine.systemctl("stop", "boot-complete.target", NAME)


def test_the_version_from_before_finds_that_it_runs_again(machine):
    folder = put_on_trial(machine)
    machine.release.write_text("IMAGE_ID=edge\nIMAGE_VERSION=1.0\n")
    machine.systemctl("start", "boot-complete.target")
    assert "went back" in machine.log(NAME)
    assert folder.trial() is None
    assert folder.history()[-1].deed is Deed.WENT_BACK
    machine.systemctl("stop", "boot-complete.target", NAME)


def test_without_a_trial_it_costs_nothing(machine):
    Folder(machine.data).drop_trial()
    machine.systemctl("start", "boot-complete.target")
    assert machine.show(NAME, "ConditionResult") == "no"
    assert machine.show("boot-complete.target", "ActiveState") == "active"
