"""How we say who we are to an archive: nothing, Basic, a token, or a signature.

Owns the mapping from configuration to ``httpx.Auth``. Promises that a secret goes to the archive's
own origin or its token endpoint only (no redirect is followed) and never into a message or a repr.
The schemes that need a conversation stand in files of their own.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from pathlib import Path

import httpx

from edge import others
from edge.cloud.aws import AwsAuth
from edge.cloud.google import ServiceAccount
from edge.cloud.oauth2 import ClientCredentials
from edge.cloud.route import proxy_of
from edge.cloud.token_auth import TokenAuth
from edge.cloud.token_endpoint import TokenEndpoint, is_token
from edge.cloud.transport import Timeouts, new_client
from edge.errors import ConfigError

__all__ = ["BearerAuth", "auth_of"]

_NAME = re.compile(r"[\w+=,.@-]+", re.ASCII)


class BearerAuth(httpx.Auth):
    """``Authorization: Bearer TOKEN`` (RFC 6750 2.1)."""

    def __init__(self, token: str) -> None:
        self._header = f"Bearer {token}"

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        """Sign the request; nothing is learned from the answer."""
        request.headers["Authorization"] = self._header
        yield request


def auth_of(archive: others.Archive) -> httpx.Auth | None:
    """The way to sign requests to an archive that the configuration asks for.

    Raises:
        ConfigError: What it needs is missing, or can't stand in a header.
    """
    settings = archive.auth
    match settings.kind:
        case "basic":
            if not settings.user or ":" in settings.user:  # RFC 7617 2
                raise ConfigError("cloud.archive auth.user is missing, or holds a colon")
            return httpx.BasicAuth(settings.user, settings.password)
        case "bearer":
            _need(settings, "token")
            _need_tokens(settings, "token")
            return BearerAuth(settings.token)
        case "oauth2":
            _need(settings, "token_url", "client_id", "client_secret")
            return TokenAuth(ClientCredentials(settings, _endpoint(archive)))
        case "google":
            if settings.key_file == Path():
                raise ConfigError("cloud.archive auth.key_file is missing")
            return TokenAuth(ServiceAccount(settings, _endpoint(archive)))
        case "aws":
            _need(settings, "region", "access_key_id", "secret_access_key", "service")
            _need_tokens(settings, "secret_access_key", "session_token")
            _need_names(settings, "region", "access_key_id", "service")
            return AwsAuth(settings)
        case "none":
            return None


def _need(settings: others.Auth, *names: str) -> None:
    for name in names:
        if not getattr(settings, name):
            raise ConfigError(f"cloud.archive auth.{name} is missing")


def _need_tokens(settings: others.Auth, *names: str) -> None:
    for name in names:
        if (value := getattr(settings, name)) and not is_token(value):
            raise ConfigError(
                f"cloud.archive auth.{name} holds what it can't",
                hint="copy it again, without spaces and line ends",
            )


def _need_names(settings: others.Auth, *names: str) -> None:
    for name in names:
        if not _NAME.fullmatch(getattr(settings, name)):
            raise ConfigError(f"cloud.archive auth.{name} holds what it can't")


def _check_url(url: str) -> None:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        parsed = httpx.URL()
    if parsed.scheme not in ("http", "https") or not parsed.host or parsed.userinfo:
        raise ConfigError(
            "cloud.archive auth.token_url can't be used",
            hint="for example https://login.example/oauth2/token, without user and password",
        )


def _endpoint(archive: others.Archive) -> TokenEndpoint:
    """Where tokens for an archive are asked for: another host, and so another connection."""
    tls_ca, url = archive.auth.tls_ca, archive.auth.token_url
    if url:
        _check_url(url)

    def connect(encrypted: bool) -> httpx.AsyncClient:
        return new_client(
            None,
            str(tls_ca) if tls_ca.name else None,
            Timeouts(),
            encrypted=encrypted,
            proxy=proxy_of(archive),
            authority=archive.authority,
        )

    return TokenEndpoint(archive.name, connect)
