"""What ends by itself is spoken of in time.

Tokens, authorities that archives are believed by, and certificates of the clinic's own that the box
shows: to browsers, viewers and devices that come to it, and to archives and ``audit.syslog``, where
it goes itself. Said before a viewer stands before a shut door, and before nothing goes to the cloud
any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509

from edge.authorities import Authority, AuthorityError, authorities_in, called
from edge.config import Config
from edge.index.database import Database
from edge.index.tokens import ending
from edge.others import Archive

__all__ = [
    "EndingAuthority",
    "EndingCertificate",
    "EndingToken",
    "ending_authorities",
    "ending_certificates",
    "ending_tokens",
]

_DAY = 86400.0
_NOTICE = 30 * _DAY
"""So long before its end something is spoken of; and a token so long behind it."""
_SHARE = 0.25
"""Of its life: nobody is reminded all the time of a token that was made for a week, nor of a
certificate that a program renews a month before its end."""
_DAMAGED: Final = (x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)
_LONGEST: Final = 256 * 1024
"""Bytes of a file with certificates."""


@dataclass(frozen=True, slots=True)
class EndingToken:
    """A token that ends soon, or ended of late."""

    token_id: str
    name: str
    expires: float
    """POSIX seconds."""
    ended: bool

    @property
    def sentence(self) -> str:
        """For a nurse, without its full stop."""
        day = datetime.fromtimestamp(self.expires).astimezone().date()
        return f"Token {self.name} {'ended' if self.ended else 'ends'} on {day}"


async def ending_tokens(database: Database, now: float) -> tuple[EndingToken, ...]:
    """Those of the month before *now*, and of the month behind it; the first to end first."""
    return tuple(
        EndingToken(row.token_id, row.name, row.expires, row.expires <= now)
        for row in await ending(database, now + _NOTICE)
        if row.expires is not None
        and row.expires > now - _NOTICE
        and row.expires - now <= _SHARE * (row.expires - row.created)
    )


@dataclass(frozen=True, slots=True)
class EndingAuthority:
    """An authority whose certificate ends soon, or has ended."""

    name: str
    archive: str
    """That is believed by it; empty: the machine believes everybody by it."""
    until: float
    """POSIX seconds."""
    ended: bool

    @property
    def sentence(self) -> str:
        """For a nurse, without its full stop."""
        day = datetime.fromtimestamp(self.until).astimezone().date()
        of = f" of archive {self.archive}" if self.archive else ""
        return f"Authority {self.name}{of} {'ended' if self.ended else 'ends'} on {day}"


def ending_authorities(
    archives: Sequence[Archive], machine: Sequence[Authority], now: float
) -> tuple[EndingAuthority, ...]:
    """Those of the month before *now*, and all that ended; the first to end first.

    One that was renewed is not among them: another of its name beside it ends later. Those of the
    machine are kept for good, and what is new is given at archives: there it counts, too, and once
    each archive has one of its own that holds, nobody waits for those that ended.

    Args:
        archives: All that the box has; some have authorities of their own.
        machine: Those that it believes on every way out.
        now: POSIX seconds.
    """
    own = {archive.name: _last_ends(_given(archive)) for archive in archives}
    everywhere = _latest((_last_ends(machine), *own.values()))
    are_served = bool(own) and all(any(end > now for end in ends.values()) for ends in own.values())
    of_machine = {
        name: everywhere[name]
        for name in _last_ends(machine)
        if everywhere[name] > now or not are_served
    }
    found = [
        EndingAuthority(name, archive, until, until <= now)
        for archive, ends in {"": of_machine, **own}.items()
        for name, until in ends.items()
        if until <= now + _NOTICE
    ]
    return tuple(sorted(found, key=lambda one: (one.until, one.archive, one.name)))


@dataclass(frozen=True, slots=True)
class EndingCertificate:
    """A certificate of the clinic's own that ends soon, or has ended."""

    name: str
    key: str
    """Of the setting that names its file, such as ``http.tls_certificate``."""
    until: float
    """POSIX seconds."""
    ended: bool
    to: str = ""
    """That gets to see it: an archive's name, or the server of ``audit.syslog``; empty: whoever
    comes here."""

    @property
    def sentence(self) -> str:
        """For a nurse, without its full stop."""
        day = datetime.fromtimestamp(self.until).astimezone().date()
        key = f"{self.key} of {self.to}" if self.to else self.key
        return f"Certificate {self.name} ({key}) {'ended' if self.ended else 'ends'} on {day}"


def ending_certificates(config: Config, now: float) -> tuple[EndingCertificate, ...]:
    """Those of the month before *now*, and all that ended; the first to end first. Blocks.

    What is in the files counts: those for who comes here are taken within seconds
    (`edge.access.renewals`). Of a file, that is its first certificate; what stands behind it are
    authorities, of which some end without any harm. A file that can't be read is told of by whoever
    loads it.
    """
    http, dimse, syslog = config.http, config.dimse, config.audit.syslog
    files = {dimse.tls_certificate: "dimse.tls_certificate"}
    if http.tls == "files":
        files[http.tls_certificate] = "http.tls_certificate"  # also where both are one
    shown = [(path, key, "") for path, key in files.items()]
    shown += [
        (archive.tls_certificate, "cloud.archive.tls_certificate", archive.name)
        for archive in config.cloud.archive
    ]
    shown.append((syslog.tls_certificate, "audit.syslog.tls_certificate", syslog.server))
    found = [_ending_in(path, key, to, now) for path, key, to in shown if path != Path()]
    return tuple(
        sorted((one for one in found if one), key=lambda one: (one.until, one.key, one.to))
    )


def _ending_in(path: Path, key: str, to: str, now: float) -> EndingCertificate | None:
    try:
        with path.open("rb") as file:
            certificate = x509.load_pem_x509_certificates(file.read(_LONGEST))[0]
        begins, until = (
            moment.timestamp()
            for moment in (certificate.not_valid_before_utc, certificate.not_valid_after_utc)
        )
        name = _first_name(certificate) or called(certificate)
    except (OSError, ValueError, *_DAMAGED):
        return None
    if until - now > min(_NOTICE, _SHARE * (until - begins)):
        return None
    return EndingCertificate(name, key, until, until <= now, to)


def _first_name(certificate: x509.Certificate) -> str:
    """By which a browser calls the box; empty if there is none."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ""
    return next(iter(extension.value.get_values_for_type(x509.DNSName)), "")


def _given(archive: Archive) -> Sequence[Authority]:
    try:
        return authorities_in(archive.authority) if archive.authority else ()
    except AuthorityError:  # who loads the configuration says so
        return ()


def _last_ends(given: Sequence[Authority]) -> dict[str, float]:
    return _latest({one.subject: one.until} for one in given)


def _latest(ends: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Of each name."""
    last: dict[str, float] = {}
    for name, until in (each for one in ends for each in one.items()):
        last[name] = max(until, last.get(name, until))
    return last
