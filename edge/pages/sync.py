"""What waits for the cloud, what it refuses, and what a person decides about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from edge.access.roles import Act
from edge.cache.status import Status
from edge.dicom.instance import Custody
from edge.pages.page import Group, Page, Visit
from edge.pages.sync_limits import week_of
from edge.pages.words import noted

__all__ = ["PAGE", "Tab"]


@dataclass(frozen=True, slots=True)
class Tab:
    """A part of the page, of which one is shown."""

    name: str
    title: str
    count: int
    """What is in it; 0 is not shown."""
    is_urgent: bool
    """Somebody has to decide about it."""


def _tabs(status: Status) -> list[Tab]:
    numbers, told = status.summary, status.procedures
    refused = numbers.custody.get(Custody.REFUSED, 0) - numbers.given_up
    unheard = status.commitments.given_up + told.refused
    return [
        Tab("queue", noted("Queue"), 0, False),
        Tab("letters", noted("Refused"), refused, True),
        Tab("conflicts", noted("Conflicts"), numbers.in_conflict, True),
        Tab("absences", noted("Missing there"), numbers.absent, True),
        Tab("trash", noted("Trash"), numbers.trashed_studies, False),
        Tab("line", noted("Line"), 0, False),
        Tab("history", noted("History"), 0, False),
        Tab("told", noted("Promises to devices"), unheard, True),
    ]


async def fill(visit: Visit) -> Mapping[str, Any]:
    """Which part is shown first: the first about which somebody has to decide."""
    config, status = visit.means.config, await visit.means.live.status()
    tabs = _tabs(status)
    return {
        "tabs": tabs,
        "first": next((tab.name for tab in tabs if tab.is_urgent and tab.count), "queue"),
        "archives": [archive.name for archive in config.cloud.archive],
        "week": week_of(config.sync, visit.words),
        "trash_days": config.sync.trash_days,
    }


PAGE: Final = Page("/sync", "sync", noted("Sync"), Act.DECIDE, Group.LINE, fill=fill)
