"""The line to one archive: online or offline, and the one prober that finds out when it changes.

Offline is a state, not an error: whoever meets a failure reports it here and waits, and only the
prober goes on knocking, with growing, jittered pauses. While nothing at all answers at the
archive's address, a look at that every few seconds ends the pause: a line that comes back is used
soon, however long it was away; and one that breaks while things get through it is used again as
soon as it answers. Owns the state and its record in the ledger, where ``edge status`` reads since
when and why. Promises that a line which comes and goes is not hammered: pauses start over only
after it carried something, or was good for a while; and that the log says what changed, not how
often it was tried. Never decides what is sent.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from edge import config
from edge.cloud.archive import Archive
from edge.cloud.retry import Backoff
from edge.cloud.transport import is_cut, is_lasting
from edge.errors import CloudError, CloudRefused, CloudUnreachable
from edge.sync.line import Line
from edge.sync.owing import StateLedger
from edge.week import Direction

__all__ = ["Link"]

log = logging.getLogger(__name__)

_FULL = "it says that it is full"

_GOOD_FOR = 60.0
"""Seconds online after which the next failure counts as the first."""
_FIRST_LOOK, _LOOK = 0.05, 5.0
"""Seconds between two looks whether anything answers at the archive's address, at the least and at
the most; in between it is a share of the time since it went offline."""
_SHARE = 0.25
_BREATH = 0.05
"""Seconds between two attempts at the least, whatever the archive asks for."""
_LASTS = 10.0
"""Seconds online after which the log says so, if it said something else before."""


class Link:
    """The state of the line. Starts as offline, and is tried at once when ``run`` begins.

    Args:
        archive: At the other end.
        ledger: Keeps since when it is offline, and why.
        settings: The shortest and longest pause between two attempts.
        clock: POSIX seconds.
        backoff: Instead of what *settings* say.
        look: Seconds between two looks at the archive's address while nothing answers there, at the
            most.
        lasts: Seconds that a line which comes back must last before the log says so.
        line: What sync may use of it; None means what *settings* say, for this archive alone.
    """

    def __init__(
        self,
        archive: Archive,
        ledger: StateLedger,
        settings: config.Sync,
        *,
        clock: Callable[[], float] = time.time,
        backoff: Backoff | None = None,
        look: float = _LOOK,
        lasts: float = _LASTS,
        line: Line | None = None,
    ) -> None:
        self.line = line or Line(settings)
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
        self._down_since = clock()
        self._look = look
        self._lasts = lasts
        self._is_full = False
        self._said: str | None = None
        """What the log said last: why it is offline, or nothing for online."""

    @property
    def online(self) -> bool:
        """Whether the archive answered when it was last asked."""
        return self._up.is_set()

    @property
    def reason(self) -> str:
        """Why it is offline, in plain words; empty while it is online or was not tried yet."""
        return "" if self._error is None else str(self._error)

    @property
    def down_since(self) -> float | None:
        """Since when it is offline, or was not tried yet; POSIX seconds. None while online."""
        if self.online:
            return None
        # What a clock said that was ahead would last until it is reached again.
        self._down_since = min(self._down_since, self._clock())
        return self._down_since

    async def wait_online(self) -> None:
        """Wait until it is online."""
        await self._up.wait()

    async def wait_open(self, direction: Direction) -> None:
        """Wait until it is online, and sync may use it in this direction."""
        while True:
            await self.line.wait_open(direction)
            await self.wait_online()
            if not self.line.closed(direction):
                return

    def failed(self, error: CloudError) -> None:
        """Whoever met an error says so; everything waits from now on until the prober succeeds."""
        if not self.online:
            return
        if self._clock() - self._up_since > _GOOD_FOR:
            self._failures = 0
        self._failures += 1
        self._error = error
        self._down_since = self._clock()
        self._up.clear()
        self._down.set()

    def worked(self) -> None:
        """The line carried something: what breaks next is the first failure again."""
        self._failures = 0

    async def note_room(self, *, full: bool) -> None:
        """Note that the archive is full, or took something again; it is online all the same."""
        if full or self._is_full:
            self._is_full = full
            await self._ledger.set_archive_state(
                self._archive.name, online=True, reason=_FULL if full else ""
            )

    def nudge(self) -> None:
        """Try at once, if it is offline: the network came up, or a person wants to know."""
        self._nudged.set()

    async def run(self) -> None:
        """Probe while offline, until cancelled."""
        while True:
            if self._said and not await _is_set_within(self._lasts, self._down):
                self._say("")
            await self._down.wait()
            if self._error is not None:
                await self._note_failure(self._error)
                await self._pause(self._error)
            if error := await self._probe():
                self._failures += 1
                self._error = error
            else:
                await self._note_success()

    async def _probe(self) -> CloudError | None:
        try:
            await self._archive.search_studies(limit=1)
        except CloudRefused as error:
            # An answer that is of no use comes over a line that is.
            return None if 200 <= error.status < 300 else error
        except CloudError as error:
            return error
        return None

    async def _pause(self, error: CloudError) -> None:
        """Wait until it is time to try again, or the line came back, or somebody is in a hurry."""
        delay = self._backoff.delay(self._failures)
        asked = error.retry_after if isinstance(error, CloudUnreachable) else None
        if asked is not None:
            # The archive knows best: so long, no longer and no shorter, but for a breath.
            delay = max(asked, _BREATH)
        self._nudged.clear()
        time_now = asyncio.get_running_loop().time
        begun = time_now()
        # Where something answers, the matter is with the archive, and is left alone; unless it is
        # a line that carried something, and broke.
        broke = self._failures == 1 and is_cut(error)
        answers = asked is not None or (not broke and await self._archive.answers())
        while (passed := time_now() - begun) < delay:
            look = delay if answers else min(max(_SHARE * passed, _FIRST_LOOK), self._look)
            if await _is_set_within(min(look, delay - passed), self._nudged):
                return
            if not answers and await self._archive.answers():
                return

    async def _note_failure(self, error: CloudError) -> None:
        lasting = is_lasting(error)
        words = str(error).removeprefix(f"archive {self._archive.name}: ")
        if error.hint:
            words = f"{words} ({error.hint})"
        self._say(words, lasting=lasting)
        await self._ledger.set_archive_state(
            self._archive.name, online=False, reason=words, lasting=lasting
        )

    async def _note_success(self) -> None:
        if self._said is None:
            self._say("")
        self._error = None
        self._up_since = self._clock()
        self._down.clear()
        await self._ledger.set_archive_state(self._archive.name, online=True)
        self._up.set()

    def _say(self, words: str, *, lasting: bool = False) -> None:
        """Put it into the log, unless it stands there."""
        if words == self._said:
            return
        self._said = words
        if not words:
            log.info("archive %s: online", self._archive.name)
        elif lasting:
            log.error("archive %s: the way to it must be mended: %s", self._archive.name, words)
        else:
            log.warning("archive %s: offline: %s", self._archive.name, words)


async def _is_set_within(seconds: float, event: asyncio.Event) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
