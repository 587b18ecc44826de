"""Copies of the data on other disks, by the tables that they are in; and the end of one.

A copy is known by the UUID of its disk's partition table, which the box made, beside its label:
after a second try there may be two with that label. Calls block, as root.

Crash order of `destroy_copy`: key slots -> head -> table. Until the last it is found, and what was
begun can be done again.
"""

from __future__ import annotations

from edge.machine.disks import TAKES_OVER, disks_of, short
from edge.machine.erasing import destroy
from edge.machine.layout import Partition, Table, table_of
from edge.machine.places import Places
from edge.machine.tools import Tools

__all__ = ["copy_in", "destroy_copy", "labelled"]


def labelled(places: Places, tools: Tools, label: str) -> list[tuple[Table, Partition]]:
    """Partitions with that label, on whichever disk, and the tables that they are in.

    Raises:
        MachineRefused: The disks can't be looked at.
    """
    made = []
    for disk in disks_of(places, tools):
        if label in disk.holds:
            table = table_of((places.devices / disk.name).resolve(), tools)
            if found := table.labelled(label):
                made.append((table, found))
    return made


def copy_in(places: Places, tools: Tools, table: str) -> tuple[Table, Partition] | None:
    """What takes the data over, in the table with that UUID; None: it is not there.

    Raises:
        MachineRefused: The disks can't be looked at.
    """
    own = table_of((places.own_disk / "data-whole").resolve(), tools)
    label = TAKES_OVER + short(own.at(places.data_disk.resolve()).uuid)
    return next((one for one in labelled(places, tools, label) if one[0].uuid == table), None)


def destroy_copy(places: Places, tools: Tools, table: str) -> bool:
    """Have nobody open it any more, and its disk be empty; whether it is there.

    Raises:
        MachineRefused: It is there, and something of it still is.
        OSError: As well.
    """
    found = copy_in(places, tools, table)
    if found is None:
        return False
    destroy(found[1].node, tools)
    tools.run("wipefs", "--all", str(found[0].disk))
    return True
