"""What a TLS handshake that failed means, in words for a technician, on either side of it.

OpenSSL names reasons, and asyncio quotes them; here they become who must change what. Knows nothing
of certificates beyond that.
"""

from __future__ import annotations

import asyncio
import ssl
from enum import StrEnum
from typing import cast

__all__ = [
    "Handshake",
    "certificate_of",
    "why_broken",
    "why_ended",
    "why_not_trusted",
    "why_refused",
]


class Handshake(StrEnum):
    """What one who calls has done to its handshake; what the doctor goes by."""

    NOT_TLS = "it does not speak TLS"
    TOO_OLD = "it speaks only TLS 1.1 or older (PS3.15 B.12 wants 1.2)"
    NO_SUITE = "it offers no cipher suite of PS3.15 B.12 (ECDHE with AES in GCM)"
    NO_CERTIFICATE = "it showed no certificate, and dimse.tls_ca asks for one"
    NOT_VOUCHED = "its certificate is not one that dimse.tls_ca vouches for"
    NO_TRUST = "it does not trust this box's certificate"


_NOT_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "UNKNOWN_PROTOCOL")
_TOO_OLD = ("UNSUPPORTED_PROTOCOL", "VERSION_TOO_LOW", "NO_PROTOCOLS_AVAILABLE")
_NO_TRUST = ("ALERT_UNKNOWN_CA", "ALERT_BAD_CERTIFICATE", "ALERT_CERTIFICATE_UNKNOWN")
_REFUSALS = (
    (_NOT_TLS, Handshake.NOT_TLS),
    (_TOO_OLD, Handshake.TOO_OLD),
    (("NO_SHARED_CIPHER", "NO_SUITABLE"), Handshake.NO_SUITE),
    (("PEER_DID_NOT_RETURN_A_CERTIFICATE",), Handshake.NO_CERTIFICATE),
    (("CERTIFICATE_VERIFY_FAILED",), Handshake.NOT_VOUCHED),
    (_NO_TRUST, Handshake.NO_TRUST),
)
_ALERTS = (
    (
        ("ALERT_CERTIFICATE_REQUIRED", "HANDSHAKE_FAILURE"),
        "it wants another certificate, or other cipher suites, than this box has",
    ),
    (_NO_TRUST, Handshake.NO_TRUST),
    (("PROTOCOL_VERSION", *_TOO_OLD), "it speaks only TLS 1.1 or older"),
    (_NOT_TLS, Handshake.NOT_TLS),
)
_LET_IT_TRUST = "have it trust the authority that this box's certificate is from"


def certificate_of(transport: asyncio.BaseTransport) -> bytes | None:
    """The certificate that the other side showed, in DER; None if it showed none."""
    connection = transport.get_extra_info("ssl_object")
    return None if connection is None else cast("bytes | None", connection.getpeercert(True))


def why_refused(error: OSError) -> str:
    """Why we could not shake hands with one who called."""
    said = str(error)
    found = _first(_REFUSALS, said)
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"{found} ({error.verify_message})"
    if isinstance(error, ConnectionError):
        return "it broke off (does it speak TLS, and trust this box?)"
    return found or f"(does it speak TLS?) {said}"


def why_broken(error: BaseException) -> tuple[str, str]:
    """Why one whom we called did not shake hands with us, or broke off behind it; and a hint."""
    said = str(error)
    found = _first(_ALERTS, said)
    if found.startswith("it does not speak"):
        return found, "is that its port for TLS? Else take tls = true away from the peer"
    if found.startswith("it speaks only"):
        return found, "its software must be renewed, or TLS left out"
    if found:
        return found, _LET_IT_TRUST
    if isinstance(error, ConnectionError):
        return "it broke off", f"does it speak TLS on that port? If it does, {_LET_IT_TRUST}"
    return said, ""


def why_ended(error: BaseException) -> tuple[str, str]:
    """Why a connection ended behind the handshake, in which TLS 1.3 refuses no certificate yet."""
    said = str(error)
    if found := _first(_ALERTS, said):
        return found, _LET_IT_TRUST
    if "the connection" in said:
        return f"{said}: it may not trust this box's certificate", _LET_IT_TRUST
    return said, ""


def why_not_trusted(error: ssl.SSLCertVerificationError) -> tuple[str, str]:
    """Why we do not believe the certificate of one whom we called; and a hint."""
    if error.verify_code in _OTHER_NAME:
        return (
            f"its certificate is for another name ({error.verify_message})",
            "call it by that name, or say certificate = ... of the peer",
        )
    if error.verify_code in _OTHER_TIME:
        return (
            f"its certificate is not valid today ({error.verify_message})",
            "look at the clocks of both, and have it get a new certificate",
        )
    return (
        f"its certificate is not trusted here ({error.verify_message})",
        "add its authority, or the certificate itself, to the file that dimse.tls_ca names",
    )


_OTHER_NAME = (62, 64)
"""X509_V_ERR_HOSTNAME_MISMATCH and _IP_ADDRESS_MISMATCH."""
_OTHER_TIME = (9, 10)
"""X509_V_ERR_CERT_NOT_YET_VALID and _CERT_HAS_EXPIRED."""


def _first(table: tuple[tuple[tuple[str, ...], str], ...], said: str) -> str:
    for reasons, words in table:
        if any(reason in said for reason in reasons):
            return str(words)
    return ""
