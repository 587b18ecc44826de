"""A certificate for as long as a process lives, which nobody has to keep secret afterwards.

The page of a locked box is shown with it: the box's own certificate is sealed like everything else,
and a private key that were not could be used by a thief in the box's name. So every start of a
locked box makes another, in memory alone, and says its fingerprint where its administrator looks.
"""

from __future__ import annotations

import datetime as dt
import os
import ssl
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from edge.access.authority import fingerprint, general_name

__all__ = ["load_passing"]

_DAY = dt.timedelta(days=1)
_LIFETIME = dt.timedelta(days=397)


def load_passing(context: ssl.SSLContext, names: Sequence[str], now: dt.datetime) -> str:
    """Make a certificate and load it; its fingerprint. Blocks for some milliseconds.

    Raises:
        ConfigError: A name can't stand in a certificate.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Locked edge cache")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([general_name(name) for name in names]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    # OpenSSL is told of it by a file only; this one is in memory, and has no name.
    descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, pem)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
    return fingerprint(certificate)
