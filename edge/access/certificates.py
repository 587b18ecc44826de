"""Certificates that peers show: whether one is the one that was named, and how it is called.

The TLS library has looked by then whether it is valid, and whose authority it is from; here is only
whose it is. Nothing that stands in it can forge a log line.
"""

from __future__ import annotations

import hashlib

from cryptography import x509
from cryptography.x509.oid import NameOID

from edge.peering import fingerprint_in

__all__ = ["is_certificate", "sha256", "shown"]

_LONGEST = 100


def sha256(der: bytes) -> str:
    """Its fingerprint, as browsers show it: ``AB:CD:…``."""
    return hashlib.sha256(der).digest().hex(":").upper()


def is_certificate(der: bytes, named: str) -> bool:
    """Whether a certificate is the one that is named.

    Args:
        der: The certificate.
        named: Its SHA-256; or a Common Name of its subject, a DNS name of it, or its whole subject
            as RFC 4514 writes it (``CN=CT1,O=Clinic``), without regard to case.
    """
    if fingerprint := fingerprint_in(named):
        return hashlib.sha256(der).hexdigest() == fingerprint
    wanted = named.strip().casefold()
    return bool(wanted) and wanted in {name.casefold() for name in _names(der)}


def shown(der: bytes) -> str:
    """Subject and fingerprint, for people."""
    try:
        subject = x509.load_der_x509_certificate(der).subject.rfc4514_string()
    except ValueError:
        subject = "a subject that can't be read"
    return f"{ascii(subject)[1:-1][:_LONGEST] or 'no subject'} (SHA-256 {sha256(der)})"


def _names(der: bytes) -> list[str]:
    try:
        certificate = x509.load_der_x509_certificate(der)
        subject = certificate.subject
        names = [str(one.value) for one in subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        names.append(subject.rfc4514_string())
    except ValueError:
        return []
    try:
        alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension):
        return names
    return names + alternative.value.get_values_for_type(x509.DNSName)
