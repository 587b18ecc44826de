"""The data of the box moves to a bigger disk: what is done while the box goes on; as root.

A box has its data on one disk, whole; there is no adding a second one to it. Two disks that hold
one file system die as soon as one of them does, and what exists only here is worth more than the
room that the old one would give. So the bigger disk takes all of the box over: system, boot
partition, data. It may then stay beside the old one, or take its place.

    wished        the disk is chosen, and what is on it may go
    laid out      it is divided as the box's disk is; its data partition is called edge-data-new-…
    made          that is encrypted, and has a file system
    ready         all was copied, compared, and is kept up with what comes in: every ten minutes
    -- restart -- `edge.machine.switching`: before anything writes, the rest is copied, and the new
                  partition becomes edge-data, the old one edge-data-old-…
    erased        the old copy's keys are destroyed, when an admin says so

    failed        … and shown: the same disk is gone on with, if it is chosen once more
    ended         the data stays: the copy is destroyed, at the next start if it is not there now;
                  so is that of a move that failed, once another disk was chosen

What was done stands in ``move.json`` on the data partition, and each step can be done again: a
power cut leaves a box that starts with its data where it was, and goes on. The new disk is known by
what it is (`edge.machine.chosen`) until it has our table, and by that from then on. Nothing of the
old copy is written to, so that it is whole until it is erased. Whichever of the two disks the
machine is started from, it finds the one partition that has the data
(``/usr/lib/edge/data-partition``). Calls block.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from edge.crypto.durable import write_file
from edge.errors import MachineRefused
from edge.machine.chosen import Chosen
from edge.machine.copies import copy_in, destroy_copy
from edge.machine.copying import TreeCopy
from edge.machine.disks import Disk, disks_of
from edge.machine.layout import Partition, Table, lay_out, room_on, table_of, table_on
from edge.machine.moves import OVER, Left, Move, MoveState, kept_move, left_by
from edge.machine.networks import write_open
from edge.machine.places import Places
from edge.machine.tools import Tools

__all__ = ["Mover", "copy_of"]

log = logging.getLogger(__name__)

LEFT_OUT: Final = frozenset({"lib/edge-machine/move.json", "lib/edge-machine/move.key"})
SETTLED: Final = frozenset({"lib/edge/objects"})
"""Sealed objects have their name once they are whole, and are never written again."""
_UNIT: Final = "edge-move.service"
_KEY_BYTES: Final = 64
_FEW: Final = 64 * 1024 * 1024
"""Bytes: a pass that copied no more has caught up."""
_MOST_PASSES: Final = 10
_SHOW: Final = 2.0
"""Seconds between two words of how far it is."""


def copy_of(source: Path, target: Path, tools: Tools, heard: Callable[[int], None]) -> TreeCopy:
    """Of the data partition's file system."""
    return TreeCopy(
        source,
        target,
        settled=SETTLED,
        left_out=LEFT_OUT,
        sync=lambda path: tools.run("sync", "--file-system", str(path)),
        heard=heard,
    )


class Mover:
    """It.

    Args:
        places: Of this machine.
        tools: Its programs; some of them take long.
        step: Is told before each step, by tests that cut the power there.
        sleep: Waits.
    """

    def __init__(
        self,
        places: Places,
        tools: Tools,
        *,
        step: Callable[[str], None] = lambda _: None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._places = places
        self._tools = tools
        self._step = step
        self._sleep = sleep
        self._shown = 0.0

    # What is wished ---------------------------------------------------------------------------

    def begin(self, name: str, seen: str, *, erase: bool) -> None:
        """Choose a disk, and begin. The same again changes nothing, and goes on with it.

        Args:
            name: As the kernel calls it.
            seen: What was shown of it, see `edge.machine.disks.Disk.seen`.
            erase: What is on it may go.

        Raises:
            MachineRefused: It can't be, or is not what was shown.
        """
        move = kept_move(self._places.move_kept)
        if move is not None and move.state not in OVER:
            if self._is_to(move, name):
                self._tools.run("systemctl", "--no-block", "start", _UNIT)
                return
            raise MachineRefused(
                f"the data is moving to {move.disk} already", hint="edge machine stay ends that"
            )
        disk = self._chosen(name, seen)
        table = table_on(self._places.devices / disk.name, self._tools)
        # A move that was ended left no key.
        is_failed = move is not None and move.state == "failed"
        again = move is not None and is_failed and move.is_made and move.table == table
        if not again and disk.holds and not disk.role and not erase:
            raise MachineRefused(
                f"{disk.known} is not empty: {', '.join(disk.holds)}",
                hint="nothing was changed; choose another one, or say that it may be erased",
            )
        whole, data = self._own()
        if disk.size < (needed := room_on(whole, data)):
            raise MachineRefused(
                f"{disk.known} is too small: it must have {needed / 10**9:.0f} GB",
                hint="the data moves to a disk that is as large as the old one, or larger",
            )
        sector = self._tools.run("blockdev", "--getss", str(self._places.devices / name)).strip()
        if sector != str(whole.sector):
            raise MachineRefused(
                f"{disk.known} has sectors of {sector} bytes, and the old disk of {whole.sector}",
                hint="the boot partition could not be read from it: take another one",
            )
        self._keep(
            Move(
                disk.known,
                "made" if again else "wished",
                table if again else str(uuid.uuid4()),
                chosen=Chosen.of(disk, self._places),
                is_made=again,
                left=tuple(one for one in left_by(move) if not again or one.table != table),
                former="" if again else table,
            )
        )
        self._tools.run("systemctl", "--no-block", "restart", _UNIT)

    def _is_to(self, move: Move, name: str) -> bool:
        disk = next((one for one in disks_of(self._places, self._tools) if one.name == name), None)
        if disk is None:
            return False
        is_it = move.chosen is not None and move.chosen.may_be(disk, self._places)
        # A wish that an earlier version kept knows no table, nor has a blank disk one.
        return is_it or (
            bool(move.table) and move.table == table_on(self._places.devices / name, self._tools)
        )

    def _chosen(self, name: str, seen: str) -> Disk:
        disk = next((one for one in disks_of(self._places, self._tools) if one.name == name), None)
        if disk is None:
            raise MachineRefused(f"this machine has no disk {name}", hint="edge machine disks")
        if disk.hindrance:
            raise MachineRefused(f"{disk.known} can't take the data over: {disk.hindrance}")
        if disk.seen != seen:
            raise MachineRefused(
                f"{name} is not what it was when it was chosen", hint="look at the disks again"
            )
        return disk

    def stay(self) -> None:
        """End a move: the data stays where it is, and the new disk has nothing of it.

        That is kept before it is done: what a power cut leaves of it goes at the next start, and
        a disk that is not there is shown. If nothing moves, nothing is done.

        Raises:
            MachineRefused: What copies could not be stopped.
        """
        if kept_move(self._places.move_kept) is None:
            return
        self._tools.run("systemctl", "stop", _UNIT)
        move = kept_move(self._places.move_kept)
        if move is not None:
            left = move.left if move.state == "ended" else left_by(move)
            move = msgspec.structs.replace(move, state="ended", why="", left=left)
            self._keep(move)
            self._end(move)

    def _end(self, move: Move) -> None:
        self._step("ended")
        move = self._destroy_left(move)
        self._step("destroyed")
        self._places.move_key.unlink(missing_ok=True)
        if not move.left:
            for path in (self._places.move_kept, self._places.move):
                path.unlink(missing_ok=True)

    def _destroy_left(self, move: Move) -> Move:
        """Destroy copies that nobody wants, as far as they are there."""
        left = tuple(one for one in move.left if self._is_left(one))
        if left != move.left:
            move = msgspec.structs.replace(move, left=left)
            self._keep(move)
        return move

    def _is_left(self, one: Left) -> bool:
        try:
            was_there = destroy_copy(self._places, self._tools, one.table)
        except (MachineRefused, OSError) as error:
            log.warning("the copy on %s could not be destroyed: %s", one.disk, error)
            return True
        return one.is_made and not was_there

    # What is done -----------------------------------------------------------------------------

    def run(self, every: float = 600.0, *, rounds: int = -1) -> None:
        """Copy, and keep up until the machine restarts.

        Args:
            every: Seconds between two passes, once it is ready.
            rounds: So often; less than 0: for ever.

        Raises:
            MachineRefused: It can't be; that is kept, and shown.
            OSError: As well.
        """
        move = kept_move(self._places.move_kept)
        if move is None:
            return
        failed = self._places.own_disk / "move-failed"
        if failed.exists():  # the last step, at this start
            self._fail(move, failed.read_text(encoding="utf-8").strip())
            failed.unlink()
            return
        if move.state in OVER:
            self._show(move)
            if move.state == "ended":
                self._end(move)
            else:
                self._destroy_left(move)
            return
        try:
            self._run(move, every, rounds)
        except (MachineRefused, OSError) as error:
            self._fail(kept_move(self._places.move_kept) or move, str(error))
            raise

    def _run(self, move: Move, every: float, rounds: int) -> None:
        self._show(move)
        move = self._destroy_left(move)
        if move.state == "wished":
            move = self._make(move)
        found = copy_in(self._places, self._tools, move.table)
        if found is None:
            raise MachineRefused(f"{move.disk} is not there", hint="put it in again")
        with self._opened(found[1]) as (source, target):
            while True:
                self._catch_up(move, source, target)
                if move.state != "ready":
                    self._step("ready")
                    move = msgspec.structs.replace(move, state="ready")
                    self._keep(move)
                if not (rounds := rounds - 1):
                    return
                self._sleep(every)
                move = self._destroy_left(move)

    def _make(self, move: Move) -> Move:
        """Divide the disk, encrypt its data partition, and make a file system on it."""
        if move.chosen is None:
            raise MachineRefused(
                f"{move.disk} was chosen in an earlier version, which kept nothing but its name",
                hint="nothing was written to it; choose it anew",
            )
        whole, data = self._own()
        with self._held(move.chosen, move.table) as target:
            self._step("lay out")
            spared = ((self._places.own_disk / "whole"),)
            table = lay_out(whole, data, target, self._tools, identity=move.table, spared=spared)
        left = tuple(one for one in move.left if one.table != move.former)
        if left != move.left:
            move = msgspec.structs.replace(move, left=left)
            self._keep(move)
        new = next(one for one in table.partitions if one.number == data.number)
        self._step("encrypt")
        write_file(self._places.move_key, secrets.token_bytes(_KEY_BYTES))
        disk = str(self._places.disk)
        self._tools.run(disk, "make", str(new.node), str(self._places.move_key))
        self._step("made")
        move = msgspec.structs.replace(move, state="made", is_made=True)
        self._keep(move)
        return move

    @contextlib.contextmanager
    def _held(self, chosen: Chosen, table: str) -> Iterator[Path]:
        """The disk that was chosen; no other one gets its name as long as it is open."""
        name = chosen.find(table, self._places, self._tools).name
        device = (self._places.devices / name).resolve()
        descriptor = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if chosen.find(table, self._places, self._tools).name != name:
                raise MachineRefused(
                    f"{chosen.known} was taken out just now", hint="choose it anew"
                )
            yield device
        finally:
            os.close(descriptor)

    def _own(self) -> tuple[Table, Partition]:
        """The disk with the data, and the partition with it."""
        whole = table_of((self._places.own_disk / "data-whole").resolve(), self._tools)
        return whole, whole.at(self._places.data_disk.resolve())

    @contextlib.contextmanager
    def _opened(self, new: Partition) -> Iterator[tuple[Path, Path]]:
        """Both file systems: that which people write to, without what is mounted in it; the new."""
        source, target = self._places.moving / "old", self._places.moving / "new"
        for folder in (source, target):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            self._tools.run("mount", "--bind", str(self._places.data), str(source))
            stack.callback(self._tools.run, "umount", str(source))
            disk = str(self._places.disk)
            node = self._tools.run(disk, "attach", str(new.node), str(self._places.move_key))
            stack.callback(self._tools.run, disk, "detach")
            self._tools.run("mount", "-o", "nodev,nosuid,noexec", node.strip(), str(target))
            stack.callback(self._tools.run, "umount", str(target))
            yield source, target

    def _catch_up(self, move: Move, source: Path, target: Path) -> None:
        for _ in range(_MOST_PASSES):
            self._step("pass")
            told = _Told(source, lambda percent: self._show(move, percent))
            if copy_of(source, target, self._tools, told.heard).go() <= _FEW:
                return

    def _keep(self, move: Move) -> None:
        self._places.kept.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_file(self._places.move_kept, msgspec.json.encode(move))
        self._show(move)

    def _show(self, move: Move, percent: int = 0) -> None:
        if percent and time.monotonic() - self._shown < _SHOW:
            return
        self._shown = time.monotonic()
        # What is on the new disk itself goes before that is divided.
        own = "" if move.state in OVER else move.former
        left = tuple(one.disk for one in move.left if one.is_made and one.table != own)
        shown = MoveState(move.state, move.disk, percent, move.why, left)
        write_open(self._places.move, msgspec.json.encode(shown))

    def _fail(self, move: Move, why: str) -> None:
        self._keep(msgspec.structs.replace(move, state="failed", why=why))


class _Told:
    """Bytes that are copied, as a part of all."""

    def __init__(self, source: Path, tell: Callable[[int], None]) -> None:
        found = os.statvfs(source)
        self._all = max(1, (found.f_blocks - found.f_bfree) * found.f_frsize)
        self._done = 0
        self._tell = tell

    def heard(self, count: int) -> None:
        """So many more."""
        self._done += count
        self._tell(min(99, self._done * 100 // self._all))
