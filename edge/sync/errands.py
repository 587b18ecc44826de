"""Errands of one part: which instances are spoken of at this moment, and what went wrong.

What one task has in hand no other takes up. Promises that an error of a task ends no other, and
that whoever started it learns of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable

from edge.cache.ledger import Owed

__all__ = ["Errands"]


class Errands:
    """Tasks, and the instances that they have in hand."""

    def __init__(self) -> None:
        self.ids = set[int]()
        """Of the instances that are in hand."""
        self.ring: Callable[[], None] = lambda: None
        """Called when something ended."""
        self.error: Exception | None = None
        """The first since ``take_error``."""

    def start(
        self,
        group: asyncio.TaskGroup,
        name: str,
        owed: Iterable[Owed],
        work: Coroutine[None, None, None],
    ) -> None:
        """Have *work* done about instances that nobody else has in hand."""
        ids = {one.instance_id for one in owed}
        self.ids |= ids

        async def run() -> None:
            try:
                await work
            except Exception as error:  # noqa: BLE001 - whoever started it raises it
                self.error = self.error or error
            finally:
                self.ids -= ids
                self.ring()

        group.create_task(run(), name=name)

    def take_error(self) -> Exception | None:
        """The first error since the last look."""
        error, self.error = self.error, None
        return error
