"""``edge token``: makes, lists and revokes API tokens."""

# ruff: noqa: PLC0415 - see `edge.commands.parsing`

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time

from edge.access.roles import Role
from edge.commands.parsing import Acts, Commands, configuration
from edge.commands.words import moment, say
from edge.errors import ConfigError

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add the command."""
    acts = Acts(commands.add("token", "Make, list and revoke API tokens."))
    create = acts.add("create", "Print a new token; it can't be shown again.", _create)
    create.add_argument("--role", choices=[str(role) for role in Role], required=True)
    create.add_argument("--name", default="", help="who or what will hold it")
    listing = acts.add("list", "List tokens, without their secrets.", _list)
    listing.add_argument("--json", action="store_true", help="for programs")
    revoke = acts.add("revoke", "Make a token worthless.", _revoke)
    revoke.add_argument("token_id", metavar="ID")


async def _create(options: argparse.Namespace) -> int:
    loaded = await configuration(options)
    from edge.opening import Cache

    name = options.name or f"{options.role} {time.strftime('%Y-%m-%d %H:%M')}"
    async with Cache(loaded) as cache:
        try:
            say(await cache.tokens.create(Role(options.role), name))
        except ValueError as error:
            raise ConfigError(f"--name: {error}") from error
    return 0


async def _list(options: argparse.Namespace) -> int:
    loaded = await configuration(options)
    from edge.opening import Cache

    async with Cache(loaded) as cache:
        tokens = await cache.tokens.list()
    if options.json:
        say(json.dumps([dataclasses.asdict(token) for token in tokens]))
    elif not tokens:
        say("edge: there are no tokens yet", file=sys.stderr)
    else:
        say(f"{'ID':<16}  {'ROLE':<12}  {'MADE':<20}  NAME")
    for token in [] if options.json else tokens:
        say(f"{token.token_id:<16}  {token.role:<12}  {moment(token.created):<20}  {token.name}")
    return 0


async def _revoke(options: argparse.Namespace) -> int:
    loaded = await configuration(options)
    from edge.opening import Cache

    async with Cache(loaded) as cache:
        revoked = await cache.tokens.revoke(options.token_id)
    if revoked:
        say(f"edge: token {options.token_id} is worthless now", file=sys.stderr)
    else:
        say(f"edge: there is no token {options.token_id}", file=sys.stderr)
    return int(not revoked)
