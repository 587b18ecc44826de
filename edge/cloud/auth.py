"""How we say who we are to an archive: nothing, Basic, or a bearer token.

Owns the mapping from configuration to request headers. Promises that a secret goes to the
archive's own origin only (the client follows no redirects) and never into a message or a repr.
Schemes that need a conversation, such as OAuth2, are further ``httpx.Auth`` flows.
"""

from __future__ import annotations

import re
from collections.abc import Generator

import httpx

from edge import config
from edge.errors import ConfigError

__all__ = ["BearerAuth", "auth_of"]

_TOKEN = re.compile(r"[!-~]+")  # RFC 6750 2.1 allows less; some services don't keep to it.


class BearerAuth(httpx.Auth):
    """``Authorization: Bearer TOKEN`` (RFC 6750 2.1)."""

    def __init__(self, token: str) -> None:
        self._header = f"Bearer {token}"

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        """Sign the request; nothing is learned from the answer."""
        request.headers["Authorization"] = self._header
        yield request


def auth_of(settings: config.Auth) -> httpx.Auth | None:
    """The way to sign requests that the configuration asks for.

    Raises:
        ConfigError: What it needs is missing, or can't stand in a header.
    """
    match settings.kind:
        case "basic":
            if not settings.user or ":" in settings.user:  # RFC 7617 2
                raise ConfigError("cloud.archive auth.user is missing, or holds a colon")
            return httpx.BasicAuth(settings.user, settings.password)
        case "bearer":
            if not _TOKEN.fullmatch(settings.token):
                raise ConfigError(
                    "cloud.archive auth.token is missing, or holds what a token can't",
                    hint="copy it again, without spaces and line ends",
                )
            return BearerAuth(settings.token)
        case "none":
            return None
