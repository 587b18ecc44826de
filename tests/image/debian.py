"""A Debian 13 of its own, started by its systemd, for what people install on their own machines.

Owns namespaces, a control group and a folder; ``build/image/debian`` is the system that all of them
begin with, which ``scripts/test-image --package`` makes of Debian's packages and nothing here ever
writes. Its services have a network of their own with loopback alone; what ``shell`` runs reaches
Debian's packages through the machine's. Needs root.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import edge
from tests.image.machine import BUILD

__all__ = ["APT", "BASE", "REPOSITORY", "Debian", "debian", "hindrance"]

BASE = BUILD / "debian"
REPOSITORY = Path(edge.__file__).parent.parent
APT = "DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PATIENCE = 180.0
_GROUPS = Path("/sys/fs/cgroup")
_BOOT = r"""
set -e
mount --make-rprivate /
ip link set lo up
cd "$FOLDER"
mkdir -p upper work root
mount -t overlay overlay -o "lowerdir=$BASE,upperdir=upper,workdir=work" root
cd root
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
# Of one hierarchy: an older kernel's other ones stay with the machine.
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs dev
for name in null zero full random urandom tty; do
    touch dev/$name
    mount --bind /dev/$name dev/$name
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=666,mode=620 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount -t tmpfs -o mode=1777 tmpfs dev/shm
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
cat /etc/resolv.conf >etc/resolv.conf
cat /etc/hosts >etc/hosts
mkdir -p mnt/repository mnt/here
mount --bind -o ro "$REPOSITORY" mnt/repository
mount --bind "$HERE" mnt/here
pivot_root . mnt
umount -l /mnt
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin container=test \
    /lib/systemd/systemd --system --log-target=console --log-level=notice
"""


def hindrance() -> str:
    """Why none can be had here; empty if it can."""
    if os.geteuid():
        return "only root has namespaces and control groups to give"
    programs = ("unshare", "nsenter", "ip", "dcmsend", "curl")
    if missing := [name for name in programs if not shutil.which(name)]:
        return f"needs {', '.join(missing)}"
    return "" if BASE.exists() else "needs scripts/test-image --package"


@dataclass(frozen=True, slots=True)
class Debian:
    """One, while it runs."""

    pid: int
    """Of its systemd."""

    @property
    def root(self) -> Path:
        """Its files, seen from outside; a link with an absolute path leads elsewhere there."""
        return Path(f"/proc/{self.pid}/root")

    def shell(self, text: str, *, check: bool = True, seconds: float = 600) -> str:
        """Have its root's shell do something; what it printed."""
        return self._run(["-m", "-p", "-r", "-w"], ["bash", "-ec", text], check, seconds)

    def inside(self, text: str, *, check: bool = True, seconds: float = 600) -> str:
        """As ``shell``, in the network of its services; what it printed."""
        return self._run(["-m", "-p", "-n", "-r", "-w"], ["bash", "-ec", text], check, seconds)

    def beside(self, *words: str, check: bool = True, seconds: float = 300) -> str:
        """Run a program of the machine's in its network; what it printed."""
        return self._run(["-n"], list(words), check, seconds)

    def _run(self, spaces: list[str], words: list[str], check: bool, seconds: float) -> str:
        done = subprocess.run(
            ["nsenter", "-t", str(self.pid), *spaces, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            env={"PATH": PATH, "TCP_NODELAY": "1"},
            timeout=seconds,
            check=False,
        )
        said = (words, done.returncode, done.stdout[-3000:], done.stderr[-3000:])
        assert not check or done.returncode == 0, said
        return done.stdout

    def until(self, wanted: Callable[[], bool], seconds: float = PATIENCE) -> None:
        """Wait for something."""
        deadline = time.monotonic() + seconds
        while not wanted():
            if time.monotonic() > deadline:
                log = self.shell("journalctl --no-pager --lines 40 --quiet", check=False)
                raise AssertionError(log)
            time.sleep(0.2)


@contextmanager
def debian(folder: Path, here: Path) -> Iterator[Debian]:
    """Start one.

    Args:
        folder: An empty one, for what it writes.
        here: A folder that it has as ``/mnt/here``; this repository is ``/mnt/repository``.
    """
    groups = _GROUPS if (_GROUPS / "cgroup.procs").exists() else _GROUPS / "unified"
    group = groups / f"edge-debian-{folder.stat().st_ino}"
    group.mkdir()
    environment = {
        "PATH": PATH,
        "BASE": str(BASE),
        "FOLDER": str(folder),
        "HERE": str(here),
        "REPOSITORY": str(REPOSITORY),
    }
    with (folder / "boot.log").open("wb") as log:
        started = subprocess.Popen(
            [
                *("unshare", "--mount", "--pid", "--fork", "--uts", "--ipc", "--net", "--cgroup"),
                *("--kill-child", "bash", "-c", _BOOT),
            ],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: _enter(group),  # noqa: PLW1509 - opens a file alone
        )
    try:
        made = Debian(_first(started, folder))
        made.until(lambda: _is_up(made))
        yield made
    finally:
        started.kill()  # and all that is in its namespaces
        started.wait()
        _clear(group)


def _enter(group: Path) -> None:
    (group / "cgroup.procs").write_text(str(os.getpid()))


def _first(started: subprocess.Popen[bytes], folder: Path) -> int:
    """The process that becomes systemd, once it has."""
    children = Path(f"/proc/{started.pid}/task/{started.pid}/children")
    deadline = time.monotonic() + PATIENCE
    while True:
        for child in children.read_text().split():
            if Path(f"/proc/{child}/comm").read_text() == "systemd\n":
                return int(child)
        assert started.poll() is None, (folder / "boot.log").read_text()
        assert time.monotonic() < deadline, (folder / "boot.log").read_text()
        time.sleep(0.05)


def _is_up(made: Debian) -> bool:
    said = made.shell("systemctl is-system-running", check=False)
    return said.strip() in ("running", "degraded")


def _clear(group: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while group.exists() and time.monotonic() < deadline:
        for each in [*sorted(group.rglob("*/"), reverse=True), group]:
            try:
                each.rmdir()
            except OSError:
                continue  # somebody in it has not ended yet
        time.sleep(0.05)
