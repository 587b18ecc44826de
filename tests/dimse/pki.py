"""Certificates for tests, as files; and a `DicomTls` over them."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import trustme
from cryptography import x509

from edge.access.certificates import sha256
from edge.access.dicom_tls import DicomTls
from edge.config import Dimse, Http

SECRET = bytes(range(32))


@dataclass(frozen=True)
class Pair:
    """A certificate and its key."""

    certificate: Path
    key: Path

    @property
    def der(self) -> bytes:
        return ssl.PEM_cert_to_DER_cert(self.certificate.read_text())

    @property
    def sha256(self) -> str:
        return sha256(self.der)

    @property
    def common_name(self) -> str:
        subject = x509.load_der_x509_certificate(self.der).subject
        return str(subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value)


class Clinic:
    """An authority, and whom it vouches for."""

    def __init__(self, folder: Path, *, key_type: trustme.KeyType = trustme.KeyType.ECDSA) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._key_type = key_type
        self._authority = trustme.CA(key_type=key_type)
        self.ca = folder / "ca.pem"
        self._authority.cert_pem.write_to_path(self.ca)

    def issue(self, name: str, *others: str, **dates: datetime) -> Pair:
        """A certificate for a host, with the name as Common Name; ``not_before``, ``not_after``."""
        issued = self._authority.issue_cert(
            name, *others, common_name=name, key_type=self._key_type, **dates
        )
        pair = Pair(self._folder / f"{name}.crt", self._folder / f"{name}.key")
        issued.cert_chain_pems[0].write_to_path(pair.certificate)
        issued.private_key_pem.write_to_path(pair.key)
        return pair


def tls_of(ours: Pair, ca: Path | None, **settings) -> DicomTls:
    """Loaded, showing *ours* and believing *ca*."""
    dimse = Dimse(
        tls_certificate=ours.certificate, tls_key=ours.key, tls_ca=ca or Path(), **settings
    )
    tls = DicomTls(dimse, Http(tls="off"), SECRET, ours.certificate.parent / "own", ["localhost"])
    tls.load()
    return tls


def client_context(ca: Path, pair: Pair | None = None) -> ssl.SSLContext:
    """Of a peer that believes *ca*, and shows *pair*."""
    context = ssl.create_default_context(cafile=str(ca))
    if pair is not None:
        context.load_cert_chain(pair.certificate, pair.key)
    return context
