"""Whether this machine is on a network, as far as it can tell by itself: nothing is sent.

Owns the looks at what the kernel and the machine's files say; what lies beyond the first router,
only the walk to an archive can tell (`edge.cloud.diagnosis`). Calls block.
"""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

__all__ = ["Look", "look"]

_NOT_EARLIER: Final = 1_764_547_200.0
"""POSIX seconds: a clock that says less has never been set (December 2025)."""
_UP: Final = 0x1
_GATEWAY: Final = 0x2
_ELSEWHERE: Final = "192.0.2.1", "2001:db8::1"
"""For documentation (RFC 5737, 3849): the kernel says from which address it would be called."""
_STUBS: Final = frozenset({"127.0.0.53", "127.0.0.54"})
"""Where systemd-resolved listens on this machine, which asks the real ones."""
What = Literal["address", "router", "names", "clock"]
"""Is looked at."""


@dataclass(frozen=True, slots=True)
class Look:
    """One of them."""

    what: What
    is_fine: bool
    found: str
    hint: str = ""


def look(root: Path = Path("/"), now: float | None = None) -> list[Look]:
    """All of them.

    Args:
        root: Where the machine's files are.
        now: POSIX seconds.
    """
    return [
        _address(),
        _router(root),
        _names(root),
        _clock(root, time.time() if now is None else now),
    ]


def _address() -> Look:
    found = []
    for family, elsewhere in ((socket.AF_INET, _ELSEWHERE[0]), (socket.AF_INET6, _ELSEWHERE[1])):
        with socket.socket(family, socket.SOCK_DGRAM) as asking:
            try:
                asking.connect((elsewhere, 9))  # of UDP: nothing is sent by that
                found.append(str(asking.getsockname()[0]))
            except OSError:
                continue
    return _found(
        "address",
        found,
        "this machine has no address that leads anywhere",
        "is the cable plugged in? set an address on the console, or look at the DHCP server",
    )


def _router(root: Path) -> Look:
    routers = []
    for line in _lines(root / "proc/net/route")[1:]:
        interface, destination, gateway, flags, *_ = line.split()
        if destination == "00000000" and int(flags, 16) & (_UP | _GATEWAY) == _UP | _GATEWAY:
            address = ipaddress.IPv4Address(int.from_bytes(bytes.fromhex(gateway), "little"))
            routers.append(f"{address} ({interface})")
    for line in _lines(root / "proc/net/ipv6_route"):
        said = line.split()
        if len(said) == 10 and said[0] == "0" * 32 and said[1] == "00" and said[9] != "lo":
            routers.append(f"{ipaddress.IPv6Address(int(said[4], 16))} ({said[9]})")
    return _found(
        "router",
        routers,
        "there is no router: nothing beyond this network can be reached",
        "name the gateway in the network settings; without a cloud none is needed",
    )


def _names(root: Path) -> Look:
    servers = _servers(root / "etc/resolv.conf")
    if servers and _STUBS.issuperset(servers):
        servers = _servers(root / "run/systemd/resolve/resolv.conf")
    return _found(
        "names",
        servers,
        "there is no name server: archives are found by their address alone",
        "name a DNS server in the network settings",
    )


def _servers(file: Path) -> list[str]:
    """Of a file as resolv.conf(5)."""
    return [
        words[1]
        for line in _lines(file)
        if len(words := line.split()) > 1 and words[0] == "nameserver"
    ]


def _clock(root: Path, now: float) -> Look:
    if now < _NOT_EARLIER:
        return Look("clock", False, "the clock was never set", "set it, or let it use NTP")
    if (root / "run/systemd/timesync/synchronized").exists():
        return Look("clock", True, "it follows a time server")
    return Look(
        "clock",
        False,
        "it is set; whether it follows a time server is not known",
        "see that the time is right; name a time server (NTP) in the network settings",
    )


def _found(what: What, found: Sequence[str], lacks: str, hint: str) -> Look:
    """What there is of it; else that it is lacking, and what to do."""
    if found:
        return Look(what, True, ", ".join(found))
    return Look(what, False, lacks, hint)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []
