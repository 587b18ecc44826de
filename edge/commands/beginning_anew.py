"""The service begins anew, with a file's settings or as the box that a backup was made of.

Whoever set the box up waits for it, and is told what came of it.
"""

# ruff: noqa: PLC0415 - see `edge.commands.parsing`

from __future__ import annotations

import argparse
import asyncio
import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from edge.commands.parsing import configuration
from edge.commands.set_up_answers import STICK, entry_of, where_it_is
from edge.errors import ConfigError, EdgeError

if TYPE_CHECKING:
    from edge.provision.taking import TokenPlace

__all__ = ["come_into_force", "go_on_with_replacing", "replaced"]

_PATIENCE = 80.0
"""Seconds for the service to run with other settings; the units give 400 for all."""
_LONG_PATIENCE = 240.0
"""Seconds for it to run as a box that was restored."""
_LOOK = 0.2


async def replaced(
    options: argparse.Namespace,
    by: str,
    box: str,
    key: TokenPlace | None,
    stopping: asyncio.Event,
) -> tuple[str, str]:
    """Have the service begin anew as the restored box, and wait for that; the answer.

    Raises:
        ConfigError: It does not start; the box is as before.
    """
    from edge.admin.local import ask_service
    from edge.cache.replacing import read, why_not

    folder = (await configuration(options)).appliance.data_dir
    until, wrong = time.monotonic() + _LONG_PATIENCE, ""
    try:
        runs = await ask_service(folder, "settings") is not None
    except EdgeError as error:  # it is decided all the same
        runs, wrong = False, f"But: {error}\n{error.hint}".rstrip()
    while runs and await asyncio.to_thread(read, folder) is not None:
        if time.monotonic() > until or stopping.is_set():
            runs = False
        await asyncio.sleep(_LOOK)
    if why := await asyncio.to_thread(why_not, folder):
        await _back_again(options, by, key, why)
    if not runs:
        lines = [f"This box becomes {box} again once it has started anew: its screen says so."]
        lines += [wrong] * bool(wrong)
    else:
        lines = [f"This box is {box} again.", ""]
        try:
            lines += await where_it_is(options, is_new=False)
        except EdgeError as error:
            lines.append(f"But: {error}\n{error.hint}".rstrip())
    lines += ["", "Who could log in there can log in here, with password and code as before."]
    if by == STICK:
        lines += [
            "The recovery key was struck out of the file, but a stick may keep traces of it: make",
            "another on the page, under Backup, and lock the stick away or destroy it.",
        ]
    said = f"has made this box {box} again" if runs else f"makes this box {box}"
    return "\n".join([*lines, ""]), said


async def go_on_with_replacing(folder: Path) -> None:
    """Whoever decided that another box takes this one's place may not have come to say so."""
    from edge.admin.local import ask_service
    from edge.cache.replacing import read

    what = await asyncio.to_thread(read, folder)
    if what is not None and what.step == "ready":
        with contextlib.suppress(EdgeError):
            await ask_service(folder, "settings")


async def _back_again(
    options: argparse.Namespace, by: str, key: TokenPlace | None, why: str
) -> NoReturn:
    """The box is as on its first day: that is recorded, and the stick is as it was.

    Raises:
        ConfigError: Always; it says why.
    """
    loaded = await configuration(options)
    from edge.cache.replacing import forget_why
    from edge.opening import Cache

    async with Cache(loaded) as cache:
        await cache.audit.record(entry_of(by, {}, why))
    if key is not None:
        with contextlib.suppress(EdgeError):  # then it is typed once more
            await key.put_back()
    await asyncio.to_thread(forget_why, loaded.appliance.data_dir)
    raise ConfigError(
        f"the restored box does not start here: {why}",
        hint="this box is as on its first day; where there is a shell, edge restore says more",
    )


async def come_into_force(folder: Path, stopping: asyncio.Event) -> str:
    """Have the service begin anew with what was written, and wait for that; what is wrong of it.

    Args:
        folder: ``data_dir``.
        stopping: Set if there is nobody to be told what came of it.

    Raises:
        EdgeError: The service can't be told.
    """
    from edge.admin.local import ask_service
    from edge.cache.own_settings import in_force, refused_why, said_in, setback

    written = await asyncio.to_thread(said_in, folder)
    if await ask_service(folder, "settings") is None:
        return ""  # it starts with them; the answer says that they are not in force yet
    until, why = time.monotonic() + _PATIENCE, ""
    while time.monotonic() < until and not stopping.is_set():
        # Those that it took back it may yet put back: that is known once it runs.
        is_over = await asyncio.to_thread(in_force, folder)
        now = await asyncio.to_thread(setback, folder)
        if is_over and not now:
            break
        why = now or why  # once it has undone all of the file, it says that no more
        await asyncio.sleep(_LOOK)
    if await asyncio.to_thread(said_in, folder) != written:
        why = await asyncio.to_thread(refused_why, folder) or why
        return f"the box does not start with these settings{why and ': '}{why}"
    return ""
