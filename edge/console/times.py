"""Moments as the clocks of the place have them, of which the box was told (`appliance.time_zone`).

The page on the screen is a process of its own, which goes on while the settings change.
"""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

__all__ = ["at_place", "told_at_place", "zone_of"]


def zone_of(name: str) -> tzinfo | None:
    """By its name in the time zone database; None, the machine's own, if that has none. Blocks."""
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, OSError, ValueError):
        return None


def at_place(posix: float, zone: tzinfo | None) -> datetime:
    """A moment there."""
    return datetime.fromtimestamp(posix, UTC).astimezone(zone)


def told_at_place(posix: float, zone: tzinfo | None) -> str:
    """The same with its day, and by which clocks: ``01 Dec 22:33 UTC``."""
    moment = at_place(posix, zone)
    name = moment.tzname() or ""
    # Where a zone's time has no name of its own, the database has its distance alone.
    return f"{moment:%d %b %H:%M} {'UTC' if name[:1] in '+-' else ''}{name}"
