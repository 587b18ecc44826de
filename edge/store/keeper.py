"""Has the store's process whenever one is needed, and replaces one that ended.

Owns which process is asked now. Promises that there is never more than one, that none is started
while the folder of what arrives is cleared, and that one which does not answer is ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

from edge.crypto.durable import one_at_a_time
from edge.errors import EdgeError
from edge.store.process import StoreProcess

__all__ = ["ProcessKeeper", "alone_in"]

log = logging.getLogger(__name__)

_ENDING: Final = 30.0
"""Seconds that a process has to end, once its service is gone."""
_PAUSE: Final = 1.0
"""Seconds between two looks at it."""
_SILENT: Final = 60.0
"""Seconds without an answer after which it is taken to hang: no disk takes so long."""
_LOOKS: Final = 3
"""That must find it so, one after another."""


class ProcessKeeper:
    """Keeps one.

    Args:
        incoming: The folder of what arrives.
        shelves: That of the objects.
    """

    def __init__(self, incoming: Path, shelves: Path) -> None:
        self._incoming = incoming
        self._shelves = shelves
        self._process: StoreProcess | None = None
        self.lacks = ""
        """What the kernel refused the cage of the last one; empty if it was whole."""
        self._starting = asyncio.Lock()

    async def run(self) -> None:
        """Have one ready, until cancelled; one that does not answer is ended.

        Raises:
            EdgeError: It can't be started, or it ended by itself; who keeps this running counts it.
        """
        while True:
            process, overdue = await self.process(), 0
            while not process.ended.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(process.ended.wait(), _PAUSE)
                # One look is not enough: this process may have been stopped, too.
                overdue = overdue + 1 if process.delay > _SILENT else 0
                if overdue == _LOOKS:
                    await process.stop()
                    raise EdgeError("the store's process does not answer; it was ended")
            if not process.is_stopped:
                raise EdgeError("the store's process ended; what was arriving failed")

    @property
    def now(self) -> StoreProcess | None:
        """The one that runs, if there is one."""
        process = self._process
        return None if process is None or process.ended.is_set() else process

    async def process(self) -> StoreProcess:
        """The one that runs; started if there is none.

        Raises:
            EdgeError: It can't be started now.
        """
        async with self._starting:
            if (process := self.now) is None:
                await self._stop()
                process = self._process = await StoreProcess.start(self._incoming, self._shelves)
                if process.lacks != self.lacks:
                    self.lacks = process.lacks
                    lacks = self.lacks or "nothing any more"
                    log.warning("the cage of the store's process lacks: %s", lacks)
            return process

    async def stop(self) -> None:
        """End it, if there is one; also one that is just being started."""
        async with self._starting:
            await self._stop()

    @contextlib.asynccontextmanager
    async def stopped(self) -> AsyncIterator[None]:
        """End it, and start none as long as this lasts."""
        async with self._starting:
            await self._stop()
            yield

    async def _stop(self) -> None:
        if self._process is not None:
            await self._process.stop()


@contextlib.contextmanager
def alone_in(incoming: Path) -> Iterator[None]:
    """Wait until no process of a store works in the folder: that of a service that was killed, too.

    Raises:
        EdgeError: One still does, after so long that it will not end by itself.
    """
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(one_at_a_time(incoming, _ENDING))
        except TimeoutError as error:
            raise EdgeError(
                f"the store's process of an earlier run still works in {incoming}",
                hint="end it (edge.store.worker), or restart the machine",
            ) from error
        yield
