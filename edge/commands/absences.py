"""``edge sync absent`` and its decisions: studies that the archive does not have any more."""

# ruff: noqa: PLC0415 - see `edge.commands.parsing`

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from edge.access.audit.entry import Event
from edge.commands.parsing import Acts, Run, configuration
from edge.commands.witness import witnessed
from edge.commands.words import moment, say
from edge.errors import ConfigError

if TYPE_CHECKING:
    from edge.cache.absences import AbsentStudy
    from edge.cache.listing import Page

__all__ = ["add"]


def add(acts: Acts) -> None:
    """Add the acts."""
    listing = acts.add("absent", "List studies that the archive has no more.", _absent)
    listing.add_argument("--json", action="store_true", help="for programs")
    listing.add_argument("--limit", type=_count, default=50, metavar="N", help="show so many")
    listing.add_argument("--offset", type=_count, default=0, metavar="N", help="leave out so many")
    for name, text in (
        ("accept-deletions", "They were deleted there on purpose: into the trash here."),
        ("send-again", "They were lost there: the archive gets them again."),
    ):
        act = acts.add(name, text, _deciding(name))
        act.add_argument("study_uids", nargs="*", metavar="STUDY_UID", help="which of them")
        act.add_argument(
            "--study", action="append", default=[], metavar="UID", help="the same, by its name"
        )
        act.add_argument("--all", action="store_true", help="all of them")


async def _absent(options: argparse.Namespace) -> int:
    loaded = await configuration(options)

    async with witnessed(options, loaded, Event.QUERIED) as (cache, _):
        page = await cache.absences.absent(limit=options.limit, offset=options.offset)
    if options.json:
        say(json.dumps(asdict(page)))
    else:
        _print(page)
    return 0


def _print(page: Page[AbsentStudy]) -> None:
    say(f"not in the archive any more: {page.total}")
    for one in page.items:
        say("", f"  {one.study_uid}")
        say(f"    patient   {one.patient_name or '?'}, {one.patient_id or 'no ID'}")
        say(f"    study     {one.study_date or 'no date'}, {one.description or '?'}")
        say(f"    images    {one.instances}, of them here {one.here}")
        say(f"    missed    since {moment(one.since)}")
        say(f"    decided   {_DECIDED[one.state]}")


_DECIDED = {
    "HELD": "not yet: accept-deletions, or send-again",
    "TRASH": "accept-deletions, not done yet",
    "AGAIN": "send-again, not done yet",
}


def _deciding(name: str) -> Run:
    async def run(options: argparse.Namespace) -> int:
        named = [*options.study_uids, *options.study]
        if bool(named) == options.all:
            raise ConfigError(
                "it is not clear about which studies that is",
                hint="name --study UID, once or more, or else --all",
            )
        loaded = await configuration(options)
        from edge.admin.local import wake_service
        from edge.cache.absences import State

        state = State.TRASH if name == "accept-deletions" else State.AGAIN
        async with witnessed(options, loaded, Event.ADMINISTERED) as (cache, _):
            done = await cache.absences.decide(None if options.all else named, state)
        await wake_service(loaded.appliance.data_dir)
        if done:
            studies = "1 study" if done == 1 else f"{done} studies"
            text = f"{studies}, once the archive can be asked"
        else:
            text = "none of these waits for it; see edge sync absent"
        say(f"edge: {name}: {text}", file=sys.stderr)
        return 0

    return run


def _count(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 1_000_000:
        raise ValueError(text)
    return number
