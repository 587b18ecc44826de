"""The data of the box moves to a bigger disk: the last step, at a start, and the old copy's end.

Runs before anything writes to the data partition, called by ``/usr/lib/edge/disk open``, which has
opened the old one. Crash order, each step of which can be done again:

    the rest of the data, compared byte by byte but for sealed objects, which were before ->
    partitions of the system, read again -> the new partition opens as the old one does ->
    the old one is called edge-data-old-… (the commit) -> the new one is called edge-data

Until the commit the old partition is the one with the data, then the new one is, whichever disk
the machine is started from. What fails before leaves the old one as it was, and the machine starts
with it; what fails at the commit or after it has the machine start anew. Calls block, as root.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from edge.errors import MachineRefused
from edge.machine.copies import copy_in, labelled
from edge.machine.disks import DATA, LEFT, TAKES_OVER, short
from edge.machine.erasing import destroy
from edge.machine.layout import Partition, Table, call, copy_block, table_of
from edge.machine.moves import kept_move
from edge.machine.moving import copy_of
from edge.machine.places import Places
from edge.machine.tools import Tools

__all__ = ["erase_old", "switch"]

log = logging.getLogger(__name__)

_ESP = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"


def switch(
    places: Places, tools: Tools, opened: Path, *, step: Callable[[str], None] = lambda _: None
) -> bool:
    """Do it, if the data is ready to move; whether it moved, and the machine must start anew.

    Args:
        places: Of this machine.
        tools: Its programs.
        opened: The device with the old file system.
        step: Is told before each step, by tests that cut the power there.

    Raises:
        MachineRefused: It can't be; the old partition is the one with the data.
        OSError: As well.
    """
    whole = table_of((places.own_disk / "data-whole").resolve(), tools)
    old = whole.at(places.data_disk.resolve())
    source = places.own_disk / "old"
    with _mounted(opened, source, "ro,nodev,nosuid,noexec", tools):
        kept = source / places.kept.relative_to(places.data)
        move, key = kept_move(kept / places.move_kept.name), kept / places.move_key.name
        if move is None or move.state != "ready":
            return False
        found = copy_in(places, tools, move.table)
        if found is None:
            log.warning("the data does not move at this start: %s is not there", move.disk)
            return False
        table, new = found
        log.warning("the data moves to %s; leave the power on", move.disk)
        node = Path(tools.run(str(places.disk), "attach", str(new.node), str(key)).strip())
        try:
            with _mounted(node, places.own_disk / "new", "nodev,nosuid,noexec", tools) as target:
                step("rest")
                copy_of(source, target, tools, lambda _: None).go(last=True)
        finally:
            tools.run(str(places.disk), "detach")
        _copy_system(whole, old, table, tools, step)
        step("seal")
        tools.run(str(places.disk), "seal", str(new.node), str(key))
    step("commit")
    try:
        call(whole, old, LEFT + short(new.uuid), tools)
    except (MachineRefused, OSError) as error:
        if _is_called(whole, old, tools):
            raise
        # Nobody knows whether that is on the medium: the next start finds out, and goes by it.
        log.warning("the old partition may not have its new name: %s", error)
        return True
    # From here on nothing may go on with the old partition: what is not done, the next start does.
    step("called")
    try:
        call(table, new, DATA, tools)
    except (MachineRefused, OSError) as error:
        log.warning("the new partition gets its name at the next start: %s", error)
    step("loader")
    _start_from(places, table, tools)
    return True


def _is_called(whole: Table, old: Partition, tools: Tools) -> bool:
    """Whether the old partition is called as it was, which makes it the one with the data."""
    try:
        return table_of(whole.disk, tools).at(old.node).label == old.label
    except MachineRefused:
        return False


def _copy_system(
    whole: Table, old: Partition, table: Table, tools: Tools, step: Callable[[str], None]
) -> None:
    """As it is now: an update may have come since the disk was divided."""
    for one in whole.partitions:
        if one == old:
            continue
        step("system")
        copy = next((new for new in table.partitions if new.number == one.number), None)
        if copy is None or copy.size < one.size:
            raise MachineRefused(
                f"the new disk has no room for {one.label}", hint="begin with it again"
            )
        if not one.is_empty:
            copy_block(one.node, copy.node, one.size)
        identity = one.uuid if one.is_verified and one.uuid != copy.uuid else ""
        if identity or one.label != copy.label:
            call(table, copy, one.label, tools, identity)


def _start_from(places: Places, table: Table, tools: Tools) -> None:
    """Have the firmware start the new disk first; if it won't, people take the old one out."""
    esp = next((one for one in table.partitions if one.kind == _ESP), None)
    if esp is None:
        return
    try:
        tools.run(str(places.boot_entry), str(esp.node))
    except MachineRefused as error:
        log.warning("the firmware takes no entry for the new disk: %s", error)


def erase_old(places: Places, tools: Tools) -> None:
    """Destroy the keys of the copy that the data was moved away from.

    Raises:
        MachineRefused: There is none, or its keys are still there.
        OSError: As well.
    """
    own = table_of((places.own_disk / "data-whole").resolve(), tools)
    label = LEFT + short(own.at(places.data_disk.resolve()).uuid)
    found = labelled(places, tools, label)
    for table, old in found:
        # What it was to move to before, where that failed: nobody else knows it any more.
        for _, copy in labelled(places, tools, TAKES_OVER + short(old.uuid)):
            destroy(copy.node, tools)
        destroy(old.node, tools)
        _forget_key(places, table, tools)
    if not found:
        raise MachineRefused(
            "the disk that the data was moved away from is not there",
            hint="put it in again; or destroy it",
        )


def _forget_key(places: Places, table: Table, tools: Tools) -> None:
    """The old disk's key on its boot partition, where it was there: it opens nothing any more."""
    esp = next((one for one in table.partitions if one.kind == _ESP), None)
    if esp is None:
        return
    options = "umask=0077,nosuid,nodev,noexec"
    with _mounted(esp.node, places.run / "old-esp", options, tools) as folder:
        key = folder / "edge/data.key"
        if key.is_file():
            with key.open("r+b") as file:
                file.write(os.urandom(key.stat().st_size))
                file.flush()
                os.fsync(file.fileno())
            key.unlink()


@contextlib.contextmanager
def _mounted(device: Path, folder: Path, options: str, tools: Tools) -> Iterator[Path]:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    tools.run("mount", "-o", options, str(device), str(folder))
    try:
        yield folder
    finally:
        tools.run("umount", str(folder))
