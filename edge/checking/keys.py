"""Where the root secret comes from."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from edge.checking.whole import Kinds, Whole

__all__ = ["check_keys"]

_KINDS: Kinds = {
    "file": ((), ("path",)),
    "passphrase": ((), ("grace_hours",)),
    "systemd-creds": ((), ("credential",)),
    "network": (("server",), ("grace_hours",)),
}
"""Of each provider, what it needs, and what it may have beside it."""
_CREDENTIAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""Names that systemd takes, and that are those of files."""
_THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{43}")
"""A SHA-256 in Base64 (RFC 7638)."""
_MOST_SERVERS = 8


def check_keys(whole: Whole) -> None:
    """The provider, and no more than it needs."""
    keys = whole.config.keys
    whole.check_kind(("keys",), keys, "provider", _KINDS)
    if not _CREDENTIAL.fullmatch(keys.credential):
        raise whole.error(
            ("keys", "credential"),
            f'= "{keys.credential}" is no name of a credential',
            "letters, digits, dots and hyphens, as in edge.root-key",
        )
    _check_key_servers(whole)


def _check_key_servers(whole: Whole) -> None:
    servers = whole.config.keys.server
    if len(servers) > _MOST_SERVERS:
        keys = ("keys", "server", str(_MOST_SERVERS))
        raise whole.error(keys, f"is one too many: {_MOST_SERVERS} are the most")
    for number, server in enumerate(servers):
        keys = ("keys", "server", str(number))
        try:
            url = urlsplit(server.url)
            is_plain = url.hostname and not (url.username or url.password or url.query)
            is_plain = is_plain and url.path in ("", "/") and url.port != 0
        except ValueError:
            is_plain = False
        if not is_plain or url.scheme not in ("http", "https"):
            raise whole.error(
                (*keys, "url"),
                f'= "{server.url}" is no address of a server',
                "http://HOST:PORT",
            )
        if not _THUMBPRINT.fullmatch(server.thumbprint):
            raise whole.error(
                (*keys, "thumbprint"),
                f'= "{server.thumbprint}" is no thumbprint',
                "43 characters, as tang-show-keys prints them on the server",
            )
        if server.thumbprint in {other.thumbprint for other in servers[:number]}:
            raise whole.error((*keys, "thumbprint"), "stands there twice")
