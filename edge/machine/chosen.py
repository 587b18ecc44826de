"""Which disk was chosen to take the data over, found again after the machine started anew.

The kernel calls disks by the order in which they show themselves: what was ``sdb`` may be the disk
with the data at the next start. So what was chosen is known by what the disk says of itself (WWN,
serial number, model, size) and by what was on it, and never by that name alone. Promises that no
other disk is given out for it: what can't be told apart is not there. Calls block.
"""

from __future__ import annotations

from typing import Self

import msgspec

from edge.errors import MachineRefused
from edge.machine.disks import Disk, disks_of
from edge.machine.layout import table_on
from edge.machine.places import Places
from edge.machine.tools import Tools

__all__ = ["Chosen"]


class Chosen(msgspec.Struct, frozen=True):
    """A disk, as it was when it was chosen."""

    known: str
    """As people know it."""
    name: str
    """As the kernel called it, at that start."""
    start: str
    """Of which start of the machine that was; empty if nobody knows."""
    itself: tuple[str, ...]
    """What it says of itself that no other one should say; nothing if it says nothing."""
    size: int
    """Bytes."""
    content: str
    """What was on it, see `edge.machine.disks.Disk.content`."""

    @classmethod
    def of(cls, disk: Disk, places: Places) -> Self:
        """That one, now."""
        start = _this_start(places)
        return cls(disk.known, disk.name, start, disk.itself, disk.size, disk.content)

    def find(self, table: str, places: Places, tools: Tools) -> Disk:
        """The disk, which may be written to.

        Args:
            table: The UUID that its partition table gets; if it has that already, it is the one.
            places: Of this machine.
            tools: Its programs.

        Raises:
            MachineRefused: It is not there, may not be written to, or can't be told from others.
        """
        disks = disks_of(places, tools)
        tables = {disk.name: table_on(places.devices / disk.name, tools) for disk in disks}
        ours = [disk for disk in disks if table and tables[disk.name] == table]
        same = ours or [disk for disk in disks if self.may_be(disk, places)]
        if len(same) > 1:
            raise self._refused("two disks say that they are it")
        if not same and not self.itself and self.start != _this_start(places):
            raise self._refused("it has no serial number, and the machine has started since")
        if not same:
            raise self._refused("it is not there")
        disk = same[0]
        is_empty = not disk.content and not tables[disk.name]
        if not ours and disk.content != self.content and not is_empty:
            raise self._refused("there is something else on it than when it was chosen")
        if disk.hindrance:
            raise self._refused(disk.hindrance)
        return disk

    def may_be(self, disk: Disk, places: Places) -> bool:
        """Whether that disk is it, by what it says of itself."""
        if self.itself or disk.itself:
            return self.itself == disk.itself
        if self.size != disk.size:
            return False
        return self.name == disk.name and bool(self.start) and self.start == _this_start(places)

    def _refused(self, why: str) -> MachineRefused:
        return MachineRefused(
            f"{self.known} was not written to: {why}",
            hint="look at the disks (edge machine disks), and choose one anew",
        )


def _this_start(places: Places) -> str:
    try:
        return places.start_id.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
