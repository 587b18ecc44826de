"""``edge sync``: what a person has to decide about the archive, and what goes there first.

It acts on the index, whether the service runs or not, and wakes it if it does.
"""

# ruff: noqa: PLC0415 - see `edge.commands.parsing`

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

from edge.access.audit.entry import Event
from edge.commands import absences
from edge.commands.parsing import Acts, Commands, Run, configuration
from edge.commands.witness import witnessed
from edge.commands.words import moment, say
from edge.errors import ConfigError

if TYPE_CHECKING:
    from edge.cache.disputes import Disputes, Query
    from edge.cache.listing import Conflict, DeadLetter, Outcome, Page, Side

    _Decide = Callable[[Disputes, Query, argparse.Namespace], Awaitable[Outcome]]

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add the command."""
    acts = Acts(
        commands.add(
            "sync", "Say what the archive gets first; decide what it refuses or has otherwise."
        )
    )
    listing = acts.add("list", "List dead letters and conflicts, the newest first.", _list)
    listing.add_argument("--json", action="store_true", help="for programs")
    listing.add_argument("--limit", type=_count, default=50, metavar="N", help="of each kind")
    listing.add_argument("--offset", type=_count, default=0, metavar="N", help="leave out so many")
    listing.add_argument(
        "--given-up", action="store_true", help="the dead letters that were given up, instead"
    )

    first = acts.add("first", "Let a study go to the archive before all others.", _first)
    first.add_argument("--study", required=True, metavar="UID", help="Study Instance UID")
    first.add_argument("--not", dest="take_back", action="store_true", help="not any more")

    retry = _decision(acts, "retry", "Offer refused images again at once.", _retry)
    retry.add_argument(
        "--as-stored", action="store_true", help="the images themselves, and no copy any more"
    )
    transcode = _decision(
        acts, "transcode", "Offer a lossless copy in another transfer syntax.", _transcode
    )
    transcode.add_argument(
        "--transfer-syntax",
        default="explicit",
        metavar="NAME",
        help="explicit (default), implicit, deflated, rle, jpeg-lossless, jpeg-ls, jpeg-2000, or a"
        " UID",
    )
    supply = _decision(
        acts, "supply", "Offer a copy with an attribute that is missing or empty.", _supply, "TAG"
    )
    supply.epilog = "TAG is TAG=VALUE, such as PatientID=4711 or 0010,0020=4711."
    _decision(acts, "give-up", "Offer refused images no more, for a reason.", _give_up, "REASON")

    _decision(acts, "keep-both", "Leave a conflict with the archive as it is.", _keep_both)
    archive = _decision(
        acts, "keep-archive", "Take the archive's, ours into quarantine.", _keep_archive
    )
    archive.add_argument("--yes", action="store_true", help="throw ours away, it is lost then")
    ours = _decision(
        acts, "keep-ours", "Have the archive delete its own, and send ours.", _keep_ours
    )
    ours.add_argument("--yes", action="store_true", help="undo what was corrected in the archive")
    kept = _decision(acts, "keep-kept", "Throw away what is in quarantine.", _keep_kept)
    kept.add_argument("--yes", action="store_true", help="its bytes may be nowhere else")
    other = _decision(
        acts,
        "keep-other",
        "Let what is in quarantine be the image, what was kept goes there.",
        _keep_other,
    )
    for act in (kept, other):
        act.add_argument(
            "--digest", default="", metavar="HEX", help="the one whose digest begins so"
        )
    absences.add(acts)


def _decision(
    acts: Acts, name: str, text: str, decide: _Decide, first: str = ""
) -> argparse.ArgumentParser:
    """An act that decides about instances, which stand behind its own argument."""
    act = acts.add(name, text, _deciding(decide))
    if first:
        act.add_argument("argument", metavar=first)
    act.add_argument("sop_uids", nargs="*", metavar="SOP_UID", help="SOP Instance UIDs")
    act.add_argument("--study", metavar="UID", help="all of this study that it is for")
    act.add_argument("--all", action="store_true", help="all that it is for")
    return act


def _deciding(decide: _Decide) -> Run:
    async def run(options: argparse.Namespace) -> int:
        named = [bool(options.sop_uids), options.study is not None, options.all]
        if sum(named) != 1:
            raise ConfigError(
                "it is not clear about which images that is",
                hint="name SOP Instance UIDs, or else --study UID, or else --all",
            )
        loaded = await configuration(options)
        from edge.admin.local import wake_service
        from edge.cache.disputes import Query

        async with witnessed(options, loaded, Event.ADMINISTERED) as (cache, _):
            query = Query(tuple(options.sop_uids), options.study)
            outcome = await decide(cache.disputes, query, options)
        await wake_service(loaded.appliance.data_dir)
        return _print_outcome(options.act, outcome)

    return run


async def _first(options: argparse.Namespace) -> int:
    loaded = await configuration(options)
    from edge.admin.local import wake_service
    from edge.cache.changes import Changes
    from edge.cache.custody import CustodyLedger

    async with witnessed(options, loaded, Event.ADMINISTERED) as (cache, _):
        ledger = CustodyLedger(cache.database, Changes())
        waiting = await ledger.upload_first(options.study, first=not options.take_back)
    await wake_service(loaded.appliance.data_dir)
    turn = "in its turn" if options.take_back else "first"
    images = "1 image" if waiting == 1 else f"{waiting} images"
    say(f"edge: the study goes {turn}; still to go: {images}", file=sys.stderr)
    return 0


async def _retry(disputes: Disputes, query: Query, options: argparse.Namespace) -> Outcome:
    return await disputes.retry(query, as_stored=options.as_stored)


async def _transcode(disputes: Disputes, query: Query, options: argparse.Namespace) -> Outcome:
    return await disputes.transcode(query, options.transfer_syntax)


async def _supply(disputes: Disputes, query: Query, options: argparse.Namespace) -> Outcome:
    return await disputes.supply(query, options.argument)


async def _give_up(disputes: Disputes, query: Query, options: argparse.Namespace) -> Outcome:
    return await disputes.give_up(query, options.argument)


async def _keep_both(disputes: Disputes, query: Query, _: argparse.Namespace) -> Outcome:
    return await disputes.keep_both(query)


async def _keep_archive(disputes: Disputes, query: Query, options: argparse.Namespace) -> Outcome:
    outcome = await disputes.keep_archive(query, alone=options.yes)
    if outcome.done and options.yes:
        _say("once the archive's is here, ours is thrown away")
    elif outcome.done:
        _say(f"once the archive's is here, ours {_STAYS}; keep-archive --yes does both at once")
    return outcome


async def _keep_ours(disputes: Disputes, query: Query, options: argparse.Namespace) -> Outcome:
    outcome = await disputes.keep_ours(query, confirmed=options.yes)
    if outcome.done:
        _say(f"what was corrected in the archive's is undone; it {_STAYS}")
    return outcome


async def _keep_kept(disputes: Disputes, query: Query, options: argparse.Namespace) -> Outcome:
    return await disputes.keep_kept(query, digest=options.digest, confirmed=options.yes)


async def _keep_other(disputes: Disputes, query: Query, options: argparse.Namespace) -> Outcome:
    return await disputes.keep_other(query, digest=options.digest)


_STAYS = (
    "goes into quarantine here, and stays in edge sync list until keep-kept --yes throws it away,"
    " or keep-other takes it"
)


def _say(text: str) -> None:
    say(f"edge: {text}", file=sys.stderr)


def _print_outcome(act: str, outcome: Outcome) -> int:
    """Say what became of it; the exit status is 1 if any of it could not be done."""
    if not (outcome.done or outcome.unchanged or outcome.refused):
        say(f"edge: {act}: none of these waits for it; see edge sync list", file=sys.stderr)
        return 0
    images = f"{outcome.done} image{'' if outcome.done == 1 else 's'}"
    already = f"; {outcome.unchanged} were so already" if outcome.unchanged else ""
    say(f"edge: {act}: {images}{already}", file=sys.stderr)
    for one in outcome.refused:
        say(f"edge: {one.sop_uid}: {one.why}", file=sys.stderr)
    return int(bool(outcome.refused))


async def _list(options: argparse.Namespace) -> int:
    loaded = await configuration(options)

    page = {"limit": options.limit, "offset": options.offset}
    async with witnessed(options, loaded, Event.QUERIED) as (cache, _):
        letters = await cache.disputes.dead_letters(given_up=options.given_up, **page)
        conflicts = await cache.disputes.conflicts(**page)
    if options.json:
        say(json.dumps({"dead_letters": asdict(letters), "conflicts": asdict(conflicts)}))
    else:
        _print_letters(letters, "given up" if options.given_up else "refused by the archive")
        _print_conflicts(conflicts)
    return 0


def _print_letters(page: Page[DeadLetter], what: str) -> None:
    say(f"{what}: {page.total}")
    for one in page.items:
        say("", f"  {one.sop_uid}  (study {one.study_uid})")
        say(f"    patient   {one.patient_name or '?'}, {one.patient_id or 'no ID'}")
        again = moment(one.next_try) if one.next_try else "not before it is decided"
        say(f"    refused   since {moment(one.since)}, {one.tries} times; next: {again}")
        say(f"    because   {one.reason or '?'}")
        say(f"    stored    {one.transfer_syntax}, {one.size} bytes, from {one.peer or '?'}")
        if one.copy is not None:
            parts = [one.copy.transfer_syntax, *one.copy.supplied]
            say(f"    sent as   a copy: {', '.join(filter(None, parts))}")
        if one.given_up is not None:
            say(f"    given up  {moment(one.given_up)}: {one.given_up_because}")
        say(f"    choices   {', '.join(one.choices)}")


def _print_conflicts(page: Page[Conflict]) -> None:
    say(f"in conflict: {page.total}")
    for one in page.items:
        say("", f"  {one.sop_uid}  (study {one.study_uid})")
        say(f"    patient   {one.patient_name or '?'}, {one.patient_id or 'no ID'}")
        say(f"    since     {moment(one.since)}: {one.reason or '?'}")
        say(f"    kept      {_side(one.kept)}")
        say(f"    other     {_side(one.other)}, in {_PLACES[one.kind]}")
        if one.edited:
            say(f"    edited    in the archive: {', '.join(one.edited)} of this study")
        if one.decision:
            say(f"    decided   {one.decision}, not done yet")
        if one.note:
            say(f"    failed    {one.note}")
        say(f"    choices   {', '.join(one.choices)}")


_PLACES = {"archive": "the archive", "quarantine": "quarantine here"}


def _side(side: Side | None) -> str:
    if side is None:
        return "none"
    came = f", {moment(side.received)}" if side.received else ""
    source = f"{side.origin} {side.peer}".strip()
    size = f"{side.size} bytes" if side.size else "size unknown"
    return (
        f"{side.transfer_syntax or 'transfer syntax unknown'}, {size},"
        f" digest {side.digest or 'unknown'}, from {source}{came}"
    )


def _count(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 1_000_000:
        raise ValueError(text)
    return number
