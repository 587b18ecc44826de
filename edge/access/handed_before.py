"""A code that was handed out before the machine knew the time, and the time that it holds for.

A machine without a clock chip, or with one whose battery is empty, begins with the time of its
image, and hears the right one minutes later: perhaps from the network that the same file has given
it which brought the code. Promises that such a code holds for its time all the same, no less and no
more, until the machine starts anew: that is measured by the clock which runs since its start. Later
its end holds as it was last known. Blocks nothing but for `this_start`.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import msgspec

__all__ = ["Beginning", "right_until", "this_start"]

_START: Final = Path("/proc/sys/kernel/random/boot_id")
_OFF: Final = 60.0
"""Seconds: a clock that follows a server is not further off."""


class Beginning(msgspec.Struct, frozen=True):
    """When a code was made."""

    start: str
    """Of which start of the machine that was."""
    seconds: float
    """Since that start, sleep and all."""
    until: float = 0.0
    """The end of the code, in POSIX seconds, as it stands in the index."""


def this_start() -> Beginning:
    """Now; of a machine that does not say which start this is, it has no name. Blocks."""
    try:
        start = _START.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        start = ""
    return Beginning(start, time.clock_gettime(time.CLOCK_BOOTTIME))


def right_until(made: Beginning, now: Beginning, clock: float, lasts: float) -> float:
    """The end of a code.

    Args:
        made: When it was made, and the end that was told then.
        now: Now.
        clock: Likewise, in POSIX seconds.
        lasts: Seconds that it holds for.
    """
    if not made.start or made.start != now.start:
        return made.until
    right = clock + lasts - (now.seconds - made.seconds)
    return right if abs(right - made.until) > _OFF else made.until
