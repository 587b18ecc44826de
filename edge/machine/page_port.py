"""Which network port the page may be kept to, and by which one somebody came.

Owns the choice: none where the firewall is not the image's, for nothing would keep the page to a
port there. Promises that a port which can have no address is not among it, and neither taken for
one by the firewall (`has_port`). Calls block.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator, Sequence
from typing import Final, Protocol

from edge.machine.held import addresses
from edge.machine.networks import VLAN, read_network
from edge.machine.places import Places
from edge.machine.ports import Port, read_port, read_ports
from edge.machine.wishes import NetworkSettings

__all__ = [
    "Connection",
    "came_by",
    "has_port",
    "page_found",
    "page_ports",
    "ports_with_address",
]

_HEADER: Final = struct.Struct("@Nii")
"""Length, level, kind: cmsghdr of cmsg(3)."""
_ALIGNED: Final = struct.calcsize("@N")
_PACKET_INFO: Final = 8
_OPTIONS: Final = 9
"""IP_PKTINFO, IP_PKTOPTIONS (linux/in.h)."""
_OPTIONS_6: Final = 6
"""IPV6_2292PKTOPTIONS (linux/in6.h)."""
_NUMBER: Final = struct.Struct("=i")
_NUMBER_6: Final = struct.Struct("=16xI")
"""Of the port, in in_pktinfo and in6_pktinfo."""
_ROOM: Final = 512
_LOOPBACK: Final = "lo"
"""By which nobody on the LAN comes."""


class Connection(Protocol):
    """A TCP connection that was accepted."""

    @property
    def family(self) -> int:
        """As in socket(2)."""
        ...

    def setsockopt(self, level: int, option: int, value: int, /) -> None:
        """See socket."""
        ...

    def getsockopt(self, level: int, option: int, room: int, /) -> bytes:
        """See socket."""
        ...


def page_ports(places: Places) -> tuple[Port, ...]:
    """Those that there are; none where nothing would keep the page to one."""
    if not places.firewall.exists():
        return ()
    return ports_with_address(places, read_network(places).now)


def ports_with_address(places: Places, network: NetworkSettings) -> tuple[Port, ...]:
    """The wired ports that can have an address.

    Args:
        places: Of the machine.
        network: How it is on the network, or shall be.
    """
    found = (*read_ports(places), read_port(places, VLAN))
    return tuple(one for one in found if has_port(places, one.name, network))


def has_port(places: Places, name: str, network: NetworkSettings) -> bool:
    """Whether the machine has a port of that name, or makes it, which can have an address.

    Args:
        places: Of the machine.
        name: As the system calls it.
        network: How the machine is on the network, or shall be.
    """
    if name == _LOOPBACK:
        return False
    if network.vlan and name == network.interface:
        return False  # what is on that network has VLAN alone (`edge.machine.networks`)
    if name == VLAN:
        if not network.vlan:
            return False
        name = network.interface
    return (places.ports / name).exists()


def page_found(places: Places, page_by: str, found: Sequence[str]) -> Sequence[str]:
    """The addresses of the machine by which the page is reached.

    Args:
        places: Of the machine.
        page_by: ``http.interface``.
        found: Those that lead anywhere, whatever the port: all of them, where nothing keeps the
            page to one.
    """
    if page_by not in [one.name for one in page_ports(places)]:
        return found
    try:
        number = socket.if_nametoindex(page_by)
        held = addresses()
    except OSError:  # it went just now; the page has its name all the same
        return ()
    return [str(one.address.ip) for one in held if one.port == number and not one.is_local]


def came_by(connection: Connection) -> str:
    """The network port by which its first packet came; empty if the kernel does not say.

    The address that was called does not tell: a machine answers for each of its addresses by every
    port.
    """
    if connection.family == socket.AF_INET6:
        level, wanted, options = socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, _OPTIONS_6
        kind, number = socket.IPV6_PKTINFO, _NUMBER_6
    else:
        level, wanted, options = socket.IPPROTO_IP, _PACKET_INFO, _OPTIONS
        kind, number = _PACKET_INFO, _NUMBER
    try:
        connection.setsockopt(level, wanted, 1)
        try:
            said = connection.getsockopt(level, options, _ROOM)
        finally:
            connection.setsockopt(level, wanted, 0)
        for found, content in _messages(said):
            if found == (level, kind):
                return socket.if_indextoname(number.unpack_from(content)[0])
    except (OSError, struct.error):
        pass
    return ""


def _messages(data: bytes) -> Iterator[tuple[tuple[int, int], bytes]]:
    at = 0
    while at + _HEADER.size <= len(data):
        length, level, kind = _HEADER.unpack_from(data, at)
        yield (level, kind), data[at + _HEADER.size : at + length]
        at += max(length + _ALIGNED - 1 & -_ALIGNED, _HEADER.size)
