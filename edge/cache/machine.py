"""What the machine under the box feels: its temperature. Reads files of the kernel; blocks."""

from __future__ import annotations

from pathlib import Path

__all__ = ["temperature"]

_ZONES = Path("/sys/class/thermal")
_SENSIBLE = range(1, 130)
"""Degrees; sensors that are not there say anything else."""


def temperature(zones: Path = _ZONES) -> float | None:
    """Of its hottest place, in degrees Celsius; None if nothing tells."""
    found = []
    for file in zones.glob("thermal_zone*/temp"):
        try:
            degrees = int(file.read_text(encoding="ascii")) / 1000
        except (OSError, ValueError):
            continue
        if int(degrees) in _SENSIBLE:
            found.append(degrees)
    return max(found, default=None)
