"""The system is written to a disk, read back and compared.

Promises that nothing is written to the disk that the system runs from, and that a disk which is
broken is not started in the stick's place.
"""

from __future__ import annotations

import contextlib
import filecmp
import hashlib
import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path

from installer import devices, medium, programs
from installer.devices import Disk
from installer.programs import InstallError
from installer.screen import Terminals

DEFINITIONS = "/usr/lib/edge/repart-install.d"
TARGET = Path("/run/edge-install")
"""Where the ESP of the machine's disk is mounted meanwhile."""
SECTOR = 512
"""Bytes, of the disks that images are made for."""
CHUNK = 4 * 1024**2
"""Bytes that are read at once."""


def digest(path: str, read: Callable[[int], None]) -> str:
    """Of a partition, from the medium rather than from memory.

    Args:
        path: Its device.
        read: Is told of the bytes that were read, some at a time.

    Raises:
        InstallError: It can't be read.
    """
    programs.run("blockdev", "--flushbufs", path)
    found = hashlib.sha256()
    try:
        with open(path, "rb", buffering=0) as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            while data := file.read(CHUNK):
                found.update(data)
                read(len(data))
    except OSError as error:
        raise InstallError(
            f"{path} can't be read back ({error.strerror}): what it is on, the disk or the stick, "
            "is broken or was pulled out; replace it"
        ) from error
    return found.hexdigest()


def lay_out(disk: Disk, size: int, say: Terminals) -> None:
    """Make the partitions, and copy the system into the first of them.

    Args:
        disk: Whose they are.
        size: Bytes of what is copied.
        say: Where it is shown how far that is.

    Raises:
        InstallError: It failed.
    """
    # UUIDs that are drawn: made of the number of the machine, boards that share it had the same.
    words = ("systemd-repart", "--empty=force", "--dry-run=no", "--seed=random")
    words += (f"--definitions={DEFINITIONS}",)
    what, before = f"writing to {disk.name}", devices.written_to(disk.name)
    say.rises(what, 0)
    with subprocess.Popen(
        [*words, "--no-pager", disk.path],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    ) as process:
        while True:
            try:
                said, _ = process.communicate(timeout=1)
                break
            except subprocess.TimeoutExpired:
                # It ends with what is still in memory, and with a look at the table.
                try:
                    now = devices.written_to(disk.name)
                except InstallError:
                    process.kill()
                    raise
                say.rises(what, min(99, 100 * (now - before) // size))
    if process.returncode:
        raise InstallError(f"systemd-repart: {said.strip()}")
    say.rises(what, 100)


class Compared:
    """How far what was written is read back.

    Args:
        size: Bytes that are to be read.
        say: Where it is shown.
    """

    WHAT = "reading back what was written"

    def __init__(self, size: int, say: Terminals) -> None:
        self._size, self._read, self._say = size, 0, say
        say.rises(self.WHAT, 0)

    def __call__(self, length: int) -> None:
        """So many bytes more."""
        self._read += length
        self._say.rises(self.WHAT, min(100, 100 * self._read // self._size))


def give_uuid(disk: str, esp: str) -> None:
    """Give a disk's ESP an UUID of its own: firmware and system tell it from the stick's."""
    number = devices.fact(Path(esp).name, "partition")
    programs.run("sfdisk", "--no-reread", "--part-uuid", disk, number, str(uuid.uuid4()))
    programs.run("udevadm", "settle")


def write(disk: Disk, stick: str, say: Terminals) -> None:
    """Write the system to the disk, and see that it is there.

    Raises:
        InstallError: It is not.
    """
    listed = programs.run("lsblk", "--json", "--output", devices.COLUMNS, disk.path)
    [now] = json.loads(listed)["blockdevices"]
    if disk.name == stick or devices.is_used(now):
        raise InstallError(f"the system runs from {disk.name}: nothing was written to it")
    say.say("This takes some minutes: leave the stick in and the power on.")
    programs.run("umount", "/efi")
    # The ESP is copied as it is: while it is, nobody writes to it.
    programs.run(
        "mount", "-o", "ro,umask=0077,nosuid,nodev,noexec", devices.parts(stick)["esp"], "/efi"
    )
    theirs = devices.parts(stick)
    lay_out(disk, sum(map(devices.size_of, theirs.values())), say)
    programs.run("udevadm", "settle")
    ours = devices.parts(disk.name)
    if lacks := sorted(set(theirs) - set(ours)):
        raise InstallError(f"the disk does not show what was written to it ({', '.join(lacks)})")
    # At once: a disk that turns out to be broken must not be started in the stick's place.
    give_uuid(disk.path, ours["esp"])
    compared = ["root", "verity", "esp"]
    if (sector := devices.sector_of(disk.name)) != SECTOR:
        make_esp(ours["esp"], sector)
        compared.remove("esp")
    read = Compared(2 * sum(devices.size_of(theirs[kind]) for kind in compared), say)
    for kind in compared:
        if digest(theirs[kind], read) != digest(ours[kind], read):
            raise InstallError(
                f"the disk does not hold what was written to it ({kind}): replace it"
            )
    programs.run("umount", "/efi")
    TARGET.mkdir(exist_ok=True)
    programs.run("mount", "-o", "umask=0077,nosuid,nodev,noexec", ours["esp"], str(TARGET))
    try:
        for name in ("install.toml", medium.DONE, "install.txt"):
            (TARGET / "EDGE-SETUP" / name).unlink(missing_ok=True)
    except OSError as error:
        raise InstallError(f"the disk can't be written (esp): {error.strerror}") from error
    programs.run("sync", "-f", str(TARGET))
    programs.run("umount", str(TARGET))
    devices.settle(disk.path)
    # The firmware starts the machine's own disk, also with the stick still in. Where it takes no
    # entry, it finds the loader by its usual name once the stick is out.
    with contextlib.suppress(InstallError):
        programs.run("/usr/lib/edge/boot-entry", ours["esp"])


def make_esp(path: str, sector: int) -> None:
    """Make the ESP of a disk whose sectors are larger than the stick's, with the same in it.

    Raises:
        InstallError: The disk does not hold it.
    """
    programs.run("mkfs.vfat", "-F", "32", "-S", str(sector), "-n", "EDGE-ESP", path)
    TARGET.mkdir(exist_ok=True)
    for option in ("rw", "ro"):
        programs.run("mount", "-o", f"{option},umask=0077,nosuid,nodev,noexec", path, str(TARGET))
        try:
            if option == "rw":
                shutil.copytree(medium.STICK, TARGET, dirs_exist_ok=True)
                programs.run("sync", "-f", str(TARGET))
            elif not is_same(medium.STICK, TARGET):
                raise InstallError("the disk does not hold what was copied to it: replace it")
        except OSError as error:
            raise InstallError(f"the disk can't be written (esp): {error}") from error
        finally:
            programs.run("umount", str(TARGET))
            programs.run("blockdev", "--flushbufs", path)


def is_same(one: Path, other: Path) -> bool:
    """Whether two folders have the same files."""
    files = {path.relative_to(one) for path in one.rglob("*") if path.is_file()}
    return all(filecmp.cmp(one / name, other / name, shallow=False) for name in files)
