"""The line to one archive: online or offline, and the one prober that finds out when it changes.

Offline is a state, not an error: whoever meets a failure reports it here and waits, and only the
prober goes on knocking, with growing, jittered pauses. Owns the state and its record in the ledger,
where ``edge status`` reads since when and why. Promises that a line which comes and goes is not
hammered: pauses start over only after it was good for a while. Never decides what is sent.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from edge import config
from edge.cache.custody import CustodyLedger
from edge.cloud.archive import Archive
from edge.cloud.retry import Backoff
from edge.errors import CloudError, CloudUnreachable

__all__ = ["Link"]

log = logging.getLogger(__name__)

_GOOD_FOR = 60.0
"""Seconds online after which the next failure counts as the first."""


class Link:
    """The state of the line. Starts as offline, and is tried at once when ``run`` begins.

    Args:
        archive: At the other end.
        ledger: Keeps since when it is offline, and why.
        settings: The shortest and longest pause between two attempts.
        clock: POSIX seconds.
        backoff: Instead of what *settings* say.
    """

    def __init__(
        self,
        archive: Archive,
        ledger: CustodyLedger,
        settings: config.Sync,
        *,
        clock: Callable[[], float] = time.time,
        backoff: Backoff | None = None,
    ) -> None:
        self._archive = archive
        self._ledger = ledger
        self._clock = clock
        self._backoff = backoff or Backoff(
            settings.retry_min_seconds, max(settings.retry_min_seconds, settings.retry_max_seconds)
        )
        self._up = asyncio.Event()
        self._down = asyncio.Event()
        self._down.set()
        self._nudged = asyncio.Event()
        self._error: CloudError | None = None
        self._failures = 0
        self._up_since = 0.0

    @property
    def online(self) -> bool:
        """Whether the archive answered when it was last asked."""
        return self._up.is_set()

    @property
    def reason(self) -> str:
        """Why it is offline, in plain words; empty while it is online or was not tried yet."""
        return "" if self._error is None else str(self._error)

    async def wait_online(self) -> None:
        """Wait until it is online."""
        await self._up.wait()

    def failed(self, error: CloudError) -> None:
        """Whoever met an error says so; everything waits from now on until the prober succeeds."""
        if not self.online:
            return
        if self._clock() - self._up_since > _GOOD_FOR:
            self._failures = 0
        self._failures += 1
        self._error = error
        self._up.clear()
        self._down.set()

    def nudge(self) -> None:
        """Try at once, if it is offline: the network came up, or a person wants to know."""
        self._nudged.set()

    async def run(self) -> None:
        """Probe while offline, until cancelled."""
        while True:
            await self._down.wait()
            if self._error is not None:
                await self._note_failure(self._error)
                await self._pause(self._error)
            try:
                await self._archive.search_studies(limit=1)
            except CloudError as error:
                self._failures += 1
                self._error = error
            else:
                await self._note_success()

    async def _pause(self, error: CloudError) -> None:
        delay = self._backoff.delay(self._failures)
        if isinstance(error, CloudUnreachable) and error.retry_after is not None:
            delay = max(delay, error.retry_after)
        self._nudged.clear()
        try:
            async with asyncio.timeout(delay):
                await self._nudged.wait()
        except TimeoutError:
            pass  # Nobody was in a hurry.

    async def _note_failure(self, error: CloudError) -> None:
        words = f"{error} ({error.hint})" if error.hint else str(error)
        if self._failures <= 1:
            log.warning("offline: %s", words)
        await self._ledger.set_archive_state(self._archive.name, online=False, reason=words)

    async def _note_success(self) -> None:
        log.info("archive %s: online", self._archive.name)
        self._error = None
        self._up_since = self._clock()
        self._down.clear()
        await self._ledger.set_archive_state(self._archive.name, online=True)
        self._up.set()
