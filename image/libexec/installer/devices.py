"""The disks of the machine, and their partitions: what could be installed to, and what is there."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from installer import programs
from installer.programs import InstallError

LEAST = 15 * 10**9
"""Bytes: of a disk that is sold as one of 16 GB."""
COLUMNS = "NAME,SIZE,TYPE,RO,RM,MODEL,SERIAL,FSTYPE,PARTLABEL,MOUNTPOINTS"


@dataclass(frozen=True)
class Disk:
    """One that could be installed to."""

    name: str
    size: int
    model: str
    serial: str
    labels: tuple[str, ...]

    @property
    def has_data(self) -> bool:
        """There is the data of an edge on it, of whatever version, or a copy of it.

        What it moved to is called edge-data-new-… until the next start (libexec/data-partition).
        """
        return any(label.startswith("edge-data") for label in self.labels)

    @property
    def path(self) -> str:
        """Its device."""
        return f"/dev/{self.name}"

    @property
    def versions(self) -> tuple[str, ...]:
        """Of the edge that is on it: none, one, or after an update two."""
        roots = (label for label in self.labels if label.startswith("edge-root-"))
        return tuple(label.removeprefix("edge-root-") for label in roots)

    def __str__(self) -> str:
        if self.has_data:
            holds = "HAS THE DATA OF AN EDGE"
        elif self.labels:
            holds = f"not empty: {', '.join(self.labels)}"
        else:
            holds = "empty"
        known = " ".join(word for word in (self.model, self.serial) if word)
        return f"{self.name}, {self.size / 10**9:.0f} GB, {known or 'without a name'}; {holds}"


def candidates(listed: str, booted_from: str) -> list[Disk]:
    """The disks of the machine, of what lsblk says, without the stick and what can't be written."""
    found = []
    for one in json.loads(listed)["blockdevices"]:
        if one["type"] != "disk" or one["name"] == booted_from or one["ro"] or one["rm"]:
            continue
        if int(one["size"]) < LEAST or one["name"].startswith(("zram", "loop", "ram")):
            continue
        if is_used(one):
            continue
        children = one.get("children") or []
        labels = [part.get("partlabel") or part.get("fstype") or "a partition" for part in children]
        if one.get("fstype") and not children:
            labels.append(one["fstype"])
        words = ((one.get(key) or "").strip() for key in ("model", "serial"))
        found.append(Disk(one["name"], int(one["size"]), *words, tuple(labels)))
    return found


def is_used(device: dict[str, Any]) -> bool:
    """Something on it is mounted: the system runs from it, for this one mounts nothing else."""
    below = device.get("children") or []
    return any(device.get("mountpoints") or []) or any(is_used(each) for each in below)


def chosen(word: str, disks: list[Disk]) -> Disk:
    """The disk that an answer means.

    Raises:
        InstallError: None, or more than one.
    """
    if word == "only":
        if len(disks) != 1:
            names = "; ".join(map(str, disks)) or "none"
            raise InstallError(f'disk = "only" needs exactly one disk; there are: {names}')
        return disks[0]
    word = word.strip()
    if re.fullmatch(r"[1-9][0-9]?", word) and int(word) <= len(disks):
        return disks[int(word) - 1]
    name = os.path.basename(os.path.realpath(word)) if word.startswith("/dev/") else word
    found = [disk for disk in disks if name and name in (disk.name, disk.serial)]
    if len(found) != 1:
        raise InstallError(f"{word!r} names none of the disks")
    return found[0]


def parts(disk: str) -> dict[str, str]:
    """Kind -> device, of the first ESP, root and verity on a disk."""
    kinds = {
        "c12a7328-f81f-11d2-ba4b-00a0c93ec93b": "esp",
        "4f68bce3-e8cd-4db1-96e7-fbcaf984b709": "root",
        "b921b045-1df0-41c3-af44-4c6f280d3fae": "root",
        "2c7357ed-ebd2-46d9-aec1-23d437ec2bf5": "verity",
        "df3300ce-d69f-4c92-978c-9bfb0f38d820": "verity",
    }
    listed = json.loads(
        programs.run("lsblk", "--json", "--output", "NAME,PARTTYPE,START", f"/dev/{disk}")
    )
    found: dict[str, str] = {}
    for part in sorted(listed["blockdevices"][0].get("children") or [], key=lambda it: it["start"]):
        kind = kinds.get(part["parttype"] or "")
        if kind:
            found.setdefault(kind, f"/dev/{part['name']}")
    return found


def size_of(path: str) -> int:
    """Bytes of a partition."""
    return int(Path(f"/sys/class/block/{Path(path).name}/size").read_text()) * 512


def written_to(disk: str) -> int:
    """Bytes that a disk was sent since the machine started (Documentation/block/stat.rst)."""
    return int(Path(f"/sys/class/block/{disk}/stat").read_text().split()[6]) * 512


def settle(path: str) -> None:
    """Have a disk write what it holds in its cache, which unmounting a FAT does not ask of it.

    Raises:
        InstallError: It did not.
    """
    try:
        with open(path, "rb", buffering=0) as device:
            os.fsync(device.fileno())
    except OSError as error:
        raise InstallError(f"{path} does not keep what is written to it: {error}") from error


def sector_of(disk: str) -> int:
    """Bytes of which a disk writes none alone."""
    return int(Path(f"/sys/class/block/{disk}/queue/logical_block_size").read_text())


def sysfs(disk: str) -> Path:
    """What is there as long as a disk is in."""
    return Path("/sys/class/block", disk)
