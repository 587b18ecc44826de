"""The seam to httpx: its errors and an archive's statuses become ours here, once.

Owns the plain words for what goes wrong on the way to an archive, and the timeouts. Promises that
a message names the archive and the cause, that a hint says what a technician can do, and that
neither holds a secret or an answer's body. Never decides whether something is tried again.
"""

from __future__ import annotations

import email.utils
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

from edge.cloud.pace import TooSlow
from edge.cloud.retry import parse_retry_after
from edge.errors import (
    CloudError,
    CloudRefused,
    CloudUnauthorised,
    CloudUnreachable,
    ConfigError,
    MultipartError,
)

__all__ = [
    "Timeouts",
    "error_of_status",
    "is_lasting",
    "new_client",
    "retry_after",
    "translated",
    "unusable",
]

# Below the keep-alive of the servers we know (Orthanc's is 1 s): a connection that is reused too
# late fails, and a store that failed so would have to be asked about.
_KEEP_ALIVE = 0.8
_CERT_EXPIRED, _CERT_NOT_YET_VALID, _CERT_HOSTNAME, _CERT_ADDRESS = 10, 9, 62, 64  # OpenSSL
_CREDENTIALS = {
    401: "check user and password, or the token",
    403: "these credentials lack the right to do this",
}
_REFUSED = {
    400: "the archive does not understand the request: look into its own log",
    404: "check the url: it must be the base of the DICOMweb service",
    405: "check the url: it must be the base of the DICOMweb service",
}
# Statuses that say nothing against the request, only against its moment.
_NOT_NOW = {
    407: "a proxy between here and the archive wants a login",
    408: "the line may be too slow",
    425: "the archive is busy",
    429: "the archive asks us to slow down",
    502: "the archive is being restarted",
    503: "the archive is busy or being restarted",
    504: "the archive is overloaded",
    507: "the archive is full",
    511: "a captive portal wants a login",
}


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds that the archive may be silent, and how slow it may be."""

    connect: float = 10.0
    read: float = 60.0
    """Between two pieces of an answer, and from the request to its first."""
    write: float = 60.0
    store: float = 300.0
    """From the end of a store request to the answer: archives index before they say yes."""
    answer: float = 600.0
    """For a whole answer that is kept in memory: a search, metadata."""
    slowest: float = 1024.0
    """Bytes a second at which instances must come at the least."""
    slow: float = 60.0
    """So long it may be slower."""


def new_client(
    auth: httpx.Auth | None, tls_ca: str | None, timeouts: Timeouts, *, encrypted: bool
) -> httpx.AsyncClient:
    """A client that trusts the system's certificates, or only those in *tls_ca*.

    Without *encrypted* it can't speak TLS at all.

    The environment is not looked at: a proxy variable or a ``.netrc`` of whoever started the
    service must not decide where patient data goes.

    Raises:
        ConfigError: The certificates can't be read.
    """
    try:
        tls = (
            ssl.create_default_context(cafile=tls_ca)
            if encrypted
            else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # Trusts nobody, and reads no files.
        )
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"cloud.archive tls_ca: {tls_ca} can't be used: {error}",
            hint="it must be a file with the archive's CA certificate in PEM form",
        ) from error
    return httpx.AsyncClient(
        auth=auth,
        verify=tls,
        trust_env=False,
        follow_redirects=False,
        timeout=httpx.Timeout(
            connect=timeouts.connect, read=timeouts.read, write=timeouts.write, pool=None
        ),
        limits=httpx.Limits(keepalive_expiry=_KEEP_ALIVE, max_keepalive_connections=8),
    )


@contextmanager
def translated(archive: str, url: httpx.URL) -> Iterator[None]:
    """Turn what httpx and multipart raise into ``CloudUnreachable``."""
    try:
        yield
    except (httpx.HTTPError, httpx.StreamError, MultipartError, TimeoutError) as error:
        words, hint = _words(error, url)
        raise CloudUnreachable(f"archive {archive}: {words}", hint=hint) from error


def unusable(archive: str, what: str) -> CloudUnreachable:
    """The archive, or something that stands in its way, answered with what can't be used."""
    return CloudUnreachable(
        f"archive {archive}: {what}",
        hint="check the url; a captive portal or a proxy may answer in the archive's place",
    )


def retry_after(response: httpx.Response) -> float | None:
    """Seconds that the archive asks us to wait, if it does."""
    now = time.time()
    try:
        date = email.utils.parsedate_to_datetime(response.headers.get("Date", ""))
        now = date.timestamp()
    except ValueError:
        pass  # No Date, no better clock than ours.
    return parse_retry_after(response.headers.get("Retry-After"), now=now)


def error_of_status(archive: str, response: httpx.Response, doing: str) -> CloudError | None:
    """What a status means when the body says nothing more; None for success.

    404 is ``CloudRefused`` here: only the caller knows whether it asked for something that may be
    missing.
    """
    status = response.status_code
    says = f"archive {archive}: {doing}: answered {status} {response.reason_phrase}".rstrip()
    if response.is_success:
        return None
    if response.is_redirect:
        return unusable(archive, f"{doing}: answered {status}, a redirect")
    if status in _CREDENTIALS:
        return CloudUnauthorised(says, hint=_CREDENTIALS[status])
    if status in _NOT_NOW or status >= 500:
        hint = _NOT_NOW.get(status, "look into the archive's own log")
        return CloudUnreachable(says, hint=hint, retry_after=retry_after(response))
    return CloudRefused(says, status=status, hint=_REFUSED.get(status, ""))


def is_lasting(error: CloudError) -> bool:
    """Whether it stays so until a person does something: a password, a url, a certificate."""
    if isinstance(error, CloudUnreachable):
        return any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error))
    return True


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, what caused it, and so on, through exception groups."""
    waiting, seen = [error], set[int]()
    while waiting:
        current = waiting.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        if isinstance(current, BaseExceptionGroup):
            waiting.extend(current.exceptions)
        waiting.extend(filter(None, (current.__context__, current.__cause__)))


def _words(error: Exception, url: httpx.URL) -> tuple[str, str]:
    """Plain words for an error, and a hint."""
    where = f"{url.host}:{url.port or (443 if url.scheme == 'https' else 80)}"
    for cause in _causes(error):
        match cause:
            case ssl.SSLCertVerificationError():
                return _certificate_words(cause, where)
            case socket.gaierror():
                return (
                    f"the name {url.host} can't be resolved",
                    "check its spelling, the name server, and whether the line is up",
                )
            case ConnectionRefusedError():
                return (
                    f"{where} refuses the connection",
                    "the archive is not running, or this is not its port",
                )
            case ssl.SSLError():
                return (
                    f"{where} does not speak TLS with us ({cause.reason or 'no reason given'})",
                    "check whether the url should begin with http:// or https://, and the port",
                )
            case MultipartError() | TooSlow():
                return (
                    f"its answer can't be used: {cause}",
                    "the line or a proxy may have cut it, or is overloaded",
                )
    return _httpx_words(error, where)


def _httpx_words(error: Exception, where: str) -> tuple[str, str]:
    match error:
        case httpx.ConnectTimeout():
            return f"{where} can't be reached: no answer in time", "the line may be down"
        case httpx.TimeoutException() | TimeoutError():
            return f"{where} fell silent", "the line may be down or the archive overloaded"
        case httpx.ConnectError():
            return f"{where} can't be reached: {error}".rstrip(": "), "the line may be down"
        case httpx.RemoteProtocolError() | httpx.NetworkError():
            return f"the connection to {where} was cut", "the line may be bad"
        case httpx.DecodingError():
            return "its answer can't be decompressed", "a proxy may have damaged it"
        case _:
            return f"{type(error).__name__} while talking to {where}", ""


def _certificate_words(error: ssl.SSLCertVerificationError, where: str) -> tuple[str, str]:
    match error.verify_code:
        case code if code in (_CERT_EXPIRED, _CERT_NOT_YET_VALID):
            return (
                f"the certificate of {where} is not valid at this time",
                "check this box's clock first, then the archive's certificate",
            )
        case code if code in (_CERT_HOSTNAME, _CERT_ADDRESS):
            return (
                f"the certificate of {where} is for another name",
                "use the name that the certificate is for in the url",
            )
        case _:
            return (
                f"the certificate of {where} is not trusted: {error.verify_message}",
                "set tls_ca of the archive to the certificate of its CA",
            )
