"""Wakes whoever waits for something to do.

It says that something changed, never what: the state is in the index, so a wake-up that is lost,
doubled or late does no harm.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Changes", "Woken"]


class Woken:
    """One waiter's bell."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def set(self) -> None:
        """Ring."""
        self._event.set()

    async def wait(self, timeout: float | None = None) -> bool:
        """Wait for a change since the last wait, at most *timeout* seconds; whether one came."""
        try:
            async with asyncio.timeout(timeout):
                await self._event.wait()
        except TimeoutError:
            return False
        finally:
            self._event.clear()
        return True


class Changes:
    """All bells together."""

    def __init__(self) -> None:
        self._bells: set[Woken] = set()

    def wake(self) -> None:
        """Something in the index changed."""
        for bell in self._bells:
            bell.set()

    @contextmanager
    def subscribe(self) -> Iterator[Woken]:
        """A bell that rings from now on."""
        bell = Woken()
        self._bells.add(bell)
        try:
            yield bell
        finally:
            self._bells.discard(bell)
