"""``edge demo``: the main job on this machine, with an embedded stand-in cloud."""

# ruff: noqa: PLC0415 - see `edge.commands.parsing`

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from edge.commands.lightly import lightly
from edge.commands.parsing import Commands

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add the command."""
    text = "Show the main job on this machine, with an embedded stand-in cloud."
    command = commands.add("demo", text, _demo, configured=False)
    command.add_argument(
        "--offline", action="store_true", help="cut the line, go on working, restore it, compare"
    )
    command.add_argument(
        "--data-dir", type=Path, metavar="DIR", help="keep the data here (default: throw it away)"
    )


def _demo(options: argparse.Namespace) -> int:
    with lightly():
        from edge.demo import demo

    # It tells its own story; and what pynetdicom misses is made good.
    logging.getLogger("edge").setLevel(logging.ERROR)
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    return demo(offline=options.offline, folder=options.data_dir)
