"""The partitions of a whole box's disk, made on another disk, and what they are called.

Owns the partition tables by ``sfdisk``, a program of its own. The other disk gets every partition
of the box's disk, with its number (a Raspberry Pi starts by numbers) and its size, and the data
last, over all that is left. Partitions of the system keep their UUIDs, which are their verity
hashes; the others get their own, so that the firmware and the box tell the disks apart.

A label changes at once or not at all: ``sfdisk`` writes the second table whole before it touches
the first, and the kernel of the image reads the second where the first is torn (``gpt``). Calls
block.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edge.errors import MachineRefused
from edge.machine.disks import TAKES_OVER, short
from edge.machine.tools import Tools

__all__ = ["Partition", "Table", "call", "copy_block", "lay_out", "room_on", "table_of", "table_on"]

_EMPTY: Final = "_empty"
"""A slot with nothing in it."""
_VERIFIED: Final = frozenset(
    {
        "4f68bce3-e8cd-4db1-96e7-fbcaf984b709",  # root, of x86-64
        "b921b045-1df0-41c3-af44-4c6f280d3fae",  # and of ARM with 64 bits
        "2c7357ed-ebd2-46d9-aec1-23d437ec2bf5",  # its verity
        "df3300ce-d69f-4c92-978c-9bfb0f38d820",
    }
)
"""Types of partitions that the system finds by their UUIDs (UAPI.2)."""
_MARGIN: Final = 4 * 1024 * 1024
"""Bytes: both tables, and where partitions may begin."""
_PIECE: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Partition:
    """One of them."""

    number: int
    node: Path
    size: int
    """Bytes."""
    kind: str
    """Type: an UUID."""
    uuid: str
    label: str
    attributes: str

    @property
    def is_empty(self) -> bool:
        """A slot that nothing is started from."""
        return self.label == _EMPTY

    @property
    def is_verified(self) -> bool:
        """Whether its UUID is a verity hash, by which the system finds it."""
        return self.kind in _VERIFIED


@dataclass(frozen=True, slots=True)
class Table:
    """Of one disk."""

    disk: Path
    uuid: str
    sector: int
    """Bytes."""
    partitions: tuple[Partition, ...]

    def at(self, node: Path) -> Partition:
        """The partition with that device.

        Raises:
            MachineRefused: There is none.
        """
        for one in self.partitions:
            if one.node.name == node.name:
                return one
        raise MachineRefused(f"{self.disk.name} has no partition {node.name}")

    def labelled(self, label: str) -> Partition | None:
        """The one with that label; None if there is none."""
        return next((one for one in self.partitions if one.label == label), None)


def table_of(disk: Path, tools: Tools) -> Table:
    """What a disk is divided into.

    Raises:
        MachineRefused: It can't be read, or has no table.
    """
    said = tools.run("sfdisk", "--json", str(disk))
    try:
        table: Mapping[str, Any] = json.loads(said)["partitiontable"]
        sector = int(table.get("sectorsize", 512))
        parts = tuple(
            Partition(
                _number(one["node"], disk),
                Path(one["node"]),
                int(one["size"]) * sector,
                one["type"].lower(),
                one.get("uuid", "").lower(),
                one.get("name", ""),
                one.get("attrs", ""),
            )
            for one in table.get("partitions", ())
        )
        return Table(disk, table["id"].lower(), sector, parts)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise MachineRefused(f"the partitions of {disk.name} can't be understood") from error


def table_on(disk: Path, tools: Tools) -> str:
    """The UUID of a disk's partition table; empty if it has none that can be read."""
    try:
        return table_of(disk.resolve(), tools).uuid
    except MachineRefused:
        return ""


def _number(node: str, disk: Path) -> int:
    """Of a partition: ``sda5`` and ``nvme0n1p5`` are both the fifth."""
    return int(Path(node).name.removeprefix(disk.name).removeprefix("p"))


def room_on(whole: Table, data: Partition) -> int:
    """Bytes that a disk must have to take all of a box over."""
    return sum(one.size for one in whole.partitions if one != data) + data.size + _MARGIN


def lay_out(
    whole: Table,
    data: Partition,
    target: Path,
    tools: Tools,
    *,
    identity: str,
    spared: Collection[Path] = (),
) -> Table:
    """Divide another disk as this one is; what was on it is gone.

    Args:
        whole: The box's disk.
        data: Its data partition.
        target: The other disk.
        tools: The machine's programs.
        identity: The UUID of the new table.
        spared: Disks that are never written to, beside that with the data.

    Returns:
        The new table, with the data partition labelled as what takes over.

    Raises:
        MachineRefused: It can't be written; or is in use, and was left alone.
    """
    if target.resolve() in {one.resolve() for one in (whole.disk, *spared)}:
        raise MachineRefused(f"{target.name} is the box's own disk: it was not written to")
    lines = ["label: gpt", f"label-id: {identity}", ""]
    others = [one for one in whole.partitions if one != data]
    for one in sorted(others, key=lambda it: it.number):
        own = one.uuid if one.is_verified else str(uuid.uuid4())
        lines.append(_line(one, own, one.label, f"size={one.size // whole.sector}, "))
    lines.append(_line(data, str(uuid.uuid4()), TAKES_OVER + short(data.uuid), ""))
    # None of them is forced: each refuses a disk of which anything is mounted or opened.
    tools.run("wipefs", "--all", str(target))
    # A disk that can't discard keeps what it has, where the copy does not come: it is noise
    # to the file system, and a stranger's data to whoever reads the disk, as it was before.
    with contextlib.suppress(MachineRefused):
        tools.run("blkdiscard", str(target))
    tools.run(
        *("sfdisk", "--quiet", "--wipe", "always", "--wipe-partitions", "always", str(target)),
        said="\n".join((*lines, "")),
    )
    _settle(target, tools)
    return table_of(target, tools)


def _line(one: Partition, identity: str, label: str, size: str) -> str:
    attributes = f', attrs="{one.attributes}"' if one.attributes else ""
    name = label.replace('"', "?")
    return f'd{one.number} : {size}type={one.kind}, uuid={identity}, name="{name}"{attributes}'


def _settle(disk: Path, tools: Tools) -> None:
    """Have the kernel and everybody else know the table as it is."""
    with contextlib.suppress(MachineRefused):
        tools.run("partx", "--update", str(disk))
    with contextlib.suppress(MachineRefused):
        tools.run("udevadm", "settle", "--timeout=60")


def call(table: Table, one: Partition, label: str, tools: Tools, identity: str = "") -> None:
    """Give a partition another label, and another UUID, durably.

    Args:
        table: Of its disk.
        one: The partition.
        label: The label.
        tools: The machine's programs.
        identity: The UUID; empty: it keeps its own.

    Raises:
        MachineRefused: It has them not.
    """
    options = ("--no-reread", "--no-tell-kernel", "--quiet")
    if identity:
        words = (*options, "--part-uuid", str(table.disk), str(one.number), identity)
        tools.run("sfdisk", *words)
    tools.run("sfdisk", *options, "--part-label", str(table.disk), str(one.number), label)
    descriptor = os.open(table.disk, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    _settle(table.disk, tools)
    found = table_of(table.disk, tools).at(one.node)
    if found.label != label or (identity and found.uuid != identity):
        raise MachineRefused(f"{one.node.name} could not be named {label}")


def copy_block(source: Path, target: Path, size: int) -> None:
    """Copy a partition that nobody writes to, and read it again from the medium.

    Raises:
        MachineRefused: It does not give back what it was given.
        OSError: It can't be read or written.
    """
    digest = hashlib.sha256()
    with source.open("rb", buffering=0) as read, target.open("r+b", buffering=0) as written:
        left = size
        while left and (piece := read.read(min(_PIECE, left))):
            digest.update(piece)
            left -= len(piece)
            rest = memoryview(piece)
            while rest:
                rest = rest[written.write(rest) :]
        os.fsync(written.fileno())
        os.posix_fadvise(written.fileno(), 0, size, os.POSIX_FADV_DONTNEED)
        again, left = hashlib.sha256(), size - left
        written.seek(0)
        while left and (piece := written.read(min(_PIECE, left))):
            again.update(piece)
            left -= len(piece)
    if again.digest() != digest.digest():
        raise MachineRefused(
            "the new disk does not give back what was written to it",
            hint="it is broken: take another one",
        )
