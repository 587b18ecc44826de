"""AWS Signature Version 4, in the Authorization header; for AWS HealthImaging above all.

Owns the canonical form of a request and its signature. Promises that the secret key never leaves,
and that what was signed is what is sent. Signed are the host, ``Content-Type`` and ``X-Amz-*``: a
proxy changes other headers.

The digest of a body in memory is signed. Images are a stream, which is not read twice; what stands
for its digest then is a setting. AWS's guide stores with ``x-amz-content-sha256:
STREAMING-AWS4-HMAC-SHA256-PAYLOAD`` and ``x-amz-decoded-content-length``, by curl, that is with the
body as it is and without signatures of its chunks (HealthImaging Developer Guide, "Storing
instances with STOW-RS"). ``UNSIGNED-PAYLOAD``, which other services take, is not in that guide. TLS
protects the body either way.

The time is signed, too, and may be wrong by some minutes only. If a refusal comes with a ``Date``
that is far from ours, AWS's clock counts from then on.
"""

from __future__ import annotations

import hashlib
import hmac
import posixpath
import re
import time
from collections.abc import AsyncGenerator, Callable, Iterable
from datetime import UTC, datetime
from urllib.parse import quote, unquote_to_bytes

import httpx

from edge import others
from edge.cloud.dates import posix_time
from edge.cloud.replay import can_be_sent_again, let_go

__all__ = ["AwsAuth", "Signer"]

_ALGORITHM = "AWS4-HMAC-SHA256"
_PAYLOADS = {"streaming": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "unsigned": "UNSIGNED-PAYLOAD"}
_SIGNED = re.compile(r"host|content-type|x-amz-.*")
_SKEW = 240.0
"""Seconds; AWS refuses at 300."""


class Signer:
    """The arithmetic.

    Args:
        access_key_id: Names the secret.
        secret_access_key: The secret.
        region: Of the service.
        service: By its name in signatures.
    """

    def __init__(
        self, access_key_id: str, secret_access_key: str, region: str, service: str
    ) -> None:
        self._access_key_id = access_key_id
        self._secret = f"AWS4{secret_access_key}".encode()
        self._scope = (region, service, "aws4_request")

    def authorization(
        self, method: str, target: bytes, headers: Iterable[tuple[str, str]], payload: str
    ) -> str:
        """The Authorization header.

        Args:
            method: In upper case.
            target: Path and query, as they are sent.
            headers: All that are signed, with ``Host`` and ``X-Amz-Date`` among them.
            payload: Digest of the body, or what stands for it.
        """
        values: dict[str, list[str]] = {}
        for name, value in headers:
            values.setdefault(name.lower(), []).append(" ".join(value.split()))
        moment = values["x-amz-date"][0]
        names = ";".join(sorted(values))
        path, _, query = target.partition(b"?")
        canonical = "\n".join(
            (
                method,
                canonical_path(path),
                canonical_query(query),
                *(f"{name}:{','.join(values[name])}" for name in sorted(values)),
                "",
                names,
                payload,
            )
        )
        scope = "/".join((moment[:8], *self._scope))
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        key = self._secret
        for part in (moment[:8], *self._scope):
            key = hmac.digest(key, part.encode(), "sha256")
        text = f"{_ALGORITHM}\n{moment}\n{scope}\n{digest}".encode()
        signature = hmac.digest(key, text, "sha256").hex()
        return (
            f"{_ALGORITHM} Credential={self._access_key_id}/{scope}, "
            f"SignedHeaders={names}, Signature={signature}"
        )


def canonical_path(path: bytes) -> str:
    """Without dots and empty segments, and encoded once more than it is sent (all but S3)."""
    normal = posixpath.normpath(b"/" + path.lstrip(b"/"))
    if path.endswith((b"/", b"/.", b"/..")) and normal != b"/":
        normal += b"/"
    return quote(normal, safe="/~")


def canonical_query(query: bytes) -> str:
    """Each name and value encoded in the one way, sorted as they are then."""
    pairs = (item.partition(b"=")[::2] for item in query.split(b"&") if item)
    encoded = [[quote(unquote_to_bytes(part), safe="~") for part in pair] for pair in pairs]
    return "&".join("=".join(pair) for pair in sorted(encoded))


class AwsAuth(httpx.Auth):
    """Signs requests.

    Args:
        settings: The key, and for which service.
        clock: POSIX seconds.
    """

    def __init__(self, settings: others.Auth, *, clock: Callable[[], float] = time.time) -> None:
        self._signer = Signer(
            settings.access_key_id, settings.secret_access_key, settings.region, settings.service
        )
        self._session_token = settings.session_token
        self._stream = _PAYLOADS[settings.payload]
        self._clock = clock
        self._behind = 0.0
        """Seconds that our clock is behind AWS's, as far as we know."""

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Sign the request, and sign it anew once if our clock was wrong."""
        self._sign(request)
        response = yield request
        wrong = response.status_code in (401, 403) and self._learn_time(response)
        if wrong and can_be_sent_again(request):
            await let_go(response)
            self._sign(request)
            yield request

    def _sign(self, request: httpx.Request) -> None:
        # A plus is a space to some, and itself to others.
        query = request.url.query.replace(b"+", b"%20")
        if query != request.url.query:
            request.url = request.url.copy_with(query=query)
        headers = request.headers
        moment = datetime.fromtimestamp(self._clock() + self._behind, UTC)
        headers["X-Amz-Date"] = moment.strftime("%Y%m%dT%H%M%SZ")
        if self._session_token:
            headers["X-Amz-Security-Token"] = self._session_token
        if can_be_sent_again(request):
            payload = hashlib.sha256(request.content).hexdigest()
        else:
            payload = headers["X-Amz-Content-Sha256"] = self._stream
            if "Content-Length" in headers:
                headers["X-Amz-Decoded-Content-Length"] = headers["Content-Length"]
        headers["Authorization"] = self._signer.authorization(
            request.method,
            request.url.raw_path,
            [item for item in headers.multi_items() if _SIGNED.fullmatch(item[0].lower())],
            payload,
        )

    def _learn_time(self, response: httpx.Response) -> bool:
        """Whether AWS's clock is another than we thought."""
        date = posix_time(response.headers.get("Date"))
        if date is None:
            return False
        behind = date - self._clock()
        if abs(behind - self._behind) <= _SKEW:
            return False
        self._behind = behind
        return True
