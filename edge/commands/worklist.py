"""``edge worklist``: what is scheduled, for the modalities.

It acts on the index, whether the service runs or not, and wakes it if it does.
"""

# ruff: noqa: PLC0415 - see `edge.commands.parsing`

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from edge.access.audit.entry import Event
from edge.commands.parsing import Acts, Commands, configuration
from edge.commands.witness import witnessed
from edge.commands.words import say
from edge.errors import ConfigError, QueryError

if TYPE_CHECKING:
    from edge.cache.worklist import Scheduled

__all__ = ["add"]

_OPTIONS = (
    ("patient-name", "FAMILY^GIVEN", "name of the patient", True),
    ("patient-id", "ID", "his ID", True),
    ("modality", "CODE", "such as CT", True),
    ("station", "AE_TITLE", "AE title of the scanner", True),
    ("date", "YYYY-MM-DD", "day (default: today)", False),
    ("time", "HH:MM", "time (default: 00:00)", False),
    ("birth-date", "YYYY-MM-DD", "birth date of the patient", False),
    ("sex", "F|M|O", "his or her sex", False),
    ("issuer", "NAME", "issuer of the patient's ID", False),
    ("accession-number", "NUMBER", "accession number", False),
    ("description", "TEXT", "what is to be done", False),
    ("physician", "FAMILY^GIVEN", "who performs it", False),
    ("study-uid", "UID", "of the study (default: a new one)", False),
    ("step-id", "ID", "of the step (default: a new one)", False),
    ("procedure-id", "ID", "of the requested procedure (default: that of the step)", False),
)
"""Name, value, meaning, and whether it must be there."""


def add(commands: Commands) -> None:
    """Add the command."""
    acts = Acts(commands.add("worklist", "Say what is scheduled, and schedule by hand."))
    listing = acts.add("list", "List what is scheduled, by day and time.", _list)
    listing.add_argument("--date", default="", metavar="YYYY-MM-DD", help="of that day only")
    listing.add_argument("--json", action="store_true", help="for programs")
    adding = acts.add("add", "Schedule a step; prints its study UID and step ID.", _add)
    for name, value, text, is_needed in _OPTIONS:
        adding.add_argument(f"--{name}", metavar=value, help=text, required=is_needed)
    removing = acts.add("remove", "Take back what was added here.", _remove)
    removing.add_argument("study_uid", metavar="STUDY_UID", help="of the study")
    removing.add_argument("--step-id", default="", metavar="ID", help="only that step of it")


async def _list(options: argparse.Namespace) -> int:
    loaded = await configuration(options)
    from edge.admin.worklist_form import day_wanted
    from edge.cache.worklist import MOST_STEPS

    try:
        day = day_wanted(options.date, "--date")
    except QueryError as error:
        raise ConfigError(str(error)) from error
    async with witnessed(options, loaded, Event.QUERIED) as (cache, _):
        page = await cache.worklist.page(limit=MOST_STEPS, offset=0, day=day)
    if options.json:
        say(json.dumps(asdict(page)))
        return 0
    for one in page.items:
        say(_line(one))
    return 0


def _line(one: Scheduled) -> str:
    when = f"{one.date or 'no date':<8} {one.time[:4]:<4}"
    where = f"{one.station_ae_title:<16} {one.modality:<4}"
    who = f"{one.patient_name or '?'}, {one.patient_id or 'no ID'}"
    state = f"  {one.state}" if one.state else ""
    return f"{when}  {where}  {who}  {one.description}  ({one.source}){state}"


async def _add(options: argparse.Namespace) -> int:
    loaded = await configuration(options)
    from edge.admin.local import wake_service
    from edge.admin.worklist_form import form_of, step_of

    said: dict[str, Any] = {
        name.replace("-", "_"): value
        for name, *_ in _OPTIONS
        if (value := getattr(options, name.replace("-", "_"))) is not None
    }
    said["station_ae_title"] = said.pop("station")
    try:
        form = form_of(said, _option)
    except QueryError as error:
        raise ConfigError(str(error)) from error
    async with witnessed(options, loaded, Event.SCHEDULED) as (cache, _):
        step = step_of(form, cache.worklist.today)
        await cache.worklist.add([step])
    await wake_service(loaded.appliance.data_dir)
    say(f"{step.study_uid} {step.step_id}")
    return 0


def _option(field: str) -> str:
    """What a field of the form is called here."""
    return "--station" if field == "station_ae_title" else f"--{field.replace('_', '-')}"


async def _remove(options: argparse.Namespace) -> int:
    loaded = await configuration(options)
    from edge.admin.local import wake_service

    async with witnessed(options, loaded, Event.SCHEDULED) as (cache, _):
        removed = await cache.worklist.remove(options.study_uid, options.step_id)
    await wake_service(loaded.appliance.data_dir)
    if not removed:
        say("edge: no such step was added here", file=sys.stderr)
    return int(not removed)
