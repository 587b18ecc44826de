"""``edge provision stick`` and ``boot``: what a file was found by, what came of it, who is told.

Whatever goes wrong is written where the file was.
"""

# ruff: noqa: PLC0415 - see `edge.commands.parsing`

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from edge.access.audit.entry import Actor, Entry, Event, Kind, Outcome
from edge.commands.parsing import configuration, configuration_file
from edge.errors import ConfigError, EdgeError

if TYPE_CHECKING:
    from edge.machine.places import Places
    from edge.opening import Cache
    from edge.provision.medium import Found
    from edge.provision.taking import Restorer, Taken, Taking, TokenPlace

__all__ = ["places_of", "set_up_by_boot", "set_up_by_stick"]

_STICK, _BOOT = "stick", "boot partition"
_AGAIN = {
    _STICK: "mend them, and put the stick in once more",
    _BOOT: "mend them, and write the file onto the boot partition once more",
}
"""What to do about settings that the service does not start with."""
_ANOTHER = "edge provision token makes one"
_UPDATE = "EDGE-UPDATE"
"""The folder of a stick that brings an update, too (`edge.updates.stick`)."""
_LONGEST = 7000
"""Characters of what was wrong."""
_PATIENCE = 80.0
"""Seconds for the service to run with other settings; the units give 400 for all."""
_LONG_PATIENCE = 240.0
"""Seconds for it to run as a box that was restored."""
_LOOK = 0.2
_NOT_IN_FORCE = (
    "The box is yet to start anew with these settings: the fingerprint to compare",
    "stands on its screen then.",
)
_STAYS = "The file stays on the boot partition, and is tried again at the next start.\n"


async def set_up_by_stick(options: argparse.Namespace) -> int:
    """By what is on a stick; the answer is written onto it, and shown on the screen."""
    from functools import partial

    from edge.machine.sticks import Use, tell_of_stick
    from edge.provision import medium

    stick = options.folder
    tell = partial(tell_of_stick, places_of(options), stick, Use.SETUP)
    stopping = _stopping()
    try:
        if await asyncio.to_thread((stick / _UPDATE).is_dir):  # looked at afterwards
            wait = partial(tell_of_stick, places_of(options), stick, Use.UPDATE, is_over=False)
            await asyncio.to_thread(wait, "its update comes next")
        await asyncio.to_thread(tell, "is read", is_over=False)
        found = await asyncio.to_thread(medium.find, stick)
        if found is None:
            await asyncio.to_thread(tell, f"has no {medium.FOLDER}/{medium.FILE}")
            return 0
        read = partial(medium.read_large, stick)
        place = partial(medium.Token, stick)
        words, said = await _set_up(options, found, _STICK, stopping, place, read)
    except Exception as error:
        said = f"not taken: {medium.ANSWER} on it says why"
        try:
            await asyncio.to_thread(medium.answer, stick, _refusal(error))
        except (EdgeError, OSError):  # why it was refused is the news
            said = "not taken, and the answer can't be written to it"
        await asyncio.to_thread(tell, said)
        raise
    try:
        await asyncio.to_thread(medium.answer, stick, words)
    except (EdgeError, OSError):
        await asyncio.to_thread(tell, f"{said}; the answer can't be written to it")
        raise
    await asyncio.to_thread(tell, said)
    return 0


async def set_up_by_boot(options: argparse.Namespace) -> int:
    """By what was on the boot partition; root writes the answer there, and removes the file."""
    from edge.machine.asking import ask
    from edge.machine.wishes import SetupTaken
    from edge.provision import medium
    from edge.provision.taking import may_pass

    places, stopping = places_of(options), _stopping()
    try:
        found = await asyncio.to_thread(medium.read_folder, places.setup)
        if found is None:
            return 0
        words, _ = await _set_up(options, found, _BOOT, stopping)
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


def _stopping() -> asyncio.Event:
    """Set once this process is told to end: the stick was pulled out, or the machine ends.

    What is under way is not broken off in the middle, but undone, or done.
    """
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(ValueError):  # not in the main thread
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    return stopping


async def _set_up(
    options: argparse.Namespace,
    found: Found,
    by: str,
    stopping: asyncio.Event,
    place: Callable[[str], TokenPlace] | None = None,
    read: Callable[[str], bytes] | None = None,
) -> tuple[str, str]:
    """Have it taken; the answer for people, and what the screen says of it."""
    from edge.provision.authority import not_named
    from edge.provision.file import read_setup

    where = "EDGE-SETUP/edge.toml"
    setup = await asyncio.to_thread(read_setup, found.text, where, found.beside)
    token = place(setup.secret) if place is not None and setup.secret else None
    loaded = await configuration(options)
    from edge.opening import Cache

    file = await configuration_file(options)
    taken, wrong = None, ""
    await _go_on_with_replacing(loaded.appliance.data_dir)
    try:
        async with Cache(loaded) as cache:
            from edge.provision.restoring import Restoring

            restoring = Restoring(loaded, file, cache.database, read)
            taking = _taking(options, cache, file, stopping, restoring)
            try:
                taken = await taking.take(setup, by, found.beside, token)
            except EdgeError as error:
                await cache.audit.record(_entry(by, {}, str(error)))
                raise
            if not taken.is_new:
                return await _taken_before(token)
            from edge.cache.own_settings import told

            await cache.audit.record(_entry(by, told(taken.changes)))
        if taken.changes:
            wrong = await _come_into_force(loaded.appliance.data_dir, stopping)
    except EdgeError as error:
        if taken is None:
            raise
        wrong = f"\nBut: {error}\n{error.hint}\n"  # it was set up all the same
    else:
        if wrong:
            await _refuse_unless_set_up(options, file, by, token, wrong)
            wrong = f"\nBut: {wrong}\n"
    if taken.restored:
        words, said = await _replaced(options, by, taken.restored, token, stopping)
        return words + wrong, said
    if unread := await asyncio.to_thread(not_named, setup.ca, found.beside):
        wrong += f"\nBut {unread}.\n"
    if taken.stays:
        wrong += (
            f"\nOf another file, that was not taken to its end, holds: {', '.join(taken.stays)}\n"
        )
    try:
        words = await _answer(options, by, taken)
    except EdgeError as error:
        words = f"This box was set up by the {by}. But: {error}\n{error.hint}\n"
    return words + wrong, "has set this box up"


async def _taken_before(token: TokenPlace | None) -> tuple[str, str]:
    words, said = (
        "This box was set up by this file before; nothing was changed.\n",
        ("has set this box up before; nothing was changed"),
    )
    if token is not None:
        try:
            await token.strike_out()
        except EdgeError as error:
            words += f"But its token can't be struck out: {error}\n{error.hint}\n"
            said += "; but its token can't be struck out"
    return words, said


async def _refuse_unless_set_up(
    options: argparse.Namespace, file: Path | None, by: str, token: TokenPlace | None, why: str
) -> None:
    """The service took the settings of a file back, and the box is as new: another may be taken.

    Raises:
        ConfigError: So it is.
        HalfTaken: Something of the file holds all the same.
    """
    loaded = await configuration(options)
    from edge.opening import Cache
    from edge.provision.journal import HalfTaken

    wrong: EdgeError = ConfigError(why, hint=_AGAIN[by])
    async with Cache(loaded) as cache:
        try:
            if await _taking(options, cache, file).settle():
                return  # there is an admin by now, who sees to it
        except HalfTaken as error:
            wrong = HalfTaken(f"{why}; {error}", hint=error.hint)
        await cache.audit.record(_entry(by, {}, str(wrong)))
    if token is not None:
        try:
            await token.put_back()
        except EdgeError as error:
            struck = f"{wrong}; the token is struck out of the file"
            again = f"{wrong.hint}; write another token into the file, too: {_ANOTHER}"
            raise HalfTaken(struck, hint=again.removeprefix("; ")) from error
    raise wrong


async def _replaced(
    options: argparse.Namespace,
    by: str,
    box: str,
    key: TokenPlace | None,
    stopping: asyncio.Event,
) -> tuple[str, str]:
    """Have the service begin anew as the restored box, and wait for that; the answer.

    Raises:
        ConfigError: It does not start; the box is as before.
    """
    from edge.admin.local import ask_service
    from edge.cache.replacing import read, why_not

    folder = (await configuration(options)).appliance.data_dir
    until, wrong = time.monotonic() + _LONG_PATIENCE, ""
    try:
        runs = await ask_service(folder, "settings") is not None
    except EdgeError as error:  # it is decided all the same
        runs, wrong = False, f"But: {error}\n{error.hint}".rstrip()
    while runs and await asyncio.to_thread(read, folder) is not None:
        if time.monotonic() > until or stopping.is_set():
            runs = False
        await asyncio.sleep(_LOOK)
    if why := await asyncio.to_thread(why_not, folder):
        await _back_again(options, by, key, why)
    if not runs:
        lines = [f"This box becomes {box} again once it has started anew: its screen says so."]
        lines += [wrong] * bool(wrong)
    else:
        lines = [f"This box is {box} again.", ""]
        try:
            lines += await _where(options, is_new=False)
        except EdgeError as error:
            lines.append(f"But: {error}\n{error.hint}".rstrip())
    lines += ["", "Who could log in there can log in here, with password and code as before."]
    if by == _STICK:
        lines += [
            "The recovery key was struck out of the file, but a stick may keep traces of it: make",
            "another on the page, under Backup, and lock the stick away or destroy it.",
        ]
    said = f"has made this box {box} again" if runs else f"makes this box {box}"
    return "\n".join([*lines, ""]), said


async def _go_on_with_replacing(folder: Path) -> None:
    """Whoever decided that another box takes this one's place may not have come to say so."""
    from edge.admin.local import ask_service
    from edge.cache.replacing import read

    what = await asyncio.to_thread(read, folder)
    if what is not None and what.step == "ready":
        with contextlib.suppress(EdgeError):
            await ask_service(folder, "settings")


async def _back_again(
    options: argparse.Namespace, by: str, key: TokenPlace | None, why: str
) -> NoReturn:
    """The box is as on its first day: that is recorded, and the stick is as it was.

    Raises:
        ConfigError: Always; it says why.
    """
    loaded = await configuration(options)
    from edge.cache.replacing import forget_why
    from edge.opening import Cache

    async with Cache(loaded) as cache:
        await cache.audit.record(_entry(by, {}, why))
    if key is not None:
        with contextlib.suppress(EdgeError):  # then it is typed once more
            await key.put_back()
    await asyncio.to_thread(forget_why, loaded.appliance.data_dir)
    raise ConfigError(
        f"the restored box does not start here: {why}",
        hint="this box is as on its first day; where there is a shell, edge restore says more",
    )


async def _come_into_force(folder: Path, stopping: asyncio.Event) -> str:
    """Have the service begin anew with what was written, and wait for that; what is wrong of it.

    Args:
        folder: ``data_dir``.
        stopping: Set if there is nobody to be told what came of it.

    Raises:
        EdgeError: The service can't be told.
    """
    from edge.admin.local import ask_service
    from edge.cache.own_settings import in_force, refused_why, said_in, setback

    written = await asyncio.to_thread(said_in, folder)
    if await ask_service(folder, "settings") is None:
        return ""  # it starts with them; the answer says that they are not in force yet
    until, why = time.monotonic() + _PATIENCE, ""
    while time.monotonic() < until and not stopping.is_set():
        # Those that it took back it may yet put back: that is known once it runs.
        is_over = await asyncio.to_thread(in_force, folder)
        now = await asyncio.to_thread(setback, folder)
        if is_over and not now:
            break
        why = now or why  # once it has undone all of the file, it says that no more
        await asyncio.sleep(_LOOK)
    if await asyncio.to_thread(said_in, folder) != written:
        why = await asyncio.to_thread(refused_why, folder) or why
        return f"the box does not start with these settings{why and ': '}{why}"
    return ""


def _taking(
    options: argparse.Namespace,
    cache: Cache,
    file: Path | None,
    stopping: asyncio.Event | None = None,
    restorer: Restorer | None = None,
) -> Taking:
    from functools import partial

    from edge.cache.own_settings import OwnSettings
    from edge.crypto.secrets import PURPOSE, seal_secret
    from edge.machine.asking import ask
    from edge.provision.taking import Taking

    seal = partial(seal_secret, key=cache.keys.derive(PURPOSE))
    own = OwnSettings(file, cache.folder, seal)
    places = places_of(options)
    return Taking(
        cache.folder,
        cache.users,
        own,
        machine=partial(ask, places),
        places=places,
        is_stopped=(stopping or asyncio.Event()).is_set,
        restorer=restorer,
    )


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


async def _where(options: argparse.Namespace, *, is_new: bool) -> list[str]:
    """What the box is called, and where its page is."""
    loaded = await configuration(options)  # as it is from now on
    from edge.access.tls import fingerprints
    from edge.cache.network import look
    from edge.cache.own_settings import in_force
    from edge.cache.page_address import page_address
    from edge.machine.places import Places

    page = await asyncio.to_thread(page_address, loaded, Places().firewall, is_new=is_new)
    folder = loaded.appliance.data_dir
    # Another name has another certificate, which the service makes as it begins anew.
    shown = None
    if await asyncio.to_thread(in_force, folder):
        shown = await asyncio.to_thread(fingerprints, loaded.http, folder / "tls")
    looks = {one.what: one.found for one in await asyncio.to_thread(look)}
    lines = [
        f"Name       {loaded.appliance.name}",
        f"Page       {page}",
        f"Addresses  {looks['address']}",
    ]
    if shown is not None:
        lines.append(f"Trust      SHA-256 {shown.authority or shown.server}")
    return lines


async def _answer(options: argparse.Namespace, by: str, taken: Taken) -> str:
    loaded = await configuration(options)  # as it is from now on
    from edge.cache.own_settings import in_force
    from edge.console.times import at_place, zone_of

    zone = await asyncio.to_thread(zone_of, loaded.appliance.time_zone)

    def there(posix: float) -> str:
        return f"{at_place(posix, zone):%Y-%m-%d %H:%M %Z}"

    holds = await asyncio.to_thread(in_force, loaded.appliance.data_dir)
    lines = [f"This box was set up by the {by}, {there(time.time())}.", ""]
    lines += await _where(options, is_new=True)
    if not holds:
        lines += ["", *_NOT_IN_FORCE]
    gone = "It was struck out of the file." if by == _STICK else "The file was removed."
    if taken.code_until is not None:
        lines += [
            "",
            "The first admin is made on the page with the token of the file, until",
            f"{there(taken.code_until)}. {gone}",
        ]
    else:
        lines += [
            "",
            "The code of the first admin is on the screen of the box; its key c makes another.",
        ]
    if by == _STICK:
        lines += ["", "Passwords still stand in the file: delete it, or lock the stick away."]
    return "\n".join([*lines, ""])


def _refusal(error: Exception) -> str:
    from edge.provision.journal import HalfTaken

    hint = f"{error.hint[:_LONGEST]}\n" if isinstance(error, EdgeError) and error.hint else ""
    said = str(error)[:_LONGEST]  # what stands in the file may be as long as that is
    if isinstance(error, EdgeError) and not isinstance(error, HalfTaken):
        return f"Nothing was changed: {said}\n{hint}"
    return f"This box was not set up to the end: {said}\n{hint}"


def places_of(options: argparse.Namespace) -> Places:
    """Of the machine that is set up."""
    from edge.machine.places import Places

    return Places() if options.root is None else Places.under(options.root)
