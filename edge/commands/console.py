"""``edge console``: the page on the screen of the box, until it is told to stop."""

# ruff: noqa: PLC0415 - see `edge.commands.parsing`

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from functools import partial
from logging.handlers import SysLogHandler
from pathlib import Path

from edge.commands.lightly import lightly
from edge.commands.parsing import Commands, configuration, configuration_file
from edge.commands.words import HarmlessFormatter, say
from edge.errors import EdgeError

__all__ = ["add"]

_LOG = Path("/dev/log")
_PAGES = 10
"""That are shown one after the other if they fail; systemd begins anew then."""
_PAUSE = 1.0


def add(commands: Commands) -> None:
    """Add the command."""
    commands.add("console", "Show the page on this terminal, until it is told to stop.", _console)


def _log_elsewhere() -> None:
    """The log would stand in the middle of the page: the machine's own has it, if there is one."""
    root = logging.getLogger()
    for handler in list(root.handlers):
        if type(handler) is logging.StreamHandler:
            root.removeHandler(handler)
    if _LOG.exists():
        journal = SysLogHandler(address=str(_LOG))
        journal.setFormatter(HarmlessFormatter("edge-console: %(levelname)s %(name)s: %(message)s"))
        root.addHandler(journal)


async def _console(options: argparse.Namespace) -> int:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):  # the page is drawn by standard error
        await configuration(options)  # a wrong one is said where commands say it; else on the page
        raise EdgeError("this is no terminal", hint="systemctl start edge-console@tty1")
    _log_elsewhere()
    say("The page of this box comes ...", file=sys.stderr, flush=True)  # it is seconds until then
    with lightly():
        from edge.console.box import LocalBox
        from edge.console.page import ConsolePage
        from edge.console.terminal import TerminalDriver, unechoed
        from edge.loading import load

    file = await configuration_file(options)
    box = LocalBox(partial(load, file), file)
    with unechoed(sys.stdin.fileno()):
        for _ in range(_PAGES):
            page = ConsolePage(box, driver=TerminalDriver)
            await page.run_async(mouse=False)
            if not page.return_code or not sys.stdin.isatty():
                return 0
            await asyncio.sleep(_PAUSE)  # what failed may fail again at once
    raise EdgeError("the page ended again and again", hint="look at the log of the machine")
