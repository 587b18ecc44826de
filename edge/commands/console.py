"""``edge console``: the page on the screen of the box, until it is told to stop."""

# ruff: noqa: PLC0415 - see `edge.commands.parsing`

from __future__ import annotations

import argparse
import logging
import sys
from functools import partial

from edge.commands.lightly import lightly
from edge.commands.parsing import Commands, configuration, configuration_file
from edge.errors import EdgeError

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add the command."""
    commands.add("console", "Show the page on this terminal, until it is told to stop.", _console)


async def _console(options: argparse.Namespace) -> int:
    await configuration(options)  # a wrong one is said where commands say it
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise EdgeError("this is no terminal", hint="systemctl start edge-console@tty1")
    # The log would stand in the middle of the page.
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and sys.stderr.isatty():
            handler.setLevel(logging.CRITICAL + 1)
    with lightly():
        from edge.console.box import LocalBox
        from edge.console.page import ConsolePage
        from edge.loading import load

    file = await configuration_file(options)
    await ConsolePage(LocalBox(partial(load, file), file)).run_async()
    return 0
