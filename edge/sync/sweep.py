"""The sweeps of the archive: learns what it has (QIDO-RS), into NEARLINE rows.

A plain search can't say what changed, so this sweeps: all studies at once while they fit into one
answer; else the days just past, every time, and the whole archive slowly, in windows of Study Date
that don't overlap and are halved when an answer is full. Studies without a date match no window;
they are met by paging through the unfiltered list, a few pages a sweep.

Promises that a sweep goes on where it stopped, also after a restart, and that what was learned
twice does no harm. Absence is never a delete: a listing only ever adds. When a sweep has met all
that there is, it says so to whoever looks for what is missing.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, date, datetime, timedelta

import msgspec

from edge.cache.absences import Absences
from edge.cache.custody import CustodyLedger
from edge.cloud.archive import Archive, Dataset
from edge.cloud.listing import uid_of
from edge.sync.learning import Learning
from edge.sync.link import Link

__all__ = ["Sweep"]

log = logging.getLogger(__name__)

_PAGE = 100
"""No archive that we know cuts an answer below this."""
_HOT_DAYS = 7
_REQUESTS = 300
"""Windows of the slow sweep, each time."""
_UNDATED_PAGES = 20
_PASSES = 3
_FIRST_DAYS, _MOST_DAYS = 32, 3652
_FLOOR = date(1900, 1, 1)
"""Nothing in medicine was digital then; older dates are mistakes, and one window."""
_STUDY_UID = "0020000D"
_MOST_STUDIES = 20_000
"""Of a window that can't be halved."""
_DAY = timedelta(days=1)
_DATE = re.compile("(19|20)[0-9]{6}")


class _DatesIgnored(Exception):
    """The archive answers with studies of other dates than those that were asked for."""


class _Pass(msgspec.Struct):
    """Whether all windows, or the whole unfiltered list, were gone through in a complete sweep."""

    is_whole: bool = True
    """Whether the pass that is under way began within it."""
    is_done: bool = False

    def end(self) -> None:
        """It came to its end; the next one begins."""
        self.is_done = self.is_done or self.is_whole
        self.is_whole = True


class _Cursor(msgspec.Struct):
    """Where the slow sweep goes on: *until* this day, the newest first; None: from the newest."""

    until: date | None = None
    days: int = _FIRST_DAYS
    offset: int = 0
    """Of the pass through the unfiltered list."""
    has_seen_dates: bool = False
    """Whether the windows were gone through to the end since it began."""
    has_seen_undated: bool = False
    """Whether that pass was."""
    dates: _Pass = msgspec.field(default_factory=_Pass)
    undated: _Pass = msgspec.field(default_factory=_Pass)


class Sweep:
    """Sweeps the archive, one ``run`` after the other.

    Args:
        ledger: Keeps the cursor.
        archive: Is asked.
        link: Its line says when to stop.
        learning: Looks into the studies that are met.
        clock: POSIX seconds.
        absences: Are told when a sweep has met everything; None if nobody misses anything.
    """

    def __init__(
        self,
        ledger: CustodyLedger,
        archive: Archive,
        link: Link,
        learning: Learning,
        *,
        clock: Callable[[], float] = time.time,
        absences: Absences | None = None,
    ) -> None:
        self._ledger = ledger
        self._archive = archive
        self._link = link
        self._learn = learning.learn
        self._clock = clock
        self._absences = absences
        self._cursor_name = f"sweep:{archive.name}"
        self._cap = _PAGE
        self._is_void = False
        """Whether the sweep that is under way began before all was to be seen anew."""

    async def run(self) -> bool:
        """One sweep; whether all of the archive has been seen by now, this time or bit by bit.

        Raises:
            CloudError: The archive can't be asked; what was learned so far is kept.
        """
        self._is_void = False
        first = await self._page({})
        rest = await self._page({}, len(first)) if 0 < len(first) < _PAGE else []
        known = {uid_of(study, _STUDY_UID) for study in first}
        surprise = any(uid_of(study, _STUDY_UID) not in known for study in rest)
        # An answer below the limit that goes on at the next offset was cut by the archive.
        self._cap = len(first) if surprise else _PAGE
        if len(first) < self._cap:
            await self._learn(first)
            await self._complete(await self._load())
            return not self._is_void
        try:
            await self._sweep_hot_days()
            cursor = await self._load()
            await self._sweep_slowly(cursor)
        except _DatesIgnored:
            # Then its whole list is all that there is to go by.
            cursor = await self._load()
            cursor.has_seen_dates = True
            cursor.dates.is_whole = cursor.undated.is_whole
            cursor.dates.is_done = True
        await self._sweep_undated(cursor)
        if cursor.dates.is_done and cursor.undated.is_done:
            await self._complete(cursor)
        return cursor.has_seen_dates and cursor.has_seen_undated and not self._is_void

    async def _complete(self, cursor: _Cursor) -> None:
        """All that there is was met since this was said last; another sweep begins.

        Crash order: the passes begin anew -> the sweep is complete. A crash between the two makes
        this one longer.
        """
        if self._absences is None or self._is_void:
            return
        passes = (_Pass(is_whole=cursor.until is None), _Pass(is_whole=cursor.offset == 0))
        if (cursor.dates, cursor.undated) != passes:
            cursor.dates, cursor.undated = passes
            await self._save(cursor)
        await self._absences.complete(self._archive.name)

    async def start_over(self) -> None:
        """Have the slow sweep begin anew: nothing is known to have been seen.

        One that is under way comes to its end, and leaves no trace.
        """
        self._is_void = False
        await self._save(_Cursor())
        self._is_void = True

    async def _sweep_hot_days(self) -> None:
        oldest = self._tomorrow() - timedelta(days=_HOT_DAYS)
        async for window in self._windows(_Cursor(days=_HOT_DAYS + 1)):
            await self._learn(window.studies)
            if window.since <= oldest:
                return

    async def _sweep_slowly(self, cursor: _Cursor) -> None:
        budget = _REQUESTS
        async for window in self._windows(cursor):
            await self._learn(window.studies)
            cursor.dates.is_whole &= window.is_whole
            cursor.until, cursor.days = window.since - timedelta(days=1), window.next_days
            budget -= window.requests
            await self._save(cursor)
            if budget <= 0:
                return
        cursor.until, cursor.days = None, _FIRST_DAYS
        cursor.has_seen_dates = True
        cursor.dates.end()
        await self._save(cursor)

    async def _sweep_undated(self, cursor: _Cursor) -> None:
        """Some pages of the unfiltered list; it meets dated studies too, which does no harm."""
        before: set[str | None] = set()
        for _ in range(_UNDATED_PAGES):
            page = await self._page({}, cursor.offset)
            uids = {uid_of(study, _STUDY_UID) for study in page}
            await self._learn(page)
            # The end of the list, or an archive that ignores offsets.
            at_end = len(page) < self._cap or uids <= before
            # Pages overlap: what is deleted in front of them meanwhile moves others forward.
            cursor.offset = 0 if at_end else cursor.offset + len(page) - self._cap // 10
            cursor.has_seen_undated |= at_end
            if at_end:
                cursor.undated.end()
            await self._save(cursor)
            if at_end:
                return
            before = uids

    async def _windows(self, start: _Cursor) -> AsyncIterator[_Window]:
        """Windows of Study Date, from the newest on; none has more studies than fit an answer."""
        until, days, requests = start.until, start.days, 0
        while True:
            end = until or self._tomorrow()
            since = _FLOOR if end < _FLOOR else max(end - timedelta(days=days - 1), _FLOOR)
            last = end < _FLOOR
            params = {"StudyDate": _range(None if last else since, until)}
            studies = await self._page(params)
            is_whole = True
            requests += 1
            if _are_others(studies, since, until, is_open=last):
                raise _DatesIgnored
            if len(studies) >= self._cap:
                if not last and since < end:
                    days = max(days // 4, 1)
                    continue
                is_whole = await self._learn_pages(params)
                studies = []
            elif len(studies) < self._cap // 4:
                days = min(days * 2, _MOST_DAYS)
            yield _Window(studies, since, days, requests, is_whole)
            if last:
                return
            until, requests = since - timedelta(days=1), 0

    async def _learn_pages(self, params: dict[str, str]) -> bool:
        """A window that can't be halved, page by page, until a pass brings nothing new.

        Returns:
            Whether it came to its end.

        A list that changes while it is paged can hide a study between two pages; the next pass, or
        the next sweep, meets it.
        """
        found: set[str] = set()
        for _ in range(_PASSES):
            seen: set[str] = set()
            offset = 0
            while len(seen) < _MOST_STUDIES:
                page = await self._page(params, offset)
                before = len(seen)
                fresh = [one for one in page if uid_of(one, _STUDY_UID) not in found | seen]
                seen |= {uid for one in page if (uid := uid_of(one, _STUDY_UID))}
                await self._learn(fresh)
                offset += len(page)
                if len(page) < self._cap or len(seen) == before:
                    break
            else:
                log.warning(
                    "archive %s lists more than %d studies of one day; the rest is left to the"
                    " slow sweep",
                    self._archive.name,
                    _MOST_STUDIES,
                )
                return False
            if seen <= found:
                break
            found |= seen
        return True

    async def _page(self, params: dict[str, str], offset: int = 0) -> list[Dataset]:
        self._link.line.check("down")
        return await self._archive.search_studies(params, limit=_PAGE, offset=offset)

    async def _load(self) -> _Cursor:
        text = await self._ledger.cursor(self._cursor_name)
        try:
            return msgspec.json.decode(text or "{}", type=_Cursor)
        except msgspec.DecodeError:
            log.warning("the cursor of the sweep can't be understood; it starts over")
            return _Cursor()

    async def _save(self, cursor: _Cursor) -> None:
        if self._is_void:
            return
        await self._ledger.set_cursor(self._cursor_name, msgspec.json.encode(cursor).decode())

    def _tomorrow(self) -> date:
        """Of any time zone; what is dated later still is in the newest window, which is open."""
        return datetime.fromtimestamp(self._clock(), UTC).date() + timedelta(days=1)


class _Window(msgspec.Struct):
    """Studies of one window of dates, and where the next begins."""

    studies: list[Dataset]
    since: date
    next_days: int
    requests: int
    is_whole: bool
    """Or there were more than are looked at."""


def _are_others(
    studies: Sequence[Dataset], since: date, until: date | None, *, is_open: bool
) -> bool:
    """Whether most have a date that lies clearly outside of what was asked for.

    Single ones may: their images differ in it, and the archive matches by one and tells another.
    """
    first = "" if is_open else f"{since - _DAY:%Y%m%d}"
    last = "99999999" if until is None else f"{until + _DAY:%Y%m%d}"
    strange = 0
    for study in studies:
        values = study.get("00080020", {}).get("Value") or [""]
        value = values[0]
        if isinstance(value, str) and _DATE.fullmatch(value) and not first <= value <= last:
            strange += 1
    return strange > len(studies) / 2


def _range(since: date | None, until: date | None) -> str:
    """A range of dates (PS3.4 C.2.2.2.5.1), open where None."""
    return "-".join("" if day is None else f"{day:%Y%m%d}" for day in (since, until))
