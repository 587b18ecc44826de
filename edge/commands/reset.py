"""``edge reset``: factory reset. Keys first; refused while studies exist only here."""

# ruff: noqa: PLC0415 - see `edge.commands.parsing`

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from edge.commands.parsing import Commands, configuration
from edge.commands.words import say
from edge.errors import ConfigError

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add the command."""
    text = "Destroy the keys of the box and all that it holds: it is as on its first day."
    command = commands.add("reset", text, _reset)
    command.add_argument(
        "--yes", metavar="NAME", help="the box's name (appliance.name); else it is asked for"
    )
    command.add_argument(
        "--force", action="store_true", help="even if studies exist only here: they are lost"
    )
    command.add_argument("--root", type=Path, help=argparse.SUPPRESS)


async def _reset(options: argparse.Namespace) -> int:
    loaded = await configuration(options)
    name = loaded.appliance.name
    said = options.yes
    if said is None:
        say(f"Everything on this box is destroyed. Its name, to go on ({name}):", file=sys.stderr)
        said = (await asyncio.to_thread(sys.stdin.readline)).strip()
    if said != name:
        raise ConfigError(f"this box is called {name}, not {said!r}", hint="nothing was changed")
    from edge.commands.witness import who
    from edge.machine.places import Places
    from edge.resetting import Resetting

    places = Places() if options.root is None else Places.under(options.root)
    lost = await Resetting(loaded, places, who()).reset(is_forced=options.force)
    say(f"the box is as on its first day{f'; lost: {lost.words}' if lost.words else ''}")
    return 0
