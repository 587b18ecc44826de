"""The seam to httpx: its errors and an archive's statuses become ours here, once.

Owns the plain words for what goes wrong on the way to an archive, and the timeouts. Promises that
a message names the archive and the cause, that a hint says what a technician can do, and that
neither holds a secret or an answer's body. Never decides whether something is tried again.
"""

from __future__ import annotations

import re
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from edge.cloud.dates import posix_time
from edge.cloud.portal import intercepted
from edge.cloud.retry import parse_retry_after
from edge.cloud.route import tls_context
from edge.cloud.words import causes_of, is_of_tls_for_good, words_for
from edge.errors import (
    CloudError,
    CloudIntercepted,
    CloudRefused,
    CloudUnauthorised,
    CloudUnreachable,
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
_NOT_SENT = 16 * 1024
"""Bytes that the kernel takes beyond what is on the wire: of what is given away and was not carried
nobody knows whether it left, and a cut loses it."""
_SOCKET_OPTIONS = (
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _NOT_SENT),
)
_CREDENTIALS = {
    401: ("wrong credentials", "check user and password, or the token"),
    403: ("a right is missing", "these credentials lack the right to do this"),
}
_REFUSED = {
    400: "the archive does not understand the request: look into its own log; where it speaks TLS,"
    " the url must begin with https://",
    404: "check the url: it must be the base of the DICOMweb service",
    405: "check the url: it must be the base of the DICOMweb service",
}
# Statuses that say nothing against the request, only against its moment.
_NOT_NOW = {
    407: "a proxy on the way wants a login: set proxy, proxy_user and proxy_password",
    408: "the line may be too slow",
    425: "the archive is busy",
    429: "the archive asks us to slow down",
    502: "the archive is being restarted",
    503: "the archive is busy or being restarted",
    504: "the archive is overloaded",
    507: "the archive is full",
}
# What nginx and others say where a client certificate is missing or not liked.
_CERTIFICATE_WANTED = re.compile(
    rb"No required SSL certificate was sent|The SSL certificate error|client certificate",
    re.IGNORECASE,
)
_PLAIN_TO_TLS = b"plain HTTP request was sent to HTTPS port"


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
    auth: httpx.Auth | None,
    tls_ca: str | None,
    timeouts: Timeouts,
    *,
    encrypted: bool,
    client_certificate: tuple[Path, Path] | None = None,
    proxy: httpx.Proxy | None = None,
    authority: str = "",
) -> httpx.AsyncClient:
    """A client that trusts the system's certificates, or only those in *tls_ca*.

    Beside them it trusts those in *authority*, which is PEM itself.

    Without *encrypted* it can't speak TLS at all. A *proxy* gets CONNECT for https, and the request
    itself for http; one that refuses either raises ``httpx.ProxyError``.

    The environment is not looked at: a proxy variable or a ``.netrc`` of whoever started the
    service must not decide where patient data goes.

    Raises:
        ConfigError: The certificates can't be read.
    """
    tls = (
        tls_context(tls_ca, client_certificate, authority)
        if encrypted
        else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # Trusts nobody, and reads no files.
    )
    transport = httpx.AsyncHTTPTransport(
        verify=tls,
        proxy=proxy,
        trust_env=False,
        limits=httpx.Limits(keepalive_expiry=_KEEP_ALIVE, max_keepalive_connections=8),
        socket_options=_SOCKET_OPTIONS,
    )
    return httpx.AsyncClient(
        auth=auth,
        transport=transport,
        event_hooks={"response": [_no_word_of_the_proxy]} if proxy is not None else None,
        trust_env=False,
        follow_redirects=False,
        timeout=httpx.Timeout(
            connect=timeouts.connect, read=timeouts.read, write=timeouts.write, pool=None
        ),
    )


async def _no_word_of_the_proxy(response: httpx.Response) -> None:
    """407 to a forwarded request is what it is to CONNECT: the archive has not seen it."""
    if response.status_code == 407:
        raise httpx.ProxyError(f"407 {response.reason_phrase}", request=response.request)


@contextmanager
def translated(archive: str, url: httpx.URL, proxy: httpx.Proxy | None = None) -> Iterator[None]:
    """Turn what httpx, TLS and multipart raise into ``CloudUnreachable``."""
    try:
        yield
    except (
        httpx.HTTPError,
        httpx.StreamError,
        ssl.SSLError,  # An alert that comes after the handshake passes through httpx as it is.
        MultipartError,
        TimeoutError,
    ) as error:
        words, hint = words_for(error, url, proxy)
        raise CloudUnreachable(f"archive {archive}: {words}", hint=hint) from error


def unusable(archive: str, what: str) -> CloudIntercepted:
    """The archive, or something that stands in its way, answered with what can't be used."""
    return CloudIntercepted(
        f"archive {archive}: {what}",
        hint="check the url; a captive portal or a proxy may answer in the archive's place",
    )


def retry_after(response: httpx.Response) -> float | None:
    """Seconds that the archive asks us to wait, if it does."""
    date = posix_time(response.headers.get("Date"))
    now = time.time() if date is None else date  # without it there is no better clock than ours
    return parse_retry_after(response.headers.get("Retry-After"), now=now)


def error_of_status(
    archive: str, response: httpx.Response, doing: str, body: bytes = b""
) -> CloudError | None:
    """What a status means when the body says nothing more; None for success.

    404 is ``CloudRefused`` here: only the caller knows whether it asked for something that may be
    missing.
    """
    status = response.status_code
    says = f"archive {archive}: {doing}: answered {status} {response.reason_phrase}".rstrip()
    if response.is_success:
        return None
    if place := intercepted(archive, response, doing, body):
        return place
    if status in _CREDENTIALS or (status == 400 and _CERTIFICATE_WANTED.search(body)):
        return _unauthorised(says, response, body)
    if status in _NOT_NOW or status >= 500:
        hint = _NOT_NOW.get(status, "look into the archive's own log")
        error = CloudUnreachable(says, hint=hint, retry_after=retry_after(response))
        if status == 407:
            error.__cause__ = httpx.ProxyError("407")
        return error
    hint = _REFUSED.get(status, "")
    if status == 400 and _PLAIN_TO_TLS in body:
        hint = "let the url begin with https://"
    return CloudRefused(says, status=status, hint=hint)


def _unauthorised(says: str, response: httpx.Response, body: bytes) -> CloudUnauthorised:
    status = response.status_code
    if _CERTIFICATE_WANTED.search(body):
        return CloudUnauthorised(
            f"{says}: it wants a client certificate, or another one",
            hint="set tls_certificate and tls_key of the archive",
        )
    if status == 401 and not _signed(response):
        return CloudUnauthorised(
            f"{says}: it wants a login", hint="set auth of the archive: none is configured"
        )
    meaning, hint = _CREDENTIALS[status]
    return CloudUnauthorised(f"{says}: {meaning}", hint=hint)


def _signed(response: httpx.Response) -> bool:
    try:
        return "Authorization" in response.request.headers
    except RuntimeError:  # It answers no request of ours.
        return True


def is_cut(error: CloudError) -> bool:
    """Whether the connection was refused or broke, and nobody answered that something is wrong."""
    broken = httpx.NetworkError | httpx.RemoteProtocolError
    return not is_lasting(error) and any(isinstance(one, broken) for one in causes_of(error))


def is_lasting(error: CloudError) -> bool:
    """Whether it stays so until a person does something: a password, a url, a certificate."""
    if isinstance(error, CloudIntercepted) or not isinstance(error, CloudUnreachable):
        return True
    return any(
        is_of_tls_for_good(cause) or (isinstance(cause, httpx.ProxyError) and "407" in str(cause))
        for cause in causes_of(error)
    )
