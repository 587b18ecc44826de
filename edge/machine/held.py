"""Which addresses this machine has, and on which port: what the kernel says of them (rtnetlink(7)).

Promises that an address which the kernel still tries, or which somebody else has (RFC 4862 5.4), is
none, and that a port without a cable has none. Nothing is sent beyond this machine. Calls block.
"""

from __future__ import annotations

import fcntl
import ipaddress
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

__all__ = ["Held", "addresses", "holds"]

_ROUTE: Final = 0
"""NETLINK_ROUTE."""
_REQUEST: Final = 0x0301
"""NLM_F_REQUEST | NLM_F_ROOT | NLM_F_MATCH: all of them."""
_ERROR, _DONE, _NEW, _GET = 2, 3, 20, 22
"""Kinds of messages: NLMSG_ERROR, NLMSG_DONE, RTM_NEWADDR, RTM_GETADDR."""
_HEADER: Final = struct.Struct("=IHHII")
_ADDRESS: Final = struct.Struct("=BBBBI")
_ATTRIBUTE: Final = struct.Struct("=HH")
_OF_PEER, _LOCAL, _FLAGS = 1, 2, 8
"""Attributes: IFA_ADDRESS, IFA_LOCAL, IFA_FLAGS."""
_UNUSABLE: Final = 0x08 | 0x40
"""IFA_F_DADFAILED | IFA_F_TENTATIVE."""
_EVERYWHERE: Final = 0
"""RT_SCOPE_UNIVERSE: not of this link alone."""
_GET_FLAGS: Final = 0x8913
"""SIOCGIFFLAGS of netdevice(7)."""
_PORT: Final = struct.Struct("16sH14x")
_RUNNING: Final = 0x40
"""IFF_RUNNING: it is on, and has a cable."""
_PATIENCE: Final = 5.0


@dataclass(frozen=True, slots=True)
class Held:
    """An address that the machine has."""

    port: int
    """Number of the network interface."""
    address: ipaddress.IPv4Interface | ipaddress.IPv6Interface
    is_local: bool
    """It is of this link or this machine alone: it came from nobody."""


def addresses() -> list[Held]:
    """All that can be used.

    Raises:
        OSError: The kernel does not say.
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _ROUTE) as line:
        line.settimeout(_PATIENCE)
        line.bind((0, 0))
        said = _ADDRESS.pack(0, 0, 0, 0, 0)
        line.send(_HEADER.pack(_HEADER.size + len(said), _GET, _REQUEST, 1, 0) + said)
        found: list[Held] = []
        while True:
            data = line.recv(1024 * 1024)
            for kind, content in _messages(data):
                if kind == _DONE:
                    return found
                if kind == _ERROR:
                    raise OSError(-struct.unpack_from("=i", content)[0], "addresses can't be read")
                if kind == _NEW and (held := _held(content)) is not None:
                    found.append(held)


def holds(port: str, wanted: tuple[str, ...]) -> bool:
    """Whether the machine is on the network with these addresses.

    Args:
        port: What the network interface is called; empty: any.
        wanted: Addresses with the length of their network; none: whichever was given to it.
    """
    try:
        number = socket.if_nametoindex(port) if port else 0
        held = [one for one in addresses() if number in (0, one.port) and _has_cable(one.port)]
    except OSError:  # there is no such port, or not any more
        return False
    if not wanted:
        return any(not one.is_local for one in held)
    known = {one.address for one in held}
    return all(ipaddress.ip_interface(one) in known for one in wanted)


def _has_cable(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as asking:
        try:
            asked = _PORT.pack(socket.if_indextoname(port).encode(), 0)
            _, flags = _PORT.unpack(fcntl.ioctl(asking, _GET_FLAGS, asked))
        except OSError:  # it is gone
            return False
    return bool(flags & _RUNNING)


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, *_ = _HEADER.unpack_from(data, at)
        yield kind, data[at + _HEADER.size : at + length]
        at += max(length + 3 & ~3, _HEADER.size)


def _held(content: bytes) -> Held | None:
    """None if it can't be used."""
    _, length, flags, scope, port = _ADDRESS.unpack_from(content)
    said = dict(_attributes(content[_ADDRESS.size :]))
    if _FLAGS in said:
        [flags] = struct.unpack("=I", said[_FLAGS])
    plain = said.get(_LOCAL) or said.get(_OF_PEER)
    if plain is None or flags & _UNUSABLE:
        return None
    address = ipaddress.ip_interface((plain, length))
    is_local = scope != _EVERYWHERE or address.ip.is_link_local or address.ip.is_loopback
    return Held(port, address, is_local)


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        yield kind, data[at + _ATTRIBUTE.size : at + length]
        at += max(length + 3 & ~3, _ATTRIBUTE.size)
