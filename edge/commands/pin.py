"""``edge pin``: what shall be here at all times, studies and patients.

It acts on the index, whether the service runs or not, and wakes it if it does.
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

if TYPE_CHECKING:
    from edge.cache.pins import Pin

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add the command."""
    acts = Acts(commands.add("pin", "Keep studies and patients here at all times."))
    for name, text, run in (
        ("add", "Bring it if it is not here, and keep it.", _add),
        ("remove", "Let it go when its room is needed.", _remove),
    ):
        act = acts.add(name, text, run)
        what = act.add_mutually_exclusive_group(required=True)
        what.add_argument("--study", metavar="UID", help="a study")
        what.add_argument("--patient", metavar="ID", help="all studies of a patient")
        act.add_argument(
            "--issuer", default="", metavar="NAME", help="of the Patient ID (default: any)"
        )
    listing = acts.add("list", "List what people pinned, the oldest first.", _list)
    listing.add_argument("--json", action="store_true", help="for programs")


async def _add(options: argparse.Namespace) -> int:
    return await _change(options, is_new=True)


async def _remove(options: argparse.Namespace) -> int:
    return await _change(options, is_new=False)


async def _change(options: argparse.Namespace, *, is_new: bool) -> int:
    loaded = await configuration(options)
    from edge.admin.local import wake_service

    kind = "patient" if options.study is None else "study"
    value = options.patient if options.study is None else options.study
    async with witnessed(options, loaded, Event.ADMINISTERED) as (cache, _):
        if is_new:
            changed = await cache.pins.add(kind, value, options.issuer, "edge pin")
        else:
            changed = await cache.pins.remove(kind, value, options.issuer)
    await wake_service(loaded.appliance.data_dir)
    if not changed:
        say("edge: it was pinned already" if is_new else "edge: no such pin", file=sys.stderr)
    return int(not changed and not is_new)


async def _list(options: argparse.Namespace) -> int:
    loaded = await configuration(options)

    async with witnessed(options, loaded, Event.QUERIED) as (cache, _):
        pins = await cache.pins.all()
    if options.json:
        say(json.dumps([asdict(one) for one in pins]))
        return 0
    for one in pins:
        say(_line(one))
    for rule in loaded.cache.pin:
        say(f"{rule}  (configuration)")
    return 0


def _line(pin: Pin) -> str:
    issuer = f" of {pin.issuer}" if pin.issuer else ""
    here = f"{pin.here} of {pin.instances} images here, {pin.here_bytes / 1e6:.1f} MB"
    by = f" by {pin.who}" if pin.who else ""
    return f"{pin.kind} {pin.value}{issuer}  {here}, since {moment(pin.added)}{by}"
