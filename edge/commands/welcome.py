"""What a start shows who stands before a box at which nobody can log in yet, or say anything.

Owns where the codes for the first admin and the first passphrase go: to a terminal, and nowhere
else. What goes to the log ends in a journal, which others read and which is sent elsewhere; and
nothing that opens the box stands readable on its disk.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from edge.addresses import host_and_port, host_name, is_everywhere
from edge.commands.words import moment, say
from edge.errors import EdgeError

if TYPE_CHECKING:
    from edge.access.users import Handed, Users
    from edge.config import Config

__all__ = ["redeemed_at", "show_code", "welcome"]

log = logging.getLogger("edge")


async def welcome(users: Users, config: Config) -> None:
    """Where there is nobody yet, make a code for the first admin and show it, or say how to.

    What stands in the way, a full disk or a damaged index, stops no service that is running.
    """
    if config.http.auth == "none":
        return
    try:
        if await users.is_empty():
            await _show_first_code(users, config)
    except EdgeError as error:
        log.warning("whether anybody can log in is not known: %s", error)


async def _show_first_code(users: Users, config: Config) -> None:
    terminal = await asyncio.to_thread(_terminal, config.access.console)
    if terminal is None:
        log.info("nobody can log in yet: on this machine, edge user first-code prints a code")
        return
    with terminal:
        lines = _words(await users.first_code(), redeemed_at(config))
        await asyncio.to_thread(say, *lines, file=terminal, flush=True)


async def show_code(code: str, config: Config) -> bool:
    """Show by which code the passphrase of a new box may be chosen on its page; whether it was."""
    terminal = await asyncio.to_thread(_terminal, config.access.console)
    if terminal is None:
        return False
    with terminal:
        lines = (
            "The passphrase of this box may be chosen on its web page, with this code:",
            "",
            code,
        )
        await asyncio.to_thread(say, *lines, file=terminal, flush=True)
    return True


def redeemed_at(config: Config) -> str:
    """Where a browser redeems a code: the page, by the name that it most likely has on the LAN."""
    host, port = host_and_port(config.http.listen)
    if config.http.names:
        host = config.http.names[0]
    elif is_everywhere(host):
        host = host_name(config.appliance.name)
    scheme = "http" if config.http.tls == "off" else "https"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}/welcome"


def _words(handed: Handed, where: str) -> Sequence[str]:
    return (
        f"The first admin is made with this code, until {moment(handed.until)}:",
        "",
        f"    {handed.code}",
        "",
        f"Open {where} in a browser, which leads through the rest, or POST /login/redeem.",
        "It works once; edge user first-code prints another.",
    )


def _terminal(named: Path) -> TextIO | None:
    """The terminal that is named, or else the one that standard error is; None if there is none."""
    try:
        path = str(named) if named != Path() else os.ttyname(2)
        # Nothing is made or cut short: it may be the name of a file.
        device = os.open(path, os.O_WRONLY | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        if named != Path():
            log.warning("access.console = %s can't be used: %s", named, error.strerror)
        return None
    if os.isatty(device):
        return os.fdopen(device, "w", encoding="utf-8")
    os.close(device)
    log.warning("access.console = %s is no terminal", named)
    return None
