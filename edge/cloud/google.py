"""Tokens for a Google service account: a signed assertion instead of a secret (RFC 7523 2.1).

Owns the assertion. Promises that the private key stays here, and that the key file is read whenever
a token is asked for: a new key needs no restart. The assertion is dated, so the box's clock must be
right within minutes.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable

import httpx
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from edge import addresses, others
from edge.cloud.token_endpoint import Token, TokenEndpoint
from edge.errors import CloudUnauthorised

__all__ = ["SCOPE", "ServiceAccount"]

SCOPE = "https://www.googleapis.com/auth/cloud-healthcare"
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_LIFE = 3600
"""Seconds; Google takes no longer ones."""
_MAX_FILE = 64 * 1024
_HINT = "make a new key of the service account (JSON), and name its file in auth.key_file"


class _KeyFile(msgspec.Struct):
    client_email: str
    private_key: str
    token_uri: str = ""
    private_key_id: str = ""


_DECODER = msgspec.json.Decoder(_KeyFile)


class ServiceAccount:
    """Asks for a token as a service account.

    Args:
        settings: Where the key file is, and what the token is for.
        endpoint: Asks.
        clock: POSIX seconds.
    """

    def __init__(
        self,
        settings: others.Auth,
        endpoint: TokenEndpoint,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._endpoint = endpoint
        self._clock = clock

    async def __call__(self) -> Token:
        """A new token.

        Raises:
            CloudUnauthorised: Also when the key file can't be used.
            CloudError: There is none, see ``TokenEndpoint.ask``.
        """
        url, assertion = await asyncio.to_thread(self._assertion)
        return await self._endpoint.ask(url, {"grant_type": _GRANT, "assertion": assertion})

    def _assertion(self) -> tuple[str, str]:
        """Where to ask, and what to show there (RFC 7515 3.1, RFC 7523 3)."""
        account = self._account()
        try:
            key = load_pem_private_key(account.private_key.encode(), None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            key = None  # The error may quote it.
        if not isinstance(key, RSAPrivateKey):
            raise self._useless("holds no RSA key")
        url = self._settings.token_url or account.token_uri
        if not _is_safe(url):
            raise self._useless("names no token_uri that is safe")
        header = {"alg": "RS256", "typ": "JWT"}
        if account.private_key_id:
            header["kid"] = account.private_key_id
        now = int(self._clock())
        claims = {
            "iss": account.client_email,
            "scope": self._settings.scope or SCOPE,
            "aud": url,
            "iat": now,
            "exp": now + _LIFE,
        }
        signed = b".".join(_base64url(msgspec.json.encode(part)) for part in (header, claims))
        signature = key.sign(signed, PKCS1v15(), SHA256())
        return url, (signed + b"." + _base64url(signature)).decode()

    def _account(self) -> _KeyFile:
        try:
            with self._settings.key_file.open("rb") as file:
                content = file.read(_MAX_FILE)
        except OSError as error:
            raise self._useless(f"can't be read: {error.strerror}") from error
        try:
            return _DECODER.decode(content)  # what is cut is no JSON
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise self._useless("is not a key of a service account") from None

    def _useless(self, why: str) -> CloudUnauthorised:
        return self._endpoint.refused(f"the file {self._settings.key_file} {why}", _HINT)


def _is_safe(url: str) -> bool:
    """Whether an assertion may travel there: whoever has it can ask for tokens."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        return False
    if parsed.scheme == "http":
        return bool(parsed.host) and addresses.is_loopback(f"{parsed.host}:0")
    return parsed.scheme == "https" and bool(parsed.host)


def _base64url(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")
