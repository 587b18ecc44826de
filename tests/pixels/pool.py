"""A pool of workers that runs for the length of a block."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from edge.config import Pixels
from edge.pixels.workers import PixelWorkers


@asynccontextmanager
async def running(
    settings: Pixels | None = None, *, ready: int = 0, idle_seconds: float = 300.0
) -> AsyncIterator[PixelWorkers]:
    """As the service runs it."""
    pool = PixelWorkers(settings or Pixels(workers=1), ready=ready, idle_seconds=idle_seconds)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(pool.run())
        try:
            yield pool
        finally:
            task.cancel()
