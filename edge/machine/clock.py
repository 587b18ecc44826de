"""When the machine may be told the time, and how it is told; as root.

Owns the rule: a time server that is heard is believed, and nobody else then; without one, the time
of somebody who should know is taken only where the machine can't know it itself: there is no clock
chip, or what it says is before the build of what runs here. Never goes back behind the build, nor
more than twenty years beyond it. Calls block.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import edge
from edge.errors import MachineRefused
from edge.machine.places import Places

__all__ = ["built_at", "needs_time", "set_clock", "since_start"]

_DAY: Final = 86400.0
_LATEST: Final = 20 * 365 * _DAY
_CLOSE: Final = 2.0
"""Seconds that it may be off: a header tells whole ones."""


def built_at(places: Places) -> float:
    """When what runs here was built, in POSIX seconds: no clock that is right says less."""
    for path in (places.epoch, Path(edge.__file__)):
        with contextlib.suppress(OSError):
            return path.stat().st_mtime
    return 0.0


def since_start() -> float:
    """Seconds since the machine started, sleep and all: no setting of the clock changes them."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def needs_time(places: Places, now: float) -> bool:
    """Whether somebody else's time would be taken.

    Args:
        places: Of this machine.
        now: What its clock says.
    """
    if places.synchronized.exists():
        return False
    with contextlib.suppress(OSError):
        if any(places.clock_chips.iterdir()):
            return now < built_at(places)
    return True


def set_clock(
    places: Places,
    utc: float,
    measured: float,
    *,
    clock: Callable[[], float] = time.time,
    elapsed: Callable[[], float] = since_start,
    change: Callable[[float], None] = lambda now: time.clock_settime(time.CLOCK_REALTIME, now),
) -> float:
    """Set it; by how many seconds it was off.

    Args:
        places: Of this machine.
        utc: The time, in POSIX seconds.
        measured: When that was so, by `since_start`.
        clock: What it says.
        elapsed: See `since_start`.
        change: Sets it.

    Raises:
        MachineRefused: It is not needed, or can't be right.
    """
    now, built = clock(), built_at(places)
    if not needs_time(places, now):
        raise MachineRefused("the clock is not set: this machine knows the time by itself")
    late = elapsed() - measured
    wanted = utc + late
    if not 0 <= late < 60.0 or not built - _DAY <= wanted <= built + _LATEST:
        raise MachineRefused(
            "the clock is not set: that time can't be right",
            hint="set up a time server, or look at who was asked",
        )
    if abs(wanted - now) >= _CLOSE:
        change(wanted)
    return wanted - now
