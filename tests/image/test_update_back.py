"""Root's units go back from a version on trial, as systemd runs them: in their walls.

What would start the machine anew is a target that does nothing, and is seen to be reached.
"""

from __future__ import annotations

import subprocess

import pytest

from edge.updates.history import Deed
from edge.updates.journal import Folder, Order, Trial
from tests.image.booted import UNIT, booted, hindrance
from tests.image.test_update_gate import JUDGING

UNITS = UNIT.parent
GATE, BACK, TAKE = "edge-update-check", "edge-update-back", "edge-update-take"
ALONE = """
[Unit]
DefaultDependencies=no
RequiresMountsFor=
[Service]
Environment=PYTHONPATH=/opt/edge
ExecStart=
ExecStart=/opt/edge/.venv/bin/python -m edge update {command}
StandardOutput=append:/var/lib/{name}.log
StandardError=append:/var/lib/{name}.log
BindReadOnlyPaths={root}-os-release:/usr/lib/os-release
BindPaths={root}-boot:/boot
"""
DOES_NOTHING = "[Unit]\nDefaultDependencies=no\n"
WITHOUT_A_VERDICT = "[Service]\nExecStart=\nExecStart=/bin/false\n"
SAYS = "[Service]\nExecStart=\nExecStart=/bin/sh -c 'exit {status}'\n"


class Trying:
    """A machine whose version 1.1 is on trial, and what it is started from."""

    def __init__(self, machine, boot, release):
        self.machine, self.folder = machine, Folder(machine.data)
        self.linux, self.release = boot / "EFI/Linux", release
        self.begin()

    def begin(self):
        self.machine.data.mkdir(exist_ok=True)
        self.folder.make()
        self.folder.drop_order()
        self.folder.write_trial(Trial(version="1.1", before="1.0", boot_id="another"))
        subprocess.run(["chown", "-R", "987:987", self.machine.data], check=True)
        self.linux.mkdir(parents=True, exist_ok=True)
        for path in self.linux.iterdir():
            path.unlink()
        for name in ("edge_1.0.efi", "edge_1.1+2-1.efi"):
            (self.linux / name).write_bytes(b"kernel")
        self.runs("1.1")
        self.machine.systemctl("stop", "reboot.target", f"{TAKE}.path", GATE, BACK)

    def runs(self, version):
        self.release.write_text(f"IMAGE_ID=edge\nIMAGE_VERSION={version}\n")

    @property
    def starts(self):
        return sorted(path.name for path in self.linux.iterdir())

    @property
    def deeds(self):
        return [(one.deed, one.version, one.why) for one in self.folder.history()]

    def until_started_anew(self):
        self.machine.until("reboot.target", "ActiveState", "active")


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    if why := hindrance():
        pytest.skip(why)
    root = tmp_path_factory.mktemp("machine")
    boot, release = (root.with_name(f"{root.name}-{name}") for name in ("boot", "os-release"))
    boot.mkdir()
    release.touch()
    units = {
        f"{GATE}.service": (UNITS / f"{GATE}.service").read_text(),
        f"{GATE}.service.d/alone.conf": JUDGING.format(release=release),
        f"{TAKE}.path": (UNITS / f"{TAKE}.path").read_text(),
        f"{TAKE}.path.d/alone.conf": DOES_NOTHING,
        "boot-complete.target": f"{DOES_NOTHING}Requires={GATE}.service\n",
        # Were it this machine's own, it would be asked to start anew.
        "reboot.target": DOES_NOTHING,
        "systemd-reboot.service": f"{DOES_NOTHING}[Service]\nExecStart=/bin/true\n",
    }
    for name, command in ((BACK, "take --back"), (TAKE, "take")):
        units[f"{name}.service"] = (UNITS / f"{name}.service").read_text()
        units[f"{name}.service.d/alone.conf"] = ALONE.format(command=command, name=name, root=root)
    with booted(root, units) as made:
        made.boot, made.release, made.units = boot, release, root / "units"
        yield made


@pytest.fixture
def trying(machine):
    return Trying(machine, machine.boot, machine.release)


@pytest.fixture
def altered(machine):
    """Has a unit run something else, until the test ends."""
    paths = set()

    def alter(name, text):
        # Where its systemd reads it, which is in memory of its own.
        folder = f"/proc/{machine.pid}/root/run/systemd/system/{name}.service.d"
        subprocess.run(["mkdir", "-p", folder], check=True)
        paths.add(path := f"{folder}/zz-altered.conf")
        subprocess.run(["tee", path], input=text.encode(), check=True, capture_output=True)
        machine.systemctl("daemon-reload")

    yield alter
    for path in paths:
        subprocess.run(["rm", path], check=True)
    machine.systemctl("daemon-reload")
    machine.systemctl("reset-failed")


def test_a_gate_that_ends_without_a_verdict_has_root_go_back(machine, trying, altered):
    altered(GATE, WITHOUT_A_VERDICT)
    machine.systemctl("start", "boot-complete.target", check=False)
    trying.until_started_anew()
    assert machine.show("boot-complete.target", "ActiveState") == "inactive"
    assert machine.show(BACK, "Result") == "success", machine.log(BACK)
    assert "edge: went back" in machine.log(BACK)
    assert trying.starts == ["edge_1.0.efi"]
    assert trying.deeds[-1] == (Deed.BAD, "1.1", "whether it works could not be told")
    assert {path.stat().st_uid for path in machine.data.rglob("*")} == {987}
    # The version from before starts, finds that, and says so.
    trying.runs("1.0")
    machine.systemctl("stop", "reboot.target")
    altered(GATE, "")
    machine.systemctl("start", "boot-complete.target")
    assert trying.deeds[-1] == (Deed.WENT_BACK, "1.1", "whether it works could not be told")
    assert trying.folder.trial() is None
    machine.systemctl("stop", "boot-complete.target")


def test_one_that_is_stopped_by_a_signal_does_so_too(machine, trying, altered):
    altered(GATE, "[Service]\nExecStart=\nExecStart=/bin/sh -c 'kill -9 $$$$'\n")
    machine.systemctl("start", "boot-complete.target", check=False)
    trying.until_started_anew()
    assert trying.starts == ["edge_1.0.efi"]


def test_if_even_that_does_not_run_the_machine_starts_anew(machine, trying, altered):
    """Its loader counts the starts of a version on trial."""
    altered(GATE, WITHOUT_A_VERDICT)
    altered(BACK, SAYS.format(status=3))
    machine.systemctl("start", "boot-complete.target", check=False)
    trying.until_started_anew()
    assert machine.show(BACK, "Result") == "exit-code"
    assert trying.starts == ["edge_1.0.efi", "edge_1.1+2-1.efi"]


def test_an_order_to_go_back_is_carried_out(machine, trying):
    machine.systemctl("start", f"{TAKE}.path")
    trying.folder.write_order(Order(act="return", version="1.1", why="no image comes out"))
    trying.until_started_anew()
    machine.until(TAKE, "ActiveState", "inactive")
    assert machine.show(TAKE, "Result") == "success", machine.log(TAKE)
    assert trying.starts == ["edge_1.0.efi"]
    assert trying.folder.order() is None


@pytest.mark.parametrize("name", [TAKE, BACK])
def test_root_writes_nothing_else(machine, trying, altered, name):
    tries = " ".join(
        f"touch {path}/x && echo WROTE {path};"
        for path in ("/", "/etc", "/usr", "/run", "/run/systemd", "/var/lib", "/var/lib/edge")
    )
    allowed = " ".join(
        f"touch {path}/x || echo REFUSED {path};"
        for path in ("/run/edge-update", "/var/lib/edge/update", "/boot")
    )
    altered(name, f"[Service]\nExecStart=\nExecStart=/bin/sh -c '{tries} {allowed} echo ENDED'\n")
    machine.systemctl("start", name)
    log = machine.log(name)
    assert log.endswith("ENDED\n")
    assert "WROTE" not in log
    assert "REFUSED" not in log
    (machine.boot / "x").unlink()
    (trying.folder.path / "x").unlink()
