"""Status LEDs, where there are any: a look at the box from the door; as root.

Owns which of the machine's LEDs are ours: those whose function (the last part of their name, see
the kernel's leds-class) is the state of a machine, and the red one of a Raspberry Pi. Steady means
that all is well, slow that something is under way, quick that somebody is needed. Calls block.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

from edge.machine.places import Places
from edge.machine.wishes import Shown

__all__ = ["lights_of", "show"]

_FUNCTIONS: Final = frozenset({"status", "health", "alarm", "fault", "PWR"})
_ON_TROUBLE: Final = frozenset({"alarm", "fault"})
"""They are dark as long as all is well."""
_BLINK: Final[dict[Shown, tuple[int, int]]] = {
    "busy": (1800, 200),
    "warning": (500, 500),
    "alarm": (125, 125),
}
"""Milliseconds that it is on, and off."""


def lights_of(places: Places) -> list[Path]:
    """Ours."""
    with contextlib.suppress(OSError):
        return sorted(
            one for one in places.leds.iterdir() if one.name.rpartition(":")[2] in _FUNCTIONS
        )
    return []


def show(places: Places, level: Shown) -> int:
    """Show it; on how many."""
    shown = 0
    for light in lights_of(places):
        is_dark = light.name.rpartition(":")[2] in _ON_TROUBLE and level in {"safe", "busy"}
        with contextlib.suppress(OSError):  # it may have no such trigger: others show it
            if is_dark or level not in _BLINK:
                _write(light / "trigger", "none")
                _write(light / "brightness", "0" if is_dark else _brightest(light))
            else:
                on, off = _BLINK[level]
                _write(light / "trigger", "timer")  # which makes the two files that follow
                _write(light / "delay_on", str(on))
                _write(light / "delay_off", str(off))
            shown += 1
    return shown


def _brightest(light: Path) -> str:
    try:
        return str(int((light / "max_brightness").read_text(encoding="ascii")))
    except (OSError, ValueError):
        return "1"


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="ascii")
