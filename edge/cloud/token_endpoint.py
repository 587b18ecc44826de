"""The endpoint that gives out access tokens (RFC 6749 3.2): one question, and its answers as ours.

Promises that an answer is bounded, in bytes and in time, and that no redirect is followed. What was
sent and what came stands in no message: of an error only its registered name is said. Never keeps
a token, and never asks again by itself.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field

import httpx
import msgspec

from edge.cloud.answers import AnswerTooLarge, read_body
from edge.cloud.transport import retry_after, translated
from edge.errors import CloudError, CloudRefused, CloudUnauthorised, CloudUnreachable

__all__ = ["Connect", "Token", "TokenEndpoint", "is_token"]

Connect = Callable[[bool], httpx.AsyncClient]
"""Makes a client for the endpoint, with TLS or without; may block."""

_MAX_ANSWER = 64 * 1024
"""Bytes; a token has some thousand at the most."""
_UNSAID = 300.0
"""Seconds that a token is believed to live whose endpoint does not say (RFC 6749 5.1)."""
_LONGEST = 24 * 3600.0
_TOKEN = re.compile(r"[!-~]+")  # RFC 6750 2.1 allows less; some services don't keep to it.
_MICROSOFT_CODE = re.compile(r"AADSTS\d{4,9}")
_NOT_NOW = frozenset({407, 408, 425, 429, 511})
_HINTS = {
    # RFC 6749 5.2
    "invalid_client": "check client_id and client_secret: the secret may have expired",
    "invalid_grant": "the key was revoked or is another's, or the clock of this box is wrong",
    "invalid_request": "check auth.scope, auth.audience and auth.resource, and auth.client_auth",
    "invalid_scope": "check auth.scope",
    "unauthorized_client": "allow this client to ask for tokens, where it was registered",
    "unsupported_grant_type": "check token_url: the endpoint gives tokens to people only",
    # RFC 8707 2
    "invalid_target": "check auth.resource and auth.audience",
}
_CREDENTIALS = "check the credentials in auth: they are not known there, or lack the right"


@dataclass(frozen=True, slots=True)
class Token:
    """An access token."""

    value: str = field(repr=False)
    seconds: float
    """That it lives, from the moment when it was asked for."""


class _Granted(msgspec.Struct):
    """RFC 6749 5.1. Some endpoints say the number as text."""

    access_token: str
    token_type: str = "Bearer"  # noqa: S105 - no secret, but the word of the standard
    expires_in: int | float | str | None = None


class _Refused(msgspec.Struct):
    """RFC 6749 5.2."""

    error: str
    error_description: str = ""


_GRANTED, _REFUSED = msgspec.json.Decoder(_Granted), msgspec.json.Decoder(_Refused)


def is_token(text: str) -> bool:
    """Whether it can stand in a header as a token."""
    return _TOKEN.fullmatch(text) is not None


class TokenEndpoint:
    """Asks for tokens.

    Args:
        archive: The name of the archive that they are for, for messages.
        connect: Makes a client; it is closed after each question, of which there is one an hour.
        seconds: The longest that an answer may take, whole.
    """

    def __init__(self, archive: str, connect: Connect, *, seconds: float = 30.0) -> None:
        self._archive = archive
        self._connect = connect
        self._seconds = seconds

    async def ask(
        self, url: str, form: Mapping[str, str], headers: Mapping[str, str] | None = None
    ) -> Token:
        """Ask for a token.

        Raises:
            CloudUnauthorised: It knows us, and says no; or it does not know us.
            CloudRefused: There is no such endpoint.
            CloudUnreachable: It gave no answer that can be used: try later.
        """
        try:
            with translated(self._archive, httpx.URL(url)):
                async with asyncio.timeout(self._seconds):
                    response, body = await self._send(url, form, headers or {})
        except CloudUnreachable as error:
            # The seam speaks of the archive; this is another host.
            words = str(error).removeprefix(f"archive {self._archive}: ")
            hint = error.hint.replace("the archive", "the token endpoint")
            raise CloudUnreachable(self._says(words), hint=hint) from error
        if response.is_success:
            return self._token(body)
        raise self._error(response, body)

    def refused(self, why: str, hint: str) -> CloudUnauthorised:
        """The error for credentials that are of no use, in the words of all others."""
        return CloudUnauthorised(self._says(why), hint=hint)

    def _says(self, words: str) -> str:
        return f"archive {self._archive}: signing in: {words}"

    def _unusable(self, what: str) -> CloudUnreachable:
        return CloudUnreachable(
            self._says(f"the token endpoint answered {what}"),
            hint="check auth.token_url; a captive portal or a proxy may answer in its place",
        )

    async def _send(
        self, url: str, form: Mapping[str, str], headers: Mapping[str, str]
    ) -> tuple[httpx.Response, bytes]:
        client = await asyncio.to_thread(self._connect, httpx.URL(url).scheme == "https")
        async with client:
            request = client.build_request(
                "POST",
                url,
                data=dict(form),
                headers={"Accept": "application/json", "Accept-Encoding": "identity", **headers},
            )
            response = await client.send(request, stream=True)
            async with aclosing(response):
                try:
                    return response, await read_body(response, limit=_MAX_ANSWER)
                except AnswerTooLarge as error:
                    raise self._unusable("more than a token can be") from error

    def _token(self, body: bytes) -> Token:
        try:
            granted = _GRANTED.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise self._unusable("without a token") from None  # The error may quote it.
        if granted.token_type.lower() != "bearer":
            raise self.refused(
                "the token endpoint gives tokens of another type than Bearer",
                "have it give Bearer tokens to this client",
            )
        if not is_token(granted.access_token):
            raise self._unusable("with what can't be a token")
        return Token(granted.access_token, _seconds(granted.expires_in))

    def _error(self, response: httpx.Response, body: bytes) -> CloudError:
        status = response.status_code
        if response.is_redirect:
            return self._unusable(f"{status}, a redirect")
        if status in _NOT_NOW or status >= 500:
            return CloudUnreachable(
                self._says(f"the token endpoint answered {status}"),
                hint="it is busy or being restarted",
                retry_after=retry_after(response),
            )
        try:
            refused = _REFUSED.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            if status in (401, 403):
                return self.refused(f"the token endpoint answered {status}", _CREDENTIALS)
            return CloudRefused(
                self._says(f"the token endpoint answered {status}"),
                status=status,
                hint="check auth.token_url",
            )
        # Only words that we know: an endpoint may repeat what it was sent.
        words = [refused.error] if refused.error in _HINTS else []
        words += _MICROSOFT_CODE.findall(refused.error_description)[:1]
        said = ", ".join(words) or f"with {status}"
        return self.refused(
            f"the token endpoint refuses: {said}", _HINTS.get(refused.error, _CREDENTIALS)
        )


def _seconds(said: float | str | None) -> float:
    try:
        seconds = math.nan if said is None else float(said)
    except (ValueError, OverflowError):
        seconds = math.nan
    return min(max(seconds, 0.0), _LONGEST) if math.isfinite(seconds) else _UNSAID
