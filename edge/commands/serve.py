"""``edge serve``: the service, until it is told to stop."""

# ruff: noqa: PLC0415 - see `edge.commands.parsing`

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import logging
import os
import resource
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from edge.commands.parsing import Commands, configuration, configuration_file
from edge.commands.user import tell_first_code
from edge.commands.words import say

if TYPE_CHECKING:
    from edge.app import Appliance
    from edge.config import Config

__all__ = ["add", "leave_out_decoders"]

log = logging.getLogger("edge")

_DECODERS = ("gdcm", "numpy", "PIL")
"""What only pixel workers need; pydicom would load all that it finds, 30 MB of them."""


def add(commands: Commands) -> None:
    """Add the command."""
    commands.add("serve", "Run the service until it is told to stop.", _serve)


def leave_out_decoders() -> None:
    """Have nothing in this process load them."""
    for name in _DECODERS:
        # By the import system's rules there is no module of this name then.
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]


async def _serve(options: argparse.Namespace) -> int:
    loaded = await configuration(options)
    leave_out_decoders()
    # Every peer and every open object is a file; the usual soft limit is made for small programs.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()
    if serving := asyncio.current_task():
        _at_signals(loop, serving.cancel)  # a start may take long: an index may have to be rebuilt
    from edge.app import Appliance

    folder, file = loaded.appliance.data_dir, await configuration_file(options)
    is_new = not await asyncio.to_thread(_holds_box, folder)
    again = True
    while again:
        async with _told_of(Appliance(loaded, file=file), folder, is_new=is_new) as box:
            log.info(
                "ready: DICOM as %s on %s, HTTP on port %d",
                loaded.dimse.ae_title,
                _ports(box.dimse_port, box.dimse_tls_port),
                box.http_port,
            )
            await _welcome(box, loaded)
            _at_signals(loop, stopping.set)
            # What was made so far stays: looking through it again and again holds up whoever asks.
            gc.collect()
            gc.freeze()
            again = await box.serve_until(stopping)
            is_new = False
            log.info("stopping")
    log.info("stopped")
    return 0


async def _welcome(box: Appliance, loaded: Config) -> None:
    """Where there is nobody yet, show the code for the first admin to who stands before the box.

    It goes to a terminal and nowhere else: what goes to the log ends in a journal, which others
    read and which is sent elsewhere.
    """
    users = box.cache.users
    if loaded.http.auth == "none" or not await users.is_empty():
        return
    terminal = await asyncio.to_thread(_terminal, loaded.access.console)
    if terminal is None:
        log.info("nobody can log in yet: on this machine, edge user first-code prints a code")
        return
    with terminal:
        lines = tell_first_code(await users.first_code())
        await asyncio.to_thread(say, *lines, file=terminal, flush=True)


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


def _ports(plain: int, tls: int) -> str:
    """Those that are there."""
    return " and ".join(
        words for port, words in ((plain, f"port {plain}"), (tls, f"port {tls} (TLS)")) if port
    )


@contextlib.asynccontextmanager
async def _told_of(appliance: Appliance, folder: Path, *, is_new: bool) -> AsyncIterator[Appliance]:
    """An appliance, entered; a new box is named as such even if it can't be started after all."""
    async with contextlib.AsyncExitStack() as stack:
        try:
            box = await stack.enter_async_context(appliance)
        finally:
            if is_new and await asyncio.to_thread(_holds_box, folder):
                log.warning("made a new box in %s; keep a copy of its root key elsewhere", folder)
        yield box


def _at_signals(loop: asyncio.AbstractEventLoop, act: Callable[[], object]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, act)


def _holds_box(folder: Path) -> bool:
    return any((folder / name).exists() for name in ("keys.db", "index.db"))
