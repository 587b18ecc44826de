"""``edge audit``: looks into the record of who did what, and gives it out. Each look is in it."""

# ruff: noqa: PLC0415 - see `edge.commands.parsing`

from __future__ import annotations

import argparse
import asyncio
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from edge.access.audit.entry import Entry, Event
from edge.commands.parsing import Acts, Commands, configuration
from edge.commands.witness import witnessed
from edge.commands.words import counted, moment, say, shown
from edge.errors import ConfigError

if TYPE_CHECKING:
    from edge.access.audit.search import Asked

__all__ = ["add"]

_AGO = re.compile(r"(\d{1,6})([smhdw])")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_Make = Callable[[Iterable[Entry]], Iterator[str]]
_FORMATS = ("json", "csv", "dicom")


def add(commands: Commands) -> None:
    """Add the command."""
    acts = Acts(commands.add("audit", "Look into the record of who did what, or give it out."))
    search = acts.add("search", "Show entries, the newest first.", _search)
    text = "show so many at most (default: 50)"
    search.add_argument("--limit", type=_limit, default=50, metavar="N", help=text)
    search.add_argument("--json", action="store_true", help="for programs, a line for each")
    export = acts.add("export", "Write entries, the oldest first.", _export)
    export.add_argument("--format", choices=_FORMATS, default="json")
    export.add_argument("--output", type=Path, metavar="FILE", help="instead of standard output")
    for act in (search, export):
        act.add_argument("--patient", default="", help="Patient ID, or a part of the name")
        act.add_argument("--study", default="", metavar="UID", help="Study Instance UID")
        act.add_argument("--user", default="", help="part of the name of a user, token or peer")
        act.add_argument("--address", default="", help="from where")
        act.add_argument("--event", default="", help='such as "query", or a part of it')
        act.add_argument("--emergency", default="", metavar="ID", help="under this access")
        act.add_argument("--since", type=_time, default=0.0, metavar="TIME", help=_TIME)
        act.add_argument("--until", type=_time, default=0.0, metavar="TIME")
        act.add_argument("--failed", action="store_true", help="only what did not succeed")


_TIME = "2030-12-31, 2030-12-31T18:00, or so long ago: 12h, 7d"


async def _search(options: argparse.Namespace) -> int:
    asked = _asked(options)
    loaded = await configuration(options)
    from edge.access.audit.export import as_json
    from edge.access.audit.search import search

    async with witnessed(options, loaded, Event.READ_RECORD) as (cache, said):
        said["query"] = _query(options)
        found = await asyncio.to_thread(search, cache.audit.folder, asked, options.limit + 1)
    newest = found[: options.limit]
    if options.json:
        for line in as_json(newest):
            say(line.rstrip("\n"))
    else:
        for entry in newest:
            say(*_lines(entry))
        if not found:
            say("edge: no entry fits", file=sys.stderr)
    if len(found) > len(newest):
        say(
            f"edge: the newest {len(newest)} of more",
            "  hint: --limit N shows N; edge audit export gives all",
            file=sys.stderr,
        )
    return 0


async def _export(options: argparse.Namespace) -> int:
    asked = _asked(options)
    loaded = await configuration(options)
    from edge.access.audit.export import as_csv, as_dicom, as_json
    from edge.access.audit.messages import Messages
    from edge.access.audit.search import entries

    async with witnessed(options, loaded, Event.READ_RECORD) as (cache, said):
        said["query"] = _query(options)
        found = entries(cache.audit.folder, asked)
        messages = Messages(loaded.appliance.name, loaded.dimse.ae_title)
        make: dict[str, _Make] = {
            "json": as_json,
            "csv": as_csv,
            "dicom": partial(as_dicom, messages=messages),
        }
        count = await asyncio.to_thread(_write, options.output, make[options.format], found)
    if options.output is not None:
        say(f"edge: {count} entries are in {options.output}", file=sys.stderr)
    return 0


def _write(output: Path | None, make: _Make, found: Iterator[Entry]) -> int:
    count = 0

    def passing() -> Iterator[Entry]:
        nonlocal count
        for entry in found:
            count += 1
            yield entry

    if output is None:
        for text in make(passing()):
            say(*text.splitlines())
        return count
    # Names of patients: for its owner alone, and nothing that is there is written over.
    try:
        descriptor = os.open(output, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except FileExistsError as error:
        raise ConfigError(f"{output} is there already", hint="name another file") from error
    except OSError as error:
        raise ConfigError(
            f"{output} can't be written: {error.strerror}",
            hint="name a file in a folder that is there, and that you may write to",
        ) from error
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
        file.writelines(make(passing()))
    return count


def _query(options: argparse.Namespace) -> str:
    names = ("patient", "study", "user", "address", "event", "emergency")
    return "&".join(f"{name}={getattr(options, name)}" for name in names if getattr(options, name))


def _asked(options: argparse.Namespace) -> Asked:
    from edge.access.audit.search import Asked

    event = None
    if options.event:
        fitting = [one for one in Event if options.event in one]
        exact = [one for one in fitting if one == options.event]
        if len(exact or fitting) != 1:
            known = ", ".join(f'"{one}"' for one in fitting or Event)
            raise ConfigError(f"--event {options.event} is none, or several", hint=f"say {known}")
        event = (exact or fitting)[0]
    return Asked(
        patient=options.patient,
        study=options.study,
        user=options.user,
        address=options.address,
        event=event,
        emergency=options.emergency,
        since=options.since,
        until=options.until,
        failed=options.failed,
    )


def _lines(entry: Entry) -> Iterator[str]:
    actor, about = entry.actor, entry.about
    outcome = "" if not entry.outcome else f"  {entry.outcome.name}"
    until = f" until {moment(entry.until)}" if entry.until else ""
    if until.endswith(moment(entry.at)):  # within the same minute
        until = ""
    yield f"{entry.number}  {moment(entry.at)}{until}  {entry.event}{outcome}"
    words = [actor.name or "nobody known", actor.role, actor.ae_title, actor.address]
    yield f"    who       {', '.join(word for word in words if word)}"
    if actor.emergency:
        yield f"    under     emergency access {actor.emergency}"
    if entry.what or entry.target:
        yield f"    what      {' '.join(word for word in (entry.what, entry.target) if word)}"
    if about.study_uid or about.patient_id:
        patient = f"{about.patient_name or '?'}, {about.patient_id or 'no ID'}"
        yield f"    patient   {patient}, study {about.study_uid or '?'}"
    if much := _much(entry):
        yield f"    how much  {much}"
    if entry.query:
        yield f"    asked     {entry.query}"
    if entry.reason:
        yield f"    why       {entry.reason}"
    for name, text in entry.detail.items():
        yield f"    {shown(name):<9} {_moment_of(text) if name == 'since' else text}"


def _much(entry: Entry) -> str:
    """How many images, and how often, as far as either says anything."""
    images = counted(entry.instances, "image", "images") if entry.instances else ""
    times = f"{entry.times} times" if entry.times > 1 else ""
    return ", ".join(word for word in (images, times) if word)


def _moment_of(text: str) -> str:
    try:
        return moment(float(text))
    except (ValueError, OverflowError, OSError):
        return text


def _limit(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is no number of entries: 1 or more")
    return int(text)


def _time(text: str) -> float:
    if ago := _AGO.fullmatch(text):
        return time.time() - int(ago[1]) * _UNITS[ago[2]]
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        raise argparse.ArgumentTypeError(f"{text} is no time: {_TIME}") from None
