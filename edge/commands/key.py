"""``edge key``: the recovery key, and the keys that wrap all others; the rest has its own files."""

# ruff: noqa: PLC0415 - see `edge.commands.parsing`

from __future__ import annotations

import argparse
import asyncio
import getpass
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from edge.access.audit.entry import Event
from edge.commands.key_credential import add_credential
from edge.commands.key_unlock import add_unlocking
from edge.commands.parsing import Acts, Commands, configuration
from edge.commands.qr import show_code, write_code
from edge.commands.witness import entry_of, tell_alone, witnessed
from edge.commands.words import moment, say
from edge.errors import EdgeError, SecretError

if TYPE_CHECKING:
    from edge.crypto.recovery import RecoveryKey

__all__ = ["add", "add_key_file", "ask_for_key"]

_WORDS = """\
This is the recovery key of this box. After theft or fire it is all that a new box needs, beside the
archive or a backup file: who has it can read what they hold. It is shown once, and kept nowhere.
Write it on paper, or print it, and lock it away in another building. O and 0 are the same, as are
I, L and 1; lower case will do.
"""
_ASK = "Recovery key: "
_MORE = "{} characters more (Enter if there are none): "


def add(commands: Commands) -> None:
    """Add the command."""
    acts = Acts(commands.add("key", "What opens the box: recovery key, locking, unlocking."))
    recovery = acts.add("recovery", "Print a recovery key; it can't be shown again.", _recovery)
    recovery.add_argument(
        "--renew", action="store_true", help="another one; the old one opens older backups only"
    )
    recovery.add_argument(
        "--qr", type=Path, metavar="FILE", help="also as a code to be scanned: a .svg or .png"
    )
    text = "Write the root key again, of a box that has all but that, by its recovery key."
    add_key_file(acts.add("restore", text, _restore))
    text = "Wrap all keys anew, and destroy the key that wrapped them; no image is touched."
    acts.add("rotate", text, _rotate).add_argument(
        "--abandon-damaged",
        action="store_true",
        help="give up keys that are damaged in both copies, and what is sealed with them",
    )
    add_unlocking(acts)
    add_credential(acts)


def add_key_file(command: argparse.ArgumentParser) -> None:
    """Add the option that names a file with the recovery key."""
    command.add_argument(
        "--key-file", type=Path, metavar="FILE", help="has the recovery key; else it is asked for"
    )


async def ask_for_key(options: argparse.Namespace) -> RecoveryKey:
    """The recovery key, from its file or typed.

    Raises:
        WrongKey: It is none; the message names the group that is wrong.
        EdgeError: The file can't be read.
    """
    from edge.crypto.recovery import RecoveryKey

    try:
        if options.key_file is None:
            text = await asyncio.to_thread(_typed)
        else:
            text = await asyncio.to_thread(options.key_file.read_text, "utf-8")
    except (OSError, UnicodeDecodeError, EOFError) as error:
        raise EdgeError(
            f"the recovery key can't be read: {str(error) or 'nobody typed it'}",
            hint="type it, or name a file that has it with --key-file",
        ) from error
    return RecoveryKey.from_text(text)


def _typed() -> str:
    """What is typed or piped, be it on one line or on as many as the key was printed on.

    It ends with as many characters as a key has, or with the input; at a terminal also with an
    empty line.
    """
    from edge.crypto.paper import GROUP, GROUPS

    is_terminal = sys.stdin.isatty()
    lines: list[str] = []
    while (left := GROUPS * GROUP - sum(map(str.isalnum, "".join(lines)))) > 0:
        try:
            ask = _MORE.format(left) if lines else _ASK
            line = getpass.getpass(ask) if is_terminal else input()
        except EOFError:
            break
        if not line.strip() and is_terminal:
            break
        lines.append(line)
    if not lines:
        raise EOFError
    return "\n".join(lines)


async def _recovery(options: argparse.Namespace) -> int:
    loaded = await configuration(options)
    from edge.crypto.escrow import Escrow
    from edge.crypto.recovery import RecoveryKey

    async with witnessed(options, loaded, Event.KEY) as (cache, _):
        escrow = Escrow(cache.folder, cache.keys)
        if not options.renew and (kept := await asyncio.to_thread(escrow.read)) is not None:
            raise EdgeError(
                f"a recovery key was made at {moment(kept.made)}, and can't be shown again",
                hint="if it is lost, make another with --renew; only new backups open with that",
            )
        key = RecoveryKey.new()
        groups = key.to_groups()
        if options.qr is not None:
            await asyncio.to_thread(write_code, " ".join(groups), options.qr)
        try:
            await asyncio.to_thread(escrow.keep, key.recipient, time.time())
        except BaseException:
            if options.qr is not None:
                await asyncio.to_thread(options.qr.unlink, missing_ok=True)  # it opens nothing
            raise
    say(*_WORDS.splitlines(), "", file=sys.stderr, flush=True)
    for at in range(0, len(groups), 3):
        say("  ".join(groups[at : at + 3]))
    show_code(" ".join(groups))
    if options.qr is not None:
        say("", f"edge: {options.qr} has it, too: print it, and remove it", file=sys.stderr)
    return 0


async def _restore(options: argparse.Namespace) -> int:
    loaded = await configuration(options)
    from edge.access.audit.shut import locked_entry
    from edge.cache.restore import root_key_again
    from edge.opening import custodian_of

    locked = await asyncio.to_thread(custodian_of(loaded).locked)
    key = await ask_for_key(options)
    try:
        path = await asyncio.to_thread(root_key_again, loaded, key)
    except OSError as error:
        raise SecretError(f"the root key can't be written: {error}") from error
    for entry in (*locked_entry(locked), entry_of(options, Event.KEY)):
        await asyncio.to_thread(tell_alone, loaded, entry)
    say(f"edge: {path} is there again", file=sys.stderr)
    return 0


async def _rotate(options: argparse.Namespace) -> int:
    loaded = await configuration(options)
    from edge.admin.local import ask_service
    from edge.opening import rotate

    wish = {"abandon": options.abandon_damaged}
    # The service has the ring, and is the only one to write there while it runs.
    done = await ask_service(loaded.appliance.data_dir, "rotate", wish)
    if done is None:
        done = asdict(await asyncio.to_thread(rotate, loaded, abandon=options.abandon_damaged))
    entry = entry_of(options, Event.KEY, {name: str(value) for name, value in done.items()})
    await asyncio.to_thread(tell_alone, loaded, entry)
    say(
        f"edge: all {done['study_keys']} keys are wrapped anew, by epoch {done['epoch']};"
        " the key before it is destroyed",
        file=sys.stderr,
    )
    return 0
