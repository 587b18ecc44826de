"""Learns what the archive has, again and again: the loops.

Of an archive that has a feed, that is followed, often; each is swept, too, in the rhythm of the
settings, and once a day where a feed that is followed says everything. What a look is made of
stands in ``follow`` and ``sweep``. Promises that it waits for the line; that a list or feed which
is of no use leaves the line to the uploads; and that sweeps never cease.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from edge import config
from edge.cache.absences import Absences
from edge.cache.custody import CustodyLedger
from edge.cloud.archive import Archive
from edge.cloud.feed import Feed
from edge.errors import (
    CloudError,
    CloudIntercepted,
    CloudRefused,
    CloudUnauthorised,
    LineClosed,
)
from edge.sync.follow import Follow
from edge.sync.learning import Learning
from edge.sync.link import Link
from edge.sync.sweep import Sweep

__all__ = ["Pull"]

log = logging.getLogger(__name__)

_DAY = 86400.0


class Pull:
    """Follows and sweeps while the link is online.

    Args:
        ledger: Keeps what was learned, and the cursors.
        archive: Is asked.
        link: Is waited for, and told of failures.
        learning: Looks into what is new.
        settings: Minutes between two sweeps, seconds between two looks at the feed.
        clock: POSIX seconds.
        feed: Of the archive; None if it has none.
        absences: Are told what is listed; None where nobody looks for what is missing.
    """

    def __init__(
        self,
        ledger: CustodyLedger,
        archive: Archive,
        link: Link,
        learning: Learning,
        settings: config.Sync,
        *,
        clock: Callable[[], float] = time.time,
        feed: Feed | None = None,
        absences: Absences | None = None,
    ) -> None:
        self._archive = archive
        self._link = link
        self._settings = settings
        self._feed = feed
        self._nudged = asyncio.Event()
        self._nudged_to_follow = asyncio.Event()
        self._sweep = Sweep(ledger, archive, link, learning, clock=clock, absences=absences)
        self._follow = (
            None
            if feed is None
            else Follow(ledger, archive, feed, link, learning, self._sweep.start_over)
        )
        self._is_following = False
        self._placed = asyncio.Event()
        """The cursor of the feed stands; a sweep that begins now leaves nothing out."""

    async def run(self) -> None:
        """Follow and sweep until cancelled."""
        if self._follow is None:
            self._placed.set()
            await self._keep_sweeping()
            return
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._keep_following(), name="follow")
                tasks.create_task(self._keep_sweeping(), name="sweep")
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from failures  # It says what is wrong; a group does not.

    def nudge(self) -> None:
        """Look now."""
        self._nudged.set()
        self._nudged_to_follow.set()

    async def sweep(self) -> None:
        """One sweep.

        Raises:
            CloudError: The archive can't be asked; what was learned so far is kept.
        """
        await self._sweep.run()

    async def follow(self) -> bool:
        """Read the feed to its end; whether it still had our place.

        Raises:
            CloudError: The archive can't be asked; what was learned so far is kept.
        """
        if self._follow is None or await self._follow.run():
            return True
        self._nudged.set()
        return False

    async def _keep_sweeping(self) -> None:
        while True:
            await self._placed.wait()
            await self._link.wait_open("down")
            self._nudged.clear()
            if self._follow is not None:
                self._follow.owes_a_sweep = False
            is_whole = False
            try:
                is_whole = await self._sweep.run()
            except LineClosed:
                continue  # The slow sweep goes on where it is.
            except CloudRefused as error:
                # The archive is there, and only its list is of no use: uploads go on meanwhile.
                log.warning("what is new in the archive can't be seen: %s", error)
            except CloudError as error:
                self._link.failed(error)
                continue
            await self._rest(is_whole)

    async def _rest(self, is_whole: bool) -> None:
        """Until the next sweep."""
        begun = asyncio.get_running_loop().time()
        while True:
            passed = asyncio.get_running_loop().time() - begun
            if (left := self._pause(is_whole) - passed) <= 0:
                return
            # What makes the pause shorter may come to pass meanwhile.
            if await _is_set_within(min(left, self._settings.sweep_minutes * 60), self._nudged):
                return

    def _pause(self, is_whole: bool) -> float:
        usual = self._settings.sweep_minutes * 60
        if self._follow is None or self._feed is None:
            return usual
        suffices = self._is_following and self._feed.logs_deletes and is_whole
        return max(usual, _DAY) if suffices and not self._follow.owes_a_sweep else usual

    async def _keep_following(self) -> None:
        usual, long = self._settings.feed_seconds, self._settings.sweep_minutes * 60
        had_our_place = True
        while True:
            await self._link.wait_open("down")
            self._nudged_to_follow.clear()
            pause = usual
            try:
                has_our_place = await self.follow()
                if not (has_our_place or had_our_place):
                    # It loses its place each time: no reason to look through all that often.
                    pause = max(usual, long)
                had_our_place = has_our_place
                self._say_that_it_is_followed()
            except LineClosed:
                continue
            except CloudError as error:
                is_about_the_feed = _is_about_the_feed(error)
                if error.__cause__ is not None and not is_about_the_feed:
                    self._link.failed(error)
                    continue
                # The archive answered, and only its feed is of no use: the sweeps do without.
                self._say_that_it_is_not(str(error))
                if is_about_the_feed:
                    pause = max(usual, long)
            except (ArithmeticError, LookupError, TypeError, ValueError) as error:
                # It says what nobody foresaw; the sweeps do without.
                self._say_that_it_is_not(f"it can't be understood ({type(error).__name__})")
                pause = max(usual, long)
            self._placed.set()
            await _is_set_within(pause, self._nudged_to_follow)

    def _say_that_it_is_followed(self) -> None:
        if not self._is_following:
            self._is_following = True
            log.info("archive %s: its feed is followed", self._archive.name)

    def _say_that_it_is_not(self, why: str) -> None:
        if self._is_following or not self._placed.is_set():
            log.warning("archive %s: its feed can't be followed: %s", self._archive.name, why)
        self._is_following = False


def _is_about_the_feed(error: CloudError) -> bool:
    """Whether whatever answers may be well where DICOMweb is."""
    return isinstance(error, (CloudIntercepted, CloudRefused, CloudUnauthorised))


async def _is_set_within(seconds: float, event: asyncio.Event) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
