"""``edge key unlock``, ``lock`` and ``change``: what opens the box, and who shuts it.

What is typed is asked for at a terminal without being shown, or read from a file or a pipe; it is
never an argument, for those are seen by everybody on the machine.
"""

# ruff: noqa: PLC0415 - see `edge.commands.parsing`

from __future__ import annotations

import argparse
import asyncio
import getpass
import os
import pwd
import stat
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from edge.commands.parsing import Acts, configuration
from edge.commands.witness import who
from edge.commands.words import say
from edge.errors import DecisionRefused, EdgeError, KeyLocked, Needs, SecretError, WrongKey

if TYPE_CHECKING:
    from edge.admin.local_keys import LockAsked, Opening
    from edge.config import Config

__all__ = ["add_unlocking"]

_ASK, _CHOOSE, _AGAIN = "Passphrase: ", "New passphrase: ", "The same again: "
_TRIES = 3
_TYPE = "type it, or name a file that has it with --file"
_START = "start it with edge serve: it waits for its passphrase"


def add_unlocking(acts: Acts) -> None:
    """Add them."""
    from edge.commands.key import add_key_file

    unlock = acts.add("unlock", "Open a locked box.", _unlock)
    unlock.add_argument(
        "--recovery", action="store_true", help="by its recovery key, whatever it waits for"
    )
    unlock.add_argument(
        "--file", type=Path, metavar="FILE", help="has the passphrase; else it is asked for"
    )
    add_key_file(unlock)
    lock = acts.add("lock", "Lock the box, until it is opened again on purpose.", _lock)
    lock.add_argument(
        "--force",
        action="store_true",
        help="even without a recovery key; then the key stays where it is",
    )
    text = "Have another root secret, kept as [keys] of the configuration says now."
    acts.add("change", text, _change).add_argument(
        "--file", type=Path, metavar="FILE", help="has the new passphrase; else it is asked for"
    )


async def _unlock(options: argparse.Namespace) -> int:
    loaded = await configuration(options)
    from edge.admin.local_keys import Opening, state_of_service

    folder = loaded.appliance.data_dir
    waiting = await asyncio.to_thread(state_of_service, folder)
    if waiting is not None and waiting.needs is None:
        say("edge: the box is open", file=sys.stderr)
        return 0
    if options.recovery:
        await _by_recovery_key(options, loaded)
    elif waiting is None:
        await asyncio.to_thread(_without_service, loaded, Opening(by=who().name))
    elif waiting.needs in (Needs.PASSPHRASE, Needs.NEW_PASSPHRASE):
        await _by_passphrase(options, folder, is_new=waiting.needs is Needs.NEW_PASSPHRASE)
    else:
        await asyncio.to_thread(_open, loaded, Opening(by=who().name))
    say("edge: the box is open", file=sys.stderr)
    return 0


async def _by_passphrase(options: argparse.Namespace, folder: Path, *, is_new: bool) -> None:
    from edge.admin.local_keys import Opening, open_service

    for left in reversed(range(_TRIES)):
        text = await asyncio.to_thread(_passphrase, options.file, is_new=is_new)
        try:
            await asyncio.to_thread(open_service, folder, Opening(text, by=who().name))
            return
        except WrongKey as error:
            if not left or options.file is not None or not sys.stdin.isatty():
                raise
            say(f"edge: {error}", file=sys.stderr)


async def _by_recovery_key(options: argparse.Namespace, loaded: Config) -> None:
    from edge.admin.local_keys import Opening
    from edge.commands.key import ask_for_key

    key = await ask_for_key(options)
    text = " ".join(key.to_groups())
    try:
        await asyncio.to_thread(_open, loaded, Opening(recovery_key=text, by=who().name))
    except KeyLocked as error:
        if error.needs is not Needs.NEW_PASSPHRASE:
            raise
        say("edge: the recovery key is right; choose a new passphrase", file=sys.stderr)
        new = await asyncio.to_thread(_passphrase, options.file, is_new=True)
        await asyncio.to_thread(_open, loaded, Opening(new, text, by=who().name))


def _open(loaded: Config, by: Opening) -> None:
    """By the service, or instead of it."""
    from edge.admin.local_keys import open_service

    if not open_service(loaded.appliance.data_dir, by):
        _without_service(loaded, by)


def _without_service(loaded: Config, by: Opening) -> None:
    """What opens the box at the next start, which tells the audit of it."""
    from edge.access.audit.shut import Tries, keep, locked_entry, opened_entry
    from edge.crypto.passphrases import normal
    from edge.crypto.recovery import RecoveryKey
    from edge.opening import custodian_of, lock_folder, make_folder

    folder = loaded.appliance.data_dir
    make_folder(folder)
    lock = lock_folder(folder)
    try:
        custodian, how, tries = custodian_of(loaded), "an act on the machine", Tries()
        locked = custodian.locked()
        try:
            if by.recovery_key:
                how, new = "the recovery key", normal(by.passphrase) if by.passphrase else None
                custodian.open_by_recovery_key(RecoveryKey.from_text(by.recovery_key), new)
            elif loaded.keys.provider == "passphrase":
                raise SecretError("the service does not run", hint=_START)
            else:
                custodian.open_by_act(first_start=False)
        except WrongKey:
            tries.wrong(who(), how)
            keep(folder, *tries.entries())
            raise
        else:
            if locked is not None or by.recovery_key:
                keep(folder, *locked_entry(locked), opened_entry(how, who(), locked))
        finally:
            give_to_owner(folder)
    finally:
        os.close(lock)


def give_to_owner(folder: Path) -> None:
    """What root wrote is for the user who owns the folder, and nothing else.

    That user may put there what they like, at any moment: no link is followed, and a file that has
    another name elsewhere is left alone.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        owner = os.fstat(descriptor)
        if os.geteuid() == 0 and owner.st_uid != 0:
            for name in [place.name for place in folder.iterdir()]:
                _give(name, descriptor, owner)
    finally:
        os.close(descriptor)


def _give(name: str, folder: int, owner: os.stat_result) -> None:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(name, flags, dir_fd=folder)
    except OSError:  # a link, a socket, or gone
        return
    try:
        found = os.fstat(descriptor)
        if stat.S_ISREG(found.st_mode) and found.st_uid == 0 and found.st_nlink == 1:
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
    finally:
        os.close(descriptor)


def _passphrase(file: Path | None, *, is_new: bool) -> str:
    """What somebody has for us: in a file, by a pipe, or typed and not shown."""
    try:
        if file is not None:
            text = _without_end(file.read_text("utf-8"))
        elif not sys.stdin.isatty():
            text = _without_end(sys.stdin.readline())
        else:
            text = _typed(is_new=is_new)
    except (OSError, UnicodeDecodeError, EOFError) as error:
        raise EdgeError(
            f"the passphrase can't be read: {str(error) or 'nobody typed it'}",
            hint=_TYPE,
        ) from error
    if not text:
        raise EdgeError("nobody typed a passphrase", hint=_TYPE)
    return text


def _typed(*, is_new: bool) -> str:
    text = getpass.getpass(_CHOOSE if is_new else _ASK)
    if is_new and text:
        _require_strength(text)  # before anybody types it twice
        if getpass.getpass(_AGAIN) != text:
            raise EdgeError("the two passphrases are not the same", hint="nothing was changed")
    return text


def _require_strength(text: str) -> None:
    from edge.crypto.passphrases import normal, require_strength, wipe

    passphrase = normal(text)
    try:
        require_strength(passphrase)
    finally:
        wipe(passphrase)


def _without_end(text: str) -> str:
    return text.removesuffix("\n").removesuffix("\r")


async def _lock(options: argparse.Namespace) -> int:
    loaded = await configuration(options)
    from edge.admin.local_keys import LockAsked, lock_service

    asked = LockAsked(f"{_who()} on this machine", force=options.force)
    folder = loaded.appliance.data_dir
    locked = await asyncio.to_thread(lock_service, folder, asked)
    left = locked.left if locked else await asyncio.to_thread(_lock_without_service, loaded, asked)
    say("edge: the box is locked", file=sys.stderr)
    if left:
        say(f"edge: not everything that opens it could be destroyed: {left}", file=sys.stderr)
        say("  hint: destroy that yourself; each start tries again", file=sys.stderr)
    return 1 if left else 0


async def _change(options: argparse.Namespace) -> int:
    loaded = await configuration(options)
    from edge.admin.local_keys import ChangeAsked, change_service, state_of_service

    folder, passphrase = loaded.appliance.data_dir, ""
    waiting = await asyncio.to_thread(state_of_service, folder)
    if waiting is None or waiting.needs is not None:
        raise SecretError(
            "the service does not run" if waiting is None else f"the box is locked: {waiting.why}",
            hint="have it running and open, with the [keys] that it had; then change those in its"
            " configuration, and repeat this",
        )
    if loaded.keys.provider == "passphrase":
        passphrase = await asyncio.to_thread(_passphrase, options.file, is_new=True)
    asked = ChangeAsked.of(f"{_who()} on this machine", loaded.keys, passphrase)
    await asyncio.to_thread(change_service, folder, asked)
    say(f'edge: the root secret is another, kept by "{loaded.keys.provider}"', file=sys.stderr)
    say(
        "      whatever was copied of the old one, as root.key, opens this box no more",
        file=sys.stderr,
    )
    if loaded.keys.provider == "file":
        say("      keep a copy of the new root.key, if you had one of the old", file=sys.stderr)
    return 0


def _lock_without_service(loaded: Config, asked: LockAsked) -> str:
    """Lock it; what could not be destroyed."""
    from edge.crypto.escrow import Escrow
    from edge.opening import custodian_of, lock_folder, ring

    folder = loaded.appliance.data_dir
    if not any((folder / name).exists() for name in ("keys.db", "index.db")):
        raise DecisionRefused(f"there is no box in {folder}")
    lock = lock_folder(folder)
    try:
        custodian = custodian_of(loaded)
        locking = partial(custodian.lock, asked.by, time.time(), force=asked.force)
        if custodian.keeper.is_destroyed_by_locking and custodian.locked() is None:
            with ring(loaded) as keys:
                locking(escrow=Escrow(folder, keys))
        else:
            locking(escrow=None)
        give_to_owner(folder)
        return custodian.left
    finally:
        os.close(lock)


def _who() -> str:
    """The user who runs this; behind sudo, who called that."""
    try:
        return os.environ.get("SUDO_USER") or pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
