"""Who may call: AE titles, addresses and certificates of the configuration, and of approved peers.

Owns the answer to an association request before anything is negotiated, with the reject codes of
PS3.8 9.3.4: for good, or for now if the address of a peer that is configured by name can't be found
now (`names`). It sees two titles, an address and the certificate that was shown, and keeps nothing
of a caller it refused; with ``unknown_peers = "learn"`` the book of peers does, bounded.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from edge.access.certificates import is_certificate, sha256, shown
from edge.cache.peers import PeerBook
from edge.config import Dimse
from edge.dimse.names import Names, address_of
from edge.others import Peer
from edge.peering import is_network

__all__ = ["Caller", "Cause", "Peers", "Refusal"]

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
    """Whether neither the configuration nor a person named it."""
    max_associations: int = 0
    """At the same time, from its address; 0 means no limit of its own."""

    def __str__(self) -> str:
        return f"{self.ae_title} at {self.host}"


class Cause(StrEnum):
    """Why an association is refused; what the doctor goes by."""

    CALLED = "called AE title"
    """It called another AE title than ours."""
    NO_TITLE = "no AE title"
    """What it calls itself can't be one."""
    UNKNOWN = "calling AE title"
    """No peer calls itself so."""
    ADDRESS = "address"
    """The peer that calls itself so calls from elsewhere."""
    NAME = "name of the address"
    """The peer that calls itself so is configured by a name whose address can't be found now."""
    CERTIFICATE = "certificate"
    """The peer that calls itself so must show another one."""
    ENCRYPTION = "encryption"
    """The peer that calls itself so must call over TLS."""
    LIMIT = "limit"
    """There are too many associations."""
    PROTOCOL = "protocol"
    """What it proposes of the protocol itself is not possible."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An A-ASSOCIATE-RJ: the codes of PS3.8 9.3.4, and a sentence for the log."""

    result: int
    source: int
    reason: int
    why: str
    cause: Cause = Cause.PROTOCOL
    expected: str = ""
    """The address or certificate; of an unknown title, that of the peer which it may be meant for.
    """


class Peers:
    """Knows the peers of the configuration, and those that were approved, as of now.

    Args:
        settings: Ours and the peers' titles, and what happens to strangers.
        book: Has those that were approved, and lists strangers; None: there is neither.
        names: Knows the addresses of peers that are configured by name.
    """

    def __init__(
        self, settings: Dimse, book: PeerBook | None = None, *, names: Names | None = None
    ) -> None:
        self._names = names or Names()
        self._ae_title = settings.ae_title.strip()
        self._accepts_strangers = settings.unknown_peers == "accept"
        self._configured = settings.peer
        self._book = book

    def find(self, ae_title: str) -> Peer | None:
        """The peer of this AE title that can be called: the first that says where it is."""
        namesakes = self._of_title(ae_title.strip())
        return next((peer for peer in namesakes if _can_be_called(peer)), None)

    def reachable(self) -> list[Peer]:
        """Those that can be called."""
        return [peer for peer in self._all() if _can_be_called(peer)]

    def alike(self, ae_title: str) -> str:
        """The AE title of a peer, be it this one or spelt with other letters' case; or nothing."""
        title = ae_title.strip()
        near = [one for one in map(_title_of, self._all()) if one.casefold() == title.casefold()]
        return title if title in near else next(iter(near), "")

    def named(self, name: str) -> Peer | None:
        """The peer that people call so: by its name, or else by its AE title.

        One that can be called comes before one that can't.
        """
        name = name.strip()
        found = [peer for peer in self._all() if peer.name and peer.name == name]
        found = found or self._of_title(name)
        return min(found, key=lambda peer: not _can_be_called(peer), default=None)

    async def identify(
        self,
        *,
        calling: str,
        called: str,
        host: str,
        certificate: bytes | None = None,
        is_encrypted: bool = False,
        services: str = "",
    ) -> Caller | Refusal:
        """Say who calls, or why not.

        Titles are compared as they are, case included (PS3.5 6.2). Several peers may share a title;
        the first whose address and certificate fit counts.

        Args:
            calling: Calling AE title, without padding.
            called: Called AE title, without padding.
            host: Address that the connection comes from.
            certificate: That it showed, in DER; None if it showed none.
            is_encrypted: It speaks TLS.
            services: What it asks for, for the list of strangers.
        """
        if called == self._ae_title and not _is_ae_title(calling):
            why = f"its own AE title {_shown(calling)} is not one (PS3.5 6.2)"
            return _unknown(Cause.NO_TITLE, why)
        shown_one = certificate if is_encrypted else None
        caller = await self._identify(calling, called, host, shown_one, is_encrypted=is_encrypted)
        learns = self._book is not None and self._book.learns
        is_of_peer = isinstance(caller, Refusal) and caller.cause is Cause.NAME
        if learns and isinstance(caller, Refusal) and not is_of_peer and _is_ae_title(calling):
            assert self._book is not None
            self._book.strangers.note(
                calling,
                host,
                called=_shown(called)[1:-1],
                services=services,
                why=caller.why,
                certificate=sha256(shown_one) if shown_one else "",
            )
        return caller

    async def _identify(
        self, calling: str, called: str, host: str, certificate: bytes | None, *, is_encrypted: bool
    ) -> Caller | Refusal:
        if called != self._ae_title:
            why = f"it called {_shown(called)}; this is {_shown(self._ae_title)}"
            return Refusal(result=1, source=1, reason=7, why=why, cause=Cause.CALLED)
        namesakes = self._of_title(calling)
        wanted, must_encrypt, unsure = "", False, ""
        for peer in namesakes:
            comes_from = await self._comes_from(host, peer.host)
            if not comes_from:
                unsure = peer.host if comes_from is None else unsure
                continue
            if peer.tls_only and not is_encrypted:
                must_encrypt = True
                continue
            if is_encrypted and not _shows(certificate, peer.certificate):
                wanted = wanted or peer.certificate
                continue
            may = frozenset(peer.may)
            return Caller(calling, host, called, may, max_associations=peer.max_associations)
        if unsure:
            why = f"the address of the peer {_shown(calling)}, {_shown(unsure)}, can't be found now"
            return Refusal(2, 1, 3, why, Cause.NAME, unsure)
        if namesakes:
            return _not_quite(calling, namesakes, certificate, wanted, must_encrypt=must_encrypt)
        if self._accepts_strangers:
            return Caller(calling, host, called, RIGHTS_OF_STRANGERS, is_stranger=True)
        why = f"no peer has the AE title {_shown(calling)}"
        return _unknown(Cause.UNKNOWN, why, self._meant(calling, host))

    async def _comes_from(self, host: str, expected: str) -> bool | None:
        """Whether *host* is the address, in the network, or among the addresses of the name.

        None if it is not known now what the name means.
        """
        if not expected:
            return True
        try:
            address = address_of(host)
        except ValueError:
            return False
        try:
            return address in ipaddress.ip_network(expected, strict=False)
        except ValueError:
            return await self._names.has(expected, address)

    def _meant(self, calling: str, host: str) -> str:
        """The peer that an unknown title may be meant for: one at this address, or spelt alike."""
        near = [
            _title_of(peer)
            for peer in self._all()
            if peer.host == host or _title_of(peer).casefold() == calling.casefold()
        ]
        return near[0] if near else ""

    def _all(self) -> Sequence[Peer]:
        return self._configured if self._book is None else self._book.in_force

    def _of_title(self, ae_title: str) -> list[Peer]:
        return [peer for peer in self._all() if _title_of(peer) == ae_title]


def _not_quite(
    calling: str,
    namesakes: Sequence[Peer],
    certificate: bytes | None,
    wanted: str,
    *,
    must_encrypt: bool,
) -> Refusal:
    """What a caller lacks that calls itself as a peer does."""
    if wanted:
        found = shown(certificate) if certificate else "none"
        return _unknown(
            Cause.CERTIFICATE,
            f"the peer {_shown(calling)} must show the certificate {_shown(wanted)};"
            f" it showed {found}",
            wanted,
        )
    if must_encrypt:
        return _unknown(Cause.ENCRYPTION, f"the peer {_shown(calling)} must call over TLS")
    expected = " or ".join(peer.host for peer in namesakes)
    why = f"the peer {_shown(calling)} is expected to call from {expected}"
    return _unknown(Cause.ADDRESS, why, expected)


def _unknown(cause: Cause, why: str, expected: str = "") -> Refusal:
    """Calling AE title not recognised, for good."""
    return Refusal(1, 1, 3, why, cause, expected)


def _title_of(peer: Peer) -> str:
    return peer.ae_title.strip()


def _can_be_called(peer: Peer) -> bool:
    return bool(peer.host) and not is_network(peer.host)


def _shows(certificate: bytes | None, named: str) -> bool:
    """Whether it showed what it must, if it must."""
    return not named or (certificate is not None and is_certificate(certificate, named))


def _is_ae_title(text: str) -> bool:
    """Whether *text* is a value of VR AE: 1 to 16 printable ASCII characters, no backslash."""
    return 1 <= len(text) <= 16 and text.isascii() and text.isprintable() and "\\" not in text


def _shown(title: str) -> str:
    """A stranger's text in a log line: quoted, and nothing in it can forge a line."""
    return ascii(title)
