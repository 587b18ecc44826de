"""How commands write what they say."""

from __future__ import annotations

import time

__all__ = ["moment", "speed"]


def moment(posix: float) -> str:
    """A moment, for people at this place."""
    return time.strftime("%Y-%m-%d %H:%M %Z", time.localtime(posix))


def speed(measured: float | None) -> str:
    """Bytes a second, as lines are sold."""
    if measured is None:
        return "not measured yet"
    kbps = measured / 125
    return f"{kbps / 1000:.1f} Mbit/s" if kbps >= 1000 else f"{kbps:.0f} kbit/s"
