"""``edge log``: what stands behind a reference in the log."""

from __future__ import annotations

import argparse
import json
import sys

from edge.access.audit.entry import Event
from edge.commands.parsing import Acts, Commands, configuration
from edge.commands.witness import witnessed
from edge.commands.words import say

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add the command."""
    acts = Acts(commands.add("log", "Understand what the log says."))
    find = acts.add("find", "Tell which UIDs references in the log stand for.", _find)
    find.add_argument("references", nargs="+", metavar="REFERENCE", help="as the log has it: uid:…")
    find.add_argument("--json", action="store_true", help="for programs")


async def _find(options: argparse.Namespace) -> int:
    loaded = await configuration(options)

    references = [f"uid:{one.removeprefix('uid:').lower()}" for one in options.references]
    async with witnessed(options, loaded, Event.QUERIED) as (cache, _):
        found = await cache.uids_behind(references)
    if options.json:
        say(json.dumps(found))
    else:
        for one, behind in found.items():
            say(*(f"{one}  {kind} {uid}" for uid, kind in sorted(behind.items())))
    if unknown := [one for one, behind in found.items() if not behind]:
        say(f"edge: nothing here is called {', '.join(unknown)}", file=sys.stderr)
    return int(bool(unknown))
