"""``edge provision stick`` and ``boot``: what a file was found by, what came of it, who is told.

Whatever goes wrong is written where the file was.
"""

# ruff: noqa: PLC0415 - see `edge.commands.parsing`

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from edge.commands.beginning_anew import come_into_force, go_on_with_replacing, replaced
from edge.commands.parsing import configuration, configuration_file
from edge.commands.set_up_answers import BOOT, STICK, answer, entry_of, refusal
from edge.errors import ConfigError, EdgeError

if TYPE_CHECKING:
    from edge.machine.places import Places
    from edge.opening import Cache
    from edge.provision.medium import Found
    from edge.provision.taking import Restorer, Taking, TokenPlace

__all__ = ["places_of", "set_up_by_boot", "set_up_by_stick"]

_AGAIN = {
    STICK: "mend them, and put the stick in once more",
    BOOT: "mend them, and write the file onto the boot partition once more",
}
"""What to do about settings that the service does not start with."""
_ANOTHER = "edge provision token makes one"
_UPDATE = "EDGE-UPDATE"
"""The folder of a stick that brings an update, too (`edge.updates.stick`)."""
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
        words, said = await _set_up(options, found, STICK, stopping, place, read)
    except Exception as error:
        said = f"not taken: {medium.ANSWER} on it says why"
        try:
            await asyncio.to_thread(medium.answer, stick, refusal(error))
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
        words, _ = await _set_up(options, found, BOOT, stopping)
    except Exception as error:
        # It has a code and passwords in it, and lies in the clear: it goes, unless it may still be
        # taken; root counts at how many starts that was tried.
        wish = SetupTaken(refusal(error), "refused")
        if may_pass(error):
            wish = SetupTaken(refusal(error) + _STAYS, "later")
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
    await go_on_with_replacing(loaded.appliance.data_dir)
    try:
        async with Cache(loaded) as cache:
            from edge.provision.restoring import Restoring

            restoring = Restoring(loaded, file, cache.database, read)
            taking = _taking(options, cache, file, stopping, restoring)
            try:
                taken = await taking.take(setup, by, found.beside, token)
            except EdgeError as error:
                await cache.audit.record(entry_of(by, {}, str(error)))
                raise
            if not taken.is_new:
                return await _taken_before(token)
            from edge.cache.own_settings import told

            await cache.audit.record(entry_of(by, told(taken.changes)))
        if taken.changes:
            wrong = await come_into_force(loaded.appliance.data_dir, stopping)
    except EdgeError as error:
        if taken is None:
            raise
        wrong = f"\nBut: {error}\n{error.hint}\n"  # it was set up all the same
    else:
        if wrong:
            await _refuse_unless_set_up(options, file, by, token, wrong)
            wrong = f"\nBut: {wrong}\n"
    if taken.restored:
        words, said = await replaced(options, by, taken.restored, token, stopping)
        return words + wrong, said
    if unread := await asyncio.to_thread(not_named, setup.ca, found.beside):
        wrong += f"\nBut {unread}.\n"
    if taken.stays:
        wrong += (
            f"\nOf another file, that was not taken to its end, holds: {', '.join(taken.stays)}\n"
        )
    try:
        words = await answer(options, by, taken)
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
        await cache.audit.record(entry_of(by, {}, str(wrong)))
    if token is not None:
        try:
            await token.put_back()
        except EdgeError as error:
            struck = f"{wrong}; the token is struck out of the file"
            again = f"{wrong.hint}; write another token into the file, too: {_ANOTHER}"
            raise HalfTaken(struck, hint=again.removeprefix("; ")) from error
    raise wrong


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


def places_of(options: argparse.Namespace) -> Places:
    """Of the machine that is set up."""
    from edge.machine.places import Places

    return Places() if options.root is None else Places.under(options.root)
