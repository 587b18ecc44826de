"""A server's certificate, as far as a person has to know it. Trusts nothing and does no I/O."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import NameOID

__all__ = ["Certificate"]

_DAY = 86400.0
_MOST_NAMES = 3


@dataclass(frozen=True, slots=True)
class Certificate:
    """Who it is for, who issued it, and when it is valid (POSIX seconds)."""

    names: tuple[str, ...]
    issuer: str
    not_before: float
    not_after: float

    @classmethod
    def of(cls, der: bytes) -> Certificate:
        """Read it.

        Raises:
            ValueError: It is none.
        """
        certificate = x509.load_der_x509_certificate(der)
        return cls(
            _names_of(certificate) or (_called(certificate.subject),),
            _called(certificate.issuer),
            certificate.not_valid_before_utc.timestamp(),
            certificate.not_valid_after_utc.timestamp(),
        )

    def is_valid_at(self, moment: float) -> bool:
        """Whether it is, by its dates."""
        return self.not_before <= moment <= self.not_after

    def days_left(self, now: float) -> int:
        """Whole days until it ends; negative since it ended."""
        return int((self.not_after - now) // _DAY)

    @property
    def end(self) -> str:
        """The day of its end."""
        return day(self.not_after)

    @property
    def who(self) -> str:
        """The names that it is for, in short."""
        more = len(self.names) - _MOST_NAMES
        return ", ".join(self.names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def day(moment: float) -> str:
    """A day, as it is in Greenwich."""
    return dt.datetime.fromtimestamp(moment, dt.UTC).strftime("%Y-%m-%d")


def _names_of(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    dns = names.get_values_for_type(x509.DNSName)
    return (*dns, *map(str, names.get_values_for_type(x509.IPAddress)))


def _called(name: x509.Name) -> str:
    """What people call it: the common name, and the organisation."""
    found = [
        str(attributes[0].value)
        for oid in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME)
        if (attributes := name.get_attributes_for_oid(oid))
    ]
    text = ", ".join(dict.fromkeys(found)) or name.rfc4514_string()
    return "".join(c if c.isprintable() else " " for c in text)[:200] or "nobody"
