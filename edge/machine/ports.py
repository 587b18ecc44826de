"""The network ports of the machine, as the kernel names them: for who has to choose one.

Owns the look into ``/sys/class/net``, and changes nothing. Wired ports alone are named, and only
those of a device: neither loopback nor what was made above one, such as a VLAN. Calls block.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.machine.places import Places

__all__ = ["Port", "read_port", "read_ports"]

_ETHERNET: Final = "1"
"""ARPHRD_ETHER (linux/if_arp.h)."""


@dataclass(frozen=True, slots=True)
class Port:
    """One of them."""

    name: str
    """As the system calls it, such as enp1s0."""
    mac: str
    has_cable: bool | None
    """A link is there; None: it is switched off, and the kernel does not know."""

    def __str__(self) -> str:
        known = {True: "cable in", False: "no cable", None: "switched off"}[self.has_cable]
        return f"{self.name}  {self.mac}  {known}"


def read_ports(places: Places) -> tuple[Port, ...]:
    """All of them, by name; none where the kernel can't be asked. Blocks."""
    try:
        found = sorted(places.ports.iterdir())
    except OSError:
        return ()
    return tuple(
        read_port(places, path.name)
        for path in found
        if (path / "device").exists()
        and _said(path / "type") == _ETHERNET
        and not (path / "wireless").exists()
        and not (path / "phy80211").exists()
    )


def read_port(places: Places, name: str) -> Port:
    """One of that name, whatever it is. Blocks."""
    path = places.ports / name
    return Port(name, _said(path / "address"), _has_cable(path))


def _has_cable(path: Path) -> bool | None:
    said = _said(path / "carrier")
    return said == "1" if said else None


def _said(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:  # EINVAL of a port that is down
        return ""
