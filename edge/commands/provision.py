"""``edge provision``: a box is set up by a file, and nobody at a keyboard; see `edge.provision`.

``stick`` and ``boot`` are what systemd runs. Whatever goes wrong is written where the file was.
"""

# ruff: noqa: PLC0415 - see `edge.commands.parsing`

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.access.audit.entry import Actor, Entry, Event, Kind, Outcome
from edge.commands.parsing import Acts, Commands, configuration, configuration_file
from edge.commands.words import moment, say
from edge.errors import ConfigError, EdgeError, MachineRefused

if TYPE_CHECKING:
    from edge.config import Config
    from edge.machine.places import Places
    from edge.opening import Cache
    from edge.provision.file import Setup
    from edge.provision.medium import Found
    from edge.provision.taking import Taken, Taking

__all__ = ["add"]

_STICK, _BOOT = "stick", "boot partition"
_UPDATE = "EDGE-UPDATE"
"""The folder of a stick that brings an update, too (`edge.updates.stick`)."""
_LONGEST = 7000
"""Characters of what was wrong."""
_PATIENCE = 80.0
"""Seconds for the service to run with other settings; the units give 400 for all."""
_LOOK = 0.2
_NOT_IN_FORCE = (
    "The box is yet to start anew with these settings: the fingerprint to compare",
    "stands on its screen then.",
)
_STAYS = "The file stays on the boot partition, and is tried again at the next start.\n"


def add(commands: Commands) -> None:
    """Add the command."""
    acts = Acts(commands.add("provision", "Set a new box up by a file on a stick."))
    check = acts.add("check", "Read such a file, and say what is wrong with it.", _check)
    check.add_argument("file", type=Path, metavar="FILE", help="edge.toml of the stick")
    acts.add("token", "Print a token for such a file: the first admin's code.", _token)
    acts.add("show", "Say by what this box was set up.", _show)
    stick = acts.add("stick", "Set this box up by what is on a stick.", _stick)
    stick.add_argument("folder", type=Path, metavar="FOLDER", help="where it is mounted")
    for name, text, run in (
        ("boot", "Set this box up by what was on its boot partition.", _boot),
        ("clock", "Set the clock by the archive, where nobody else tells the time.", _clock),
    ):
        acts.add(name, text, run).add_argument("--root", type=Path, help=argparse.SUPPRESS)
    stick.add_argument("--root", type=Path, help=argparse.SUPPRESS)


def _token(_: argparse.Namespace) -> int:
    from edge.access.codes import new_code

    say(new_code())
    return 0


def _check(options: argparse.Namespace) -> int:
    from edge.provision.file import LONGEST, read_setup, text_of
    from edge.provision.medium import beside
    from edge.provision.taking import authority_of

    try:
        data = options.file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{options.file}: can't be read: {error.strerror}") from error
    if len(data) > LONGEST:
        raise ConfigError(f"{options.file}: is longer than {LONGEST} bytes")
    setup = read_setup(text_of(data, str(options.file)), str(options.file))
    authority_of(setup, beside(options.file.parent))
    said = [f"{len(setup.changes)} settings"]
    said += ["a token"] * bool(setup.token) + ["the network"] * (setup.network is not None)
    say(f"{options.file} is sound: {', '.join(said)}")
    return 0


async def _show(options: argparse.Namespace) -> int:
    loaded = await configuration(options)
    from edge.provision.taking import read_provisioned

    found = await asyncio.to_thread(read_provisioned, loaded.appliance.data_dir)
    if found is None:
        say("this box was set up by no file")
    else:
        say(f"this box was set up by the {found.by}, {moment(found.at)}")
    return 0


# By a file ----------------------------------------------------------------------------------------


async def _stick(options: argparse.Namespace) -> int:
    from functools import partial

    from edge.machine.sticks import Use, tell_of_stick
    from edge.provision import medium

    stick = options.folder
    tell = partial(tell_of_stick, _places(options), stick, Use.SETUP)
    try:
        if await asyncio.to_thread((stick / _UPDATE).is_dir):  # looked at afterwards
            wait = partial(tell_of_stick, _places(options), stick, Use.UPDATE, is_over=False)
            await asyncio.to_thread(wait, "its update comes next")
        await asyncio.to_thread(tell, "is read", is_over=False)
        found = await asyncio.to_thread(medium.find, stick)
        if found is None:
            await asyncio.to_thread(tell, f"has no {medium.FOLDER}/{medium.FILE}")
            return 0
        words, setup, said = await _set_up(options, found, _STICK)
    except Exception as error:
        said = f"not taken: {medium.ANSWER} on it says why"
        try:
            await asyncio.to_thread(medium.answer, stick, _refusal(error))
        except (EdgeError, OSError):  # why it was refused is the news
            said = "not taken, and the answer can't be written to it"
        await asyncio.to_thread(tell, said)
        raise
    try:
        await asyncio.to_thread(medium.answer, stick, words, token=setup.token)
    except (EdgeError, OSError):
        await asyncio.to_thread(tell, f"{said}; the answer can't be written to it")
        raise
    await asyncio.to_thread(tell, said)
    return 0


async def _boot(options: argparse.Namespace) -> int:
    from edge.machine.asking import ask
    from edge.machine.wishes import SetupTaken
    from edge.provision import medium
    from edge.provision.taking import may_pass

    places = _places(options)
    try:
        found = await asyncio.to_thread(medium.read_folder, places.setup)
        if found is None:
            return 0
        words, _, _ = await _set_up(options, found, _BOOT)
    except Exception as error:
        # It has a code and passwords in it, and lies in the clear: it goes, unless it may still be
        # taken; root counts at how many starts that was tried.
        wish = SetupTaken(_refusal(error), "refused")
        if may_pass(error):
            wish = SetupTaken(_refusal(error) + _STAYS, "later")
        with contextlib.suppress(EdgeError):
            await ask(places, wish)
        raise
    await ask(places, SetupTaken(words))
    return 0


async def _set_up(options: argparse.Namespace, found: Found, by: str) -> tuple[str, Setup, str]:
    """Have it taken; the answer for people, what was taken, and what the screen says of it."""
    from edge.provision.file import read_setup

    setup = read_setup(found.text, "EDGE-SETUP/edge.toml")
    loaded = await configuration(options)
    from edge.opening import Cache

    file = await configuration_file(options)
    taken, wrong = None, ""
    try:
        async with Cache(loaded) as cache:
            try:
                taken = await _taking(options, cache, file).take(setup, by, found.beside)
            except EdgeError as error:
                await cache.audit.record(_entry(by, {}, str(error)))
                raise
            if not taken.is_new:
                words = "This box was set up by this file before; nothing was changed.\n"
                return words, setup, "has set this box up before; nothing was changed"
            from edge.cache.own_settings import told

            await cache.audit.record(_entry(by, told(taken.changes)))
        if taken.changes:
            wrong = await _come_into_force(loaded.appliance.data_dir)
    except EdgeError as error:
        if taken is None:
            raise
        wrong = f"\nBut: {error}\n{error.hint}\n"  # it was set up all the same
    try:
        words = await _answer(options, by, taken)
    except EdgeError as error:
        words = f"This box was set up by the {by}. But: {error}\n{error.hint}\n"
    return words + wrong, setup, "has set this box up"


async def _come_into_force(folder: Path) -> str:
    """Have the service begin anew with what was written, and wait for that; what is wrong of it.

    Args:
        folder: ``data_dir``.

    Raises:
        EdgeError: The service can't be told.
    """
    from edge.admin.local import ask_service
    from edge.cache.own_settings import in_force, said_in

    written = await asyncio.to_thread(said_in, folder)
    if await ask_service(folder, "settings") is None:
        return ""  # it starts with them; the answer says that they are not in force yet
    until = time.monotonic() + _PATIENCE
    while not await asyncio.to_thread(in_force, folder):
        if time.monotonic() > until:
            return ""
        await asyncio.sleep(_LOOK)
    if await asyncio.to_thread(said_in, folder) != written:
        return "\nBut: the box does not start with these settings, and has those of before.\n"
    return ""


def _taking(options: argparse.Namespace, cache: Cache, file: Path | None) -> Taking:
    from functools import partial

    from edge.cache.own_settings import OwnSettings
    from edge.crypto.secrets import PURPOSE, seal_secret
    from edge.machine.asking import ask
    from edge.provision.taking import Taking

    seal = partial(seal_secret, key=cache.keys.derive(PURPOSE))
    own = OwnSettings(file, cache.folder, seal)
    places = _places(options)
    return Taking(cache.folder, cache.users, own, machine=partial(ask, places), places=places)


def _entry(by: str, told: dict[str, str], reason: str = "") -> Entry:
    return Entry(
        at=time.time(),
        event=Event.ADMINISTERED,
        actor=Actor(by, Kind.MACHINE),
        outcome=Outcome.REFUSED if reason else Outcome.SUCCESS,
        what="edge provision",
        reason=reason,
        detail=told,
    )


async def _answer(options: argparse.Namespace, by: str, taken: Taken) -> str:
    loaded = await configuration(options)  # as it is from now on
    from edge.access.tls import fingerprints
    from edge.cache.network import look
    from edge.cache.own_settings import in_force
    from edge.console.address import page_address
    from edge.machine.places import Places

    page = await asyncio.to_thread(page_address, loaded, Places().firewall, is_new=True)
    folder = loaded.appliance.data_dir
    # Another name has another certificate, which the service makes as it begins anew.
    shown = None
    if holds := await asyncio.to_thread(in_force, folder):
        shown = await asyncio.to_thread(fingerprints, loaded.http, folder / "tls")
    looks = {one.what: one.found for one in await asyncio.to_thread(look)}
    lines = [
        f"This box was set up by the {by}, {moment(time.time())}.",
        "",
        f"Name       {loaded.appliance.name}",
        f"Page       {page}",
        f"Addresses  {looks['address']}",
    ]
    if shown is not None:
        lines.append(f"Trust      SHA-256 {shown.authority or shown.server}")
    if not holds:
        lines += ["", *_NOT_IN_FORCE]
    gone = "It was struck out of the file." if by == _STICK else "The file was removed."
    if taken.code_until is not None:
        lines += [
            "",
            "The first admin is made on the page with the token of the file, until",
            f"{moment(taken.code_until)}. {gone}",
        ]
    else:
        lines += ["", "The code of the first admin is on the screen of the box."]
    if by == _STICK:
        lines += ["", "Passwords still stand in the file: delete it, or lock the stick away."]
    return "\n".join([*lines, ""])


def _refusal(error: Exception) -> str:
    from edge.provision.taking import HalfTaken

    hint = f"{error.hint[:_LONGEST]}\n" if isinstance(error, EdgeError) and error.hint else ""
    said = str(error)[:_LONGEST]  # what stands in the file may be as long as that is
    if isinstance(error, EdgeError) and not isinstance(error, HalfTaken):
        return f"Nothing was changed: {said}\n{hint}"
    return f"This box was not set up to the end: {said}\n{hint}"


# The clock ----------------------------------------------------------------------------------------


async def _clock(options: argparse.Namespace) -> int:
    loaded = await configuration(options)
    from edge.commands.witness import tell_alone
    from edge.machine.asking import ask
    from edge.machine.clock import needs_time
    from edge.machine.wishes import Clock
    from edge.provision.clock import time_from

    places, before = _places(options), time.time()
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

    One whose secret can't be opened is not asked.
    """
    archives = loaded.cloud.in_order
    if not any(one.proxy_password for one in archives):
        return archives
    from edge.cloud.shut import opened
    from edge.crypto.secrets import PURPOSE
    from edge.errors import SecretUnopened
    from edge.opening import ring

    found = []
    with ring(loaded) as keys:
        for archive in archives:
            if not archive.proxy_password:
                found.append(archive)
                continue
            try:
                found.append(opened(archive, loaded.cloud, keys.derive(PURPOSE)))
            except SecretUnopened as error:
                say(f"edge: {error}; {error.hint}", file=sys.stderr)
    return found


def _places(options: argparse.Namespace) -> Places:
    from edge.machine.places import Places

    return Places() if options.root is None else Places.under(options.root)
