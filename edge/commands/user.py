"""``edge user``: who may log in, as what, and who is logged in.

It acts on the index, whether the service runs or not; a running one knows it within seconds. Codes
are printed on standard output alone, and nothing else is.
"""

# ruff: noqa: PLC0415 - see `edge.commands.parsing`

from __future__ import annotations

import argparse
import contextlib
import logging
import sys
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from edge.access.acts import Act, Service
from edge.access.audit.entry import Event
from edge.access.roles import Role
from edge.access.scope import ANYTHING, Scope
from edge.commands.parsing import Acts, Commands, configuration
from edge.commands.welcome import redeemed_at
from edge.commands.witness import witnessed
from edge.commands.words import counted, moment, say
from edge.errors import ConfigError

if TYPE_CHECKING:
    from edge.access.sessions import Session
    from edge.access.user import User
    from edge.access.users import Handed
    from edge.config import Config
    from edge.opening import Cache

__all__ = ["add"]

_ROLES = [str(role) for role in Role]


def add(commands: Commands) -> None:
    """Add the command."""
    acts = Acts(commands.add("user", "People who log in: invite, reset, disable, remove, list."))
    acts.add("first-code", "Print a new code by which the first admin is made.", _first_code)
    invite = acts.add("add", "Invite somebody: print a code by which they set a password.", _add)
    _named(invite, "that they will type to log in")
    invite.add_argument("--role", choices=_ROLES, required=True)
    invite.add_argument("--display-name", default="", metavar="TEXT", help="that people read")
    reset = acts.add("reset", "Make a password worthless: print a code for another.", _reset)
    _named(reset)
    reset.add_argument(
        "--forget-factors", action="store_true", help="a lost second factor, and all passkeys, too"
    )
    for name, text, run in (
        ("disable", "Let somebody in no more, until they are enabled.", _disable),
        ("enable", "Let somebody in again.", _enable),
        ("remove", "Forget somebody.", _remove),
        ("sessions", "List where people are logged in.", _sessions),
        ("logout", "Log somebody out, everywhere.", _logout),
    ):
        act = acts.add(name, text, run)
        if run is _sessions:
            act.add_argument("name", metavar="NAME", nargs="?", help="of this one alone")
            act.add_argument("--json", action="store_true", help="for programs")
        else:
            _named(act)
    role = acts.add("role", "Give somebody another role; it holds at once.", _role)
    _named(role)
    role.add_argument("role", choices=_ROLES, metavar="ROLE", help=", ".join(_ROLES))
    _narrowing(
        acts.add("narrow", "Leave somebody a part of their role; it holds at once.", _narrow)
    )
    glass = acts.add("emergencies", "List emergency accesses, and why they were begun.", _glass)
    glass.add_argument("--json", action="store_true", help="for programs")
    looked = acts.add("looked", "Say that an emergency access was looked at.", _looked)
    looked.add_argument("emergency_id", metavar="ID")
    listing = acts.add("list", "List everybody who may log in.", _list)
    listing.add_argument("--json", action="store_true", help="for programs")


def _narrowing(parser: argparse.ArgumentParser) -> None:
    _named(parser)
    for option, dest, choices, text in (
        ("--for", "services", [str(one) for one in Service], "only this service"),
        ("--may", "acts", [str(one) for one in Act], "only this, of what the role may"),
        ("--studies-from", "studies_from", None, "only studies that this AE title sent"),
        ("--from", "networks", None, "only from this address or network"),
    ):
        parser.add_argument(
            option,
            dest=dest,
            action="append",
            choices=choices,
            metavar=None if choices else dest.upper().rstrip("S"),
            default=[],
            help=f"{text}; may be given several times",
        )
    parser.add_argument("--not", dest="whole", action="store_true", help="all of the role again")


def _named(parser: argparse.ArgumentParser, text: str = "of the user") -> None:
    parser.add_argument("name", metavar="NAME", help=text)


@contextlib.asynccontextmanager
async def _acting(
    options: argparse.Namespace, loaded: Config
) -> AsyncIterator[tuple[Cache, dict[str, str]]]:
    """The box, and what the audit is told; a command says itself what it did, and once."""
    acts = logging.getLogger("edge.access")
    before = acts.level
    acts.setLevel(logging.WARNING)
    try:
        async with witnessed(options, loaded, Event.USER) as found:
            yield found
    finally:
        acts.setLevel(before)


async def _first_code(options: argparse.Namespace) -> int:
    loaded = await configuration(options)

    async with _acting(options, loaded) as (cache, _):
        handed = await cache.users.first_code()
    say(handed.code)
    say(f"edge: it makes the first admin, once, until {moment(handed.until)}", file=sys.stderr)
    say(f"edge: it is redeemed at {redeemed_at(loaded)}", file=sys.stderr)
    return 0


async def _add(options: argparse.Namespace) -> int:
    loaded = await configuration(options)

    async with _acting(options, loaded) as (cache, _):
        handed = await cache.users.add(options.name, Role(options.role), options.display_name)
    _hand(handed, redeemed_at(loaded))
    return 0


async def _reset(options: argparse.Namespace) -> int:
    loaded = await configuration(options)

    async with _acting(options, loaded) as (cache, _):
        handed = await cache.users.reset(options.name, forget_factors=options.forget_factors)
    _hand(handed, redeemed_at(loaded))
    return 0


def _hand(handed: Handed, where: str) -> None:
    say(handed.code)
    say(f"edge: it is for {handed.name}, once, until {moment(handed.until)}", file=sys.stderr)
    say(f"edge: it is redeemed at {where}", file=sys.stderr)


async def _disable(options: argparse.Namespace) -> int:
    return await _change(options, "may not log in any more", disabled=True)


async def _enable(options: argparse.Namespace) -> int:
    return await _change(options, "may log in again", disabled=False)


async def _role(options: argparse.Namespace) -> int:
    return await _change(options, f"is {options.role} now", role=Role(options.role))


async def _narrow(options: argparse.Namespace) -> int:
    try:
        scope = Scope(
            services=frozenset(map(Service, options.services)),
            acts=frozenset(map(Act, options.acts)),
            studies_from=frozenset(one.strip() for one in options.studies_from),
            networks=tuple(options.networks),
        )
    except ValueError as error:
        raise ConfigError(f"nobody can be narrowed so: {error}") from error
    if (scope == ANYTHING) is not options.whole:
        raise ConfigError("say what is left of the role, or --not for all of it")
    words = f"is narrowed: {narrowed_words(scope)}" if scope != ANYTHING else "is not narrowed"
    return await _change(options, words, scope=scope)


def narrowed_words(scope: Scope) -> str:
    """What is left of a role."""
    return "; ".join(
        f"{words} {', '.join(sorted(some))}"
        for words, some in (
            ("for", scope.services),
            ("may only", scope.acts),
            ("sees studies from", scope.studies_from),
            ("from", scope.networks),
        )
        if some
    )


async def _change(
    options: argparse.Namespace,
    done: str,
    *,
    disabled: bool | None = None,
    role: Role | None = None,
    scope: Scope | None = None,
) -> int:
    loaded = await configuration(options)
    from edge.access.oidc.people import ProviderPeople

    async with _acting(options, loaded) as (cache, _):
        people = ProviderPeople(cache.database)
        if people.has(options.name) and disabled is not None:
            known = await people.change(options.name, disabled=disabled)
            say(f"edge: {known.name} {done}", file=sys.stderr)
            return 0
        if people.has(options.name) and scope is not None:
            known = await people.change(options.name, scope=scope)
            say(f"edge: {known.name} {done}", file=sys.stderr)
            return 0
        user = await cache.users.change(options.name, disabled=disabled, role=role, scope=scope)
    needs_code = user.state == "invited" and scope is None
    more = f"; edge user reset {user.name} prints a code" if needs_code else ""
    say(f"edge: {user.name} {done}{more}", file=sys.stderr)
    return 0


async def _remove(options: argparse.Namespace) -> int:
    loaded = await configuration(options)
    from edge.access.oidc.people import ProviderPeople

    async with _acting(options, loaded) as (cache, _):
        people = ProviderPeople(cache.database)
        of_provider = people.has(options.name)
        removed = await (people if of_provider else cache.users).remove(options.name)
    done = "is removed" if removed else "is no user"
    say(f"edge: {options.name} {done}", file=sys.stderr)
    return int(not removed)


async def _logout(options: argparse.Namespace) -> int:
    loaded = await configuration(options)

    async with _acting(options, loaded) as (cache, _):
        ended = await cache.sessions.end_all(options.name.strip().lower(), None)
    places = counted(ended, "place", "places")
    done = f"was logged in at {places}, and is no more" if ended else "was not logged in"
    say(f"edge: {options.name} {done}", file=sys.stderr)
    return 0


async def _list(options: argparse.Namespace) -> int:
    loaded = await configuration(options)
    import msgspec

    from edge.access.oidc.people import ProviderPeople
    from edge.admin.identities import known_identity
    from edge.admin.users import known_user
    from edge.opening import Cache

    async with Cache(loaded) as cache:
        users = await cache.users.list()
        provided = await ProviderPeople(cache.database).list()
    if options.json:
        everybody = [*map(known_user, users), *map(known_identity, provided)]
        say(msgspec.json.encode(everybody).decode())
    elif not users and not provided:
        say("edge: there are no users yet; edge user first-code prints a code", file=sys.stderr)
    else:
        say(f"{'NAME':<20}  {'ROLE':<12}  {'STATE':<8}  {'LAST LOG-IN':<20}  SECOND FACTOR")
    for user in () if options.json else users:
        say(_line(user))
        _say_narrowed(user.scope)
    for one in () if options.json else provided:
        seen = "never" if one.vouched is None else moment(one.vouched)
        shown = f"  ({one.display_name})" if one.display_name else ""
        say(f"{one.name:<20}  {one.role:<12}  {one.state:<8}  {seen:<20}  {one.issuer}{shown}")
        _say_narrowed(one.scope)
    return 0


def _say_narrowed(scope: Scope | None) -> None:
    if scope is None:
        say(f"{'':<20}  narrowed by another version of this program: nothing is left")
    elif scope != ANYTHING:
        say(f"{'':<20}  {narrowed_words(scope)}")


def _line(user: User) -> str:
    seen = "never" if user.last_seen is None else moment(user.last_seen)
    factors = ", ".join(user.second_factors) or "none"
    shown = f"  ({user.display_name})" if user.display_name else ""
    code = f"  code until {moment(user.code_until)}" if user.code_until is not None else ""
    # Who has been reset stays who they are; with no password, they can't log in by one.
    is_reset = user.state == "active" and user.code_until is not None
    state = "reset" if is_reset else user.state
    return f"{user.name:<20}  {user.role:<12}  {state:<8}  {seen:<20}  {factors}{shown}{code}"


async def _sessions(options: argparse.Namespace) -> int:
    loaded = await configuration(options)
    import msgspec

    from edge.admin.users import logged_in
    from edge.opening import Cache

    name = None if options.name is None else options.name.strip().lower()
    async with Cache(loaded) as cache:
        sessions = await cache.sessions.list(name, None)
    if options.json:
        say(msgspec.json.encode([logged_in(one) for one in sessions]).decode())
        return 0
    if not sessions:
        say("edge: nobody is logged in", file=sys.stderr)
    for one in sessions:
        say(_session(one))
    return 0


def _session(one: Session) -> str:
    ends = f"until {moment(one.idle_until)} if idle, {moment(one.until)} at the latest"
    who = f"{one.name} ({one.issuer})" if one.issuer else one.name
    return (
        f"{who:<20}  {one.role:<12}  since {moment(one.began)} from {one.address or '?'}"
        f" by {one.proved}, {ends}  {one.agent}"
    )


async def _glass(options: argparse.Namespace) -> int:
    loaded = await configuration(options)
    import msgspec

    from edge.access.emergencies import Emergencies

    async with witnessed(options, loaded, Event.QUERIED) as (cache, _):
        found = await Emergencies(cache.database).list()
    if options.json:
        say(msgspec.json.encode(found).decode())
        return 0
    if not found:
        say("edge: there was no emergency access", file=sys.stderr)
    for one in found:
        end = f"until {moment(one.ended or one.until)}"
        end = f"still open, {end}" if one.ended is None else f"{end}, {one.why_ended}"
        seen = "NOT LOOKED AT" if one.seen is None else f"looked at by {one.seen_by}"
        who = f"{one.name} ({one.role}) from {one.address or '?'}"
        say(f"{one.emergency_id}  {moment(one.began)}  {who}, {end}  {seen}")
        say(f"    {one.reason}")
    return 0


async def _looked(options: argparse.Namespace) -> int:
    loaded = await configuration(options)
    from edge.access.emergencies import Emergencies
    from edge.commands.witness import who

    async with _acting(options, loaded) as (cache, said):
        name = f"{who().name} at the machine"
        one = await Emergencies(cache.database).looked(options.emergency_id, name)
        said["target"] = one.emergency_id
    by = "" if one.seen_by == name else f" by {one.seen_by} before"
    done = f"edge: emergency access {one.emergency_id} of {one.name} was looked at{by}"
    say(done, file=sys.stderr)
    return 0
