"""``edge provision``: a box is set up by a file, and nobody at a keyboard; see `edge.provision`.

``stick`` and ``boot`` are what systemd runs, see `edge.commands.setting_up`.
"""

# ruff: noqa: PLC0415 - see `edge.commands.parsing`

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.access.audit.entry import Actor, Entry, Event, Kind
from edge.commands.parsing import Acts, Commands, configuration
from edge.commands.setting_up import places_of, set_up_by_boot, set_up_by_stick
from edge.commands.words import moment, say
from edge.errors import ConfigError, MachineRefused, SecretError

if TYPE_CHECKING:
    from edge.config import Config

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add the command."""
    acts = Acts(commands.add("provision", "Set a new box up by a file on a stick."))
    check = acts.add("check", "Read such a file, and say what is wrong with it.", _check)
    check.add_argument("file", type=Path, metavar="FILE", help="edge.toml of the stick")
    acts.add("token", "Print a token for such a file: the first admin's code.", _token)
    acts.add("show", "Say by what this box was set up.", _show)
    stick = acts.add("stick", "Set this box up by what is on a stick.", set_up_by_stick)
    stick.add_argument("folder", type=Path, metavar="FOLDER", help="where it is mounted")
    for name, text, run in (
        ("boot", "Set this box up by what was on its boot partition.", set_up_by_boot),
        ("clock", "Set the clock by the archive, where nobody else tells the time.", _clock),
    ):
        acts.add(name, text, run).add_argument("--root", type=Path, help=argparse.SUPPRESS)
    stick.add_argument("--root", type=Path, help=argparse.SUPPRESS)


def _token(_: argparse.Namespace) -> int:
    from edge.access.codes import new_code

    say(new_code())
    return 0


def _check(options: argparse.Namespace) -> int:
    from edge.provision.authority import not_named
    from edge.provision.file import read_setup
    from edge.provision.medium import beside
    from edge.provision.text import LONGEST, text_of

    try:
        data = options.file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{options.file}: can't be read: {error.strerror}") from error
    if len(data) > LONGEST:
        raise ConfigError(f"{options.file}: is longer than {LONGEST} bytes")
    others = beside(options.file.parent)
    setup = read_setup(text_of(data, str(options.file)), str(options.file), others)
    said = [f"{len(setup.changes)} settings"]
    said += ["a token"] * bool(setup.token) + ["the network"] * (setup.network is not None)
    if setup.restore is not None:
        said = ["the recovery key"] * bool(setup.restore.key)
        said.append(f"the backup is {setup.restore.file or 'in the archive'}")
    say(f"{options.file} is sound: {', '.join(said)}")
    if unread := not_named(setup.ca, others):
        say(f"But {unread}", file=sys.stderr)
    return 0


async def _show(options: argparse.Namespace) -> int:
    loaded = await configuration(options)
    from edge.provision.journal import read_provisioned

    found = await asyncio.to_thread(read_provisioned, loaded.appliance.data_dir)
    if found is None:
        say("this box was set up by no file")
    else:
        say(f"this box was set up by the {found.by}, {moment(found.at)}")
    return 0


# The clock ----------------------------------------------------------------------------------------


async def _clock(options: argparse.Namespace) -> int:
    loaded = await configuration(options)
    from edge.commands.witness import tell_alone
    from edge.machine.asking import ask
    from edge.machine.clock import needs_time
    from edge.machine.wishes import Clock
    from edge.provision.clock import time_from

    places, before = places_of(options), time.time()
    if not await asyncio.to_thread(needs_time, places, before):
        say("this machine knows the time by itself", file=sys.stderr)
        return 0
    cloud = await asyncio.to_thread(_with_secrets, loaded)
    heard = await time_from(cloud)
    try:
        off = float((await ask(places, Clock(heard.utc, heard.measured))).message)
    except ValueError as error:
        raise MachineRefused("the machine does not say whether it set the clock") from error
    if abs(off) >= 2.0:
        entry = Entry(
            at=time.time(),
            event=Event.CLOCK,
            actor=Actor(heard.archive, Kind.ARCHIVE),
            what="edge provision clock",
            detail={"seconds": f"{off:.0f}"},
        )
        await asyncio.to_thread(tell_alone, loaded, entry)
    say(f"the clock was off by {off:.0f} s, as {heard.archive} says", file=sys.stderr)
    return 0


def _with_secrets(loaded: Config) -> Any:
    """The archives; those behind a proxy that wants a password, with it.

    One that has a secret which can't be opened is not asked. While the keys are not at hand, nobody
    knows which that are: then those are asked that need no password on the way.
    """
    archives = loaded.cloud.in_order
    if all(one.auth.kind == "none" and not one.proxy_password for one in archives):
        return archives
    from edge.cloud.shut import opened
    from edge.crypto.secrets import PURPOSE, unopened
    from edge.opening import ring

    try:
        with ring(loaded) as keys:
            key = keys.derive(PURPOSE)
    except SecretError as error:
        say(f"edge: {error}; {error.hint}", file=sys.stderr)
        return [archive for archive in archives if not archive.proxy_password]
    found = []
    for archive in archives:
        where = f"cloud.archive.{loaded.cloud.archive.index(archive)}"
        lost = unopened(archive, key, where)
        for one in lost:
            say(f"edge: {one}; {one.hint}", file=sys.stderr)
        if not lost:
            has_login = bool(archive.proxy_password)
            found.append(opened(archive, loaded.cloud, key) if has_login else archive)
    return found
