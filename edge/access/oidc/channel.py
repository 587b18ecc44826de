"""HTTP with the identity provider: one question, one bounded answer.

Owns the seam to httpx for it. Promises that an answer is bounded in bytes and in seconds, whole;
that no redirect is followed, and nothing but https is spoken outside of a laboratory; and that no
message holds what was sent or what came. Connects to nothing before it is asked.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec

from edge.addresses import is_loopback
from edge.cloud.answers import AnswerTooLarge, read_body
from edge.cloud.transport import Timeouts, new_client
from edge.cloud.words import words_for
from edge.errors import ConfigError, IssuerError, IssuerUnreachable
from edge.others import Oidc

__all__ = ["Answer", "Channel", "ShutChannel"]

MOST_BYTES = 1024 * 1024
"""Of an answer: keys and claims have some thousand."""
SECONDS = 10.0
"""Somebody sits before it, and waits."""
_LAST_PORT = 65535
_NOT_NOW = frozenset({407, 408, 425, 429, 511})


@dataclass(frozen=True, slots=True)
class Answer:
    """What came; whether it is good is the asker's to say."""

    status: int
    body: bytes = field(repr=False)
    media_type: str = ""

    @property
    def is_success(self) -> bool:
        """Whether it is what was asked for."""
        return 200 <= self.status < 300

    def document(self) -> dict[str, Any]:
        """The JSON object that it is.

        Raises:
            IssuerError: It is none.
        """
        try:
            found = msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            found = None  # the error may quote it
        if not isinstance(found, dict):
            raise IssuerError(
                "the identity provider answers with what is no JSON object",
                hint="check access.oidc.issuer; a captive portal may answer in its place",
            )
        return found


class Channel:
    """Asks.

    Args:
        settings: ``[access.oidc]``, with its secrets open.
        lab: Whether plain HTTP may be spoken with others than this machine.
        seconds: The longest that an answer may take, whole.
    """

    def __init__(self, settings: Oidc, *, lab: bool = False, seconds: float = SECONDS) -> None:
        self._settings = settings
        self._lab = lab
        self._seconds = seconds

    async def get(self, url: str, headers: Mapping[str, str] | None = None) -> Answer:
        """Ask by GET; see ``_ask``."""
        return await self._ask("GET", url, None, headers or {})

    async def post(
        self, url: str, form: Mapping[str, str], headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Ask by POST; see ``_ask``."""
        return await self._ask("POST", url, form, headers or {})

    async def _ask(
        self, method: str, url: str, form: Mapping[str, str] | None, headers: Mapping[str, str]
    ) -> Answer:
        """Ask, and read the answer whole.

        Raises:
            IssuerUnreachable: There is none that can be used, now.
            IssuerError: It is too large, a redirect, or the address is none that may be asked.
        """
        target = self._checked(url)
        try:
            async with asyncio.timeout(self._seconds):
                client = await asyncio.to_thread(self._connect, target)
                async with client:
                    request = client.build_request(
                        method,
                        target,
                        data=None if form is None else dict(form),
                        headers={
                            "Accept": "application/json, application/jwt;q=0.5",
                            "Accept-Encoding": "identity",
                            **headers,
                        },
                    )
                    response = await client.send(request, stream=True)
                    async with aclosing(response):
                        body = await read_body(response, limit=MOST_BYTES)
        except AnswerTooLarge:
            raise IssuerError(
                "the identity provider's answer is too large", hint="check access.oidc.issuer"
            ) from None
        except (httpx.HTTPError, httpx.StreamError, ssl.SSLError, TimeoutError) as error:
            words, hint = words_for(error, target, self._proxy(), whose="the identity provider")
            raise IssuerUnreachable(f"the identity provider: {words}", hint=hint) from error
        status = response.status_code
        if response.is_redirect:
            raise IssuerError(
                f"the identity provider answers {status}, a redirect, which is not followed",
                hint="name the address that it leads to; a captive portal may stand in the way",
            )
        if status in _NOT_NOW or status >= 500:
            raise IssuerUnreachable(
                f"the identity provider answers {status}", hint="it is busy or being restarted"
            )
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        return Answer(status, body, kind)

    def _checked(self, text: str) -> httpx.URL:
        try:
            url = httpx.URL(text)
            host, port = url.host, url.port
        except (httpx.InvalidURL, TypeError, ValueError):  # names that are none, too
            url, host, port = httpx.URL(), "", None
        is_plain = url.scheme == "http" and (self._lab or is_loopback(f"{host}:0"))
        is_safe = (url.scheme == "https" or is_plain) and not url.userinfo
        if not host or not is_safe or not 0 <= (port or 0) <= _LAST_PORT:
            raise IssuerError(
                "the identity provider names an address that may not be asked",
                hint="its metadata must have https:// addresses alone",
            )
        return url

    def _connect(self, url: httpx.URL) -> httpx.AsyncClient:
        """A client; it reads certificates from files."""
        tls_ca = self._settings.tls_ca
        try:
            return new_client(
                None,
                str(tls_ca) if tls_ca != Path() else None,
                Timeouts(connect=5.0, read=self._seconds, write=self._seconds),
                encrypted=url.scheme == "https",
                proxy=self._proxy(),
            )
        except ConfigError as error:
            raise IssuerUnreachable(
                f"access.oidc.tls_ca: {tls_ca} can't be used",
                hint="it must be a file with the CA certificate of the provider in PEM form",
            ) from error

    def _proxy(self) -> httpx.Proxy | None:
        settings = self._settings
        if not settings.proxy:
            return None
        login = (settings.proxy_user, settings.proxy_password) if settings.proxy_user else None
        return httpx.Proxy(settings.proxy, auth=login)


class ShutChannel(Channel):
    """Asks nothing: the box can't open what it would have to say. To people it is as if away.

    Args:
        settings: ``[access.oidc]``, as configured; none of it is used.
    """

    async def _ask(self, *_: object, **__: object) -> Answer:
        """Connect to nothing.

        Raises:
            IssuerUnreachable: Always.
        """
        raise IssuerUnreachable(
            "the box can't open its own secret for the identity provider any more",
            hint="log in by another way meanwhile; an administrator has to give the secret again",
        )
