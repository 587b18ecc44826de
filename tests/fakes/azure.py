"""An archive with a change feed in the shape of Azure's DICOM service, version 2 of its API.

Owns the log: ``put`` and ``remove`` write it, ``log`` writes what a test wants. Like the service
it orders by Timestamp, gives at most 200 entries, and has gaps in its numbers. Its clock is
``now``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from aiohttp import web

from tests.fakes.archive import FakeArchive, Held

_EARLIEST, _LATEST = "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"


@dataclass
class Entry:
    """A change."""

    sequence: int
    action: str
    held: Held
    at: datetime
    is_committed: bool = True


class FakeAzure(FakeArchive):
    """One archive."""

    def __init__(self) -> None:
        super().__init__()
        self.log_entries: list[Entry] = []
        self.now = datetime.now(UTC)
        self._sequence = 0
        root = "/dicom-web/changefeed"
        self.more_routes = [web.get(root, self._changes), web.get(f"{root}/latest", self._latest)]

    def log(
        self, action: str, held: Held, *, at: datetime | None = None, is_committed: bool = True
    ) -> Entry:
        self._sequence += 3
        entry = Entry(self._sequence, action, held, at or self.now, is_committed)
        self.log_entries.append(entry)
        return entry

    def put(self, part10: bytes) -> Held:
        held = super().put(part10)
        known = any(entry.held.sop_uid == held.sop_uid for entry in self._ordered())
        there = known and self._ordered_of(held.sop_uid)[-1].action != "delete"
        self.log("update" if there else "create", held)
        return held

    def remove(self, sop_uid: str) -> None:
        self.log("delete", self.instances.pop(sop_uid))

    def pass_time(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def _ordered(self) -> list[Entry]:
        committed = [entry for entry in self.log_entries if entry.is_committed]
        return sorted(committed, key=lambda entry: (entry.at, entry.sequence))

    def _ordered_of(self, sop_uid: str) -> list[Entry]:
        return [entry for entry in self._ordered() if entry.held.sop_uid == sop_uid]

    def _json(self, entry: Entry) -> dict[str, object]:
        last = self._ordered_of(entry.held.sop_uid)[-1]
        state = "deleted" if last.action == "delete" else "current"
        if state == "current" and last is not entry:
            state = "replaced"
        return {
            "Sequence": entry.sequence,
            "StudyInstanceUid": entry.held.study_uid,
            "SeriesInstanceUid": entry.held.series_uid,
            "SopInstanceUid": entry.held.sop_uid,
            "Action": entry.action,
            "Timestamp": entry.at.strftime("%Y-%m-%dT%H:%M:%S.%f0Z"),
            "State": state,
        }

    def _answer_now(self, value: object) -> web.Response:
        date = {"Date": format_datetime(self.now, usegmt=True)}
        if value is None:
            return web.Response(status=204, headers=date)
        return web.json_response(value, headers=date)

    async def _latest(self, request: web.Request) -> web.StreamResponse:
        ordered = self._ordered()
        good = self._answer_now(self._json(ordered[-1]) if ordered else None)
        return await self._answer(request, "latest", self._fault("latest"), good)

    async def _changes(self, request: web.Request) -> web.StreamResponse:
        query = request.query
        limit, offset = int(query.get("limit", 100)), int(query.get("offset", 0))
        if not 1 <= limit <= 200 or offset < 0:
            return web.Response(status=400, text="out of range")
        begin = datetime.fromisoformat(query.get("startTime", _EARLIEST))
        end = datetime.fromisoformat(query.get("endTime", _LATEST))
        inside = [entry for entry in self._ordered() if begin <= entry.at < end]
        page = [self._json(entry) for entry in inside[offset:][:limit]]
        return await self._answer(
            request, "changefeed", self._fault("changefeed"), self._answer_now(page)
        )
