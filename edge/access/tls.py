"""TLS of the HTTP door, with the box's own certificate or with the clinic's.

DICOM has its own offers (`dicom_tls`), and shows the same certificate unless it is given another.

Owns what is offered in a handshake: TLS 1.2 and later, forward secrecy, AEAD ciphers. With
``tls = "auto"`` the first start makes a certificate authority and a certificate (`authority`);
their private keys are encrypted with a passphrase that follows from the box's secret.

Everything here reads and writes files: call it in a thread.
"""

from __future__ import annotations

import datetime as dt
import logging
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from edge.access.authority import SERVER, LocalAuthority, fingerprint, general_name
from edge.access.former import Former, former
from edge.access.passing import load_passing
from edge.addresses import host_and_port, host_name, is_everywhere
from edge.config import Config, Http
from edge.errors import ConfigError, WrongKey

__all__ = [
    "Fingerprints",
    "Shown",
    "box_names",
    "fingerprints",
    "former_context",
    "load_pair",
    "locked_context",
    "names_in",
    "own_pair",
    "renew",
    "server_context",
    "shown",
    "trouble",
]

log = logging.getLogger(__name__)

# Forward secrecy and an AEAD in TLS 1.2, too; those of TLS 1.3 have both anyway.
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"

_Clock = Callable[[], dt.datetime]


def _utc_now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


@dataclass(frozen=True, slots=True)
class Fingerprints:
    """SHA-256 of certificates in DER, as browsers show it: ``AB:CD:…``."""

    server: str
    authority: str = ""
    """Empty if the certificate is the clinic's own."""


@dataclass(frozen=True, slots=True)
class ShownThere:
    """A certificate that is shown under former names."""

    server: str
    """Its fingerprint."""
    names: tuple[str, ...]
    until: float
    """So long it is shown there, in POSIX seconds."""
    authority: str = ""
    """The fingerprint of who signed it; empty if that does not stand beside it."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A certificate that browsers are shown."""

    fingerprints: Fingerprints
    names: tuple[str, ...]
    """DNS names and addresses that it is for."""
    until: float
    """Its end, in POSIX seconds."""
    former: tuple[ShownThere, ...] = ()
    """What is shown for some hours yet to who calls by a former name (`edge.access.former`)."""

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        former = [asdict(one) for one in self.former]
        own = {"names": self.names, "until": self.until, "former": former}
        return {**asdict(self.fingerprints), **own}


def server_context(
    http: Http, secret: bytes, folder: Path, names: Sequence[str], *, clock: _Clock = _utc_now
) -> ssl.SSLContext | None:
    """What the HTTP server needs to speak TLS; None if it is to speak plain HTTP.

    Args:
        http: The configuration.
        secret: Derived from the root secret for this purpose; never written.
        folder: Where the box's own certificates are kept; made if missing.
        names: DNS names and IP addresses under which the box is reached.
        clock: Now, with a time zone.

    Raises:
        ConfigError: The files that were named, or a name, can't be used.
        WrongKey: The private key in the folder was encrypted with another secret.
    """
    if http.tls == "off":
        return None
    context = _without_certificate()
    renew(context, http, secret, folder, names, clock=clock)
    return context


def locked_context(
    http: Http, names: Sequence[str], *, clock: _Clock = _utc_now
) -> tuple[ssl.SSLContext | None, str]:
    """What the page of a locked box is served with, and the fingerprint to compare.

    It is the clinic's certificate, or one of this start alone (`passing`): the box's own is sealed.

    Raises:
        ConfigError: The files that were named, or a name, can't be used.
    """
    if http.tls == "off":
        return None, ""
    context = _without_certificate()
    if http.tls == "files":
        load_pair(context, "http", http.tls_certificate, http.tls_key)
        found = fingerprints(http, Path())
        return context, "" if found is None else found.server
    return context, load_passing(context, names, clock())


def former_context(shown_there: Former, secret: bytes) -> ssl.SSLContext:
    """What who calls by a former name is spoken to with.

    Args:
        shown_there: What was shown before.
        secret: As `server_context` takes it.

    Raises:
        OSError: It can't be read, or not with this secret.
    """
    context = _without_certificate()
    shown_there.load(context, _passphrase(secret))
    return context


def _without_certificate() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    # A key that tickets are sealed with would live as long as the service, and open what was said
    # under it before (RFC 9325 7.4). A handshake costs a millisecond, and connections are kept.
    context.options |= ssl.OP_NO_TICKET | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.num_tickets = 0
    context.set_alpn_protocols(["http/1.1"])
    return context


def renew(
    context: ssl.SSLContext,
    http: Http,
    secret: bytes,
    folder: Path,
    names: Sequence[str],
    *,
    clock: _Clock = _utc_now,
) -> None:
    """Renew what is near its end, and load what is there now; to be called once a day.

    Connections that are open keep what they have; new ones get the new certificate. So the
    clinic's own certificate can be replaced without a restart, too.

    Raises:
        ConfigError: As `server_context`; the context then goes on with what it had.
        WrongKey: As `server_context`.
    """
    if http.tls == "files":
        load_pair(context, "http", http.tls_certificate, http.tls_key)
        return
    path, passphrase = own_pair(secret, folder, names, clock=clock)
    context.load_cert_chain(path, password=passphrase)


def load_pair(context: ssl.SSLContext, section: str, certificate: Path, key: Path) -> None:
    """Load a certificate and its key from files that a section of the configuration names.

    Raises:
        ConfigError: They can't be used; the context goes on with what it had.
    """
    try:
        # Tried apart first: a pair that does not fit would leave the context without a key.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, _refuse)
        context.load_cert_chain(certificate, key, _refuse)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{section}.tls_certificate and {section}.tls_key can't be used: {error}",
            hint="both in PEM, the key not encrypted and of the first certificate in the file",
        ) from error


def own_pair(
    secret: bytes, folder: Path, names: Sequence[str], *, clock: _Clock = _utc_now
) -> tuple[Path, bytes]:
    """The file of the box's own certificate and key, made or renewed if need be; its passphrase.

    A certificate that holds is shown even where the authority's key can't be opened: see `trouble`.

    Raises:
        ConfigError: A name can't stand in a certificate.
        WrongKey: The private key in the folder was encrypted with another secret.
    """
    passphrase = _passphrase(secret)
    authority = LocalAuthority(folder, passphrase, clock())
    try:
        authority.provide([general_name(name) for name in names])
    except WrongKey as error:
        if not authority.still_shows():
            raise
        log.error("the TLS certificate holds, and can't be renewed: %s", error)
    return folder / SERVER, passphrase


def trouble(secret: bytes, folder: Path, names: Sequence[str], *, clock: _Clock = _utc_now) -> str:
    """Why the box's own certificate can't be renewed; empty if it can."""
    authority = LocalAuthority(folder, _passphrase(secret), clock())
    try:
        authority.provide([general_name(name) for name in names])
    except WrongKey as error:
        return str(error)
    return ""


def box_names(config: Config) -> list[str]:
    """What the box is called on the LAN, for its certificate."""
    name, host = host_name(config.appliance.name), socket.gethostname()
    names = [name, f"{name}.local", host, f"{host}.local", "localhost", "127.0.0.1", "::1"]
    for listen in (config.http.listen, config.dimse.tls_listen):
        address = host_and_port(listen)[0] if listen else "::"
        if not is_everywhere(address):
            names.append(address)
    names += config.http.names
    return list(dict.fromkeys(names))


def fingerprints(http: Http, folder: Path) -> Fingerprints | None:
    """What to compare when a browser asks whom to trust; None if there is no certificate."""
    found = shown(http, folder)
    return None if found is None else found.fingerprints


def shown(http: Http, folder: Path) -> Shown | None:
    """The certificate that is in the files now; None if there is none."""
    if http.tls == "off":
        return None
    path = http.tls_certificate if http.tls == "files" else folder / SERVER
    try:
        chain = x509.load_pem_x509_certificates(path.read_bytes())
        names = names_in(chain[0])
    except (OSError, ValueError):
        return None
    own = http.tls == "auto" and len(chain) > 1
    found = Fingerprints(fingerprint(chain[0]), fingerprint(chain[1]) if own else "")
    there = (
        tuple(
            ShownThere(
                fingerprint(one.certificate),
                tuple(sorted(one.names)),
                one.until,
                "" if one.authority is None else fingerprint(one.authority),
            )
            for one in former(folder, _utc_now())
        )
        if own
        else ()
    )
    return Shown(found, names, chain[0].not_valid_after_utc.timestamp(), there)


def names_in(certificate: x509.Certificate) -> tuple[str, ...]:
    """DNS names and addresses that it is for; a common name is none, as browsers have it.

    Raises:
        ValueError: It can't be read.
    """
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, x509.DuplicateExtension):
        return ()
    addresses = found.value.get_values_for_type(x509.IPAddress)
    return (*found.value.get_values_for_type(x509.DNSName), *map(str, addresses))


def _passphrase(secret: bytes) -> bytes:
    """256 bits as text: OpenSSL takes passphrases, and its own slow derivation adds nothing."""
    derived = HKDF(
        algorithm=hashes.SHA256(), length=32, salt=None, info=b"edge tls private keys 1"
    ).derive(secret)
    return derived.hex().encode()


def _refuse() -> bytes:
    # Without this, OpenSSL would ask for one on the terminal of the service.
    raise ValueError("the private key is encrypted")
