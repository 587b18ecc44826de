"""The identity provider: what it says of itself, its keys, and what it gives for a code.

Owns discovery (OpenID Connect Discovery 1.0), the keys with their rotation, and the three questions
that are asked with them: for tokens by a code, for tokens by a refresh token, for claims. Promises
that nothing is asked before it is needed; that what is known is asked for again only when it is
old, or a key is missing, and at the most once a minute for that; that a provider which is away is
not asked more than every few seconds, however many wait at its door; and that its metadata must say
the issuer's name to the letter.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus, urlencode, urlsplit

import jwt

from edge.access.oidc.channel import Answer, Channel
from edge.access.oidc.id_token import ALGORITHMS, Key, checked, header_of, keys_in
from edge.errors import GrantRefused, IssuerError, IssuerUnreachable
from edge.others import Oidc

__all__ = ["Provider", "Tokens"]

_METADATA_SECONDS = 3600.0
_KEYS_SECONDS = 3600.0
_KEY_MISSING_SECONDS = 60.0
_AWAY_SECONDS = 5.0
_ASSERTION_SECONDS = 60
_MOST_TOKEN = 16 * 1024
_WELL_KNOWN = "/.well-known/openid-configuration"
_OFFLINE = "offline_access"
_GRANT_HINTS = {
    # RFC 6749 5.2
    "invalid_client": "check access.oidc.client_id, client_secret and client_auth",
    "invalid_request": "check how this client is registered there",
    "invalid_scope": "check access.oidc.scopes",
    "unauthorized_client": "allow this client the authorization code there",
    "unsupported_grant_type": "allow this client the authorization code there",
}


@dataclass(frozen=True, slots=True)
class Metadata:
    """What the provider says of itself."""

    authorization_endpoint: str
    token_endpoint: str
    userinfo_endpoint: str
    """Empty if it has none."""
    jwks_uri: str
    scopes: tuple[str, ...]
    """Empty if it does not say."""
    says_issuer: bool
    """Whether every answer to a log-in names the issuer (RFC 9207 3)."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """What it gave."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    """Empty if it gave none."""
    claims: Mapping[str, Any] | None = field(repr=False)
    """Of the ID token, which was checked; None if there was none."""


class Provider:
    """Asks the identity provider.

    Args:
        settings: ``[access.oidc]``, with its secrets open.
        channel: To it.
        clock: POSIX seconds.
        monotonic: Monotonic seconds.
    """

    def __init__(
        self,
        settings: Oidc,
        channel: Channel,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._channel = channel
        self._clock = clock
        self._monotonic = monotonic
        self._turn = asyncio.Lock()
        self._metadata: tuple[float, Metadata] | None = None
        self._keys: tuple[float, tuple[Key, ...]] | None = None
        self._away: tuple[float, IssuerUnreachable] | None = None

    async def metadata(self) -> Metadata:
        """What it says of itself.

        Raises:
            IssuerUnreachable: It can't be asked.
            IssuerError: It says what can't be used.
        """
        async with self._turn:
            return await self._current()

    async def reach(self) -> None:
        """Do nothing if it can be reached now, whatever is known of it.

        Raises:
            IssuerError: It can't.
        """
        async with self._turn:
            now = self._monotonic()
            document = await self._fetch(self._settings.issuer.rstrip("/") + _WELL_KNOWN)
            self._metadata = now, _metadata(document, self._settings.issuer)

    async def address_of_log_in(self, parameters: Mapping[str, str]) -> str:
        """Where a browser is sent to log in there.

        Raises:
            IssuerError: As ``metadata``.
        """
        metadata = await self.metadata()
        scopes = [
            scope
            for scope in self._settings.scopes
            # Who lists its scopes and has none for this gives refresh tokens without, or none.
            if scope != _OFFLINE or not metadata.scopes or scope in metadata.scopes
        ]
        said = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "scope": " ".join(dict.fromkeys(("openid", *scopes))),
            **parameters,
        }
        endpoint = metadata.authorization_endpoint
        return f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{urlencode(said)}"

    async def redeem(self, code: str, verifier: str, redirect_uri: str, nonce: str) -> Tokens:
        """What it gives for a code.

        Raises:
            GrantRefused: The code is none, or no longer.
            IssuerError: It can't be asked, or believed.
        """
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        tokens = await self._ask(form, nonce)
        if tokens.claims is None:
            raise IssuerError(
                "the identity provider gives no ID token",
                hint="register this client there as one of OpenID Connect",
            )
        return tokens

    async def refresh(self, refresh_token: str) -> Tokens:
        """What it gives for a refresh token.

        Raises:
            GrantRefused: It vouches for them no longer.
            IssuerError: It can't be asked, or believed.
        """
        return await self._ask({"grant_type": "refresh_token", "refresh_token": refresh_token})

    async def claims_of(self, access_token: str, subject: str) -> Mapping[str, Any]:
        """What it says of somebody beside the ID token (UserInfo); nothing if it has no such place.

        Raises:
            GrantRefused: It takes the token no longer.
            IssuerError: It can't be asked, or speaks of somebody else.
        """
        metadata = await self.metadata()
        if not metadata.userinfo_endpoint or not access_token:
            return {}
        headers = {"Authorization": f"Bearer {access_token}"}
        answer = await self._channel.get(metadata.userinfo_endpoint, headers)
        if answer.status == 401:
            raise GrantRefused("the identity provider takes its own access token no longer")
        if not answer.is_success:
            raise IssuerError(
                f"the identity provider answers {answer.status} to who somebody is",
                hint="check access.oidc.scopes",
            )
        if answer.media_type == "application/jwt":
            raise IssuerError(
                "the identity provider signs or encrypts what it says at userinfo",
                hint="have it answer this client with plain JSON",
            )
        claims = answer.document()
        # OpenID Connect Core 1.0, 5.3.2: or the claims of another could be put in their place.
        if claims.get("sub") != subject:
            raise IssuerError("the identity provider speaks of somebody else at userinfo")
        return claims

    # Tokens ---------------------------------------------------------------------------------------

    async def _ask(self, form: dict[str, str], nonce: str | None = None) -> Tokens:
        metadata = await self.metadata()
        headers = await self._authenticate(form, metadata)
        answer = await self._channel.post(metadata.token_endpoint, form, headers)
        if not answer.is_success:
            raise _refusal(answer)
        said = answer.document()
        access_token, refresh_token = (
            _text(said.get(name), _MOST_TOKEN) for name in ("access_token", "refresh_token")
        )
        if not access_token.isascii():  # RFC 6749 A.12; no header could hold it
            raise IssuerError("the identity provider gives an access token that can be none")
        token = said.get("id_token")
        claims = None if token is None else await self._claims(token, nonce, access_token)
        return Tokens(access_token, refresh_token, claims)

    async def _authenticate(self, form: dict[str, str], metadata: Metadata) -> dict[str, str]:
        """Say who we are (RFC 6749 2.3, RFC 7523 2.2): in the form or in headers."""
        settings = self._settings
        form["client_id"] = settings.client_id
        match settings.client_auth:
            case "basic":
                # Both are encoded before they are joined (RFC 6749 2.3.1).
                pair = f"{quote_plus(settings.client_id)}:{quote_plus(settings.client_secret)}"
                del form["client_id"]
                return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
            case "body":
                form["client_secret"] = settings.client_secret
            case "key":
                kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
                form["client_assertion_type"] = kind
                signed = await asyncio.to_thread(self._assertion, metadata.token_endpoint)
                form["client_assertion"] = signed
            case "none":
                pass
        return {}

    def _assertion(self, audience: str) -> str:
        path = self._settings.client_key
        now = int(self._clock())
        claims = {
            "iss": self._settings.client_id,
            "sub": self._settings.client_id,
            "aud": audience,
            "jti": secrets.token_urlsafe(16),
            "iat": now,
            "exp": now + _ASSERTION_SECONDS,
        }
        try:
            pem = path.read_text(encoding="ascii")
            for algorithm in ("RS256", "ES256"):
                try:
                    return jwt.encode(claims, pem, algorithm=algorithm)
                except (TypeError, ValueError, jwt.InvalidKeyError):
                    continue
        except (OSError, ValueError):
            pass
        raise IssuerError(
            f"access.oidc.client_key: {path} can't be used",
            hint="it must be an RSA key, or one of P-256, in PEM form, without a passphrase",
        )

    async def _claims(self, token: object, nonce: str | None, access_token: str) -> dict[str, Any]:
        said = token if isinstance(token, str) else ""
        header = header_of(said)

        def check(keys: tuple[Key, ...]) -> dict[str, Any]:
            return checked(
                said,
                keys,
                issuer=self._settings.issuer,
                client_id=self._settings.client_id,
                clock=self._clock,
                nonce=nonce,
                access_token=access_token,
            )

        async with self._turn:
            keys = await self._current_keys(header.algorithm, header.key_id)
        return check(keys)

    # What is known of it --------------------------------------------------------------------------

    async def _current(self) -> Metadata:
        now = self._monotonic()
        if self._metadata is not None and now < self._metadata[0] + _METADATA_SECONDS:
            return self._metadata[1]
        document = await self._fetch(self._settings.issuer.rstrip("/") + _WELL_KNOWN)
        metadata = _metadata(document, self._settings.issuer)
        self._metadata = now, metadata
        return metadata

    async def _current_keys(self, algorithm: str, key_id: str | None) -> tuple[Key, ...]:
        """Its keys; anew if they are old, or the one that is needed is not among them."""
        now, held = self._monotonic(), self._keys
        if held is not None:
            age, keys = now - held[0], held[1]
            has_it = any(key.fits(algorithm) and key_id in (None, key.key_id) for key in keys)
            if age < (_KEYS_SECONDS if has_it else _KEY_MISSING_SECONDS):
                return keys
        metadata = await self._current()
        keys = keys_in(await self._fetch(metadata.jwks_uri))
        self._keys = now, keys
        return keys

    async def _fetch(self, url: str) -> dict[str, Any]:
        now = self._monotonic()
        if self._away is not None and now < self._away[0] + _AWAY_SECONDS:
            raise IssuerUnreachable(str(self._away[1]), hint=self._away[1].hint)
        try:
            answer = await self._channel.get(url)
        except IssuerUnreachable as error:
            self._away = self._monotonic(), error
            raise
        self._away = None
        if not answer.is_success:
            raise IssuerError(
                f"the identity provider answers {answer.status} to what it is, or to its keys",
                hint="check access.oidc.issuer: with /.well-known/openid-configuration behind it,"
                " it must lead to the provider's metadata",
            )
        return answer.document()


def _metadata(document: Mapping[str, Any], issuer: str) -> Metadata:
    if document.get("issuer") != issuer:
        raise IssuerError(
            "the identity provider calls itself by another name than access.oidc.issuer",
            hint="copy its issuer to the letter, with or without a slash at its end",
        )
    found = {
        name: _text(document.get(name), 2048)
        for name in ("authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri")
    }
    if not all(found[name] for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")):
        raise IssuerError("the identity provider's metadata lacks an address that is needed")
    # A browser is sent there: nothing but a page may be meant.
    try:
        is_page = urlsplit(found["authorization_endpoint"]).scheme in ("https", "http")
    except ValueError:
        is_page = False
    if not is_page:
        raise IssuerError("the identity provider's address for log-ins is none")
    signs = document.get("id_token_signing_alg_values_supported")
    if isinstance(signs, list) and not any(str(one) in ALGORITHMS for one in signs):
        raise IssuerError(
            "the identity provider signs ID tokens in no way that may be believed",
            hint="have it sign with RS256 or ES256",
        )
    scopes = document.get("scopes_supported")
    return Metadata(
        **found,
        scopes=tuple(map(str, scopes)) if isinstance(scopes, list) else (),
        says_issuer=document.get("authorization_response_iss_parameter_supported") is True,
    )


def _refusal(answer: Answer) -> IssuerError:
    try:
        said = answer.document().get("error")
    except IssuerError:
        said = None
    if said == "invalid_grant":
        return GrantRefused("the identity provider does not vouch for them, or no longer")
    # Only words that we know: it may repeat what it was sent.
    known = said if isinstance(said, str) and said in _GRANT_HINTS else ""
    return IssuerError(
        f"the identity provider gives no token: it answers {answer.status} {known}".rstrip(),
        hint=_GRANT_HINTS.get(known, "check how this client is registered there"),
    )


def _text(value: object, most: int) -> str:
    return value if isinstance(value, str) and len(value) <= most and value.isprintable() else ""
