"""A start takes another box's place, if that was decided, and a box that was restored says so."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from functools import partial
from pathlib import Path

from edge.access.audit.entry import Actor, Entry, Event, Kind
from edge.cache import replacing
from edge.cache.replacing import is_first_day
from edge.config import Config
from edge.errors import EdgeError
from edge.opening import Cache, lock_folder

__all__ = ["settle", "take_place"]

log = logging.getLogger(__name__)


async def take_place(config: Config) -> bool:
    """What a start does first; whether other files are in ``data_dir`` since.

    Raises:
        EdgeError: It can't be told which box is where.
    """
    folder = config.appliance.data_dir
    if not await asyncio.to_thread(replacing.is_anything, folder):
        return False
    lock = await asyncio.to_thread(lock_folder, folder)
    try:
        # Images may have come in since that was asked; what went aside is not asked.
        is_new = await asyncio.to_thread(replacing.has_begun, folder)
        what = await asyncio.to_thread(replacing.read, folder)
        if what is not None and what.step == "ready" and not is_new:
            is_new = await _is_first_day(config)
        return await asyncio.to_thread(partial(replacing.begin, folder, is_first_day=is_new))
    finally:
        os.close(lock)


async def _is_first_day(config: Config) -> bool:
    try:
        async with Cache(config) as cache:
            return await is_first_day(cache.database)
    except EdgeError as error:
        log.warning("whether there is anything in this box can't be told: %s", error)
        return False


async def settle(folder: Path, cache: Cache) -> None:
    """The service runs: if with a box that was restored, that is recorded in it, and holds.

    With an image in it, it runs though that can't be recorded, as on a full disk: the next start
    does it then.

    Raises:
        EdgeError: It can't be recorded: the first day's box is to come back.
        OSError: Likewise.
    """
    what = await asyncio.to_thread(replacing.read, folder)
    if what is None or what.step != "tried":
        return
    made = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(what.made))
    entry = Entry(
        at=time.time(),
        event=Event.KEY,
        actor=Actor(what.by, Kind.MACHINE),
        what="edge restore",
        detail={"box": what.box, "backup of": made, "perhaps lost": str(what.lost)},
    )
    try:
        await cache.audit.record(entry)
    except (EdgeError, OSError) as error:
        if not await asyncio.to_thread(replacing.has_images, folder):
            raise
        log.error("that this is %s again is not in the audit yet: %s", what.box, error)
        with contextlib.suppress(OSError):
            await asyncio.to_thread(replacing.ran, folder)
        return
    await asyncio.to_thread(replacing.settled, folder)
    log.warning("this is %s again, as of %s", what.box, made)
