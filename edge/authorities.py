"""Authorities' certificates in PEM, as somebody gives them: read strictly, and told in short.

Promises that what was understood is told from what was not, that nothing but certificates of
authorities gets on, and that a private key which somebody gives by mistake is refused before
anything of it is kept. Trusts nobody, and does no I/O.
"""

# ruff: noqa: PLC0415 - the library is large, and a configuration without authorities is read often

from __future__ import annotations

import codecs
import contextlib
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cryptography import x509

__all__ = [
    "LONGEST",
    "Authority",
    "AuthorityError",
    "as_der",
    "as_pem",
    "authorities_in",
    "called",
    "certificates_in",
    "given",
    "in_short",
    "text_of",
]

LONGEST: Final = 64 * 1024
"""Characters of what is given on a page or in the configuration."""
_UTF_16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_MOST: Final = 64
"""Authorities."""
_LONGEST_NAME: Final = 200
"""Characters of what one is called."""
_KEY: Final = "-----BEGIN PRIVATE KEY-----"
_WHICH: Final = "ask for that of the authority, which signed the server's"


class AuthorityError(ValueError):
    """What was given can't be used; it goes on behind a name. ``hint`` says where to look."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Authority:
    """One, as people know it."""

    subject: str
    """Common name and organisation."""
    until: float
    """POSIX seconds: its certificate ends then."""
    digest: str
    """SHA-256 of its certificate, in hexadecimal digits."""

    @property
    def day(self) -> date:
        """Of its end, where the machine is."""
        end = datetime.fromtimestamp(self.until, UTC)
        try:
            return end.astimezone().date()
        except (ValueError, OverflowError):  # without an end (RFC 5280 4.1.2.5), east of UTC
            return end.date()


def certificates_in(pem: str) -> list[x509.Certificate]:
    """The certificates of a text, of which each is an authority's.

    Raises:
        AuthorityError: It has none, or others.
    """
    from cryptography import x509

    if "PRIVATE KEY-----" in pem:
        raise AuthorityError(
            "has a private key, which must be given to nobody",
            "the authority's certificate alone is needed; whose key this is should hear of it",
        )
    try:
        # What stands around certificates may be in any language.
        found = x509.load_pem_x509_certificates(pem.encode("ascii", "replace"))
    except (ValueError, x509.InvalidVersion) as error:
        raise AuthorityError(
            "has no certificate in PEM",
            "ask for it as text (PEM), which begins with -----BEGIN CERTIFICATE-----",
        ) from error
    if len(found) > _MOST:
        raise AuthorityError(f"has more than {_MOST} certificates")
    for one in found:
        try:
            name, is_authority = called(one), _is_authority(one)
        except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
            raise AuthorityError(f"has a certificate that is damaged: {error}", _WHICH) from error
        if not is_authority:
            raise AuthorityError(f"has {name}, which is no authority's certificate", _WHICH)
    return found


def given(pem: str, now: float | None = None) -> str:
    """What somebody gave, as it is kept: its certificates, and nothing else of it.

    Args:
        pem: It.
        now: POSIX seconds; None: as the clock says.

    Raises:
        AuthorityError: It can't be used, or is too old, or must not be given to anybody.
    """
    if len(pem) > LONGEST:
        raise AuthorityError(f"is longer than {LONGEST // 1024} KiB", _WHICH)
    found = certificates_in(pem)
    for one in found:
        if _until(one) < (time.time() if now is None else now):
            raise AuthorityError(
                f"has {called(one)}, which ended on {one.not_valid_after_utc:%Y-%m-%d}",
                "ask for the one that holds now; if it should, set the clock of this box",
            )
    return as_pem(found)


def authorities_in(pem: str) -> list[Authority]:
    """Those of a text, for people.

    Raises:
        AuthorityError: It has none, or others.
    """
    return list(_authorities_in(pem))


@lru_cache(maxsize=32)  # whoever shows the state of the box reads the same ones all the time
def _authorities_in(pem: str) -> tuple[Authority, ...]:
    from cryptography.hazmat.primitives.hashes import SHA256

    return tuple(
        Authority(called(one), _until(one), one.fingerprint(SHA256()).hex())
        for one in certificates_in(pem)
    )


def in_short(pem: str) -> str:
    """What the record is told of them; a text that can't be read is told to be one."""
    try:
        found = authorities_in(pem)
    except AuthorityError:
        return "something that can't be read"
    return "; ".join(f"{one.subject} (SHA-256 {one.digest})" for one in found)


def as_pem(certificates: list[x509.Certificate]) -> str:
    """Certificates as text, each with its line end but the last."""
    from cryptography.hazmat.primitives.serialization import Encoding

    return "".join(one.public_bytes(Encoding.PEM).decode() for one in certificates).strip()


def as_der(pem: str) -> bytes:
    """The certificates of a text, as `ssl.SSLContext.load_verify_locations` takes them.

    Raises:
        AuthorityError: It has none, or others.
    """
    from cryptography.hazmat.primitives.serialization import Encoding

    return b"".join(one.public_bytes(Encoding.DER) for one in certificates_in(pem))


def text_of(data: bytes) -> str:
    """A file as text: also one that is in UTF-16, or in DER, as Windows may write either.

    Of a private key in DER it is the first line alone, by which `certificates_in` knows it.
    """
    from cryptography import x509

    if data.startswith(_UTF_16):
        return data.decode("utf-16", "replace")
    if b"-----BEGIN" not in data:
        with contextlib.suppress(ValueError, x509.InvalidVersion):
            return as_pem([x509.load_der_x509_certificate(data)])
        if _is_private_key(data):
            return _KEY
    return data.decode("ascii", "replace")


def _is_private_key(data: bytes) -> bool:
    """Whether it is one in DER, be it behind a password or not."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_der_private_key

    try:
        load_der_private_key(data, None)
    except (TypeError, UnsupportedAlgorithm):  # it wants a password; it is one that nobody knows
        return True
    except ValueError:
        return False
    return True


def _until(certificate: x509.Certificate) -> float:
    return certificate.not_valid_after_utc.timestamp()


def called(certificate: x509.Certificate) -> str:
    """What people call it: the common name, and the organisation; or else all of its name."""
    from cryptography.x509.oid import NameOID

    found = [
        str(attributes[0].value)
        for oid in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME)
        if (attributes := certificate.subject.get_attributes_for_oid(oid))
    ]
    name = ", ".join(found) or certificate.subject.rfc4514_string() or "one without a name"
    return name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}…"


def _is_authority(certificate: x509.Certificate) -> bool:
    from cryptography import x509

    with contextlib.suppress(x509.ExtensionNotFound):
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    return False
