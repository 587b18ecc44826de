"""``edge secret``: seals secrets for the configuration of this box."""

# ruff: noqa: PLC0415 - see `edge.commands.parsing`

from __future__ import annotations

import argparse
import getpass
import sys
from collections.abc import Awaitable

from edge.commands.parsing import Acts, Commands, configuration
from edge.commands.words import say
from edge.errors import ConfigError

__all__ = ["add"]

_LONGEST = 64 * 1024


def add(commands: Commands) -> None:
    """Add the command."""
    acts = Acts(commands.add("secret", "Seal secrets for the configuration of this box."))
    acts.add("seal", "Print the sealed form of the secret that comes by standard input.", _seal)


def _seal(options: argparse.Namespace) -> Awaitable[int]:
    # Read before the event loop runs: Ctrl-C ends it then.
    return _print_sealed(options, _read())


async def _print_sealed(options: argparse.Namespace, secret: str) -> int:
    loaded = await configuration(options)
    from edge.crypto.secrets import PURPOSE, seal_secret
    from edge.opening import Cache

    async with Cache(loaded) as cache:
        say(seal_secret(secret, cache.keys.derive(PURPOSE)))
    return 0


def _read() -> str:
    """The secret, without the one line end behind it."""
    if sys.stdin.isatty():
        try:
            secret = getpass.getpass("Secret: ")
        except EOFError:
            secret = ""
    else:
        try:
            secret = sys.stdin.buffer.read(_LONGEST + 1).decode()
        except UnicodeDecodeError:
            raise ConfigError("the secret is not text in UTF-8") from None
        if len(secret) > _LONGEST:
            raise ConfigError("what came is too long for a secret")
        secret = secret.removesuffix("\n").removesuffix("\r")
    if not secret:
        raise ConfigError("no secret came by standard input", hint="edge secret seal < FILE")
    return secret
