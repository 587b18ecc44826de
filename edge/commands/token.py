"""``edge token``: makes, lists and revokes API tokens."""

# ruff: noqa: PLC0415 - see `edge.commands.parsing`

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import TYPE_CHECKING, Any

import msgspec

from edge.access.acts import Act, Service
from edge.access.audit.entry import Event
from edge.access.roles import Role
from edge.access.scope import Scope
from edge.commands.parsing import Acts, Commands, configuration
from edge.commands.witness import witnessed
from edge.commands.words import say
from edge.errors import ConfigError, UserRefused

if TYPE_CHECKING:
    from edge.access.tokens import TokenInfo

__all__ = ["add"]

_LIFETIME_DAYS = 365.0
"""As that of ``access.tokens``, which would load the index for ``--help``."""


def add(commands: Commands) -> None:
    """Add the command."""
    acts = Acts(commands.add("token", "Make, list and revoke API tokens."))
    create = acts.add("create", "Print a new token; it can't be shown again.", _create)
    create.add_argument("--role", choices=[str(role) for role in Role], required=True)
    create.add_argument("--name", default="", help="who or what will hold it")
    end = create.add_mutually_exclusive_group()
    end.add_argument(
        "--days", type=float, default=_LIFETIME_DAYS, help="it ends after so many (default: 365)"
    )
    end.add_argument("--no-end", action="store_true", help="it does not end by itself")
    create.add_argument(
        "--for",
        dest="services",
        action="append",
        choices=[str(service) for service in Service],
        default=[],
        help="only this service; may be given several times",
    )
    create.add_argument(
        "--may",
        dest="acts",
        action="append",
        choices=[str(act) for act in Act],
        default=[],
        help="only this, of what the role may; may be given several times",
    )
    create.add_argument(
        "--ae-title", default="", help="what is stored with it comes from this AE title"
    )
    create.add_argument(
        "--from",
        dest="networks",
        action="append",
        metavar="ADDRESS",
        default=[],
        help="only from this address or network; may be given several times",
    )
    create.add_argument(
        "--studies-from",
        action="append",
        metavar="AE",
        default=[],
        help="it sees only studies that this AE title sent; may be given several times",
    )
    listing = acts.add("list", "List tokens, without their secrets.", _list)
    listing.add_argument("--json", action="store_true", help="for programs")
    revoke = acts.add("revoke", "Make a token worthless.", _revoke)
    revoke.add_argument("token_id", metavar="ID")


async def _create(options: argparse.Namespace) -> int:
    loaded = await configuration(options)

    name = options.name or f"{options.role} {time.strftime('%Y-%m-%d %H:%M')}"
    days = None if options.no_end else options.days
    try:
        scope = Scope(
            frozenset(map(Service, options.services)),
            frozenset(map(Act, options.acts)),
            options.ae_title.strip(),
            tuple(options.networks),
            frozenset(one.strip() for one in options.studies_from),
        )
    except ValueError as error:
        raise ConfigError(f"the token can't be made: {error}") from error
    async with witnessed(options, loaded, Event.SECURITY) as (cache, said):
        try:
            made = await cache.tokens.issue(Role(options.role), name, days=days, scope=scope)
        except ValueError as error:
            raise ConfigError(f"the token can't be made: {error}") from error
        said["token"] = made.info.token_id
    say(made.secret)
    end = made.info.expires
    ends = "it does not end by itself" if end is None else f"it ends on {_day(end)}"
    say(
        f"edge: its ID is {made.info.token_id}: edge token revoke {made.info.token_id}; {ends}",
        file=sys.stderr,
    )
    return 0


async def _list(options: argparse.Namespace) -> int:
    loaded = await configuration(options)
    from edge.opening import Cache

    async with Cache(loaded) as cache:
        known = [(token, cache.tokens.has_ended(token)) for token in await cache.tokens.list()]
    if options.json:
        say(json.dumps([_as_json(token, ended=ended) for token, ended in known]))
    elif not known:
        say("edge: there are no tokens yet", file=sys.stderr)
    else:
        say(f"{'ID':<13} {'ROLE':<13} {'MADE':<11} {'ENDS':<11} {'LAST USED':<11} NAME")
    for token, ended in [] if options.json else known:
        end = "never" if token.expires is None else _day(token.expires)
        say(
            f"{token.token_id:<13} {token.role:<13} {_day(token.created):<11}"
            f" {'has ended' if ended else end:<11} {token.used_day or 'never':<11} {token.name}"
        )
        if words := _narrowed(token):
            say(f"{'':<13} {words}")
    return 0


def _as_json(token: TokenInfo, *, ended: bool) -> dict[str, Any]:
    scope = msgspec.to_builtins(token.scope, order="deterministic")
    fields: dict[str, Any] = msgspec.to_builtins(token)
    del fields["scope"]
    return {**fields, "ended": ended, **{name: scope.get(name) for name in Scope.__struct_fields__}}


def _narrowed(token: TokenInfo) -> str:
    """What the line of a token does not say."""
    scope = token.scope
    return "; ".join(
        words
        for said, words in (
            (scope.services, f"for {', '.join(sorted(scope.services))}"),
            (scope.acts, f"may {', '.join(sorted(scope.acts))}"),
            (scope.ae_title, f"stores as {scope.ae_title}"),
            (scope.networks, f"from {', '.join(scope.networks)}"),
            (scope.studies_from, f"sees studies from {', '.join(sorted(scope.studies_from))}"),
            (token.used_from, f"used last from {token.used_from}"),
        )
        if said
    )


def _day(posix: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(posix))


async def _revoke(options: argparse.Namespace) -> int:
    loaded = await configuration(options)
    from edge.admin.local import wake_service

    async with witnessed(options, loaded, Event.SECURITY) as (cache, _):
        if not await cache.tokens.revoke(options.token_id):
            raise UserRefused(
                f"there is no token {options.token_id}", hint="edge token list names them"
            )
        # The service remembers for two seconds whom it knows; it is told at once.
        await wake_service(cache.folder)
    say(f"edge: token {options.token_id} is worthless now", file=sys.stderr)
    return 0
