"""Certificates that the box showed under its former names, shown there for some hours yet.

A box that is renamed makes another certificate, and a new authority, for the former one may not
vouch for the new name. Whoever renamed it has a page open under the former name, in a browser that
was told by a person to accept the former certificate: another one there would end that page in the
middle of what is done, and no page can say why. So for `TERM` whoever calls by a former name, or by
an address, is shown what was shown there before; by a new name, the new one. The oldest wins: every
name goes on with what it had. A box in which nobody is yet (a stick named it, say) shows the new
one alone.

Each stands in the folder of the authority, sealed as its own pair is, in one file that says when it
ends: ``former-POSIXSECONDS.pem``. One that can't be read, or that would hold for longer than that
(the clock was set back), is not shown.

Everything here reads and writes files: call it in a thread.
"""

from __future__ import annotations

import datetime as dt
import re
import ssl
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509

__all__ = ["TERM", "Former", "file_of", "former", "former_files"]

TERM: Final = dt.timedelta(hours=4)
"""The visit of whoever sets a box up."""
_MORE: Final = dt.timedelta(minutes=1)
"""For some that became former in the same second."""
_UNREADABLE: Final = (
    OSError,
    ValueError,
    x509.InvalidVersion,
    x509.ExtensionNotFound,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
"""What a file may be at fault by."""
_FILE: Final = re.compile(r"former-([0-9]{1,12})\.pem")


@dataclass(frozen=True, slots=True)
class Former:
    """One of them."""

    path: Path
    names: frozenset[str]
    """DNS names, in small letters."""
    until: float
    """POSIX seconds."""
    certificate: x509.Certificate
    authority: x509.Certificate | None
    """That signed it."""

    def load(self, context: ssl.SSLContext, passphrase: bytes) -> None:
        """Have it shown.

        Raises:
            OSError: It can't be read (``ssl.SSLError`` is one).
        """
        context.load_cert_chain(self.path, password=passphrase)


def file_of(folder: Path, now: dt.datetime) -> Path:
    """Of what is former since now; behind what became so in the same second."""
    until = int((now + TERM).timestamp())
    while (path := folder / f"former-{until}.pem").exists():
        until += 1
    return path


def former_files(folder: Path) -> list[tuple[float, Path]]:
    """When each that there is ends, and where it is; the oldest first."""
    found = ((_FILE.fullmatch(path.name), path) for path in folder.glob("former-*.pem"))
    return sorted((float(name[1]), path) for name, path in found if name is not None)


def former(folder: Path, now: dt.datetime) -> Iterator[Former]:
    """Those that are shown yet; the oldest first."""
    for until, path in former_files(folder):
        if not 0 < until - now.timestamp() <= (TERM + _MORE).total_seconds():
            continue
        with suppress(*_UNREADABLE):
            certificate, *above = x509.load_pem_x509_certificates(path.read_bytes())
            found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
            names = found.value.get_values_for_type(x509.DNSName)
            authority = above[0] if above else None
            yield Former(path, frozenset(map(str.lower, names)), until, certificate, authority)
