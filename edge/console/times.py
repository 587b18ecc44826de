"""Moments as the clocks of the place have them, of which the box was told (`appliance.time_zone`).

The page on the screen is a process of its own, which goes on while the settings change.
"""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

__all__ = ["at_place", "zone_of"]


def zone_of(name: str) -> tzinfo | None:
    """By its name in the time zone database; None, the machine's own, if that has none. Blocks."""
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, OSError, ValueError):
        return None


def at_place(posix: float, zone: tzinfo | None) -> datetime:
    """A moment there."""
    return datetime.fromtimestamp(posix, UTC).astimezone(zone)
