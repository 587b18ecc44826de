"""A box's disk and a bigger one, as loop devices: partitions, file systems and mounts are real.

Only what this kernel may lack is a program of the tests: encryption. Whatever is done runs in a
process and a mount namespace of its own, which a power cut ends at once. Needs root.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
import traceback
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from edge.machine.places import Places
from edge.machine.tools import Tools
from tests.machine.machines import machine_in

__all__ = ["CUT", "PARTITION", "TwoDisks", "hindrance", "two_disks"]

MIB = 1024 * 1024
CUT = 9
"""Exit status of a process that a power cut ended."""
PARTITION = Path(__file__).resolve().parents[2] / "image/libexec/data-partition"
_MEMORY = Path("/dev/shm")
_NEW_NAMESPACE = 0x20000
_TABLE = """label: gpt

size=4M, type=c12a7328-f81f-11d2-ba4b-00a0c93ec93b, name="edge-esp"
size=2M, type=4f68bce3-e8cd-4db1-96e7-fbcaf984b709, name="edge-root-1.0"
size=1M, type=2c7357ed-ebd2-46d9-aec1-23d437ec2bf5, name="edge-verity-1.0"
size=2M, type=4f68bce3-e8cd-4db1-96e7-fbcaf984b709, name="_empty"
size=1M, type=2c7357ed-ebd2-46d9-aec1-23d437ec2bf5, name="_empty"
type=0fc63daf-8483-4772-8e79-3d69d8477de4, name="edge-data"
"""
_DISK = """#!/bin/sh
echo "disk $*" >>"{root}/called"
case $1 in
    make) exec mkfs.ext4 -q -F -m 0 "$2" ;;
    attach) echo "$2" ;;
esac
"""
# It knows nothing of partitions where there is no udev.
_LSBLK = """#!{python}
import json, os, subprocess, sys
def said(*words):
    return subprocess.run(words, capture_output=True, text=True).stdout
def one(path, kind, **more):
    mounts = [line.split()[1] for line in open("/proc/mounts") if line.split()[0] == path]
    found = dict.fromkeys(("model", "serial", "wwn", "partlabel", "partuuid"))
    for key, column in (("fstype", "TYPE"), ("uuid", "UUID"), ("ptuuid", "PTUUID")):
        found[key] = said("blkid", "-p", "-s", column, "-o", "value", path).strip() or None
    size = int(said("blockdev", "--getsize64", path))
    return found | dict(name=path[5:], type=kind, size=size, ro=False, rm=False,
                        mountpoints=mounts or [None]) | more
def serial(disk):
    if os.path.exists("{root}/serial"):
        return open("{root}/serial").read() or None
    return os.path.basename(open(f"/sys/block/{{disk[5:]}}/loop/backing_file").read().strip())
found = []
for disk in {disks}:
    table = json.loads(said("sfdisk", "--json", disk) or "{{}}").get("partitiontable", {{}})
    parts = [
        one(part["node"], "part", partlabel=part.get("name"), partuuid=part["uuid"].lower())
        for part in table.get("partitions", ())
    ]
    more = dict(children=parts) if parts else {{}}
    found.append(one(disk, "disk", serial=serial(disk), **more))
print(json.dumps(dict(blockdevices=found)))
"""
_MOUNT = """#!/bin/sh
# No kernel of a container has FAT: its partition has another file system.
case $2 in umask=0077,*) shift 2 ;; esac
exec /usr/bin/mount "$@"
"""
_PROGRAMS = (
    "blkdiscard",
    "mkfs.ext4",
    "mkfs.vfat",
    "losetup",
    "lsblk",
    "partx",
    "sfdisk",
    "wipefs",
)


@cache
def hindrance() -> str:
    """Why there can be no such disks here; empty if there can."""
    if os.geteuid():
        return "only root has loop devices"
    path = "/usr/sbin:/usr/bin"
    if missing := [name for name in _PROGRAMS if not shutil.which(name, path=path)]:
        return f"needs {', '.join(missing)}"
    made = subprocess.run(["losetup", "--find"], capture_output=True, check=False)
    return "" if made.returncode == 0 else "this kernel has no loop devices to give"


@dataclass(frozen=True)
class TwoDisks:
    """They, and the machine that they are in."""

    root: Path
    places: Places
    tools: Tools
    old: Path
    new: Path
    third: Path

    def data(self, started_from: Path) -> str:
        """The partition with the data, of a machine that was started from one of them."""
        return self._asked(started_from.name)

    def copies(self, part: str) -> list[str]:
        """The partitions that have, or shall have, what is on that one."""
        return self._asked("--copies", "*", part).splitlines()

    @staticmethod
    def _asked(*words: str) -> str:
        done = subprocess.run(
            [PARTITION, *words],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "EDGE_PATIENCE": "0"},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout.strip() if done.returncode == 0 else done.stderr.strip()

    def starts(self) -> None:
        """The machine is started from the old disk: its links are made anew."""
        self.places.start_id.parent.mkdir(parents=True, exist_ok=True)
        self.places.start_id.write_text(f"{uuid.uuid4()}\n")
        data = Path("/dev") / self.data(self.old)
        links = {"whole": self.old, "data": data, "data-whole": self.disk_of(data)}
        for name, target in links.items():
            link = self.places.own_disk / name
            link.unlink(missing_ok=True)
            link.symlink_to(target)

    def renamed(self) -> TwoDisks:
        """The same disks after a start at which the kernel gave each the other's name."""
        disks = self.old, self.new
        files = [Path(f"/sys/block/{one.name}/loop/backing_file").read_text() for one in disks]
        for disk in disks:
            _run("losetup", "--detach", disk)
        for disk, file in zip(disks, reversed(files), strict=True):
            _run("losetup", "--partscan", disk, file.rstrip("\n"))
            subprocess.run(["partx", "--update", disk], capture_output=True, check=False)
        now = replace(self, old=self.new, new=self.old)
        now.starts()
        return now

    def disk_of(self, part: Path) -> Path:
        mine = (one for one in (self.new, self.third) if part.name.startswith(f"{one.name}p"))
        return next(mine, self.old)

    def plugged_in(self, *disks: Path) -> None:
        """Those, and no other ones."""
        listed = _LSBLK.format(
            python=sys.executable, root=self.root, disks=[str(one) for one in disks]
        )
        _program(self.root / "programs/lsblk", listed)

    def does(
        self,
        act: Callable[[Callable[[str], None]], object],
        *,
        cut: int = -1,
        is_running: bool = False,
    ) -> int:
        """Do something, in a process and a mount namespace of its own; its exit status.

        Args:
            act: What; is given what it shall say before each step.
            cut: Before the step of this number the power goes; less than 0: it stays.
            is_running: The data partition is mounted where the box has it.
        """
        pid = os.fork()
        if pid:
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        left = [cut]

        def step(_: str) -> None:
            if left[0] == 0:
                os._exit(CUT)
            left[0] -= 1

        try:
            assert not ctypes.CDLL(None).unshare(_NEW_NAMESPACE)
            _run("mount", "--make-rprivate", "/")
            if is_running:
                _run("mount", (self.places.own_disk / "data").resolve(), self.places.data)
            act(step)
            os._exit(0)
        except BaseException:  # noqa: BLE001 - a child that goes on would be the tests, twice
            traceback.print_exc(file=sys.stderr)
            sys.stderr.flush()
            os._exit(1)

    @contextmanager
    def mounted(self, part: str) -> Iterator[Path]:
        """A file system, to be looked at or written to."""
        place = self.root / "looked"
        place.mkdir(exist_ok=True)
        _run("mount", f"/dev/{part}", place)
        try:
            yield place
        finally:
            _run("umount", place)


@contextmanager
def two_disks(root: Path, old_size: int = 48 * MIB, new_size: int = 64 * MIB) -> Iterator[TwoDisks]:
    """Make them; the old one is divided as the image's is, with nothing in its file systems.

    A third one, as the new one, is not plugged in.
    """
    machine = machine_in(root)
    made: list[Path] = []
    # In memory, where there is some: what is waited for is written hundreds of times.
    folder = Path(tempfile.mkdtemp(dir=_MEMORY if _MEMORY.is_dir() else None))
    try:
        for name, size in (("OLD", old_size), ("NEW", new_size), ("THIRD", new_size)):
            with (folder / name).open("wb") as file:
                file.truncate(size)
            said = _run("losetup", "--find", "--show", "--partscan", folder / name)
            made.append(Path(said.strip()))
        old, new, third = made
        _run("sfdisk", "--quiet", old, said=_TABLE)
        subprocess.run(["partx", "--update", old], capture_output=True, check=False)
        _run("mkfs.ext4", "-q", "-F", f"{old}p1")
        for number, byte in ((2, b"R"), (3, b"V")):
            with Path(f"{old}p{number}").open("r+b") as opened:
                opened.write(byte * MIB)
        _run("mkfs.ext4", "-q", "-F", f"{old}p6")
        places = machine.places
        for folder in (places.own_disk, places.devices, places.data, places.disk.parent):
            folder.mkdir(parents=True, exist_ok=True)
        for disk in made:
            (places.devices / disk.name).symlink_to(disk)
        _program(places.disk, _DISK.format(root=root))
        _program(root / "programs/mount", _MOUNT)
        for program in (root / "programs/udevadm", places.boot_entry):
            shutil.copy(root / "programs/systemctl", program)
        tools = Tools(f"{root / 'programs'}:/usr/bin:/usr/sbin:/bin:/sbin")
        disks = TwoDisks(root, places, tools, old, new, third)
        disks.plugged_in(old, new)
        disks.starts()
        yield disks
    finally:
        for disk in made:
            _run("losetup", "--detach", disk)
        shutil.rmtree(folder)


def _program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def _run(*words: object, said: str = "") -> str:
    done = subprocess.run(
        [str(word) for word in words], input=said, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (words, done.stderr)
    return done.stdout
