"""What may be said of a peer, by whoever says it: the configuration, or a person who approves one.

Promises nothing about the peer itself; it only finds what can't be meant.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from edge.others import Peer

__all__ = [
    "Fault",
    "fault_of",
    "fingerprint_in",
    "is_ae_title",
    "is_host",
    "is_network",
    "namesakes",
]

_FINGERPRINT = re.compile(r"(?:sha-?256[ :=]+)?([0-9a-f]{2}(?::?[0-9a-f]{2}){31})", re.IGNORECASE)
_HEX_ALONE = re.compile(r"[0-9a-f: ]+", re.IGNORECASE)
_HOST = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*\.?", re.IGNORECASE)
_LONGEST_NAME = 64


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a peer."""

    key: str
    """Of its table."""
    what: str
    hint: str = ""


def is_ae_title(text: str) -> bool:
    """Whether it is a value of VR AE (PS3.5 6.2); spaces around it do not count."""
    is_sound = text.isascii() and text.isprintable() and "\\" not in text
    return is_sound and 1 <= len(text.strip()) <= 16


def is_network(host: str) -> bool:
    """Whether it is a network of more than one address, which can't be called."""
    try:
        return ipaddress.ip_network(host, strict=False).num_addresses > 1
    except ValueError:
        return False


def namesakes(peers: Iterable[Peer]) -> Mapping[str, Sequence[Peer]]:
    """Those that share their AE title with others, by that."""
    found: dict[str, list[Peer]] = {}
    for peer in peers:
        found.setdefault(peer.ae_title.strip(), []).append(peer)
    return {title: those for title, those in found.items() if len(those) > 1}


def fingerprint_in(certificate: str) -> str:
    """The SHA-256 that ``certificate`` is, as 64 hexadecimal digits; empty if it is a name."""
    found = _FINGERPRINT.fullmatch(certificate.strip())
    return found[1].replace(":", "").lower() if found else ""


def fault_of(peer: Peer, *, has_authority: bool) -> Fault | None:
    """The first thing that is wrong with a peer; None if it will do.

    Args:
        peer: As it was said.
        has_authority: Whether ``dimse.tls_ca`` is named, without which no peer shows anything.
    """
    if not is_ae_title(peer.ae_title):
        return Fault("ae_title", "must be 1 to 16 ASCII characters, no backslash (PS3.5 6.2)")
    if peer.host and not is_host(peer.host):
        return Fault(
            "host", f'= "{peer.host}" is no address, network or name', "192.168.1.20, for example"
        )
    if not 1 <= peer.port <= 65535:
        return Fault("port", "must be 1 to 65535")
    if not peer.name.isprintable() or len(peer.name) > _LONGEST_NAME:
        return Fault("name", f"must be {_LONGEST_NAME} printable characters at the most")
    return _fault_of_certificate(peer.certificate.strip(), has_authority=has_authority)


def _fault_of_certificate(certificate: str, *, has_authority: bool) -> Fault | None:
    if not certificate:
        return None
    if not has_authority:
        return Fault(
            "certificate",
            "is never asked for without dimse.tls_ca",
            "name a PEM file with the authority of the peer's certificate, or with that itself",
        )
    looks_like_one = _HEX_ALONE.fullmatch(certificate) and len(certificate) > 32
    if looks_like_one and not fingerprint_in(certificate):
        return Fault(
            "certificate",
            "is no SHA-256: that has 64 hexadecimal digits",
            "openssl x509 -in FILE -noout -fingerprint -sha256",
        )
    if not certificate.isprintable():
        return Fault("certificate", "must be printable characters")
    return None


def is_host(host: str) -> bool:
    """Whether it is an address, a network or a name."""
    try:
        ipaddress.ip_network(host.partition("%")[0], strict=False)
    except ValueError:
        return len(host) <= 253 and _HOST.fullmatch(host) is not None and not _is_number(host)
    return True


def _is_number(host: str) -> bool:
    """Whether it is digits and dots: an address with a typing error, and no name."""
    return not host.strip("0123456789.")
