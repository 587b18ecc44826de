"""``edge support-bundle``: one file for whoever helps from afar, without patients or secrets."""

# ruff: noqa: PLC0415 - see `edge.commands.parsing`

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from pathlib import Path

from edge.access.audit.entry import Event
from edge.commands.parsing import Commands, configuration
from edge.commands.witness import witnessed
from edge.commands.words import say
from edge.errors import ConfigError, EdgeError

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add the command."""
    text = (
        "Write a file for support: configuration without secrets, state, versions, log, findings."
    )
    command = commands.add("support-bundle", text, _bundle)
    command.add_argument(
        "--to", type=Path, metavar="FILE", help="default: a name with the time, in this folder"
    )


async def _bundle(options: argparse.Namespace) -> int:
    loaded = await configuration(options)
    import msgspec

    from edge.admin.local import ask_service, cages_of_service, parts_of_service
    from edge.cache.support import bundle, name_of
    from edge.crypto.durable import write_file
    from edge.dimse.examination import examine
    from edge.logs import Line

    now = time.time()
    path = Path(name_of(loaded, now)) if options.to is None else options.to
    if await asyncio.to_thread(path.exists):
        raise ConfigError(f"{path} is there already", hint="name another file")
    async with witnessed(options, loaded, Event.ADMINISTERED) as (cache, _):
        parts, cages = await parts_of_service(cache.folder), await cages_of_service(cache.folder)
        status = await cache.status(parts, cages)
        await cache.peers.refresh()
        found = await examine(cache.peers, cache.associations, loaded.dimse)
        said = await ask_service(cache.folder, "log") or {}
        made = await asyncio.to_thread(
            bundle,
            loaded,
            status.as_json(),
            msgspec.json.encode(found),
            msgspec.convert(said.get("lines", []), list[Line]),
            cache.refer,
            now,
        )
        try:
            await asyncio.to_thread(write_file, path, made)
        except OSError as error:
            raise EdgeError(f"{path} can't be written: {error.strerror}") from error
    say(
        f"edge: {path} is for support; no patient and no secret is in it, but names and addresses"
        " of devices are",
        file=sys.stderr,
    )
    return 0
