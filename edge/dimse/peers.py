"""Who may call: the AE titles and addresses that the configuration names (``[[dimse.peer]]``).

Owns the answer to an association request before anything is negotiated, with the reject codes of
PS3.8 9.3.4. It sees two titles and an address, and keeps nothing of a caller it refused.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from dataclasses import dataclass

from edge.config import Dimse, Peer

__all__ = ["Caller", "Peers", "Refusal"]

RESOLVE_SECONDS = 5.0
"""How long the address of a peer that is configured by name may take to be found."""
RIGHTS_OF_STRANGERS = frozenset({"store"})
"""What an unknown peer may do where strangers are accepted."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The requestor of an association, once it is known who it is."""

    ae_title: str
    host: str
    called: str
    """The AE title by which it called us."""
    may: frozenset[str]
    """Rights: ``store``, ``query``, ``retrieve``, ``commit``, ``worklist``."""
    is_stranger: bool = False
    """Whether the configuration does not name it."""

    def __str__(self) -> str:
        return f"{self.ae_title} at {self.host}"


@dataclass(frozen=True, slots=True)
class Refusal:
    """An A-ASSOCIATE-RJ: the codes of PS3.8 9.3.4, and a sentence for the log."""

    result: int
    source: int
    reason: int
    why: str


class Peers:
    """Knows the configured peers.

    Args:
        settings: Ours and the peers' titles, and what happens to strangers.
    """

    def __init__(self, settings: Dimse) -> None:
        self._ae_title = settings.ae_title.strip()
        self._accepts_strangers = settings.unknown_peers == "accept"
        self._peers: dict[str, list[Peer]] = {}
        for peer in settings.peer:
            self._peers.setdefault(peer.ae_title.strip(), []).append(peer)

    def find(self, ae_title: str) -> Peer | None:
        """The peer of this AE title that can be called: the first that says where it is."""
        namesakes = self._peers.get(ae_title.strip(), [])
        return next((peer for peer in namesakes if peer.host), None)

    async def identify(self, *, calling: str, called: str, host: str) -> Caller | Refusal:
        """Say who calls, or why not.

        Titles are compared as they are, case included (PS3.5 6.2). Several peers may share a title;
        the first whose address fits counts.

        Args:
            calling: Calling AE title, without padding.
            called: Called AE title, without padding.
            host: Address that the connection comes from.
        """
        if called != self._ae_title:
            why = f"it called {_shown(called)}; this is {_shown(self._ae_title)}"
            return Refusal(result=1, source=1, reason=7, why=why)
        if not _is_ae_title(calling):
            why = f"its own AE title {_shown(calling)} is not one (PS3.5 6.2)"
            return Refusal(result=1, source=1, reason=3, why=why)
        namesakes = self._peers.get(calling, [])
        for peer in namesakes:
            if await _comes_from(host, peer.host):
                return Caller(calling, host, called, frozenset(peer.may))
        if self._accepts_strangers and not namesakes:
            return Caller(calling, host, called, RIGHTS_OF_STRANGERS, is_stranger=True)
        if namesakes:
            expected = " or ".join(peer.host for peer in namesakes)
            why = f"the peer {_shown(calling)} is expected to call from {expected}"
        else:
            why = f"no peer of the configuration has the AE title {_shown(calling)}"
        return Refusal(result=1, source=1, reason=3, why=why)


def _is_ae_title(text: str) -> bool:
    """Whether *text* is a value of VR AE: 1 to 16 printable ASCII characters, no backslash."""
    return 1 <= len(text) <= 16 and text.isascii() and text.isprintable() and "\\" not in text


def _shown(title: str) -> str:
    """A stranger's text in a log line: quoted, and nothing in it can forge a line."""
    return ascii(title)


async def _comes_from(host: str, expected: str) -> bool:
    """Whether *host* is the address, in the network, or among the addresses of the name."""
    if not expected:
        return True
    try:
        address = _address(host)
    except ValueError:
        return False
    try:
        return address in ipaddress.ip_network(expected, strict=False)
    except ValueError:
        pass
    try:
        async with asyncio.timeout(RESOLVE_SECONDS):
            found = await asyncio.get_running_loop().getaddrinfo(
                expected, None, type=socket.SOCK_STREAM
            )
    except (OSError, TimeoutError, UnicodeError):
        return False
    return any(_address(str(entry[4][0])) == address for entry in found)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The address, an IPv4 one inside IPv6 as what it is; raises ValueError."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address
