"""How a token, or a person, is narrowed: to services, acts and studies, to where it comes from.

Promises that a scope only ever takes away from what the role allows, and that one which can't be
read, or says something that this version does not know, allows nothing at all.

An AE title is no secret, and HTTP has no calling one: a token that carries it makes whoever holds
it that application entity. What it stores is that entity's, as if it had come by C-STORE, whatever
the holder calls himself. Where a token may be used from is what makes one that was stolen with a
laptop worth nothing outside of the clinic.

Whose studies somebody sees is told by who sent them: a study is an application entity's once it
sent anything of it, and is seen whole then. What came from the archive alone is nobody's.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

import msgspec

from edge.access.acts import Act, Service
from edge.peering import is_ae_title

__all__ = ["ANYTHING", "Scope", "network_of"]

_MOST_NETWORKS = 16
_MOST_SENDERS = 64
_SENDER = 64
_MOST_STUDIES = 64


class Scope(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is left of a role; the empty one leaves all of it."""

    services: frozenset[Service] = frozenset()
    """Those it is for; none named means every one."""
    acts: frozenset[Act] = frozenset()
    """Those it may; none named means all that the role may."""
    ae_title: str = ""
    """What it stores comes from this application entity; empty means that the token's name is kept.
    """
    networks: tuple[str, ...] = ()
    """Addresses and networks that it may be used from; none named means anywhere."""
    studies_from: frozenset[str] = frozenset()
    """Who sent the studies that it may see: AE titles, or names of tokens; none named means all
    studies. What names no study, and may show any, is shut then."""
    studies: frozenset[str] = frozenset()
    """Those that it may see, by their UIDs; none named means all. For who looks at images alone."""

    def __post_init__(self) -> None:
        if self.ae_title and not is_ae_title(self.ae_title):
            raise ValueError("an AE title has 1 to 16 ASCII characters, no backslash (PS3.5 6.2)")
        if len(self.networks) > _MOST_NETWORKS:
            raise ValueError(f"{_MOST_NETWORKS} networks are the most; a larger one has several")
        for network in self.networks:
            network_of(network)
        if len(self.studies_from) > _MOST_SENDERS:
            raise ValueError(f"{_MOST_SENDERS} senders are the most")
        for sender in self.studies_from:
            if not (
                0 < len(sender) <= _SENDER and sender.isprintable() and sender == sender.strip()
            ):
                raise ValueError(f"a sender has 1 to {_SENDER} printable characters")

        if self.studies and self.services != {Service.DICOMWEB}:
            raise ValueError("single studies are for who may use DICOMweb, and nothing else")
        if len(self.studies) > _MOST_STUDIES:
            raise ValueError(f"{_MOST_STUDIES} studies are the most")

    @property
    def is_of_some_studies(self) -> bool:
        """Whether there are studies that it may not see."""
        return bool(self.studies_from or self.studies)

    @property
    def hinders_reading(self) -> bool:
        """Whether anything is there that could be read, were it not for this."""
        return bool(self.services) or self.is_of_some_studies or not self.allows(Act.READ)

    @classmethod
    def read(cls, text: str) -> Scope | None:
        """What was written; None if it can't be understood, and then nothing is allowed."""
        try:
            return msgspec.json.decode(text, type=cls)
        except msgspec.MsgspecError:
            return None

    def write(self) -> str:
        """The same for the same scope, for the index."""
        return msgspec.json.encode(self, order="deterministic").decode()

    def allows(self, act: Act) -> bool:
        """Whether the act is left."""
        return not self.acts or act in self.acts

    def is_for(self, service: Service | None) -> bool:
        """Whether it may be used there; None is a door that no token is made for."""
        return not self.services or service in self.services

    def may_come_from(self, address: str) -> bool:
        """Whether it may be used from an address; from an unknown one only if from anywhere."""
        if not self.networks:
            return True
        try:
            found = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped:
            found = found.ipv4_mapped
        return any(found in network_of(network) for network in self.networks)

    def covers(self, other: Scope) -> bool:
        """Whether the other one is no wider in anything."""
        return (
            _within(other.services, self.services)
            and _within(other.acts, self.acts)
            and self.ae_title in ("", other.ae_title)
            and (not self.networks or _inside(other.networks, self.networks))
            and _within(other.studies_from, self.studies_from)
            and _within(other.studies, self.studies)
        )


ANYTHING = Scope()
"""Takes nothing away."""


def network_of(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """An address, or a network such as ``192.168.7.0/24``.

    Raises:
        ValueError: It is neither.
    """
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise ValueError(f"{text!r} is neither an address nor a network") from error


def _within(inner: frozenset[str], outer: frozenset[str]) -> bool:
    return not outer or (bool(inner) and inner <= outer)


def _inside(inner: Iterable[str], outer: Iterable[str]) -> bool:
    """Whether every inner network, of which there must be one, is part of an outer one."""
    found = [network_of(text) for text in inner]
    return bool(found) and all(
        any(_is_part(network, network_of(text)) for text in outer) for network in found
    )


def _is_part(
    network: ipaddress.IPv4Network | ipaddress.IPv6Network,
    of: ipaddress.IPv4Network | ipaddress.IPv6Network,
) -> bool:
    return (
        network.version == of.version
        and int(of.network_address) <= int(network.network_address)
        and int(network.broadcast_address) <= int(of.broadcast_address)
    )
