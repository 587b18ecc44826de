"""The ID token: what an identity provider signed about somebody (OpenID Connect Core 1.0, 3.1.3.7).

Owns its checks. Promises that nothing in a token is believed before its signature is; that the key
is one that the issuer published for signing, and the algorithm one with a public key: never
``none``, and never an HMAC, for which a published key could be taken as the secret; that it is from
this issuer, for this client, and of now. Messages hold nothing of a token.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import isfinite, nan
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from edge.errors import IssuerError

__all__ = ["ALGORITHMS", "Key", "checked", "header_of", "keys_in", "number_in"]

ALGORITHMS: Mapping[str, str] = {
    "RS256": "RSA",
    "RS384": "RSA",
    "RS512": "RSA",
    "PS256": "RSA",
    "PS384": "RSA",
    "PS512": "RSA",
    "ES256": "EC",
    "ES384": "EC",
    "ES512": "EC",
    "EdDSA": "OKP",
}
"""What is believed, and the kind of key that it takes."""
_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
_MOST_TOKEN = 64 * 1024
_MOST_KEYS = 64
_SMALLEST_RSA = 2048
_SKEW_SECONDS = 60.0
"""That two clocks may differ."""
_MOST_SUBJECT = 255


@dataclass(frozen=True, slots=True)
class Key:
    """A key of the issuer's, to check signatures with."""

    key_id: str
    kind: str
    curve: str
    algorithm: str
    """The only one that it is for; empty if it does not say."""
    document: Mapping[str, Any]

    def fits(self, algorithm: str) -> bool:
        """Whether it may have signed so."""
        curve = _CURVES.get(algorithm, self.curve)
        is_for_it = not self.algorithm or self.algorithm == algorithm
        return is_for_it and self.kind == ALGORITHMS.get(algorithm) and self.curve == curve


@dataclass(frozen=True, slots=True)
class Header:
    """The header of a token, which nobody has vouched for yet."""

    algorithm: str
    key_id: str | None


def keys_in(document: Mapping[str, Any]) -> tuple[Key, ...]:
    """The keys of a JWK set (RFC 7517) that can be used; what is not understood is left out."""
    found = document.get("keys")
    entries: Iterable[Any] = found[:_MOST_KEYS] if isinstance(found, list) else ()
    return tuple(key for entry in entries if (key := _key(entry)) is not None)


def _key(entry: Any) -> Key | None:
    if not isinstance(entry, dict) or entry.get("use", "sig") != "sig":
        return None
    operations = entry.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        return None
    kind, curve = entry.get("kty"), entry.get("crv", "")
    key_id, algorithm = entry.get("kid", ""), entry.get("alg", "")
    # A key with its private part is nobody's any more. One that is symmetric is no public key.
    if not isinstance(kind, str) or kind not in ALGORITHMS.values() or "d" in entry:
        return None
    if not all(isinstance(one, str) for one in (curve, key_id, algorithm)):
        return None
    return Key(key_id, kind, curve, algorithm, entry)


def header_of(token: str) -> Header:
    """By which algorithm and key a token says that it is signed.

    Raises:
        IssuerError: It is none, or none that may be believed.
    """
    if not 0 < len(token) <= _MOST_TOKEN:
        raise _unbelieved("its ID token is missing, or too long")
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise _unbelieved("its ID token is none") from None
    algorithm, key_id = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise _unbelieved("its ID token is signed in a way that anybody could")
    if "crit" in header or not isinstance(key_id, str | None):  # RFC 7515 4.1.11
        raise _unbelieved("its ID token asks for what is not known here")
    return Header(algorithm, key_id)


def checked(
    token: str,
    keys: Iterable[Key],
    *,
    issuer: str,
    client_id: str,
    clock: Callable[[], float],
    nonce: str | None,
    access_token: str = "",
) -> dict[str, Any]:
    """The claims of an ID token, if it is to be believed.

    Args:
        token: As it came.
        keys: Of the issuer.
        issuer: Who must have made it.
        client_id: Whom it must be for.
        clock: POSIX seconds.
        nonce: That it must repeat; None: none was asked for.
        access_token: That came with it.

    Raises:
        IssuerError: It is not; the message says which check failed.
    """
    header = header_of(token)
    fitting = [key for key in keys if key.fits(header.algorithm)]
    if header.key_id is not None:
        fitting = [key for key in fitting if key.key_id == header.key_id]
    if len(fitting) != 1:  # with none named, it must be clear which one it is (OIDC Core 10.1)
        raise _unbelieved("its ID token is signed by a key that it does not publish")
    claims = _verified(token, fitting[0], header.algorithm)
    if claims.get("iss") != issuer:
        raise _unbelieved("its ID token is another issuer's")
    _check_audience(claims, client_id)
    _check_times(claims, clock())
    subject = claims.get("sub")
    # JSON can hold halves of characters, which nothing can write.
    if (
        not isinstance(subject, str)
        or not 0 < len(subject) <= _MOST_SUBJECT
        or not subject.isprintable()
    ):
        raise _unbelieved("its ID token names nobody")
    if nonce is not None and not _is_same(claims.get("nonce"), nonce):
        raise _unbelieved("its ID token answers another log-in")
    if "at_hash" in claims and not _is_same(
        claims["at_hash"], _half_hash(header.algorithm, access_token)
    ):
        raise _unbelieved("its ID token belongs to another access token")
    return claims


def _verified(token: str, key: Key, algorithm: str) -> dict[str, Any]:
    try:
        public = jwt.PyJWK(dict(key.document), algorithm=algorithm).key
        if isinstance(public, RSAPublicKey) and public.key_size < _SMALLEST_RSA:
            raise _unbelieved("its key is too short")
        # What is in it is checked here, by the clock that everything else goes by.
        return jwt.decode(
            token,
            public,
            algorithms=[algorithm],
            options={
                "verify_signature": True,
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
                "verify_aud": False,
                "verify_iss": False,
                "verify_sub": False,
                "verify_jti": False,
            },
        )
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, RecursionError):
        raise _unbelieved("the signature of its ID token is not right") from None


def _check_audience(claims: Mapping[str, Any], client_id: str) -> None:
    audience = claims.get("aud")
    audience = [audience] if isinstance(audience, str) else audience
    if not isinstance(audience, list) or client_id not in audience:
        raise _unbelieved("its ID token is for another client")
    if claims.get("azp", None if len(audience) > 1 else client_id) != client_id:
        raise _unbelieved("its ID token was made for another client")


def _check_times(claims: Mapping[str, Any], now: float) -> None:
    said = claims.get("exp"), claims.get("iat"), claims.get("nbf", 0)
    ends, made, begins = map(number_in, said)
    if not (isfinite(ends) and isfinite(made) and isfinite(begins)):
        raise _unbelieved("its ID token does not say when it was made, or ends")
    hint = "compare this box's clock with the provider's"
    if now >= ends + _SKEW_SECONDS:
        raise _unbelieved("its ID token has ended", hint)
    if max(made, begins) > now + _SKEW_SECONDS:
        raise _unbelieved("its ID token was made later than now", hint)


def _half_hash(algorithm: str, access_token: str) -> str:
    """OpenID Connect Core 1.0, 3.1.3.6."""
    digest = hashlib.new(f"sha{algorithm[2:]}" if algorithm[2:].isdecimal() else "sha512")
    digest.update(access_token.encode())
    half = digest.digest()[: digest.digest_size // 2]
    return base64.urlsafe_b64encode(half).decode().rstrip("=")


def _is_same(said: object, wanted: str) -> bool:
    if not isinstance(said, str) or not said.isascii():
        return False
    return hmac.compare_digest(said.encode(), wanted.encode())


def number_in(value: object) -> float:
    """It as a number; none that is finite if it is not."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return nan
    try:
        return float(value)
    except OverflowError:
        return nan


def _unbelieved(why: str, hint: str = "") -> IssuerError:
    return IssuerError(f"the identity provider can't be believed: {why}", hint=hint)
