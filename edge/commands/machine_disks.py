"""``edge machine disks``, ``move-data`` and what belongs to it: the data moves to a bigger disk.

What root runs says so in its help; systemd and the image do that. Changes are in the audit.
"""

# ruff: noqa: PLC0415 - see `edge.commands.parsing`

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable

from edge.commands.parsing import Run
from edge.commands.wished import places_of, wished
from edge.commands.words import say

__all__ = ["add_disks"]

_MOVED = 3
"""Exit status of ``edge machine switch``: the data is on the new disk, start anew."""
_LONG = 6 * 3600.0
"""Seconds: to make a file system on a large and slow disk takes its time."""
_KEY = 300.0
"""Seconds that a slow TPM and a slow disk may take for a key."""


def add_disks(add: Callable[[str, str, Run], argparse.ArgumentParser]) -> None:
    """Add the acts, by what adds one: of a name, a help text, and what runs it."""
    add("disks", "List the disks, and whether the data moves to one.", _show)
    moving = add("move-data", "Have the box and its data move to a bigger disk.", _move)
    moving.add_argument("disk", metavar="DISK", help="such as sdb; edge machine disks lists them")
    moving.add_argument("--erase", action="store_true", help="what is on it is destroyed")
    add("stay", "End a move: the data stays where it is.", _stay)
    add("erase-old", "After a move: destroy the keys of the old copy.", _erase_old)
    add("copy", "As root: copy the data to the disk that was chosen.", _copy)
    add("keep-disk-key", "As root: see that the disk has a recovery key.", _keep_key)
    add("read-disk-key", "As the machine starts: what a typed recovery key opens by.", _read_key)
    add("switch", "As root, at a start: the last step of a move; 3 if it moved.", _switch)


async def _show(options: argparse.Namespace) -> int:
    from edge.machine.asking import disks_from
    from edge.machine.moves import read_move

    places = places_of(options)
    for disk in await disks_from(places):
        say(str(disk))
    if (state := await asyncio.to_thread(read_move, places)) is not None:
        say(state.words)
    return 0


async def _move(options: argparse.Namespace) -> int:
    from edge.errors import MachineRefused
    from edge.machine.asking import disks_from
    from edge.machine.wishes import Move

    found = {disk.name: disk for disk in await disks_from(places_of(options))}
    disk = found.get(options.disk)
    if disk is None:
        raise MachineRefused(f"this machine has no disk {options.disk}", hint="edge machine disks")
    if disk.holds and not disk.role and not disk.hindrance and not options.erase:
        say(str(disk), file=sys.stderr)
        say("Everything on it is destroyed. To go on, type erase:", file=sys.stderr)
        options.erase = (await asyncio.to_thread(sys.stdin.readline)).strip() == "erase"
    await wished(options, Move(disk.name, disk.seen, erase=bool(options.erase)))
    say(f"the data is being copied to {disk.known}; edge machine disks says how far it is")
    say("once it is ready, restart the box: it moves there, which takes some minutes")
    return 0


async def _stay(options: argparse.Namespace) -> int:
    from edge.machine.moves import read_move
    from edge.machine.wishes import Stay

    places = places_of(options)
    await wished(options, Stay())
    state = await asyncio.to_thread(read_move, places)
    say("the data stays where it is" if state is None else state.words)
    return 0


async def _erase_old(options: argparse.Namespace) -> int:
    from edge.machine.wishes import EraseOld

    await wished(options, EraseOld())
    say("nobody can open the old copy any more")
    return 0


# What root runs -----------------------------------------------------------------------------------


def _copy(options: argparse.Namespace) -> int:
    from edge.machine.moving import Mover
    from edge.machine.tools import Tools

    Mover(places_of(options), Tools(seconds=_LONG)).run()
    return 0


def _keep_key(options: argparse.Namespace) -> int:
    from edge.machine.disk_key import keep_disk_key
    from edge.machine.tools import Tools

    if keep_disk_key(places_of(options), Tools(seconds=_KEY)):
        say("the disk has a recovery key: the page has it for the recovery sheet")
    return 0


def _read_key(_: argparse.Namespace) -> int:
    from edge.errors import WrongKey
    from edge.machine.disk_key import passphrase_from

    try:
        passphrase = passphrase_from(sys.stdin.readline())
    except WrongKey as error:
        say(str(error), file=sys.stderr)  # on one line of a screen
        return 1
    say(passphrase)
    return 0


def _switch(options: argparse.Namespace) -> int:
    from edge.errors import EdgeError
    from edge.machine.places import OPENED
    from edge.machine.switching import switch
    from edge.machine.tools import Tools

    places = places_of(options)
    try:
        return _MOVED if switch(places, Tools(seconds=_LONG), OPENED) else 0
    except (EdgeError, OSError) as error:
        (places.own_disk / "move-failed").write_text(f"{error}\n", encoding="utf-8")
        say(f"the data stays where it is: {error}", file=sys.stderr)
        return 1
