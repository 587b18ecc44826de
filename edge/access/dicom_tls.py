"""TLS of the DICOM door, in both directions (PS3.15 B.12, BCP 195 with RFC 9325).

Owns what is offered in a handshake: TLS 1.2 and 1.3, forward secrecy, AEAD ciphers, keys of 2048
bits (RSA) or 256 (elliptic curves); and whose certificates are believed. Of B.13 it has what
OpenSSL has: neither Camellia in GCM nor the short tags of CCM_8.

Sessions are never resumed: whoever is let in has shown what is asked for today. Contexts are made
anew and exchanged, for one that is in use forgets no authority.

``load`` reads and writes files: call it in a thread.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from edge.access.tls import load_pair, own_pair
from edge.config import Dimse, Http
from edge.errors import ConfigError, EdgeError

__all__ = ["DicomTls"]

log = logging.getLogger(__name__)

_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE-ECDSA-AES256-CCM:ECDHE-ECDSA-AES128-CCM:@SECLEVEL=2"
"""Of TLS 1.2: the four that RFC 9325 4.2 recommends first. The level wants RSA of 2048 bits, curves
of 224, and no SHA-1."""
_DAY = 86400.0


class DicomTls:
    """What is shown to peers, and believed of them.

    Args:
        dimse: The configuration.
        http: Whose certificate is shown if ``dimse`` names none.
        secret: As `edge.access.tls.server_context` takes it.
        folder: Of the box's own certificates.
        names: Of the box.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        dimse: Dimse,
        http: Http,
        secret: bytes,
        folder: Path,
        names: Sequence[str],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._dimse = dimse
        self._http = http
        self._secret = secret
        self._folder = folder
        self._names = names
        self._clock = clock
        self._contexts: tuple[ssl.SSLContext, ssl.SSLContext, ssl.SSLContext] | None = None
        self._loaded = 0.0
        self._loading = asyncio.Lock()

    def load(self) -> None:
        """Renew the box's own certificate if it is near its end, and take what is in the files now.

        Associations that are there keep what they have.

        Raises:
            ConfigError: Files that were named can't be used; what was loaded before stays.
            WrongKey: The private key in the folder was encrypted with another secret.
        """
        server = self._context(ssl.PROTOCOL_TLS_SERVER)
        server.options |= ssl.OP_NO_TICKET | ssl.OP_CIPHER_SERVER_PREFERENCE
        server.num_tickets = 0
        if self._dimse.tls_ca != Path():
            server.verify_mode = ssl.CERT_REQUIRED
            self._trust(server)
        named, unnamed = (self._context(ssl.PROTOCOL_TLS_CLIENT) for _ in range(2))
        unnamed.check_hostname = False
        for client in (named, unnamed):
            if self._dimse.tls_ca != Path():
                self._trust(client)
            else:
                client.load_default_certs()
        self._contexts = server, named, unnamed
        self._loaded = self._clock()

    def reload(self) -> None:
        """As ``load``, if it is loaded: who never called anybody needs nothing yet."""
        if self._contexts is not None:
            self.load()

    @property
    def files(self) -> tuple[Path, ...]:
        """That the clinic may replace."""
        dimse, http = self._dimse, self._http
        pair = dimse.tls_certificate, dimse.tls_key
        if pair[0] == Path() and http.tls == "files":
            pair = http.tls_certificate, http.tls_key
        return (*pair, dimse.tls_ca)

    @property
    def server(self) -> ssl.SSLContext:
        """For who calls us; to be asked for each connection anew, once it is loaded."""
        assert self._contexts is not None
        return self._contexts[0]

    async def client(self, *, check_hostname: bool) -> ssl.SSLContext:
        """For whom we call; loaded when it is first asked for, and again once it is a day old.

        Args:
            check_hostname: The certificate must be for the host that is called (RFC 9525). Without,
                whoever calls looks itself whose it is.

        Raises:
            ConfigError, WrongKey: As ``load``, the first time.
        """
        async with self._loading:
            if self._contexts is None:
                await asyncio.to_thread(self.load)
            elif self._clock() - self._loaded > _DAY:
                self._loaded = self._clock()
                try:
                    await asyncio.to_thread(self.load)
                except EdgeError as error:
                    log.error("DICOM TLS goes on with the certificate that it had: %s", error)
        assert self._contexts is not None
        return self._contexts[1 if check_hostname else 2]

    def _context(self, protocol: int) -> ssl.SSLContext:
        context = ssl.SSLContext(protocol)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(_CIPHERS)
        context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
        dimse, http = self._dimse, self._http
        if dimse.tls_certificate != Path():
            load_pair(context, "dimse", dimse.tls_certificate, dimse.tls_key)
        elif http.tls == "files":
            load_pair(context, "http", http.tls_certificate, http.tls_key)
        else:
            path, passphrase = own_pair(self._secret, self._folder, self._names)
            context.load_cert_chain(path, password=passphrase)
        return context

    def _trust(self, context: ssl.SSLContext) -> None:
        """Believe the authorities in the file, and certificates that stand in it themselves."""
        path = self._dimse.tls_ca
        try:
            context.load_verify_locations(path)
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"dimse.tls_ca = {path} can't be used: {error}",
                hint="certificates in PEM: of an authority, or of peers themselves",
            ) from error
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
