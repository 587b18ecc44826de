"""What the line may carry at which time: the rules of the week, and what holds outside of them.

Of the rules that cover a moment the last one wins. Times are those of the clock on the wall: in the
night in which it is put forward, the skipped hour does not exist, and what begins in it begins at
once; in the night in which it is put back, the repeated hour is lived through twice. Pure: asks no
clock and waits for nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from edge.week import DAY, Direction, Rule, limit_of

__all__ = ["Calendar", "Stretch", "local_time", "posix_of"]

_AHEAD = 15
"""Days to look ahead: what does not change within a week never does, but that a zone may leave out
a day (Samoa, 2011)."""
_FAR = 60
"""Days that ``stretches`` goes."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """POSIX seconds in which one limit holds."""

    begin: float
    end: float
    kbps: int | None


class Calendar:
    """The limits.

    Args:
        rules: The later ones win.
        max_upload_kbps: Outside of the rules; 0 means unlimited.
        max_download_kbps: The same.
        zone: Of the box; None means what the system says.
    """

    def __init__(
        self,
        rules: Sequence[Rule] = (),
        *,
        max_upload_kbps: int = 0,
        max_download_kbps: int = 0,
        zone: tzinfo | None = None,
    ) -> None:
        self._rules = tuple(rules)
        self._usual: dict[Direction, int | None] = {
            "up": max_upload_kbps or None,
            "down": max_download_kbps or None,
        }
        self._zone = zone
        ends = {end % DAY for rule in rules for end in (rule.begin, rule.end)}
        self._minutes = sorted({0, *ends})

    def limit(self, now: float, direction: Direction) -> int | None:
        """kbit/s that may go in this direction; None for unlimited, 0 for nothing."""
        local = local_time(now, self._zone)
        day, minute = local.weekday(), local.hour * 60 + local.minute
        return limit_of(self._rules, day, minute, direction, self._usual[direction])

    def next_change(self, now: float) -> float | None:
        """When either limit is another one than now; None if it never will be."""
        before = self._both(now)
        return next((it for it in self._moments(now, _AHEAD) if self._both(it) != before), None)

    def opens(self, now: float, direction: Direction) -> float | None:
        """When something may go in this direction; None if nothing ever may."""
        if self.limit(now, direction) != 0:
            return now
        moments = self._moments(now, _AHEAD)
        return next((it for it in moments if self.limit(it, direction) != 0), None)

    def stretches(self, now: float, direction: Direction) -> Iterator[Stretch]:
        """What holds from now on, one after the other, for some weeks."""
        begin, kbps = now, self.limit(now, direction)
        # Without rules nothing changes, and there is no need to go through the days.
        for moment in self._moments(now, _FAR) if self._rules else ():
            after = self.limit(moment, direction)
            if after != kbps:
                yield Stretch(begin, moment, kbps)
                begin, kbps = moment, after
        end = now + _FAR * 86400
        if begin < end:
            yield Stretch(begin, end, kbps)

    def _both(self, now: float) -> tuple[int | None, int | None]:
        return self.limit(now, "up"), self.limit(now, "down")

    def _moments(self, now: float, days: int) -> Iterator[float]:
        """All at which a rule may begin or end, and at which the clock is put forward or back."""
        today = local_time(now, self._zone).date()
        waiting: set[float] = set()
        for ahead in range(-1, days + 1):
            day = today + timedelta(days=ahead)
            waiting.update(
                posix_of(day, minute, self._zone, fold=fold)
                for minute in self._minutes
                for fold in (0, 1)
            )
            waiting.update(self._jumps(day))
            # Where the clock is put back over midnight, days overlap.
            ripe = posix_of(day, DAY // 2, self._zone)
            yield from sorted(it for it in waiting if now < it < ripe)
            waiting = {it for it in waiting if it >= ripe}
        yield from sorted(waiting)

    def _jumps(self, day: date) -> Iterator[float]:
        """When, on this day, local time jumps."""
        low, high = (posix_of(it, 0, self._zone) for it in (day, day + timedelta(days=1)))
        for begin, end in itertools.pairwise([low, (low + high) // 2, high]):
            if self._offset(begin) != self._offset(end):
                yield self._jump_between(begin, end)

    def _jump_between(self, low: float, high: float) -> float:
        while high - low > 1:
            middle = (low + high) // 2
            if self._offset(middle) == self._offset(low):
                low = middle
            else:
                high = middle
        return high

    def _offset(self, now: float) -> timedelta:
        local = local_time(now, self._zone).replace(tzinfo=None)
        return local - datetime.fromtimestamp(now, UTC).replace(tzinfo=None)


def local_time(now: float, zone: tzinfo | None) -> datetime:
    """The clock on the wall."""
    moment = datetime.fromtimestamp(now, zone or UTC)
    return moment if zone else moment.astimezone()


def posix_of(day: date, minute: int, zone: tzinfo | None, *, fold: int = 0) -> float:
    """When the clock on the wall shows this minute; *fold* 1: for the second time (PEP 495).

    A minute that is skipped counts as if the clock had not been put forward yet.
    """
    wall = datetime.combine(day, time(minute // 60, minute % 60, fold=fold))
    return (wall.replace(tzinfo=zone) if zone else wall.astimezone()).timestamp()
