"""A certificate authority for this box alone, and the server certificate that it signs.

The authority can vouch for nothing but the names of the box and addresses of private networks (name
constraints, RFC 5280 4.2.1.10), so a clinic that trusts it trusts no stranger. Both certificates
are renewed before they end. Files, in the folder that is given:

    authority.pem   the authority's certificate, then its private key
    server.pem      the server's certificate, the authority's, then the server's private key
    ca.crt          the authority's certificate alone, to be handed out
    former-*.pem    what server.pem was before the box got other names, see `edge.access.former`

Each pair is one file that is replaced by one rename, so a power cut leaves the old one or the new
one. Private keys never stand on the disk unencrypted. An authority that can't be opened is never
replaced: browsers would have to be told anew. A server's certificate that can't is made anew by the
authority that they trust already.

Everything here reads and writes files: call it in a thread.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import logging
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from edge.access.former import file_of, former_files
from edge.crypto.durable import one_at_a_time
from edge.errors import ConfigError, WrongKey

__all__ = [
    "AUTHORITY",
    "PUBLIC_AUTHORITY",
    "SERVER",
    "GeneralName",
    "LocalAuthority",
    "fingerprint",
    "general_name",
]

log = logging.getLogger(__name__)

AUTHORITY = "authority.pem"
SERVER = "server.pem"
PUBLIC_AUTHORITY = "ca.crt"

AUTHORITY_LIFETIME = dt.timedelta(days=3650)
SERVER_LIFETIME = dt.timedelta(days=397)
"""Browsers distrust what lives longer."""
RENEW_BEFORE = dt.timedelta(days=60)

_ONE_DAY = dt.timedelta(days=1)
_PURPOSES = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
"""Of the server's certificate: it is shown to DICOM peers that are called, too."""
_NOT_EARLIER = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
"""A clock that says less is wrong; a box without a clock chip starts in 1970."""
_HOST = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*", re.IGNORECASE)
_PRIVATE_NETWORKS = (
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
)
GeneralName = x509.DNSName | x509.IPAddress
"""The two kinds of names that a server certificate of ours may carry."""


@dataclass(frozen=True, slots=True)
class _Pair:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


class LocalAuthority:
    """Keeps ``authority.pem`` and ``server.pem`` such that they serve.

    Args:
        folder: Of the files; made if missing.
        passphrase: Of the private keys; 256 bits of entropy, it is hardly stretched.
        now: With a time zone.
    """

    def __init__(self, folder: Path, passphrase: bytes, now: dt.datetime) -> None:
        self._folder = folder
        self._passphrase = passphrase
        self._now = max(now, _NOT_EARLIER)

    def provide(self, names: Sequence[GeneralName]) -> None:
        """Make or renew what is missing, near its end, or does not have these names.

        Raises:
            WrongKey: A private key can't be decrypted with the passphrase.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # HTTPS and DICOM, and a command beside the service, may want to renew in the same moment.
        with one_at_a_time(self._folder):
            self._provide(names)

    def still_shows(self) -> bool:
        """Whether there is a server's certificate that can be shown now, whoever it is for."""
        try:
            server = self._load(SERVER)
        except WrongKey:
            return False
        if server is None:
            return False
        certificate = server.certificate
        return certificate.not_valid_before_utc <= self._now < certificate.not_valid_after_utc

    def _provide(self, names: Sequence[GeneralName]) -> None:
        names = tuple(dict.fromkeys((*names, x509.DNSName("localhost"))))
        authority = self._load(AUTHORITY)
        try:
            server = self._load(SERVER)
        except WrongKey as error:
            if authority is None:
                raise
            log.warning("%s: another one is made", error)
            server = None
        fresh = authority is None or not self._serves(authority, names)
        if authority is None or fresh:
            if authority is not None:
                log.warning("the TLS authority is replaced; browsers must learn to trust the new")
            authority = self._make_authority(names)
            self._write(AUTHORITY, authority, ())
            log.info("made a TLS authority, SHA-256 %s", fingerprint(authority.certificate))
        self._forget()
        if server is None or fresh or not self._is_current(server, authority, names):
            if server is not None and self._has_others(server, names):
                # First: cut short here, the next start makes the new one, and finds this one kept.
                kept = file_of(self._folder, self._now)
                _replace(kept, (self._folder / SERVER).read_bytes(), 0o600)
            server = self._make_server(authority, names)
            self._write(SERVER, server, (authority.certificate,))
            log.info("made a TLS certificate, SHA-256 %s", fingerprint(server.certificate))
        public = authority.certificate.public_bytes(serialization.Encoding.PEM)
        path = self._folder / PUBLIC_AUTHORITY
        if not path.is_file() or path.read_bytes() != public:
            _replace(path, public, 0o644)

    def _serves(self, authority: _Pair, names: Iterable[GeneralName]) -> bool:
        certificate = authority.certificate
        if certificate.not_valid_after_utc - self._now < SERVER_LIFETIME + _ONE_DAY:
            return False
        constraints = certificate.extensions.get_extension_for_class(x509.NameConstraints)
        permitted = constraints.value.permitted_subtrees or ()
        return all(any(_covers(subtree, name) for subtree in permitted) for name in names)

    def _is_current(self, server: _Pair, authority: _Pair, names: Sequence[GeneralName]) -> bool:
        certificate = server.certificate
        alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        return (
            certificate.not_valid_before_utc <= self._now
            and certificate.not_valid_after_utc - self._now > RENEW_BEFORE
            and certificate.issuer == authority.certificate.subject
            and set(alternative.value) == set(names)
            and _purposes(certificate) == set(_PURPOSES)
        )

    def _has_others(self, server: _Pair, names: Sequence[GeneralName]) -> bool:
        """Whether it holds, and is for other names."""
        certificate = server.certificate
        alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        holds = certificate.not_valid_before_utc <= self._now < certificate.not_valid_after_utc
        return holds and set(alternative.value) != set(names)

    def _forget(self) -> None:
        """Remove former ones whose time is over."""
        for until, path in former_files(self._folder):
            if until <= self._now.timestamp():
                path.unlink(missing_ok=True)

    def _make_authority(self, names: Sequence[GeneralName]) -> _Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        # The name tells the authorities of two boxes, or of one box over time, from each other.
        subject = _name(f"Edge local authority {identifier.digest.hex()[:8]}")
        permitted: list[x509.GeneralName] = [x509.DNSName(name) for name in _dns(names)]
        permitted += [x509.IPAddress(ipaddress.ip_network(net)) for net in _PRIVATE_NETWORKS]
        permitted += [
            x509.IPAddress(ipaddress.ip_network(name.value))
            for name in names
            if isinstance(name, x509.IPAddress) and not _is_private(name)
        ]
        certificate = (
            self._builder(subject, subject, key.public_key(), AUTHORITY_LIFETIME)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
            .add_extension(x509.NameConstraints(permitted, None), critical=True)
            .add_extension(identifier, critical=False)
            .sign(key, hashes.SHA256())
        )
        return _Pair(certificate, key)

    def _make_server(self, authority: _Pair, names: Sequence[GeneralName]) -> _Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = authority.certificate.subject
        subject = _name(next(iter(_dns(names))))
        certificate = (
            self._builder(subject, issuer, key.public_key(), SERVER_LIFETIME)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(_PURPOSES), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()),
                critical=False,
            )
            .sign(authority.key, hashes.SHA256())
        )
        return _Pair(certificate, key)

    def _builder(
        self,
        subject: x509.Name,
        issuer: x509.Name,
        key: ec.EllipticCurvePublicKey,
        lifetime: dt.timedelta,
    ) -> x509.CertificateBuilder:
        # A day early: the clocks of viewers are not exact either.
        begin = self._now.replace(microsecond=0) - _ONE_DAY
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(begin + lifetime)
        )

    def _load(self, name: str) -> _Pair | None:
        path = self._folder / name
        try:
            pem = path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            key = serialization.load_pem_private_key(_private_part(pem), self._passphrase)
            certificate = x509.load_pem_x509_certificates(pem)[0]
        except (ValueError, TypeError) as error:
            raise WrongKey(
                f"{path} can't be opened with the secret of this box",
                hint="give it the secret it had; or delete the file, and every browser must be "
                "told anew whom to trust",
            ) from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise WrongKey(f"{path} holds a key that this box did not make", hint="delete the file")
        return _Pair(certificate, key)

    def _write(self, name: str, pair: _Pair, chain: Sequence[x509.Certificate]) -> None:
        pem = b"".join(
            certificate.public_bytes(serialization.Encoding.PEM)
            for certificate in (pair.certificate, *chain)
        ) + pair.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(self._passphrase),
        )
        _replace(self._folder / name, pem, 0o600)


def _replace(path: Path, content: bytes, mode: int) -> None:
    """Write the file whole or not at all: the rename is the commit, the folder's fsync keeps it."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)  # of a write that was cut short
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _purposes(certificate: x509.Certificate) -> set[x509.ObjectIdentifier]:
    return set(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)


def _private_part(pem: bytes) -> bytes:
    begin = pem.find(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    if begin < 0:
        raise ValueError("no private key")
    return pem[begin:]


def general_name(name: str) -> GeneralName:
    """A host name or an address, as a certificate carries it.

    Raises:
        ConfigError: It is neither.
    """
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    if len(name) > 253 or _HOST.fullmatch(name) is None:
        raise ConfigError(
            f"{name!r} can't be in a TLS certificate",
            hint="a host name has letters, digits, hyphens and dots",
        )
    return x509.DNSName(name.lower())


def _dns(names: Iterable[GeneralName]) -> list[str]:
    return [name.value for name in names if isinstance(name, x509.DNSName)]


def _is_private(name: x509.IPAddress) -> bool:
    return any(
        _covers(x509.IPAddress(ipaddress.ip_network(network)), name)
        for network in _PRIVATE_NETWORKS
    )


def _covers(subtree: x509.GeneralName, name: GeneralName) -> bool:
    """Whether a permitted subtree has the name in it (RFC 5280 4.2.1.10)."""
    if isinstance(subtree, x509.DNSName) and isinstance(name, x509.DNSName):
        return name.value == subtree.value or name.value.endswith(f".{subtree.value}")
    if isinstance(subtree, x509.IPAddress) and isinstance(name, x509.IPAddress):
        network = subtree.value
        if isinstance(network, ipaddress.IPv4Network | ipaddress.IPv6Network):
            return name.value in network
    return False


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of the certificate in DER, as browsers show it: ``AB:CD:…``."""
    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()
