"""What the service knows and wants of updates, in memory and durably (``state.json``)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import msgspec

from edge.errors import EdgeError
from edge.updates.journal import Folder, State

__all__ = ["Kept"]

log = logging.getLogger(__name__)


class Kept:
    """It. Nothing holds that is not durable.

    Args:
        folder: Of updates.
        clock: POSIX seconds.
    """

    def __init__(self, folder: Folder, clock: Callable[[], float]) -> None:
        self._folder = folder
        self._clock = clock
        self._read = False
        self._changing = asyncio.Lock()
        self.state = State()
        """As it is known; read it anew after whatever is awaited."""

    async def take_up(self) -> None:
        """Read what was known last, once."""
        if not self._read:
            self.state = await asyncio.to_thread(self._folder.state)
            self._read = True

    async def change(self, **changed: Any) -> None:
        """Keep something else than was known.

        Raises:
            StorageFull: The disk does not take it; it is as it was.
        """
        async with self._changing:
            new = msgspec.structs.replace(self.state, **changed)
            await asyncio.to_thread(self._folder.write_state, new)
            self.state = new

    async def go_on(self, **changed: Any) -> None:
        """Keep that nothing is in the way any more, and what else changes with that."""
        await self.change(trouble="", hint="", since=0.0, **changed)

    async def say(self, error: EdgeError, **changed: Any) -> None:
        """Keep why what is wanted does not go on, and what else changes with that."""
        if str(error) != self.state.trouble:
            log.warning("the update does not go on: %s", error)
            changed |= {"trouble": str(error), "hint": error.hint, "since": self._clock()}
        if changed:
            await self.change(**changed)
