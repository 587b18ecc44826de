"""``edge status``: what is here, and who vouches for it."""

# ruff: noqa: PLC0415 - see `edge.commands.parsing`

from __future__ import annotations

import argparse
import asyncio
import json
from typing import TYPE_CHECKING

from edge.commands.parsing import Commands, configuration
from edge.commands.words import moment, say, speed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.cache.backup import Overview
    from edge.cache.status import AuditState, LineState, PrefetchState, Standing, Status
    from edge.cache.worklist import SourceState

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add the command."""
    command = commands.add("status", "Say what is here, and who vouches for it.", _status)
    command.add_argument("--json", action="store_true", help="for programs")
    command.add_argument(
        "--studies", action="store_true", help="name the studies that wait, and when they will go"
    )


async def _status(options: argparse.Namespace) -> int:
    loaded = await configuration(options)
    from edge.access.tls import fingerprints
    from edge.admin.local import cages_of_service, parts_of_service
    from edge.opening import Cache

    async with Cache(loaded) as cache:
        parts, cages = await parts_of_service(cache.folder), await cages_of_service(cache.folder)
        shown = await asyncio.to_thread(fingerprints, loaded.http, cache.folder / "tls")
        status = await cache.status(parts, cages)
    if options.json:
        say(json.dumps(status.as_json()))
    else:
        _print(status)
        if shown is not None:
            whose = "authority" if shown.authority else "certificate"
            say(f"  TLS {whose:<18}SHA-256 {shown.authority or shown.server}")
        if options.studies:
            _print_studies(status.line)
    return int(status.parts is None)


def _print(status: Status) -> None:
    numbers = status.summary
    say(status.sentence)
    say(f"  studies               {numbers.studies}")
    say(f"  only here             {numbers.studies_only_here}")
    say(f"  perhaps only here     {numbers.studies_perhaps_only_here}")
    say(f"  instances             {numbers.instances}, of them here {numbers.instances_online}")
    for name, count in sorted(numbers.custody.items()):
        say(f"    {name.lower():<20}{count}")
    say(f"  to be sent            {numbers.backlog_bytes / 1e6:.1f} MB")
    if numbers.by_courier:
        since = moment(numbers.by_courier_since)
        say(f"  by courier            {numbers.by_courier} on their way since {since}")
    capacity = status.capacity_bytes / 1e6
    say(f"  on disk               {numbers.sealed_bytes / 1e6:.1f} MB of {capacity:.1f} MB")
    aside = f", of them in quarantine {numbers.quarantined}" if numbers.quarantined else ""
    say(f"  in conflict           {numbers.in_conflict}{aside}")
    say(f"  given up              {numbers.given_up}")
    say(f"  lost                  {numbers.lost}")
    say(f"  rejected              {numbers.rejected}")
    until = "" if status.trash_until is None else f", until {moment(status.trash_until)}"
    say(f"  in the trash          {numbers.trashed}{until}")
    say(f"  archive has no more   {numbers.absent} studies: edge sync absent")
    coming, told = status.procedures, status.procedures.untold + status.procedures.refused
    say(f"  coming in             {coming.coming_in} studies, {coming.in_progress} steps under way")
    if told:
        say(f"  not told to others    {told} messages, {coming.refused} refused: edge mpps outbox")
    for archive in status.archives:
        state = "online" if archive.online else "offline"
        state += f": {archive.reason}" if archive.reason else ""
        say(f"  archive {archive.name}: {state} (since {moment(archive.since)})")
        if archive.role != "primary":
            say(f"    as {archive.role}, not proven to have {archive.unproven}")
        if archive.lost and archive.lost_at is not None:
            say(f"    it lost {archive.lost} images so far, the last {moment(archive.lost_at)}")
    _print_commitments(status.commitments)
    if status.archives or status.untried:
        _print_line(status.line)
        _print_prefetch(status.prefetch)
    _print_worklist(status.worklist)
    for token in status.tokens:
        say(f"  {token.sentence}: edge token list")
    for certificate in status.certificates:
        say(f"  {certificate.sentence}")
    for authority in status.authorities:
        say(f"  {authority.sentence}")
    for lost in status.lost_secrets:
        say(f"  {lost.sentence}")
    _print_audit(status.audit)
    _print_backups(status.backups)
    for line in status.machine.lines():
        say(f"  {line}")
    _print_parts(status)


def _print_parts(status: Status) -> None:
    for process, lacks in sorted(status.cages.items()):
        say(f"  {lacks}" if process == "memory" else f"  the cage of {process} lacks {lacks}")
    for name, words in sorted(status.found.items()):
        say(f"  {name}: {words}")
    for part, state in sorted((status.parts or {}).items()):
        if state != "running":
            say(f"  {part}: {state}")


def _print_audit(audit: AuditState) -> None:
    to = ""
    if audit.server:
        waits = f", {audit.waiting} wait" if audit.waiting else ""
        to = f", to {audit.server}{waits}"
    say(f"  audit                 {audit.entries} entries{to}")
    if audit.trouble:
        say(f"    since {moment(audit.trouble_since)}: {audit.trouble}")
    if audit.damage:
        say(f"    found damaged {moment(audit.damage_since)}: {audit.damage}: edge check audit")


def _print_backups(backups: Overview) -> None:
    for last in backups.last:
        say(f"  backup: {last.where}: {moment(last.made)}")
    if not backups.has_recovery_key:
        say("  there is no recovery key: after a fire nothing of this box can be recovered")
    elif not backups.last:
        say("  no backup was made yet")


def _print_commitments(standing: Standing) -> None:
    known = f"{standing.waiting} wait, {standing.unreported} to be reported"
    if standing.given_up:
        known += f", {standing.given_up} given up: edge commit list"
    say(f"  storage commitments   {known}")
    if standing.reason:
        say(f"    the last report did not get through: {standing.reason}")


def _print_line(line: LineState) -> None:
    for name, measured, kbps in (
        ("upload", line.upload_speed, line.upload_kbps),
        ("download", line.download_speed, line.download_kbps),
    ):
        limit = {None: "no limit", 0: "nothing may go now"}.get(kbps, f"limit {kbps} kbit/s")
        say(f"  {name:<22}{speed(measured)} ({limit})")
    if line.backlog_eta is not None:
        say(f"  all sent              about {moment(line.backlog_eta)}")
    went = f"{line.month_sent_bytes / 1e6:.1f} MB up, {line.month_received_bytes / 1e6:.1f} MB down"
    say(f"  this month            {went}")
    if line.budget_left_bytes is not None and line.budget_renewed is not None:
        left, total = line.budget_left_bytes / 1e6, line.budget_bytes / 1e6
        renewed = moment(line.budget_renewed)
        say(f"  budget                {left:.1f} MB left of {total:.0f} MB, anew {renewed}")


def _print_prefetch(prefetch: PrefetchState) -> None:
    noun = "study" if prefetch.studies == 1 else "studies"
    later = f", {prefetch.later} more in quiet hours" if prefetch.later else ""
    say(f"  prefetch              {prefetch.studies} {noun} to come{later}")
    if prefetch.pinned_studies:
        size = f"{prefetch.pinned_bytes / 1e6:.1f} MB"
        missing = f", {prefetch.pinned_missing} images not here" if prefetch.pinned_missing else ""
        say(f"  pinned                {prefetch.pinned_studies} studies, {size}{missing}")


def _print_worklist(sources: Sequence[SourceState]) -> None:
    for source in sources:
        age = f"as of {moment(source.succeeded)}" if source.succeeded else "never renewed"
        if source.name == "api":
            age = "added here"
        steps = "1 step" if source.steps == 1 else f"{source.steps} steps"
        say(f"  worklist {source.name}: {steps}, {age}")
        if source.error and source.failing_since:
            say(f"    since {moment(source.failing_since)}: {source.error}")
        for problem in source.problems:
            say(f"    not right: {problem}")


def _print_studies(line: LineState) -> None:
    for one in line.studies:
        when = "time not known" if one.eta is None else f"about {moment(one.eta)}"
        images = "1 image" if one.instances == 1 else f"{one.instances} images"
        say(f"  waits: {one.study_uid}  {images}, {one.bytes / 1e6:.1f} MB, {when}")
