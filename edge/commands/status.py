"""``edge status``: what is here, and who vouches for it."""

# ruff: noqa: PLC0415 - see `edge.commands.parsing`

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from edge.commands.parsing import Commands, configuration
from edge.commands.words import moment

if TYPE_CHECKING:
    from edge.cache.status import Status

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add the command."""
    command = commands.add("status", "Say what is here, and who vouches for it.", _status)
    command.add_argument("--json", action="store_true", help="for programs")


async def _status(options: argparse.Namespace) -> int:
    loaded = await configuration(options)
    from edge.admin.local import parts_of_service
    from edge.app import Cache

    async with Cache(loaded) as cache:
        status = await cache.status(await parts_of_service(cache.folder))
    if options.json:
        print(json.dumps(status.as_json()))
    else:
        _print(status)
    return int(status.parts is None)


def _print(status: Status) -> None:
    numbers = status.summary
    print(status.sentence)
    print(f"  studies               {numbers.studies}")
    print(f"  only here             {numbers.studies_only_here}")
    print(f"  instances             {numbers.instances}, of them here {numbers.instances_online}")
    for name, count in sorted(numbers.custody.items()):
        print(f"    {name.lower():<20}{count}")
    print(f"  to be sent            {numbers.backlog_bytes / 1e6:.1f} MB")
    capacity = status.capacity_bytes / 1e6
    print(f"  on disk               {numbers.sealed_bytes / 1e6:.1f} MB of {capacity:.1f} MB")
    print(f"  in conflict           {numbers.quarantined}")
    print(f"  given up              {numbers.given_up}")
    print(f"  lost                  {numbers.lost}")
    for archive in status.archives:
        state = "online" if archive.online else f"offline: {archive.reason}"
        print(f"  archive {archive.name}: {state} (since {moment(archive.since)})")
    for part, state in sorted((status.parts or {}).items()):
        if state != "running":
            print(f"  {part}: {state}")
