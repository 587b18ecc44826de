"""What sync may use of the line now: the calendar, the budget and the limits, for all archives.

Owns the throttles that all transfers share, the count of what went over the line and the measured
speed; both are kept in the ledger at intervals, so that a crash loses seconds of it. Whoever wants
to use the line for sync waits here until he may; a transfer that is under way ends when the
calendar closes, and is finished when the budget is used up, for what it has used would be lost.
Viewers never wait: what they fetch counts, and that is all.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import tzinfo

import msgspec

from edge import config
from edge.cache.custody import CustodyLedger
from edge.cache.status import LINE, LineState, WaitingStudy
from edge.cloud.pace import Throttle, Way
from edge.errors import LineClosed
from edge.sync.budget import Budget, Used
from edge.sync.calendar import Calendar, local_time
from edge.sync.meter import Meter, arrivals
from edge.week import Direction, rule_of

__all__ = ["Closed", "Line", "line_state"]

log = logging.getLogger(__name__)

_KEEP_EVERY = 10.0
"""Seconds between two entries of the count into the ledger, while it grows."""
_LOOK = 20.0
"""Seconds between two looks at the clock while nothing may go: it may be set meanwhile."""
_MB = 1_000_000
_WHAT: dict[Direction, str] = {"up": "uploads", "down": "verification and sweeps"}


class _Kept(msgspec.Struct):
    """What the ledger keeps."""

    used: Used = msgspec.field(default_factory=Used)
    speeds: dict[str, dict[Direction, float | None]] = msgspec.field(default_factory=dict)
    """Archive -> bytes a second of late."""


@dataclass(frozen=True, slots=True)
class Closed:
    """Why sync may not use the line, and until when, if that is known."""

    why: str
    until: float | None


class Line:
    """The line that all archives are at the other end of.

    Args:
        settings: Calendar, limits and budget.
        ledger: Keeps the count; None keeps it in memory only.
        clock: POSIX seconds.
        zone: Of the box; None means what the system says.
        look: Seconds between two looks at the clock while nothing may go.
        keep_every: Seconds between two entries into the ledger.
    """

    def __init__(
        self,
        settings: config.Sync,
        ledger: CustodyLedger | None = None,
        *,
        clock: Callable[[], float] = time.time,
        zone: tzinfo | None = None,
        look: float = _LOOK,
        keep_every: float = _KEEP_EVERY,
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._zone = zone
        self._look = look
        self._keep_every = keep_every
        self._calendar = _calendar_of(settings, zone)
        self._budget = _budget_of(settings, zone)
        self._meters: dict[str, Meter] = {}
        self._kept = _Kept()
        self._moved = False
        self._ready = asyncio.Event()
        if ledger is None:
            self._ready.set()
        self._waiting: set[Direction] = set()
        self.up = Throttle(lambda: self._rate("up"))
        self.down = Throttle(lambda: self._rate("down"))

    def way(self, archive: str) -> Way:
        """For the driver of an archive."""
        meter = self._meters[archive] = Meter(self._count)
        return Way(self.up, meter)

    # Whether and how fast -------------------------------------------------------------------------

    def closed(self, direction: Direction) -> Closed | None:
        """Why nothing of sync may begin to go in this direction now; None if it may."""
        return _closed(self._calendar, self._budget, self._clock(), direction, self._zone)

    def check(self, direction: Direction) -> None:
        """Let whoever is about to use the line go on.

        Raises:
            LineClosed: It may not be used; ``wait_open`` says when it may be.
        """
        if closed := self.closed(direction):
            raise LineClosed(closed.why)

    async def wait_open(self, direction: Direction) -> None:
        """Wait until sync may use the line in this direction."""
        await self._ready.wait()
        while closed := self.closed(direction):
            self._say(direction, closed.why)
            until = self._look if closed.until is None else closed.until - self._clock()
            await asyncio.sleep(min(max(until, 0.05), self._look))
        self._say(direction, "")

    async def incoming(self, pieces: AsyncIterable[bytes]) -> AsyncGenerator[bytes]:
        """What sync reads from an archive, as fast as it may come.

        Raises:
            LineClosed: It may not begin, or not go on.
        """
        self.check("down")
        async with aclosing(self.down.paced(pieces)) as paced:
            async for piece in paced:
                yield piece

    def _rate(self, direction: Direction) -> float | None:
        kbps = self._calendar.limit(self._clock(), direction)
        return None if kbps is None else kbps * 125.0

    def _say(self, direction: Direction, why: str) -> None:
        """Put it into the log, when it begins and when it ends."""
        if bool(why) == (direction in self._waiting):
            return
        if why:
            self._waiting.add(direction)
            log.info("%s wait: %s", _WHAT[direction], why)
        else:
            self._waiting.discard(direction)
            log.info("%s go on", _WHAT[direction])

    # The count ------------------------------------------------------------------------------------

    def _count(self, direction: Direction, count: int) -> None:
        self._budget.add(self._clock(), direction, count)
        self._moved = True

    async def run(self) -> None:
        """Keep the count until cancelled; sync waits until what was counted before is known."""
        if self._ledger is None:
            await asyncio.Event().wait()
            return
        if not self._ready.is_set():
            self._take_up(_understood(await self._ledger.cursor(LINE)))
            self._ready.set()
        try:
            while True:
                await asyncio.sleep(self._keep_every)
                await self._keep(self._ledger)
        finally:
            await self._keep(self._ledger)

    def _take_up(self, kept: _Kept) -> None:
        """Go on with what was counted before; something may have gone over the line already."""
        self._kept = kept
        new, self._budget.used = self._budget.used, kept.used
        self._budget.add(self._clock(), "up", new.up)
        self._budget.add(self._clock(), "down", new.down)

    async def _keep(self, ledger: CustodyLedger) -> None:
        if not self._moved:
            return
        for name, meter in self._meters.items():
            before = self._kept.speeds.setdefault(name, {"up": None, "down": None})
            before["up"] = meter.speed("up") or before.get("up")
            before["down"] = meter.speed("down") or before.get("down")
        self._kept.used = self._budget.used
        self._moved = False
        try:
            await ledger.set_cursor(LINE, msgspec.json.encode(self._kept).decode())
        except BaseException:
            self._moved = True
            raise


def line_state(
    settings: config.Sync,
    kept: str | None,
    backlog: int,
    studies: Sequence[WaitingStudy],
    *,
    archive: str,
    now: float,
    zone: tzinfo | None = None,
) -> LineState:
    """How sync may use the line, how fast it is, and when what waits will be there.

    Args:
        settings: Calendar, limits and budget.
        kept: What ``Line`` put into the ledger.
        backlog: Bytes that are owed in all.
        studies: The first that wait, in the order in which they go.
        archive: Whose speed counts.
        now: POSIX seconds.
        zone: Of the box; None means what the system says.
    """
    state = _understood(kept)
    calendar, budget = _calendar_of(settings, zone), _budget_of(settings, zone)
    budget.used = state.used
    closed, words = _closed(calendar, budget, now, "up", zone), ""
    if closed is not None:
        words = closed.why
    elif closed := _closed(calendar, budget, now, "down", zone):
        words = f"{_WHAT['down']} wait: {closed.why}"
    speeds = state.speeds.get(archive, {})
    up = speeds.get("up")
    owed = [one.bytes for one in studies]
    owed.append(max(0, backlog - sum(owed)))
    etas = arrivals(owed, up, calendar.stretches(now, "up"))
    if budget.total:
        allowed = [budget.opens(now, sent) for sent in itertools.accumulate(owed)]
        etas = [eta and max(eta, at) for eta, at in zip(etas, allowed, strict=True)]
    left, (_, renewed) = budget.left(now), budget.month(now)
    return LineState(
        waits=words,
        waits_until=None if closed is None else closed.until,
        upload_kbps=calendar.limit(now, "up"),
        download_kbps=calendar.limit(now, "down"),
        month_sent_bytes=budget.used.up,
        month_received_bytes=budget.used.down,
        budget_bytes=budget.total,
        budget_left_bytes=left if budget.total else None,
        budget_renewed=renewed,
        upload_speed=up,
        download_speed=speeds.get("down"),
        backlog_eta=etas[-1] if backlog else None,
        studies=tuple(
            dataclasses.replace(one, eta=eta) for one, eta in zip(studies, etas[:-1], strict=True)
        ),
    )


def _closed(
    calendar: Calendar, budget: Budget, now: float, direction: Direction, zone: tzinfo | None
) -> Closed | None:
    if calendar.limit(now, direction) == 0:
        until = calendar.opens(now, direction)
        when = "" if until is None else f" until {_moment(until, now, zone)}"
        return Closed(f"the calendar lets nothing through{when}", until)
    if budget.is_open(now):
        return None
    left, until = budget.left(now), budget.opens(now)
    _, renewed = budget.month(now)
    anew = f"it starts anew on {local_time(renewed, zone):%Y-%m-%d}"
    if not left:
        return Closed(f"the month's budget is used up, {anew}", until)
    return Closed(
        f"the part of the month's budget that is due is used up until"
        f" {_moment(until, now, zone)}, {left / _MB:.0f} MB are left, {anew}",
        until,
    )


def _moment(moment: float, now: float, zone: tzinfo | None) -> str:
    """A moment, as short as it can be told."""
    local, today = local_time(moment, zone), local_time(now, zone).date()
    days = (local.date() - today).days
    if not days:
        return f"{local:%H:%M}"
    return f"{local:%A %H:%M}" if days < 7 else f"{local:%Y-%m-%d %H:%M}"


def _calendar_of(settings: config.Sync, zone: tzinfo | None) -> Calendar:
    return Calendar(
        [rule_of(text) for text in settings.calendar],
        max_upload_kbps=settings.max_upload_kbps,
        max_download_kbps=settings.max_download_kbps,
        zone=zone,
    )


def _budget_of(settings: config.Sync, zone: tzinfo | None) -> Budget:
    return Budget(settings.monthly_budget_mb * _MB, settings.budget_day, zone=zone)


def _understood(kept: str | None) -> _Kept:
    try:
        return msgspec.json.decode(kept or "{}", type=_Kept)
    except msgspec.DecodeError:
        log.warning("what was counted on the line can't be understood; it is counted anew")
        return _Kept()
