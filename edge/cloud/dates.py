"""Moments in headers of HTTP (RFC 9110 5.6.7), as somebody writes them who may lie.

Promises POSIX seconds that every clock and calendar here can hold, or None. No I/O.
"""

from __future__ import annotations

import email.utils
from datetime import UTC
from typing import Final

__all__ = ["posix_time"]

_LATEST: Final = 253_370_764_800.0
"""The beginning of the year 9999: no time zone leads beyond what can be written."""


def posix_time(text: str | None) -> float | None:
    """The moment; None if there is none, or none after 1970 and before 9999."""
    try:
        moment = email.utils.parsedate_to_datetime(text or "")
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    seconds = moment.timestamp()
    return seconds if 0 <= seconds < _LATEST else None
