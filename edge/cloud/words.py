"""Plain words for what goes wrong on the way to an archive, or to another server.

Owns the reading of what the system, TLS, a proxy and httpx raise, and promises to say whose fault
it is: the proxy's, the archive's, or this box's clock. Words hold no secret and no body of an
answer. Does no I/O.
"""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import time
from collections.abc import Iterator

import httpx

from edge.cloud.pace import TooSlow
from edge.cloud.route import address_of
from edge.errors import MultipartError

__all__ = [
    "NOT_EARLIER",
    "SET_CLOCK",
    "causes_of",
    "is_about_name",
    "is_about_time",
    "is_of_tls_for_good",
    "where_of",
    "words_for",
]

NOT_EARLIER = dt.datetime(2026, 11, 1, tzinfo=dt.UTC).timestamp()
"""This code was not there before: a clock that says less is wrong. To be raised at a release."""
_EXPIRED, _NOT_YET_VALID, _HOSTNAME, _ADDRESS = 10, 9, 62, 64  # OpenSSL's X509_V_ERR_*
SET_CLOCK = "set this box's clock (timedatectl, chronyc tracking), or let it reach a time server"
_NO_TRUST = (
    "give the box its authority's certificate: on its page, at the archive under More (the setting"
    " is tls_ca where a file says it)"
)
_NO_TRUST_OTHER = "set tls_ca of the archive to the certificate of its authority"
_ARCHIVE = "the archive"
_Words = tuple[str, str]
"""What happened, and what to do."""

# Alerts of TLS (RFC 8446 6.2) by which a server refuses who we are, as OpenSSL names them.
_ALERTS: dict[str, _Words] = {
    "CERTIFICATE_REQUIRED": (
        "wants a client certificate",
        "set tls_certificate and tls_key of the archive",
    ),
    "UNKNOWN_CA": (
        "does not know the authority of our client certificate",
        "have the archive's keeper trust the CA of tls_certificate, or put its chain into the file",
    ),
    "CERTIFICATE_EXPIRED": (
        "says that our client certificate has expired",
        "renew tls_certificate; check this box's clock and the archive's",
    ),
    "CERTIFICATE_REVOKED": (
        "says that our client certificate was revoked",
        "get a new tls_certificate",
    ),
    "BAD_CERTIFICATE": (
        "refuses our client certificate",
        "check tls_certificate and tls_key of the archive: it may want one, or another",
    ),
    "CERTIFICATE_UNKNOWN": (
        "refuses our client certificate",
        "check tls_certificate of the archive: it may be made for another purpose",
    ),
    "UNSUPPORTED_CERTIFICATE": (
        "refuses the kind of our client certificate",
        "get a tls_certificate that is made for client authentication",
    ),
    "ACCESS_DENIED": (
        "knows our client certificate, and lets its owner not in",
        "have the archive's keeper give it the right",
    ),
    # TLS 1.2 has no alert of its own for a certificate that is missing.
    "HANDSHAKE_FAILURE": (
        "breaks the handshake off: it wants a client certificate, or speaks TLS in no way we know",
        "check tls_certificate and tls_key of the archive",
    ),
}


def causes_of(error: BaseException) -> Iterator[BaseException]:
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


def is_of_tls_for_good(cause: BaseException) -> bool:
    """Whether certificates, ours or theirs, are in the way: a person must do something."""
    return isinstance(cause, ssl.SSLCertVerificationError) or (
        isinstance(cause, ssl.SSLError) and _alert_of(cause) is not None
    )


def is_about_time(error: BaseException) -> bool:
    """Whether a certificate is not valid at this time: it, or our clock, is wrong."""
    return any(
        isinstance(cause, ssl.SSLCertVerificationError)
        and cause.verify_code in (_EXPIRED, _NOT_YET_VALID)
        for cause in causes_of(error)
    )


def is_about_name(error: ssl.SSLCertVerificationError) -> bool:
    """Whether a certificate is for somebody else."""
    return error.verify_code in (_HOSTNAME, _ADDRESS)


def words_for(
    error: BaseException,
    url: httpx.URL,
    proxy: httpx.Proxy | None = None,
    *,
    now: float | None = None,
    whose: str = _ARCHIVE,
) -> _Words:
    """Plain words for an error, and a hint.

    Args:
        error: What was raised.
        url: Of the server.
        proxy: That stands before it.
        now: POSIX seconds, by this box's clock.
        whose: What that server is to the reader.
    """
    words, hint = _words_for(error, url, proxy, time.time() if now is None else now)
    if hint == _NO_TRUST and whose != _ARCHIVE:  # the page asks for no other's
        hint = _NO_TRUST_OTHER
    return words.replace(_ARCHIVE, whose), hint.replace(_ARCHIVE, whose)


def _words_for(
    error: BaseException, url: httpx.URL, proxy: httpx.Proxy | None, now: float
) -> _Words:
    where = where_of(url)
    for cause in causes_of(error):
        match cause:
            case ssl.SSLCertVerificationError():
                return _certificate_words(cause, where, now)
            case httpx.ProxyError() if proxy is not None:
                return _proxy_words(str(cause), where, proxy)
            case socket.gaierror() | ConnectionRefusedError():
                return _first_step_words(cause, url, proxy)
            case ssl.SSLError():
                return _tls_words(cause, where)
            case MultipartError() | TooSlow():
                return (
                    f"its answer can't be used: {cause}",
                    "the line or a proxy may have cut it, or is overloaded",
                )
    return _httpx_words(error, where, proxy)


def where_of(url: httpx.URL) -> str:
    """Host and port, as messages name them."""
    host, port = address_of(url)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _first_step_words(cause: BaseException, url: httpx.URL, proxy: httpx.Proxy | None) -> _Words:
    """Name and connection: of the proxy, if there is one, and never of the archive then."""
    resolves = not isinstance(cause, socket.gaierror)
    if proxy is None and resolves:
        return (
            f"{where_of(url)} refuses the connection",
            "the archive is not running, or this is not its port",
        )
    if proxy is None:
        return (
            f"the name {url.host} can't be resolved",
            "check its spelling, the name server, and whether the line is up",
        )
    if resolves:
        return (
            f"the proxy {where_of(proxy.url)} refuses the connection",
            "the proxy is not running, or this is not its port",
        )
    return (
        f"the name of the proxy {proxy.url.host} can't be resolved",
        "check its spelling in proxy, and the name server",
    )


def _httpx_words(error: BaseException, where: str, proxy: httpx.Proxy | None) -> _Words:
    if proxy is not None:
        named = f"the proxy {where_of(proxy.url)}"
        if isinstance(error, httpx.ConnectTimeout):
            return (
                f"{named}, or {where} behind it, does not answer in time",
                "check the address of the proxy; the line may be down",
            )
        if isinstance(error, httpx.ConnectError) and _is_of_the_system(error):
            return (
                f"{named} can't be reached: {error}".rstrip(": "),
                "check its address, and this box's network",
            )
        where = f"{where} (by way of {named})"
    match error:
        case httpx.ConnectTimeout():
            words = f"{where} can't be reached: no answer in time", "the line may be down"
        case httpx.TimeoutException() | TimeoutError():
            words = f"{where} fell silent", "the line may be down or the archive overloaded"
        case httpx.ConnectError():
            words = f"{where} can't be reached: {error}".rstrip(": "), "the line may be down"
        case httpx.RemoteProtocolError() | httpx.NetworkError():
            words = f"the connection to {where} was cut", "the line may be bad"
        case httpx.DecodingError():
            words = "its answer can't be decompressed", "a proxy may have damaged it"
        case _:
            words = f"{type(error).__name__} while talking to {where}", ""
    return words


def _is_of_the_system(error: BaseException) -> bool:
    """Whether TCP itself failed, which leads to the proxy alone."""
    return any(
        isinstance(cause, OSError) and not isinstance(cause, ssl.SSLError | ConnectionError)
        for cause in causes_of(error)
    )


def _proxy_words(said: str, where: str, proxy: httpx.Proxy) -> _Words:
    named = f"the proxy {where_of(proxy.url)}"
    match said[:3]:
        case "407" if proxy.auth is None:
            return (
                f"{named} wants a login ({said})",
                "set proxy_user and proxy_password of the archive; only Basic is spoken",
            )
        case "407":
            return (
                f"{named} refuses these credentials ({said})",
                "check proxy_user and proxy_password of the archive; only Basic is spoken",
            )
        case "502" | "503" | "504":
            return (
                f"{named} can't reach {where} ({said})",
                "the line beyond the proxy may be down, or it does not know that name",
            )
        case _:
            return (
                f"{named} does not let us through to {where} ({said})",
                "have the proxy's keeper allow CONNECT to this host and port",
            )


def _tls_words(error: ssl.SSLError, where: str) -> _Words:
    if alert := _alert_of(error):
        what, hint = _ALERTS[alert]
        return f"{where} {what}", hint
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError) or not error.reason:
        return (
            f"the TLS connection to {where} was cut",
            "the line may be bad, or a firewall in between; or it wants a client certificate",
        )
    return (
        f"{where} does not speak TLS with us ({error.reason})",
        "check whether the url should begin with http:// or https://, and the port",
    )


def _alert_of(error: ssl.SSLError) -> str | None:
    """The alert by which the other side refuses our certificate, or the want of one."""
    prefix, _, alert = (error.reason or "").partition("ALERT_")
    return alert if prefix and alert in _ALERTS else None


def _certificate_words(error: ssl.SSLCertVerificationError, where: str, now: float) -> _Words:
    match error.verify_code:
        case code if code == _NOT_YET_VALID and now < NOT_EARLIER:
            today = dt.datetime.fromtimestamp(now, dt.UTC)
            what = f"when the certificate of {where} is not valid yet"
            return (
                f"this box's clock is wrong: it says {today:%Y-%m-%d %H:%M} UTC, {what}",
                SET_CLOCK,
            )
        case code if code in (_EXPIRED, _NOT_YET_VALID):
            return (
                f"the certificate of {where} is not valid at this time",
                "check this box's clock first, then the archive's certificate",
            )
        case code if code in (_HOSTNAME, _ADDRESS):
            return (
                f"the certificate of {where} is for another name",
                "use the name that the certificate is for in the url",
            )
        case _:
            return (
                f"the certificate of {where} is not trusted: {error.verify_message}",
                _NO_TRUST,
            )
