"""``edge check``: goes through what the box keeps, and says what is not as it was written."""

# ruff: noqa: PLC0415 - see `edge.commands.parsing`

from __future__ import annotations

import argparse
import asyncio
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from edge.access.audit.entry import Event
from edge.commands.parsing import Acts, Commands, configuration
from edge.commands.witness import witnessed
from edge.commands.words import counted, moment, say

if TYPE_CHECKING:
    from edge.access.audit.check import Report

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add the command."""
    acts = Acts(commands.add("check", "Go through what the box keeps, and say what was changed."))
    audit = acts.add("audit", "Prove every entry of the record of who did what.", _audit)
    audit.add_argument("--json", action="store_true", help="for programs")
    audit.add_argument(
        "--seen", action="store_true", help="somebody knows of what it finds: an alarm no more"
    )


async def _audit(options: argparse.Namespace) -> int:
    loaded = await configuration(options)
    from edge.access.audit.check import check_record
    from edge.access.audit.damage import flaws_of

    async with witnessed(options, loaded, Event.READ_RECORD) as (cache, said):
        report = await asyncio.to_thread(check_record, cache.audit.folder, cache.audit.known)
        said["found"] = "sound" if report.is_sound else f"{len(report.findings)} findings"
        damage = await cache.audit.damages.checked(report)
        if options.seen:
            damage = await cache.audit.damages.see(flaws_of(report))
            said["seen"] = "yes"
    if options.json:
        say(json.dumps(_as_json(report)))
    else:
        _print(report)
        if damage.what:
            say("  edge status says so until somebody has seen to it: edge check audit --seen")
    return int(not report.is_sound)


def _as_json(report: Report) -> dict[str, object]:
    return {
        "sound": report.is_sound,
        "segments": report.segments,
        "entries": report.entries,
        "since": report.since,
        "last": report.head.number,
        "digest": report.head.digest.hex(),
        "findings": [asdict(finding) for finding in report.findings],
    }


def _print(report: Report) -> None:
    since = f", since {moment(report.since)}" if report.entries else ""
    entries = counted(report.entries, "entry", "entries")
    say(f"{entries} in {counted(report.segments, 'segment', 'segments')}{since}")
    if report.head.number:
        # To be compared with what was told elsewhere: a syslog server, a paper.
        say(f"the last is {report.head.number}, digest {report.head.digest.hex()[:32]}")
    for finding in report.findings:
        kind = f"{finding.fault} (harmless)" if finding.is_harmless else finding.fault
        say(f"  segment {finding.segment}: {kind}: {finding.what}")
    say("the record is as it was written" if report.is_sound else "the record was changed")
