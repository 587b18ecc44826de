"""How commands write what they say."""

from __future__ import annotations

import time

__all__ = ["moment"]


def moment(posix: float) -> str:
    """A moment, for people at this place."""
    return time.strftime("%Y-%m-%d %H:%M %Z", time.localtime(posix))
