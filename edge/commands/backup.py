"""``edge backup``: what a new box needs to be this one, in one sealed file."""

# ruff: noqa: PLC0415 - see `edge.commands.parsing`

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from edge.access.audit.entry import Event
from edge.commands.parsing import Commands, configuration, configuration_file
from edge.commands.witness import witnessed
from edge.commands.words import say

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add the command."""
    text = "Write what a new box needs to be this one, sealed for the recovery key; no images."
    command = commands.add("backup", text, _backup)
    command.add_argument("--to", type=Path, required=True, metavar="FILE", help="is replaced")


async def _backup(options: argparse.Namespace) -> int:
    loaded, file = await configuration(options), await configuration_file(options)
    from edge.cache.backup import Backups

    async with witnessed(options, loaded, Event.SECURITY) as (cache, _):
        await Backups(loaded, file, cache.keys, cache.database).write(options.to)
    say(f"edge: {options.to} is a backup; only the recovery key opens it", file=sys.stderr)
    return 0
