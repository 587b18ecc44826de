"""The way to an archive as it is configured: address, proxy, and what TLS is spoken with.

Owns what ``proxy``, ``tls_ca``, ``authority``, ``tls_certificate`` and ``tls_key`` of an archive
mean, and the plain words for those that can't be used. Promises that certificate files are read
without ever asking a terminal for a passphrase, that no repr shows a password, and that an
archive's key which is stolen later opens nothing that was said before. Never connects to anything.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import httpx

from edge import others
from edge.authorities import AuthorityError, as_der
from edge.cloud.ciphers import CIPHERS
from edge.errors import ConfigError

__all__ = ["Route", "address_of", "proxy_of", "tls_context"]


@dataclass(frozen=True, slots=True)
class Route:
    """Where requests go, and through what."""

    url: httpx.URL
    """Base of the archive's DICOMweb service."""
    proxy: httpx.Proxy | None = None
    tls_ca: Path = Path()
    tls_certificate: Path = Path()
    tls_key: Path = Path()
    authority: str = ""

    @classmethod
    def of(cls, settings: others.Archive, url: httpx.URL) -> Route:
        """As configured.

        Raises:
            ConfigError: The proxy can't be used.
        """
        return cls(
            url,
            proxy_of(settings),
            settings.tls_ca,
            settings.tls_certificate,
            settings.tls_key,
            settings.authority,
        )

    @property
    def encrypted(self) -> bool:
        """Whether TLS is spoken with the archive."""
        return self.url.scheme == "https"

    @property
    def first(self) -> tuple[str, int]:
        """Host and port that a connection goes to: the proxy's, if there is one."""
        return address_of(self.url if self.proxy is None else self.proxy.url)

    @property
    def client_certificate(self) -> tuple[Path, Path] | None:
        """The certificate that we show, and its key."""
        return (self.tls_certificate, self.tls_key) if self.tls_certificate.name else None

    def context(self) -> ssl.SSLContext:
        """What TLS is spoken with, read from the files anew.

        Raises:
            ConfigError: They can't be used.
        """
        return tls_context(
            str(self.tls_ca) if self.tls_ca.name else None,
            self.client_certificate,
            self.authority,
        )


def address_of(url: httpx.URL) -> tuple[str, int]:
    """Host and port, which may be the usual one of its scheme."""
    return url.host, url.port or (443 if url.scheme == "https" else 80)


def tls_context(
    tls_ca: str | None,
    client_certificate: tuple[Path, Path] | None = None,
    authority: str = "",
) -> ssl.SSLContext:
    """A context that trusts the system's certificates, or only those in *tls_ca*.

    Args:
        tls_ca: A PEM file.
        client_certificate: The PEM files of the certificate that we show, and of its key.
        authority: Certificates in PEM that are trusted beside them.

    Raises:
        ConfigError: One of them can't be used.
    """
    try:
        context = ssl.create_default_context(cafile=tls_ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(CIPHERS)
        # Python 3.13 asks more of an authority than clinics' own ones have: a use of its key, say.
        context.verify_flags &= ~ssl.VerifyFlags.VERIFY_X509_STRICT
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"cloud.archive tls_ca: {tls_ca} can't be used: {error}",
            hint="it must be a file with the archive's CA certificate in PEM form",
        ) from error
    if authority:
        _add(context, authority)
    if client_certificate is not None:
        _load_pair(context, *client_certificate)
    return context


def _add(context: ssl.SSLContext, authority: str) -> None:
    try:
        context.load_verify_locations(cadata=as_der(authority))
    except (AuthorityError, ssl.SSLError) as error:
        hint = error.hint if isinstance(error, AuthorityError) else "give it once more"
        raise ConfigError(f"cloud.archive authority can't be used: {error}", hint=hint) from error
    # People give the one that signed the archive's, which may itself be signed by another.
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN


def _load_pair(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    try:
        context.load_cert_chain(certificate, key, password=_no_passphrase)
    except _EncryptedKeyError as error:
        raise ConfigError(
            f"cloud.archive tls_key: {key} is encrypted with a passphrase",
            hint="decrypt it (openssl pkey -in KEY -out NEW), and let only the service read it",
        ) from error
    except ssl.SSLError as error:
        if error.reason and "MISMATCH" in error.reason:
            raise ConfigError(
                f"cloud.archive tls_key: {key} is not the key of the certificate {certificate}",
                hint="name the key that the certificate was made for",
            ) from error
        raise ConfigError(
            f"cloud.archive tls_certificate: {certificate} with tls_key {key} can't be used:"
            f" {error.reason or 'one of them is not in PEM form'}",
            hint="both must be in PEM form: the certificate with its chain, and its private key",
        ) from error
    except OSError as error:
        name, path = (
            ("tls_key", key) if _is_readable(certificate) else ("tls_certificate", certificate)
        )
        raise ConfigError(
            f"cloud.archive {name}: {path} can't be read: {error.strerror}",
            hint="name a file that the user of the service may read",
        ) from error


def _is_readable(certificate: Path) -> bool:
    """Whether OpenSSL gets as far as to miss the key in it."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate)
    except ssl.SSLError:
        return True
    except OSError:
        return False
    return True


class _EncryptedKeyError(Exception):
    """OpenSSL asks for a passphrase."""


def _no_passphrase() -> str:
    raise _EncryptedKeyError


def proxy_of(settings: others.Archive) -> httpx.Proxy | None:
    """The proxy of an archive; None if there is none.

    Raises:
        ConfigError: It can't be used.
    """
    if not settings.proxy:
        return None
    try:
        url = httpx.URL(settings.proxy)
    except httpx.InvalidURL as error:
        raise _bad_proxy(settings.name) from error
    if url.scheme != "http" or not url.host or url.userinfo:
        raise _bad_proxy(settings.name)
    login = (settings.proxy_user, settings.proxy_password) if settings.proxy_user else None
    return httpx.Proxy(url, auth=login)


def _bad_proxy(name: str) -> ConfigError:
    return ConfigError(
        f"cloud.archive {name}: the proxy can't be used",
        hint="it must be http://HOST:PORT; its user and password go into proxy_user and"
        " proxy_password",
    )
