"""``edge mpps``: performed procedure steps, and what other systems are told.

It acts on the index, whether the service runs or not, and wakes it if it does: only the service
tells others.
"""

# ruff: noqa: PLC0415 - see `edge.commands.parsing`

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from edge.access.audit.entry import Event
from edge.commands.parsing import Acts, Commands, configuration
from edge.commands.witness import witnessed
from edge.commands.words import moment, say
from edge.errors import ConfigError

if TYPE_CHECKING:
    from edge.cache.outbox import Message, Outbox
    from edge.cache.procedures import Step
    from edge.opening import Cache

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add the command."""
    acts = Acts(commands.add("mpps", "List performed procedure steps, and who is told of them."))
    listing = acts.add("list", "List steps, those that changed last first.", _list)
    waiting = acts.add("outbox", "List what other systems were not told.", _outbox)
    for act in (listing, waiting):
        act.add_argument("--json", action="store_true", help="for programs")
        act.add_argument("--limit", type=_count, default=50, metavar="N", help="show so many")
        act.add_argument("--offset", type=_count, default=0, metavar="N", help="leave out so many")
    listing.add_argument("--study", default="", metavar="UID", help="of this study alone")
    retry = acts.add("retry", "Have messages sent again now.", _retry)
    retry.add_argument("ids", nargs="*", type=int, metavar="ID", help="as `edge mpps outbox` says")
    retry.add_argument("--all", action="store_true", help="all that were not delivered")
    drop = acts.add("drop", "Never send messages, nor what waits behind them.", _drop)
    drop.add_argument("ids", nargs="+", type=int, metavar="ID", help="as `edge mpps outbox` says")


async def _list(options: argparse.Namespace) -> int:
    loaded = await configuration(options)
    from edge.cache.procedures import Procedures

    async with witnessed(options, loaded, Event.QUERIED) as (cache, _):
        steps = Procedures(cache.database, cache.changes)
        page = await steps.page(study_uid=options.study, limit=options.limit, offset=options.offset)
    if options.json:
        say(json.dumps(asdict(page)))
        return 0
    say(f"performed procedure steps: {page.total}")
    for one in page.items:
        _print_step(one)
    return 0


def _print_step(one: Step) -> None:
    say("", f"  {one.sop_uid}  {one.state}")
    say(f"    patient   {one.patient_name or '?'}, {one.patient_id or 'no ID'}")
    say(f"    step      {' '.join(filter(None, (one.modality, one.description)))} at {one.station}")
    say(f"    studies   {', '.join(one.study_uids)}")
    say(f"    images    {one.instances} named, {one.missing} of them not here")
    say(f"    changed   {moment(one.changed)} by {one.peer}")
    for told in one.told:
        what = f"{told.waiting} messages wait" if told.waiting else "told all"
        if told.refused:
            what = f"{told.refused} messages were not taken, {told.waiting} wait"
        say(f"    {told.peer:<9} {what}{f': {told.reason}' if told.reason else ''}")


async def _outbox(options: argparse.Namespace) -> int:
    loaded = await configuration(options)
    from edge.opening import Cache

    async with Cache(loaded) as cache:
        outbox = _outbox_of(cache)
        page = await outbox.page(limit=options.limit, offset=options.offset)
        troubles = await outbox.troubles()
    if options.json:
        items = [{**asdict(one), "attributes": None} for one in page.items]
        peers = [asdict(one) for one in troubles]
        say(json.dumps({"total": page.total, "items": items, "peers": peers}))
        return 0
    for trouble in troubles:
        again = moment(trouble.retry_at)
        say(f"{trouble.peer}: not reached since {moment(trouble.since)}: {trouble.reason}")
        say(f"  tried {trouble.tries} times, again at {again}")
    say(f"not delivered: {page.total}")
    for one in page.items:
        _print_message(one)
    return 0


def _print_message(one: Message) -> None:
    about = f"study {one.study_uid} is available" if one.study_uid else f"step {one.sop_uid}"
    say(f"  {one.message_id}  {one.state.lower()}  to {one.peer}: {one.operation}, {about}")
    say(f"    since {moment(one.queued)}, tries: {one.tries}{one.reason and f', {one.reason}'}")


async def _retry(options: argparse.Namespace) -> int:
    if bool(options.ids) == options.all:
        raise ConfigError("it is not clear about which messages that is", hint="name IDs, or --all")
    return await _change(options, "retry", is_drop=False)


async def _drop(options: argparse.Namespace) -> int:
    return await _change(options, "drop", is_drop=True)


async def _change(options: argparse.Namespace, name: str, *, is_drop: bool) -> int:
    loaded = await configuration(options)
    from edge.admin.local import wake_service

    async with witnessed(options, loaded, Event.ADMINISTERED) as (cache, _):
        outbox = _outbox_of(cache)
        if is_drop:
            changed = await outbox.drop(options.ids)
        else:
            changed = await outbox.retry(None if options.all else options.ids)
    runs = await wake_service(loaded.appliance.data_dir)
    when = "" if is_drop else (" now" if runs else " when the service starts")
    what = "will not be sent" if is_drop else "will be sent"
    say(f"edge: {name}: {changed} messages {what}{when}", file=sys.stderr)
    return int(not changed and not getattr(options, "all", False))


def _outbox_of(cache: Cache) -> Outbox:
    from edge.cache.outbox import Outbox

    return Outbox(cache.database, cache.changes)


def _count(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 1_000_000:
        raise ValueError(text)
    return number
