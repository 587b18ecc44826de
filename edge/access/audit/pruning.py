"""Removes the oldest part of the record when its time is over, or when its room is needed.

Never silently: an entry that says what goes, and why, is durable before it does; and ``edge check
audit`` takes nothing else for a reason. What had to go before its time shows in ``edge status``.
"""

from __future__ import annotations

import asyncio
import logging

from edge.access.audit.entry import BOX, Entry, Event, Outcome
from edge.access.audit.folder import Segment
from edge.access.audit.recorder import Audit
from edge.config import Audit as Settings

__all__ = ["Pruning"]

log = logging.getLogger(__name__)

_DAY = 86400.0
_PAUSE = 900.0
"""Seconds between two looks."""


class Pruning:
    """Keeps the record within its bounds.

    Args:
        settings: ``[audit]``.
        audit: The record.
    """

    def __init__(self, settings: Settings, audit: Audit) -> None:
        self._settings = settings
        self._audit = audit

    async def run(self) -> None:
        """Look every quarter of an hour, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(_PAUSE)

    async def look(self) -> None:
        """Remove what is not to be kept any longer.

        Raises:
            StorageFull: What goes can't be written down; then nothing does.
        """
        audit, settings = self._audit, self._settings
        before = audit.clock() - settings.keep_days * _DAY
        folder = audit.folder
        gone = await asyncio.to_thread(folder.expired, before, settings.max_bytes)
        if not gone:
            return
        early = await asyncio.to_thread(self._early, gone, before)
        await audit.record(
            Entry(
                at=audit.clock(),
                event=Event.RECORD_PRUNED,
                actor=BOX,
                outcome=Outcome.FAILED if early else Outcome.SUCCESS,
                reason="its room was needed: audit.max_bytes" if early else "audit.keep_days",
                detail={"segment": str(gone[-1].number), "segments": str(len(gone))},
            )
        )
        await asyncio.to_thread(folder.remove, gone)
        if early:
            log.warning(
                "%d segments of the audit were removed before audit.keep_days were over, for it"
                " reached audit.max_bytes",
                len(early),
            )

    def _early(self, gone: list[Segment], before: float) -> list[Segment]:
        """Those of which not all is as old as it may become."""
        folder = self._audit.folder
        following = {one.number: one for one in folder.segments()}
        found = []
        for segment in gone:
            behind = following.get(segment.number + 1)
            header = None if behind is None else folder.header(behind)
            if header is not None and header.begun >= before:
                found.append(segment)
        return found
