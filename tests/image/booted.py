"""systemd itself, as the first process of namespaces of its own, with our unit and nothing else.

Owns those namespaces, a control group for them, and a folder: ``/var/lib`` of what runs inside. The
machine's own files are seen there, with this repository as ``/opt/edge`` and a user ``edge``; no
service of the machine is started. Needs root, as a test of who may do what does.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import edge

__all__ = ["UNIT", "Booted", "booted", "hindrance"]

REPOSITORY = Path(edge.__file__).parent.parent
UNIT = REPOSITORY / "image/units/edge.service"
SYSTEMD = Path("/lib/systemd/systemd")
PATIENCE = 60.0
_GROUPS = Path("/sys/fs/cgroup")
_BOOT = r"""
set -e
mount --make-rprivate /
mkdir -p /opt/edge
mount --bind "$REPOSITORY" /opt/edge
for name in passwd group; do mount --bind "$ROOT/$name" /etc/$name; done
mount --bind "$ROOT/var" /var/lib
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd
cp -r "$ROOT/units" /run/systemd/system
mount -t proc proc /proc
exec env container=test "$SYSTEMD" --system --unit=idle.target --log-target=console
"""
# There is no target of the machine's own: those would start its services.
_IDLE = "[Unit]\nDefaultDependencies=no\n"


def hindrance() -> str:
    """Why systemd can't be booted here; empty if it can."""
    if os.geteuid():
        return "only root has namespaces and control groups to give"
    if not SYSTEMD.exists() or not all(map(shutil.which, ("unshare", "nsenter", "systemctl"))):
        return "systemd or util-linux is not here"
    if subprocess.run(["unshare", "--mount", "--pid", "--fork", "true"], check=False).returncode:
        return "there are no namespaces to be had"
    name = f"edge-probe-{os.getpid()}"
    try:
        for hierarchy in _hierarchies():
            (hierarchy / name).mkdir()
            (hierarchy / name).rmdir()
    except OSError as error:
        return f"there is no control group to be had: {error.strerror}"
    return ""


@dataclass
class Booted:
    """A machine of its own, while it runs."""

    root: Path
    pid: int
    """Of its systemd, as seen from here."""

    @property
    def data(self) -> Path:
        """What ``StateDirectory`` is."""
        return self.root / "var/edge"

    def systemctl(self, *words: str, check: bool = True) -> str:
        """Ask it."""
        done = subprocess.run(
            ["nsenter", "-t", str(self.pid), "-m", "-p", "systemctl", "--no-pager", *words],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert not check or done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    def show(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.systemctl("show", unit, "--property", name, "--value").strip()

    def until(self, unit: str, name: str, value: str) -> None:
        """Wait for a property of a unit."""
        deadline = time.monotonic() + PATIENCE
        while (found := self.show(unit, name)) != value:
            assert time.monotonic() < deadline, (unit, name, found, self.log())
            time.sleep(0.1)

    def log(self, name: str = "edge") -> str:
        """What a unit wrote."""
        path = self.root / f"var/{name}.log"
        return path.read_text() if path.exists() else ""


@contextmanager
def booted(root: Path, units: dict[str, str]) -> Iterator[Booted]:
    """Boot.

    Args:
        root: An empty folder.
        units: By name: their texts.
    """
    (root / "units").mkdir(parents=True)
    (root / "var").mkdir()
    for name, text in {**units, "idle.target": _IDLE}.items():
        path = root / "units" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    for name, line in (
        ("passwd", "edge:x:987:987::/var/lib/edge:/usr/sbin/nologin\n"),
        ("group", "edge:x:987:\n"),
    ):
        (root / name).write_text(Path("/etc", name).read_text() + line)
    with ExitStack() as stack:
        groups = [stack.enter_context(_group(it, root.name)) for it in _hierarchies()]
        environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "REPOSITORY": str(REPOSITORY),
            "ROOT": str(root),
            "SYSTEMD": str(SYSTEMD),
        }
        log = stack.enter_context((root / "boot.log").open("wb"))
        started = subprocess.Popen(
            [
                *("unshare", "--mount", "--pid", "--fork", "--uts", "--ipc", "--cgroup"),
                *("--kill-child", "bash", "-c", _BOOT),
            ],
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: _enter(groups),  # noqa: PLW1509 - opens files alone
        )
        try:
            machine = Booted(root, _child_of(started))
            _wait_for(machine)
            yield machine
        finally:
            started.kill()  # and all that is in its namespaces
            started.wait()


def _hierarchies() -> list[Path]:
    """Of control groups: one, or (version 1) those that units set something in."""
    if (_GROUPS / "cgroup.procs").exists():
        return [_GROUPS]
    names = ("systemd", "unified", "memory", "pids", "cpu", "devices")
    return [_GROUPS / name for name in names if (_GROUPS / name / "cgroup.procs").exists()]


@contextmanager
def _group(hierarchy: Path, name: str) -> Iterator[Path]:
    group = hierarchy / f"edge-{os.getpid()}-{name}"
    group.mkdir()
    try:
        yield group
    finally:
        deadline = time.monotonic() + PATIENCE
        while group.exists() and time.monotonic() < deadline:
            for folder in sorted(group.rglob("*/"), reverse=True):
                _remove(folder)
            _remove(group)
            time.sleep(0.05)


def _remove(group: Path) -> None:
    try:
        if group.is_dir():
            group.rmdir()
    except OSError:
        pass  # somebody in it has not ended yet


def _enter(groups: list[Path]) -> None:
    for group in groups:
        (group / "cgroup.procs").write_text(str(os.getpid()))


def _child_of(started: subprocess.Popen[bytes]) -> int:
    children = Path(f"/proc/{started.pid}/task/{started.pid}/children")
    deadline = time.monotonic() + PATIENCE
    while not (found := children.read_text().split()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return int(found[0])


def _wait_for(machine: Booted) -> None:
    deadline = time.monotonic() + PATIENCE
    while "running" not in machine.systemctl("is-system-running", check=False):
        assert time.monotonic() < deadline, (machine.root / "boot.log").read_text()
        time.sleep(0.1)
