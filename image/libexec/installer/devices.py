"""The disks of the machine, and their partitions: what could be installed to, and what is there."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from installer import programs, screen, traces
from installer.programs import InstallError

LEAST = 15 * 10**9
"""Bytes: of a disk that is sold as one of 16 GB."""
COLUMNS = "NAME,SIZE,TYPE,RO,RM,MODEL,SERIAL,FSTYPE,PARTLABEL,MOUNTPOINTS,TRAN"


@dataclass(frozen=True)
class Disk:
    """One that could be installed to.

    Args:
        name: Of its device, such as ``sda``.
        size: Bytes.
        model: As it calls itself, like its serial number; what can't be shown is replaced.
        serial: Its number, or nothing.
        labels: Of what its table tells: partitions by their names, or a file system.
        is_on_usb: It is at a plug outside.
        traces: What is on it besides (``installer.traces``).
    """

    name: str
    size: int
    model: str
    serial: str
    labels: tuple[str, ...]
    is_on_usb: bool = False
    traces: tuple[str, ...] = ()

    @property
    def has_data(self) -> bool:
        """There is the data of an edge on it, of whatever version, or a copy of it.

        What it moved to is called edge-data-new-… until the next start (libexec/data-partition).
        """
        return self._tells_data or traces.EDGE in self.traces

    @property
    def may_have_data(self) -> bool:
        """It has, or nobody knows, for not all that was looked for can be read."""
        return self.has_data or traces.UNREAD in self.traces

    @property
    def _tells_data(self) -> bool:
        """Its table tells of it."""
        return any(label.startswith("edge-data") for label in self.labels)

    @property
    def holds(self) -> tuple[str, ...]:
        """What is on it; nothing: it is known to be empty."""
        return self.labels + self.traces

    @property
    def has_system_alone(self) -> bool:
        """There is an edge on it that has no data, such as one that was not started yet."""
        own = ("edge-esp", "edge-root-", "edge-verity-", "_empty")
        return bool(self.versions) and all(each.startswith(own) for each in self.holds)

    @property
    def names(self) -> str:
        """Those that an answer may have."""
        return " or ".join(f'"{name}"' for name in (self.name, self.serial) if name)

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
            holds += "" if self._tells_data else ", which its table does not tell"
        elif self.holds:
            holds = f"not empty: {', '.join(self.holds)}"
        else:
            holds = "empty"
        known = " ".join(word for word in (self.model, self.serial) if word)
        size = f"{self.size / 10**9:.0f} GB{', on USB' if self.is_on_usb else ''}"
        return f"{self.name}, {size}, {known or 'without a name'}; {holds}"


def candidates(listed: str, booted_from: str) -> list[Disk]:
    """The disks of the machine, of what lsblk says, without the stick and what can't be written."""
    found = []
    for one in json.loads(listed, strict=False)["blockdevices"]:
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
        words = (screen.plain(one.get(key) or "").strip() for key in ("model", "serial"))
        shown = tuple(map(screen.plain, labels))
        is_on_usb = one.get("tran") == "usb"
        found.append(Disk(one["name"], int(one["size"]), *words, shown, is_on_usb))
    return found


def looked_at(disk: Disk) -> Disk:
    """It, with what no partition tells of."""
    return replace(disk, traces=traces.looked_for(disk.path, has_parts=bool(disk.labels)))


def is_used(device: dict[str, Any]) -> bool:
    """Something on it is mounted: the system runs from it, for this one mounts nothing else."""
    below = device.get("children") or []
    return any(device.get("mountpoints") or []) or any(is_used(each) for each in below)


def chosen(word: str, disks: list[Disk]) -> Disk:
    """The disk that somebody means who sees them with their numbers.

    Raises:
        InstallError: None, or more than one.
    """
    word = word.strip()
    if re.fullmatch(r"[1-9][0-9]?", word) and int(word) <= len(disks):
        return disks[int(word) - 1]
    return named(word, disks)


def named(word: str, disks: list[Disk]) -> Disk:
    """The disk that has this name, serial number or path; "only": the only one inside.

    Which number it has in a list is chance, and no name. One on USB may be anybody's that was
    forgotten there: it is meant by its name alone.

    Raises:
        InstallError: None, or more than one.
    """
    if word == "only":
        inside = [disk for disk in disks if not disk.is_on_usb]
        if len(inside) != 1:
            raise InstallError(
                f'disk = "only" needs exactly one disk inside the machine; there are: '
                f"{'; '.join(map(str, inside)) or 'none'}. {possible(disks)}"
            )
        return inside[0]
    name = os.path.basename(os.path.realpath(word)) if word.startswith("/dev/") else word
    found = [disk for disk in disks if name and name in (disk.name, disk.serial)]
    if len(found) > 1:
        raise InstallError(f"{word!r} names {len(found)} of the disks. {possible(disks)}")
    if not found:
        raise InstallError(f"{word!r} names none of the disks. {possible(disks)}")
    return found[0]


def possible(disks: list[Disk]) -> str:
    """The names that there are, as a sentence."""
    return f"Possible are: {'; '.join(disk.names for disk in disks)}"


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


def fact(device: str, name: str) -> str:
    """What the kernel knows of a disk or a partition.

    Raises:
        InstallError: It is gone.
    """
    try:
        return (sysfs(device) / name).read_text().strip()
    except OSError as error:
        raise InstallError(
            f"{device} is not there any more: it was pulled out, has no firm hold, or is broken"
        ) from error


def size_of(path: str) -> int:
    """Bytes of a partition."""
    return int(fact(Path(path).name, "size")) * 512


def written_to(disk: str) -> int:
    """Bytes that a disk was sent since the machine started (Documentation/block/stat.rst)."""
    return int(fact(disk, "stat").split()[6]) * 512


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
    return int(fact(disk, "queue/logical_block_size"))


def sysfs(disk: str) -> Path:
    """What is there as long as a disk is in."""
    return Path("/sys/class/block", disk)
