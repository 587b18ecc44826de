"""The change feed in the shape of Azure's DICOM service (version 2 of its API), read.

Owns two ways to go on in it. Another edge is asked for what follows a Sequence: its numbers have no
gaps, and none is committed later than a higher one. Azure's service orders by Timestamp, numbers
have gaps, and whether a transaction that began earlier may still commit behind what was read is not
promised: so its last minute is read again until that minute is over by its own clock.

Promises that a feed which ends before our position, or has something else there, is noticed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from edge.cloud.dicomweb import DicomwebArchive
from edge.cloud.feed import Action, Change, Page
from edge.dicom.instance import InstanceRef
from edge.dicom.uids import is_uid

__all__ = ["AzureFeed", "EdgeFeed"]

_LIMIT = 200
"""Changes a page; both take no more."""
_MAX_PAGE = 4 * 1024**2
_UNSETTLED = timedelta(seconds=60)
"""So long a transaction may take to commit."""
_FIRST_YEAR, _LAST_YEAR = 1970, 2999
"""Of a change; an empty time of some libraries is in the year 1."""
_TICK = timedelta(microseconds=1)
_ACTIONS = {"create": Action.STORED, "update": Action.REPLACED, "delete": Action.DELETED}
_BARE = {"includeMetadata": "false"}
_DOING = "reading the change feed"


class _Entry(msgspec.Struct):
    """One change. Names are as documented, and nothing else is looked at."""

    sequence: int = msgspec.field(name="Sequence")
    study_uid: str = msgspec.field(name="StudyInstanceUid")
    series_uid: str = msgspec.field(name="SeriesInstanceUid")
    sop_uid: str = msgspec.field(name="SopInstanceUid")
    action: str = msgspec.field(name="Action")
    timestamp: datetime = msgspec.field(name="Timestamp")
    state: str = msgspec.field(name="State", default="current")

    def __post_init__(self) -> None:
        if not _FIRST_YEAR <= self.timestamp.year <= _LAST_YEAR:
            raise ValueError("a time at which no archive was")

    @property
    def at(self) -> datetime:
        """In UTC; Azure writes seven digits, which are rounded to six."""
        written = self.timestamp
        return written.replace(tzinfo=UTC) if written.tzinfo is None else written.astimezone(UTC)


_ENTRY = msgspec.json.Decoder(_Entry)
_ENTRIES = msgspec.json.Decoder(list[_Entry])


class EdgeFeed:
    """``Feed`` of another edge. It stands beside ``/dicom-web``.

    A position names the change that was read last, which is asked for once more: if it is not
    there any more, the other edge's index was made anew.
    """

    kind = "edge"
    logs_deletes = True

    def __init__(self, archive: DicomwebArchive) -> None:
        self._archive = archive
        self._url = f"{archive.base.rpartition('/')[0]}/changefeed"

    async def latest(self) -> str:
        """See ``Feed``."""
        query = {"includeMetadata": "false"}
        entry, _ = await self._archive.ask(_DOING, f"{self._url}/latest", _ENTRY.decode, query)
        return "0" if entry is None else _place(entry)

    async def after(self, position: str) -> Page | None:
        """See ``Feed``."""
        number, _, _ = position.partition(" ")
        if not number.isdecimal():
            return None
        since = max(int(number) - 1, 0)
        query = {"since": str(since), "limit": str(_LIMIT)} | _BARE
        found, _ = await self._archive.ask(
            _DOING, self._url, _ENTRIES.decode, query, limit=_MAX_PAGE
        )
        entries = found or []
        if number != "0":
            if not entries or _place(entries[0]) != position:
                return None
            entries = entries[1:]
        if not entries:
            return Page((), position, more=False)
        more = len(entries) >= _LIMIT - 1
        return Page(_changes(entries), _place(entries[-1]), more=more)


def _place(entry: _Entry) -> str:
    return f"{entry.sequence} {entry.sop_uid}"


class _Position(msgspec.Struct, frozen=True):
    """How far Azure's feed was read."""

    start: datetime
    """Of the window of time that is read."""
    offset: int = 0
    """Changes of that window that were read."""
    last: datetime | None = None
    """Timestamp of the change that was read last; None if there never was any."""


_POSITION = msgspec.json.Decoder(_Position)


class AzureFeed:
    """``Feed`` of Azure's DICOM service, or its open-source twin. It stands below the base url.

    Args:
        archive: Is asked.
        clock: POSIX seconds; for a service that does not say what time it is.
    """

    kind = "azure"
    logs_deletes = True

    def __init__(self, archive: DicomwebArchive, *, clock: Callable[[], float] = time.time) -> None:
        self._archive = archive
        self._clock = clock
        self._url = f"{archive.base}/changefeed"
        # What was read of the window. In memory only: after a restart it is read twice.
        self._seen: dict[int, datetime] = {}

    async def latest(self) -> str:
        """See ``Feed``."""
        entry, _ = await self._latest()
        if entry is None:
            return _written(_Position(datetime(1970, 1, 1, tzinfo=UTC)))
        return _written(_Position(entry.at - _UNSETTLED, 0, entry.at))

    async def after(self, position: str) -> Page | None:
        """See ``Feed``."""
        try:
            at = _POSITION.decode(position)
        except msgspec.DecodeError:
            return None
        latest, now = await self._latest()
        if latest is None:
            return None if at.last is not None else Page((), position, more=False)
        if at.last is not None and latest.at < at.last:
            return None
        if at.offset == 0 and latest.at < at.start:
            return Page((), position, more=False)  # All is read, and too old to be added to.
        query = {
            "startTime": at.start.isoformat().replace("+00:00", "Z"),
            "offset": str(at.offset),
            "limit": str(_LIMIT),
        } | _BARE
        found, _ = await self._archive.ask(
            _DOING, self._url, _ENTRIES.decode, query, limit=_MAX_PAGE
        )
        entries = found or []
        fresh = [entry for entry in entries if entry.sequence not in self._seen]
        following = _following(at, entries, now)
        self._seen = {
            sequence: seen
            for sequence, seen in (self._seen | {it.sequence: it.at for it in entries}).items()
            if seen >= following.start
        }
        return Page(_changes(fresh), _written(following), more=len(entries) >= _LIMIT)

    async def _latest(self) -> tuple[_Entry | None, datetime]:
        """The last change, and what time it is there."""
        query = {"includeMetadata": "false"}
        entry, date = await self._archive.ask(_DOING, f"{self._url}/latest", _ENTRY.decode, query)
        now = self._clock() if date is None else date
        return entry, datetime.fromtimestamp(now, UTC)


def _following(at: _Position, entries: Sequence[_Entry], now: datetime) -> _Position:
    """Where to go on behind what was read.

    The window moves on by its own length at the least, so that a burst is read on by its offset and
    not from its beginning, again and again.
    """
    last = max([entry.at for entry in entries], default=at.last)
    if last is None:
        return at
    full = len(entries) >= _LIMIT
    if full and last - at.start <= 2 * _UNSETTLED:
        return _Position(at.start, at.offset + len(entries), last)
    if not full and now - last > _UNSETTLED:
        return _Position(last + _TICK, 0, last)
    return _Position(max(at.start, last - _UNSETTLED), 0, last)


def _written(position: _Position) -> str:
    return msgspec.json.encode(position).decode()


def _changes(entries: Sequence[_Entry]) -> tuple[Change, ...]:
    """What entries mean by now; what can't be understood is left out."""
    return tuple(change for entry in entries if (change := _change(entry)) is not None)


def _change(entry: _Entry) -> Change | None:
    action = _ACTIONS.get(entry.action.lower())
    uids = (entry.study_uid, entry.series_uid, entry.sop_uid)
    if action is None or not all(map(is_uid, uids)):
        return None
    is_deleted = entry.state.lower() == "deleted"
    if action is Action.DELETED and not is_deleted:
        action = Action.REPLACED  # It is there again.
    elif action is not Action.DELETED and is_deleted:
        return None  # Its deletion follows.
    return Change(action, InstanceRef(*uids))
