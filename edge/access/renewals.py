"""Certificates, looked after while the service runs.

They are renewed before their end, and taken anew from files that the clinic replaced.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from edge.errors import EdgeError

__all__ = ["Renewals"]

_DAY = 86400.0


class Renewals:
    """Everything that wants to be looked at once a day."""

    def __init__(self) -> None:
        self._renewals: list[Callable[[], None]] = []

    def __len__(self) -> int:
        return len(self._renewals)

    def add(self, renewal: Callable[[], None]) -> None:
        """Have this called from now on, in a thread; it may raise an ``EdgeError``."""
        self._renewals.append(renewal)

    async def run(self) -> None:
        """Call each once a day, whatever becomes of the others.

        Raises:
            EdgeError: The first that was raised; the part that fails so is started again.
        """
        while True:
            await asyncio.sleep(_DAY)
            failed: list[EdgeError] = []
            for renewal in self._renewals:
                try:
                    await asyncio.to_thread(renewal)
                except EdgeError as error:
                    failed.append(error)
            if failed:
                raise failed[0]
