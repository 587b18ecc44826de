"""The slots of a disk: which is the one that runs, and how the other one is written.

    edge-root-V, edge-verity-V     of a version; ``_empty`` is free (as systemd-sysupdate has it)
    edge-boot-a, edge-boot-b       of a Raspberry Pi, instead of what the loader of UEFI starts

Owns the partition table by ``sfdisk``, which is a program of its own. Promises that a slot which
the running system may use is never opened for writing, and that a slot has no name while it is
being written: a machine that stops then has a slot that is empty. Everything here blocks, and is
for root.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edge.errors import UpdateRefused

__all__ = ["BOOT", "EMPTY", "ROOT", "VERITY", "Disk", "Partition", "Slot", "disk_of", "ids_of"]

EMPTY: Final = "_empty"
ROOT, VERITY, BOOT = "edge-root-", "edge-verity-", "edge-boot-"
_LINKS: Final = Path("/run/edge-disk")
"""What the image found: the disk that the machine started from (a stick may have the same labels),
and the one with the data, which is another one where that moved and the old disk stayed in."""
_BY_LABEL: Final = Path("/dev/disk/by-partlabel")
_SYS: Final = Path("/sys/class/block")
_PIECE: Final = 1024**2
_SECONDS: Final = 60.0
_PLAIN: Final = frozenset("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz#+-.:=@_")
"""Characters that udev leaves as they are in the names of links."""


@dataclass(frozen=True, slots=True)
class Partition:
    """One of them."""

    number: int
    node: str
    begin: int
    """Bytes."""
    size: int
    type: str
    label: str


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a version lies, or can lie."""

    root: Partition
    verity: Partition

    @property
    def is_empty(self) -> bool:
        """Whether nothing can be started from it."""
        return EMPTY in (self.root.label, self.verity.label)


class Disk:
    """A disk with slots.

    Args:
        path: Of the device, or of an image of it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def partitions(self) -> list[Partition]:
        """All of them.

        Raises:
            UpdateRefused: The table can't be read.
        """
        said = _run(["sfdisk", "--json", str(self.path)])
        try:
            table: Mapping[str, Any] = json.loads(said)["partitiontable"]
            sector = int(table.get("sectorsize", 512))
            return [
                Partition(
                    _number(one["node"]),
                    one["node"],
                    int(one["start"]) * sector,
                    int(one["size"]) * sector,
                    one["type"],
                    one.get("name", ""),
                )
                for one in table["partitions"]
            ]
        except (KeyError, ValueError, TypeError) as error:
            raise UpdateRefused(f"the partitions of {self.path} can't be understood") from error

    def other_slot(self, running: str) -> Slot:
        """The slot that does not run.

        Raises:
            UpdateRefused: The disk does not have two.
        """
        parts = self.partitions()
        own = [next((p for p in parts if p.label == name + running), None) for name in _SLOT]
        if own[0] is None or own[1] is None:
            raise UpdateRefused(
                f"{self.path} has no slot of version {running}, which runs",
                hint="this machine was not made from the disk image, or its table was changed",
            )
        others = [
            [p for p in parts if p.type == mine.type and p.number != mine.number]
            for mine in own
            if mine is not None
        ]
        if [len(found) for found in others] != [1, 1]:
            raise UpdateRefused(
                f"{self.path} does not have two slots",
                hint="the second one is made at the first start; look at the log of that",
            )
        return Slot(others[0][0], others[1][0])

    def other_boot(self, running: int) -> Partition:
        """The boot partition of a Raspberry Pi that is not the one of this number."""
        found = [p for p in self.partitions() if p.label.startswith(BOOT) and p.number != running]
        if len(found) != 1:
            raise UpdateRefused(f"{self.path} does not have two boot partitions")
        return found[0]

    def name(self, partition: Partition, label: str, identity: str = "") -> None:
        """Give a partition a label, and an UUID; the kernel learns of it at the next start."""
        options = ["sfdisk", "--no-reread", "--no-tell-kernel", "--quiet"]
        target = [str(self.path), str(partition.number)]
        if identity:
            _run([*options, "--part-uuid", *target, identity])
        _run([*options, "--part-label", *target, label])

    def write(self, partition: Partition, pieces: Iterable[bytes], sha256: str) -> None:
        """Write a partition from its beginning, and read it again from the disk.

        Raises:
            UpdateRefused: It is too small, in use, or does not give back what it was given.
        """
        descriptor, begin = self._open(partition, os.O_RDWR)
        try:
            at = 0
            for piece in pieces:
                if at + len(piece) > partition.size:
                    raise UpdateRefused(
                        f"the slot has {partition.size} bytes, and the update needs more",
                        hint="this version needs a disk that is divided anew: flash it",
                    )
                rest = memoryview(piece)
                while rest:
                    count = os.pwrite(descriptor, rest, begin + at)
                    rest, at = rest[count:], at + count
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, begin, at, os.POSIX_FADV_DONTNEED)
            if _digest(descriptor, begin, at) != sha256:
                raise UpdateRefused(
                    f"{partition.node} does not give back what it was given",
                    hint="the disk is ill: look at its SMART values, and replace it",
                )
        except OSError as error:
            raise UpdateRefused(f"{partition.node} can't be written: {error.strerror}") from error
        finally:
            os.close(descriptor)

    def _open(self, partition: Partition, flags: int) -> tuple[int, int]:
        """A descriptor, and where in it the partition begins."""
        is_device = stat.S_ISBLK(self.path.stat().st_mode)
        path = Path(partition.node) if is_device else self.path
        # Exclusively: the kernel refuses a partition that is mounted or mapped.
        exclusive = os.O_EXCL if is_device else 0
        try:
            descriptor = os.open(path, flags | exclusive | os.O_CLOEXEC)
        except OSError as error:
            raise UpdateRefused(f"{path} can't be opened: {error.strerror}") from error
        return descriptor, 0 if is_device else partition.begin


_SLOT: Final = (ROOT, VERITY)


def disk_of(running: str, links: Path = _LINKS) -> Disk:
    """The disk from which this machine runs.

    Args:
        running: The version that runs.
        links: What the image found.

    Raises:
        UpdateRefused: It can't be found, or its data has moved to another one.
    """
    own, data = links / "whole", links / "data-whole"
    if own.exists():
        # What is written to the disk that is taken out is missed by the one that stays.
        if data.exists() and data.resolve() != own.resolve():
            raise UpdateRefused(
                "the machine was started from the disk that its data was moved away from",
                hint="take that disk out: the one with the data can be started from",
            )
        return Disk(own.resolve())
    link = _BY_LABEL / "".join(map(_as_udev, ROOT + running))
    try:
        node = link.resolve(strict=True)
        device = (_SYS / node.name).resolve(strict=True).parent.name
    except OSError as error:
        raise UpdateRefused(
            f"no partition {ROOT}{running} is there",
            hint="this machine was not made from the disk image; take updates by its packages",
        ) from error
    return Disk(Path("/dev") / device)


def ids_of(root_hash: str) -> tuple[str, str]:
    """UUIDs of the root and of its verity: the two ends of the root hash (systemd, UAPI.2)."""
    return str(uuid.UUID(root_hash[:32])), str(uuid.UUID(root_hash[-32:]))


def _as_udev(char: str) -> str:
    if char in _PLAIN:
        return char
    return "".join(f"\\x{byte:02x}" for byte in char.encode())


def _digest(descriptor: int, begin: int, count: int) -> str:
    digest, at = hashlib.sha256(), 0
    while at < count:
        piece = os.pread(descriptor, min(_PIECE, count - at), begin + at)
        if not piece:
            break
        digest.update(piece)
        at += len(piece)
    return digest.hexdigest()


def _number(node: str) -> int:
    digits = ""
    while node and node[-1].isdecimal():
        digits, node = node[-1] + digits, node[:-1]
    return int(digits)


def _run(words: Sequence[str]) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - our own words
            words, capture_output=True, text=True, timeout=_SECONDS, check=False, input=""
        )
    except FileNotFoundError as error:
        raise UpdateRefused(f"{words[0]} is not there", hint="the disk image has it") from error
    except subprocess.TimeoutExpired as error:
        raise UpdateRefused(f"{words[0]} does not answer", hint="the disk may be ill") from error
    if done.returncode:
        raise UpdateRefused(f"{words[0]}: {done.stderr.strip() or done.returncode}")
    return done.stdout
