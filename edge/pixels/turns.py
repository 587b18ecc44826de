"""Whose turn it is: askers one after the other, and each of them with what it asked for first.

Owns the order in which requests get one of a few turns. Promises that whoever asks for much waits
for itself and not in front of others, and that a full waiting room refuses the last request of who
has most in it. Knows nothing of what a turn is used for.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Final

from edge.errors import PixelWorkersBusy

__all__ = ["ASKER", "Turns"]

ASKER: Final[ContextVar[str]] = ContextVar("asker", default="")
"""Who asks, as far as fairness goes: set by the door for all that is done for a request. What no
door names is one asker."""


class Turns:
    """A few turns that are shared fairly.

    Args:
        count: How many are taken at a time.
        waiting: How many requests may wait for one.
    """

    def __init__(self, count: int, waiting: int) -> None:
        self._free = count
        self._most = waiting
        self._queues: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        """Of each asker that waits; the first one is next. None of them is empty."""

    @asynccontextmanager
    async def take(self) -> AsyncIterator[None]:
        """Wait for a turn of who asks, and have it for the length of the block.

        Raises:
            PixelWorkersBusy: Too many wait already.
        """
        if self._free:
            self._free -= 1
        else:
            await self._wait(ASKER.get())
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, asker: str) -> None:
        if sum(map(len, self._queues.values())) >= self._most:
            self._refuse(asker)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queues.setdefault(asker, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._leave(asker, turn)
            elif turn.exception() is None:
                self._pass_on()  # it was given to us while we went away
            raise

    def _refuse(self, asker: str) -> None:
        """Make room by refusing the last one of who has most, which may be the newcomer."""
        busy = PixelWorkersBusy("too many pictures are wanted at once", hint="try again")
        own = len(self._queues.get(asker, ()))
        greedy, longest = max(self._queues.items(), key=lambda item: len(item[1]))
        if len(longest) <= own + 1:
            raise busy
        last = longest[-1]
        self._leave(greedy, last)
        last.set_exception(busy)

    def _leave(self, asker: str, turn: asyncio.Future[None]) -> None:
        if (queue := self._queues.get(asker)) is not None and turn in queue:
            queue.remove(turn)
            if not queue:
                del self._queues[asker]

    def _pass_on(self) -> None:
        """Give a turn that ended to the next one; whoever got it goes to the end of the row."""
        while self._queues:
            asker, queue = self._queues.popitem(last=False)
            turn = queue.popleft()
            if queue:
                self._queues[asker] = queue
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
