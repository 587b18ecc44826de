"""What a journey asks of the record of a box that it went through."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from edge.access.audit.entry import Entry, Event
from edge.access.audit.search import Asked, search
from tests.journeys import box as boxes


@asynccontextmanager
async def running(folder: Path, *cloud: Any, **sections: Any) -> AsyncIterator[boxes.Box]:
    """A box with a record."""
    async with boxes.running(boxes.settings(folder / "box", *cloud, **sections)) as box:
        yield box


async def entries(
    box: boxes.Box, event: Event | None = None, *, least: int = 1, **asked: Any
) -> list[Entry]:
    """What the record has of it, the oldest first, as soon as there is so much."""
    folder = box.appliance.cache.audit.folder
    try:
        async with asyncio.timeout(boxes.PATIENCE):
            while True:
                found = await asyncio.to_thread(search, folder, Asked(event=event, **asked), 1000)
                if len(found) >= least:
                    return found[::-1]
                await asyncio.sleep(0.05)
    except TimeoutError:
        every = await asyncio.to_thread(search, folder, Asked(), 1000)
        raise AssertionError(f"{event} {asked}: {every}") from None
