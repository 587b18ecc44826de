"""How we say who we are to an archive: nothing, Basic, or a bearer token.

Owns the mapping from configuration to request headers. Promises that a secret goes to the
archive's own origin only (the client follows no redirects) and never into a message or a repr.
Schemes that need a conversation, such as OAuth2, are further ``httpx.Auth`` flows.
"""

from __future__ import annotations

from collections.abc import Generator

import httpx

from edge import config

__all__ = ["BearerAuth", "auth_of"]


class BearerAuth(httpx.Auth):
    """``Authorization: Bearer TOKEN`` (RFC 6750 2.1)."""

    def __init__(self, token: str) -> None:
        self._header = f"Bearer {token}"

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        """Sign the request; nothing is learned from the answer."""
        request.headers["Authorization"] = self._header
        yield request


def auth_of(settings: config.Auth) -> httpx.Auth | None:
    """The way to sign requests that the configuration asks for."""
    match settings.kind:
        case "basic":
            return httpx.BasicAuth(settings.user, settings.password)
        case "bearer":
            return BearerAuth(settings.token)
        case "none":
            return None
