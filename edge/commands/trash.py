"""``edge trash``: what the archive deleted and is kept for some days.

It acts on the index, whether the service runs or not, and wakes it if it does: only the service
erases.
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
    from edge.cache.listing import Page
    from edge.cache.trash import InTrash, Query

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add the command."""
    acts = Acts(commands.add("trash", "List, restore or erase what the archive deleted."))
    listing = acts.add("list", "List what is in the trash, the newest first.", _list)
    listing.add_argument("--json", action="store_true", help="for programs")
    listing.add_argument("--limit", type=_count, default=50, metavar="N", help="show so many")
    listing.add_argument("--offset", type=_count, default=0, metavar="N", help="leave out so many")
    restore = acts.add("restore", "Show images again, and send them to the archive.", _restore)
    empty = acts.add("empty", "Erase images before their days are over.", _empty)
    for act in (restore, empty):
        act.add_argument("sop_uids", nargs="*", metavar="SOP_UID", help="SOP Instance UIDs")
        act.add_argument("--study", metavar="UID", help="all of this study that is in the trash")
        act.add_argument("--all", action="store_true", help="all that is in the trash")
    empty.add_argument("--yes", action="store_true", help="nobody will have them then")


async def _list(options: argparse.Namespace) -> int:
    loaded = await configuration(options)
    from edge.cache.trash import Query

    async with witnessed(options, loaded, Event.QUERIED) as (cache, _):
        page = await cache.trash.contents(Query(limit=options.limit, offset=options.offset))
    if options.json:
        say(json.dumps(asdict(page)))
    else:
        _print(page)
    return 0


def _print(page: Page[InTrash]) -> None:
    say(f"in the trash: {page.total}")
    for one in page.items:
        say("", f"  {one.sop_uid}  (study {one.study_uid})")
        say(f"    patient   {one.patient_name or '?'}, {one.patient_id or 'no ID'}")
        say(f"    deleted   by archive {one.archive or '?'}: {one.reason or '?'}")
        say(f"    stored    {one.size} bytes")
        until = "as soon as the service gets to it" if one.until is None else moment(one.until)
        say(f"    erased    {until}")


async def _restore(options: argparse.Namespace) -> int:
    query = _query(options)
    loaded = await configuration(options)
    from edge.admin.local import wake_service

    async with witnessed(options, loaded, Event.ADMINISTERED) as (cache, _):
        done = await cache.trash.restore(query)
    await wake_service(loaded.appliance.data_dir)
    if not done:
        say("edge: restore: none of these is in the trash", file=sys.stderr)
        return 0
    owed = "the archive deleted them, and will be sent them again"
    say(f"edge: restore: {_images(done, 'is', 'are')} shown again; {owed}", file=sys.stderr)
    return 0


async def _empty(options: argparse.Namespace) -> int:
    query = _query(options)
    if not options.yes:
        raise ConfigError(
            "the archive has these images no more, and then nobody has", hint="say --yes"
        )
    loaded = await configuration(options)
    from edge.admin.local import wake_service

    async with witnessed(options, loaded, Event.DELETED) as (cache, _):
        done = await cache.trash.empty(query)
    runs = await wake_service(loaded.appliance.data_dir)
    if not done:
        say("edge: empty: none of these is in the trash", file=sys.stderr)
        return 0
    when = "now" if runs else "when the service starts"
    say(f"edge: empty: {_images(done, 'will', 'will')} be erased {when}", file=sys.stderr)
    return 0


def _images(count: int, one: str, many: str) -> str:
    return f"1 image {one}" if count == 1 else f"{count} images {many}"


def _query(options: argparse.Namespace) -> Query:
    from edge.cache.trash import Query

    if [bool(options.sop_uids), options.study is not None, options.all].count(True) != 1:
        raise ConfigError(
            "it is not clear about which images that is",
            hint="name SOP Instance UIDs, or else --study UID, or else --all",
        )
    return Query(tuple(options.sop_uids), options.study)


def _count(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 1_000_000:
        raise ValueError(text)
    return number
