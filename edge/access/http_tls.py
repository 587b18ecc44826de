"""The certificate of the HTTP door while it is served: loaded, renewed, taken anew from files.

Owns the context that the port hands to each new connection, and the names in a certificate of the
clinic's own, under which the box may be called. Connections that are open keep what they have. A
box that was renamed shows the former certificate to who calls as before, see `edge.access.former`.

``load`` reads and writes files: call it in a thread.
"""

from __future__ import annotations

import datetime as dt
import logging
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from cryptography import x509

from edge.access.authority import PUBLIC_AUTHORITY
from edge.access.former import Former, former, former_files
from edge.access.tls import former_context, names_in, renew, server_context, trouble
from edge.config import Http

__all__ = ["HttpTls"]

log = logging.getLogger(__name__)


def _utc_now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class HttpTls:
    """What is shown to whoever calls.

    Args:
        http: The configuration.
        secret: As `edge.access.tls.server_context` takes it.
        folder: Of the box's own certificates.
        names: Of the box.
        clock: Now, with a time zone.
    """

    def __init__(
        self,
        http: Http,
        secret: bytes,
        folder: Path,
        names: Sequence[str],
        *,
        clock: Callable[[], dt.datetime] = _utc_now,
    ) -> None:
        self._http = http
        self._secret = secret
        self._folder = folder
        self._names = names
        self._clock = clock
        self._former: tuple[tuple[Former, ssl.SSLContext], ...] = ()
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
            self.context = server_context(*identity, clock=self._clock)
        else:
            renew(self.context, *identity, clock=self._clock)
        if self._http.tls == "files":
            self._certified = _names_in(self._http.tls_certificate)
        elif self._http.tls == "auto":
            self.trouble = trouble(self._secret, self._folder, self._names, clock=self._clock)
            self._load_former()
            with suppress(FileNotFoundError):
                self._authority = (self._folder / PUBLIC_AUTHORITY).read_bytes()

    def _load_former(self) -> None:
        found = []
        for one in former(self._folder, self._clock()):
            try:
                found.append((one, former_context(one, self._secret)))
            except OSError as error:  # it is a kindness: without it, the page is opened anew
                log.warning("%s can't be shown any more: %s", one.path, error)
        self._former = tuple(found)
        assert self.context is not None
        self.context.sni_callback = self._choose if found else None

    def forget_former(self) -> None:
        """Show the present certificate alone: nobody has a page open under a former name. Blocks.

        Of a new box: the first admin is yet to come, and compares one fingerprint.
        """
        for _, path in former_files(self._folder):
            path.unlink(missing_ok=True)
        self._former = ()
        if self.context is not None:
            self.context.sni_callback = None

    def _choose(self, connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        """Show whoever calls as before what was shown there (RFC 6066 3: an address says none)."""
        called = None if name is None else name.lower()
        for one, context in self._held():
            if called is None or called in one.names:
                connection.context = context
                return

    def _held(self) -> list[tuple[Former, ssl.SSLContext]]:
        now = self._clock().timestamp()
        return [(one, context) for one, context in self._former if now < one.until]

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

    def former_hosts(self) -> frozenset[str]:
        """Former names on the LAN (``NAME.local``) as long as they hold, in small letters."""
        held = (one.names for one, _ in self._held())
        return frozenset(
            name for names in held for name in names if name.endswith(".local")
        ).difference(name.lower() for name in self._names)

    def called(self) -> frozenset[str]:
        """Those, and the box's former names as long as it is called by them."""
        return self._certified.union(*(one.names for one, _ in self._held()))


def _names_in(path: Path) -> frozenset[str]:
    try:
        certificate = x509.load_pem_x509_certificates(path.read_bytes())[0]
        return frozenset(name.lower() for name in names_in(certificate))
    except (OSError, ValueError):
        return frozenset()  # replaced this very moment: the next look has it
