"""The certificate of the HTTP door while it is served: loaded, renewed, taken anew from files.

Owns the context that the port hands to each new connection, and the names in a certificate of the
clinic's own, under which the box may be called. Connections that are open keep what they have.

``load`` reads and writes files: call it in a thread.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from cryptography import x509

from edge.access.authority import PUBLIC_AUTHORITY
from edge.access.tls import names_in, renew, server_context, trouble
from edge.config import Http

__all__ = ["HttpTls"]


class HttpTls:
    """What is shown to whoever calls.

    Args:
        http: The configuration.
        secret: As `edge.access.tls.server_context` takes it.
        folder: Of the box's own certificates.
        names: Of the box.
    """

    def __init__(self, http: Http, secret: bytes, folder: Path, names: Sequence[str]) -> None:
        self._http = http
        self._secret = secret
        self._folder = folder
        self._names = names
        self._certified: frozenset[str] = frozenset()
        self._authority = b""
        self.trouble = ""
        """Why the box's own certificate can't be shown, or can't be renewed; empty if it can."""
        self.context: ssl.SSLContext | None = None
        """None before it is loaded, and if plain HTTP is spoken."""

    def load(self) -> None:
        """Renew the box's own certificate if it is near its end, or take what is in the files now.

        Raises:
            ConfigError: Files that were named can't be used; what was loaded before stays.
            WrongKey: The private key in the folder was encrypted with another secret.
        """
        identity = self._http, self._secret, self._folder, self._names
        if self.context is None:
            self.context = server_context(*identity)
        else:
            renew(self.context, *identity)
        if self._http.tls == "files":
            self._certified = _names_in(self._http.tls_certificate)
        elif self._http.tls == "auto":
            self.trouble = trouble(self._secret, self._folder, self._names)
            with suppress(FileNotFoundError):
                self._authority = (self._folder / PUBLIC_AUTHORITY).read_bytes()

    @property
    def files(self) -> tuple[Path, ...]:
        """That the clinic may replace."""
        http = self._http
        return (http.tls_certificate, http.tls_key) if http.tls == "files" else ()

    def authority(self) -> bytes:
        """The certificate of the box's own authority, in PEM; empty if it shows no own one."""
        return self._authority

    def certified(self) -> frozenset[str]:
        """The names and addresses in the clinic's own certificate, as it was loaded."""
        return self._certified


def _names_in(path: Path) -> frozenset[str]:
    try:
        certificate = x509.load_pem_x509_certificates(path.read_bytes())[0]
        return frozenset(name.lower() for name in names_in(certificate))
    except (OSError, ValueError):
        return frozenset()  # replaced this very moment: the next look has it
