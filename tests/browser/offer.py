"""A box of the disk image that finds an update, for tests and pictures of the page about it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from edge import config
from tests.browser.scene import Scene, clinic
from tests.updates.makers import Maker, place_of, shop

__all__ = ["offered"]

_NOTES = {
    "en": "Quicker lists.\nMends a weakness of the worklist.",
    "ar": "قوائم أسرع.",
}


@contextlib.asynccontextmanager
async def offered(folder: Path, *, cloud: str = "none") -> AsyncIterator[Scene]:
    """Version 1.0 runs, and 1.1 is there for whoever looks."""
    maker = Maker(folder / "maker")
    async with clinic(folder / "box", cloud=cloud) as made, shop(maker.folder) as store:
        updater = made.box.updater
        updater._settings = updater._coming._settings = config.Update(
            url=store.url, keys=maker.keys, by_itself="look"
        )
        updater._place, updater._ordering._quiet = place_of(folder / "machine"), 1
        await asyncio.to_thread(maker.bundle, "1.1", notes=_NOTES, security=True)
        store.list(("1.1", "x86-64", "1.1.edgeupdate"))
        made.shop, made.means = store, updater._means
        yield made
