"""Which network port the page may be kept to, and by which one somebody came.

Owns the choice: none where the firewall is not the image's, for nothing would keep the page to a
port there. Promises that a port which can have no address is not among it. Calls block.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import Final, Protocol

from edge.machine.networks import VLAN, read_network
from edge.machine.places import Places
from edge.machine.ports import Port, read_port, read_ports

__all__ = ["Connection", "came_by", "page_ports"]

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
    kept = read_network(places).kept
    ports = read_ports(places)
    if not kept.vlan:
        return ports
    # That under a VLAN has no address of its own (`edge.machine.networks`).
    others = tuple(one for one in ports if one.name != kept.interface)
    return (*others, read_port(places, VLAN))


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
