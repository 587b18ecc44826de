"""Keeps the parts of the service running, and knows how each one is.

A part is a coroutine that runs until it is cancelled. One that fails is logged, counted and started
again after a while; the others go on meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Self

from edge.errors import EdgeError

__all__ = ["Supervisor"]

log = logging.getLogger(__name__)

RUNNING = "running"
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
"""Seconds before a part is started again; doubled each time it fails soon."""
_STABLE = 300.0
"""A part that ran so long, in seconds, is forgiven its earlier failures."""


class Supervisor:
    """Owns the task group of all parts; leaving it stops them, the last started first."""

    def __init__(self) -> None:
        self._group = asyncio.TaskGroup()
        self._tasks: list[asyncio.Task[None]] = []
        self._states: dict[str, str] = {}
        self.restarts: dict[str, int] = {}

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for task in reversed(self._tasks):
            task.cancel()
            await asyncio.wait([task])
        # The group has nothing to add: what ends the block goes on as it is.
        await self._group.__aexit__(None, None, None)

    def start(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Keep a part running from now on."""
        self._states[name] = RUNNING
        self._tasks.append(self._group.create_task(self._keep_running(name, run), name=name))

    async def start_ready(self, name: str, run: Callable[[asyncio.Event], Awaitable[None]]) -> None:
        """Like ``start``, but return once the part has set the event that it is given.

        Raises:
            Exception: What ended the part before it was ready; it is not started again.
        """
        ready = asyncio.Event()
        first = asyncio.get_running_loop().create_future()

        async def once_ready() -> None:
            try:
                await run(ready)
            except Exception as error:
                if ready.is_set():
                    raise
                first.set_exception(error)
                await asyncio.Event().wait()

        self.start(name, once_ready)
        waiting = self._group.create_task(ready.wait(), name=f"{name} ready")
        await asyncio.wait([waiting, first], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if first.done():
            await first

    def states(self) -> Mapping[str, str]:
        """Part -> "running", or why it is not."""
        return dict(self._states)

    async def _keep_running(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        loop = asyncio.get_running_loop()
        pause = _FIRST_PAUSE
        while True:
            begun = loop.time()
            self._states[name] = RUNNING
            try:
                await run()
                reason = "ended"
            except EdgeError as error:  # says all there is to say
                reason = f"failed: {error}"
            except Exception as error:
                reason = f"failed: {type(error).__name__}"
                log.exception("%s failed", name)
            if loop.time() - begun > _STABLE:
                pause = _FIRST_PAUSE
            self.restarts[name] = self.restarts.get(name, 0) + 1
            self._states[name] = f"{reason}, starts again in {pause:.0f} s"
            log.error("%s %s; it starts again in %.0f s", name, reason, pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
