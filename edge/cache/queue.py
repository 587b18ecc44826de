"""What waits for the line, for people: whose it is, how far it is, and when it will be there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from edge.cache.listing import Page
from edge.cache.status import Status
from edge.index import queue
from edge.index.database import Database
from edge.index.queue import QueuedStudy

__all__ = ["Queue", "QueuedStudy", "Underway"]


@dataclass(frozen=True, slots=True)
class Underway:
    """A study that waits, and when it will be there."""

    study: QueuedStudy
    eta: float | None
    """POSIX seconds; None if that can't be said."""


class Queue:
    """Reads it.

    Args:
        database: The index.
        status: The state of the box, which knows how fast the line is.
    """

    def __init__(self, database: Database, status: Callable[[], Awaitable[Status]]) -> None:
        self._database = database
        self._status = status

    async def page(self, *, limit: int = 100, offset: int = 0) -> Page[Underway]:
        """Those that wait, in the order in which they go."""
        line = (await self._status()).line
        etas = {one.study_uid: one.eta for one in line.studies}
        total = await queue.count(self._database)
        found = await queue.queued(self._database, limit, offset)
        return Page(total, [Underway(one, etas.get(one.study_uid)) for one in found])
