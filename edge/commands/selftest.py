"""``edge selftest``: whether this box does what it is for."""

# ruff: noqa: PLC0415 - see `edge.commands.parsing`

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from edge.commands.parsing import Commands, configuration
from edge.commands.words import say

if TYPE_CHECKING:
    from edge.proving import Check

__all__ = ["add", "show_check"]

_NAMES: Final = {
    "service": "every part of the service runs",
    "index": "the index takes a commit",
    "images": "an image goes in by C-STORE, and comes out by WADO-RS and as a picture",
    "archives": "archives are reached that were reached before",
}


def add(commands: Commands) -> None:
    """Add the command."""
    command = commands.add(
        "selftest", "Prove that the box takes an image and gives it; leaves no trace.", _selftest
    )
    command.add_argument("--json", action="store_true", help="for programs")
    command.add_argument(
        "--seconds",
        type=float,
        default=60.0,
        metavar="N",
        help="so long the service may take to be ready (default: 60)",
    )


async def _selftest(options: argparse.Namespace) -> int:
    loaded = await configuration(options)
    from edge.proving import Proving

    tell = (lambda _: None) if options.json else show_check
    found = await Proving(loaded.appliance.data_dir, tell, service=options.seconds).run()
    is_good = all(check.ok for check in found)
    if options.json:
        checks = [asdict(check) for check in found]
        say(json.dumps({"ok": is_good, "checks": checks}))
    else:
        say("the box does what it is for" if is_good else "the box does not do what it is for")
    return int(not is_good)


def show_check(check: Check) -> None:
    """Say what was found."""
    word = "ok " if check.ok else "NO "
    why = f": {check.why}" if check.why else ""
    say(f"  {word} {_NAMES[check.name]} ({check.seconds:.1f} s){why}", flush=True)
