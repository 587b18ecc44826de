"""What sync may use of a line that is paid for by volume, and how much of it is gone.

A month begins on a day that can be set, at midnight of the clock on the wall. Sync may use the
share of its budget that the month's elapsed time allows, and a day's worth beyond, so that it is
not gone on the third day. Everything that goes over the line counts, what viewers fetch, too.
Promises that a clock which is wrong for a while (a box without a battery begins in 1970) neither
gives the budget anew nor takes it away. No I/O: ``edge.sync.line`` keeps the count.
"""

from __future__ import annotations

import math
from calendar import monthrange
from datetime import date, timedelta, tzinfo

import msgspec

from edge.sync.calendar import local_time, posix_of
from edge.week import Direction

__all__ = ["Budget", "Used"]

_DAY = 86400.0
_EPOCH = 1_735_689_600.0
"""2025-01-01: a clock before that was not set yet."""
_SAME = 2 * _DAY
"""Months that begin so near each other are one: the zone was changed, or the first day a little."""


class Used(msgspec.Struct):
    """What went over the line in one month."""

    since: float = 0.0
    """When the month began, in POSIX seconds."""
    up: int = 0
    down: int = 0
    """Bytes."""
    before: Used | None = None
    """The month before: a clock that ran ahead for a while finds its count again."""

    @property
    def bytes(self) -> int:
        """Both directions."""
        return self.up + self.down


class Budget:
    """The budget of a month, and what is used of it.

    Args:
        total: Bytes of a month; 0 for any number.
        first_day: Of the month; where it has no such day, its last.
        zone: Of the box; None means what the system says.
        used: What was counted before.
    """

    def __init__(
        self,
        total: int,
        first_day: int = 1,
        *,
        zone: tzinfo | None = None,
        used: Used | None = None,
    ) -> None:
        self.total = total
        self._first_day = first_day
        self._zone = zone
        self.used = used or Used()
        self._month = (0.0, 0.0)

    def add(self, now: float, direction: Direction, count: int) -> None:
        """So many bytes went over the line."""
        self._begin_anew_if_time(now)
        if direction == "up":
            self.used.up += count
        else:
            self.used.down += count

    def month(self, now: float) -> tuple[float, float]:
        """When the month began, and when the next one begins."""
        known, end = self._month
        if known <= now < end:  # It is asked for with every piece of a transfer.
            return self._month
        # Whole seconds: a datetime would round up what is just before midnight.
        today = local_time(math.floor(now), self._zone).date()
        begin = self._first_of(today)
        if begin > today:
            begin = self._first_of(today.replace(day=1) - timedelta(days=1))
        following = self._first_of(begin.replace(day=1) + timedelta(days=31))
        self._month = posix_of(begin, 0, self._zone), posix_of(following, 0, self._zone)
        return self._month

    def left(self, now: float) -> int:
        """Bytes of the month's budget that are left; 0 if there is none."""
        self._begin_anew_if_time(now)
        return max(0, self.total - self.used.bytes)

    def is_open(self, now: float) -> bool:
        """Whether sync may use the line."""
        return not self.total or self.allowed(now) > 0

    def allowed(self, now: float) -> float:
        """Bytes that sync may use now; below 0 if what is used was more than allowed."""
        self._begin_anew_if_time(now)
        begin, end = self.month(now)
        share = min(1.0, (now - begin + _DAY) / (end - begin))
        return self.total * share - self.used.bytes

    def opens(self, now: float, count: int = 1) -> float:
        """When sync may use *count* bytes, if nothing else uses the line until then."""
        lacking = count - self.allowed(now)
        if not self.total or lacking <= 0:
            return now
        begin, end = self.month(now)
        a_second = self.total / (end - begin)
        soon = now + lacking / a_second
        if soon <= end - _DAY:
            return soon
        # This month has nothing more to allow; what the next ones do is told roughly.
        still = count - max(0.0, self.total - self.used.bytes)
        return end + max(0.0, still / a_second - _DAY)

    def _begin_anew_if_time(self, now: float) -> None:
        begin, _ = self.month(now)
        used = self.used
        if begin == used.since or now < _EPOCH:
            return
        if used.since and begin > used.since + _SAME:
            self.used = Used(begin, before=Used(used.since, used.up, used.down))
            return
        up, down = used.up, used.down
        if used.before is not None and abs(used.before.since - begin) < _SAME:
            up, down = up + used.before.up, down + used.before.down
        # The first count, a month that is the same, or one begun under a clock that ran ahead.
        self.used = Used(begin, up, down)

    def _first_of(self, month: date) -> date:
        _, days = monthrange(month.year, month.month)
        return month.replace(day=min(self._first_day, days))
