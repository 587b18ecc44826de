"""``edge commit``: storage commitment, what devices asked the box to vouch for.

It acts on the index, whether the service runs or not, and wakes it if it does: only the service
reports.
"""

# ruff: noqa: PLC0415 - see `edge.commands.parsing`

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from edge.access.audit.entry import Event
from edge.commands.parsing import Acts, Commands, Run, configuration
from edge.commands.witness import witnessed
from edge.commands.words import moment, say
from edge.errors import ConfigError

if TYPE_CHECKING:
    from edge.cache.commitments import Commitment
    from edge.cache.listing import Page

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add the command."""
    acts = Acts(commands.add("commit", "List, report or forget storage commitments."))
    listing = acts.add("list", "List what devices asked the box to vouch for.", _list)
    listing.add_argument("--json", action="store_true", help="for programs")
    listing.add_argument("--limit", type=_count, default=50, metavar="N", help="show so many")
    listing.add_argument("--offset", type=_count, default=0, metavar="N", help="leave out so many")
    for name, text, every in (
        ("retry", "Report them now, also what was given up.", "all that are decided"),
        ("forget", "Never report them: the device hears nothing.", "all that were given up"),
    ):
        act = acts.add(name, text, _deciding(name))
        act.add_argument("transaction_uids", nargs="*", metavar="TRANSACTION_UID", help="which")
        act.add_argument("--all", action="store_true", help=every)


async def _list(options: argparse.Namespace) -> int:
    loaded = await configuration(options)
    from edge.opening import Cache

    async with Cache(loaded) as cache:
        page = await cache.commitments.page(limit=options.limit, offset=options.offset)
    if options.json:
        say(json.dumps(asdict(page)))
    else:
        _print(page)
    return 0


def _print(page: Page[Commitment]) -> None:
    say(f"storage commitments: {page.total}")
    for one in page.items:
        say("", f"  {one.transaction_uid}  (from {one.peer})")
        say(f"    asked     {moment(one.asked)}, {one.instances} images")
        say(f"    state     {_state(one)}")
        if one.reason:
            say(f"    trouble   {one.reason} (tried {one.tries} times)")


def _state(one: Commitment) -> str:
    if one.outcome == "GIVEN_UP":
        return f"given up {moment(one.ended)}: retry, or forget"
    if one.outcome:
        safe = one.instances - one.failed
        return f"reported {moment(one.ended)}: {safe} committed, {one.failed} not"
    if not one.decided:
        return _waits(one)
    if one.tries:
        return f"decided, will be reported {moment(one.retry_at)}"
    return "decided, is being reported"


def _waits(one: Commitment) -> str:
    if one.absent is None:
        return "waits for its images to be safe"
    for_what = []
    if one.absent:
        for_what.append(f"{one.absent} not here, may still come until {moment(one.absent_until)}")
    if one.unsafe:
        for_what.append(f"{one.unsafe} here, and not safe yet")
    return f"waits: {'; '.join(for_what)}" if for_what else "is being decided"


def _deciding(name: str) -> Run:
    async def run(options: argparse.Namespace) -> int:
        if bool(options.transaction_uids) == options.all:
            raise ConfigError(
                "it is not clear about which transactions that is",
                hint="name Transaction UIDs, or else --all",
            )
        loaded = await configuration(options)
        from edge.admin.local import wake_service

        which = None if options.all else options.transaction_uids
        async with witnessed(options, loaded, Event.ADMINISTERED) as (cache, _):
            act = cache.commitments.retry if name == "retry" else cache.commitments.forget
            done = await act(which)
        runs = await wake_service(loaded.appliance.data_dir)
        when = "" if name == "forget" else " now" if runs else " when the service starts"
        say(f"edge: {name}: {done} storage commitments{when}", file=sys.stderr)
        return 0

    return run


def _count(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 1_000_000:
        raise ValueError(text)
    return number
