"""What is said of a set-up by a file: to who put the stick in, and in the audit."""

# ruff: noqa: PLC0415 - see `edge.commands.parsing`

from __future__ import annotations

import argparse
import asyncio
import time
from typing import TYPE_CHECKING

from edge.access.audit.entry import Actor, Entry, Event, Kind, Outcome
from edge.commands.parsing import configuration
from edge.errors import EdgeError

if TYPE_CHECKING:
    from edge.provision.taking import Taken

__all__ = ["BOOT", "STICK", "answer", "entry_of", "refusal", "where_it_is"]

STICK, BOOT = "stick", "boot partition"
"""Where a file was found."""
_LONGEST = 7000
"""Characters of what was wrong."""
_NOT_IN_FORCE = (
    "The box is yet to start anew with these settings: the fingerprint to compare",
    "stands on its screen then.",
)


async def where_it_is(options: argparse.Namespace, *, is_new: bool) -> list[str]:
    """What the box is called, and where its page is."""
    loaded = await configuration(options)  # as it is from now on
    from edge.access.tls import fingerprints
    from edge.cache.network import look
    from edge.cache.own_settings import in_force
    from edge.cache.page_address import page_address
    from edge.machine.places import Places

    page = await asyncio.to_thread(page_address, loaded, Places().firewall, is_new=is_new)
    folder = loaded.appliance.data_dir
    # Another name has another certificate, which the service makes as it begins anew.
    shown = None
    if await asyncio.to_thread(in_force, folder):
        shown = await asyncio.to_thread(fingerprints, loaded.http, folder / "tls")
    looks = {one.what: one.found for one in await asyncio.to_thread(look)}
    lines = [
        f"Name       {loaded.appliance.name}",
        f"Page       {page}",
        f"Addresses  {looks['address']}",
    ]
    if shown is not None:
        lines.append(f"Trust      SHA-256 {shown.authority or shown.server}")
    return lines


async def answer(options: argparse.Namespace, by: str, taken: Taken) -> str:
    """The words for a box that was set up."""
    loaded = await configuration(options)  # as it is from now on
    from edge.cache.own_settings import in_force
    from edge.console.times import at_place, zone_of

    zone = await asyncio.to_thread(zone_of, loaded.appliance.time_zone)

    def there(posix: float) -> str:
        return f"{at_place(posix, zone):%Y-%m-%d %H:%M %Z}"

    holds = await asyncio.to_thread(in_force, loaded.appliance.data_dir)
    lines = [f"This box was set up by the {by}, {there(time.time())}.", ""]
    lines += await where_it_is(options, is_new=True)
    if not holds:
        lines += ["", *_NOT_IN_FORCE]
    gone = "It was struck out of the file." if by == STICK else "The file was removed."
    if taken.code_until is not None:
        lines += [
            "",
            "The first admin is made on the page with the token of the file, until",
            f"{there(taken.code_until)}. {gone}",
        ]
    else:
        lines += [
            "",
            "The code of the first admin is on the screen of the box; its key c makes another.",
        ]
    if by == STICK:
        lines += ["", "Passwords still stand in the file: delete it, or lock the stick away."]
    return "\n".join([*lines, ""])


def refusal(error: Exception) -> str:
    """The words for one that was not."""
    from edge.provision.journal import HalfTaken

    hint = f"{error.hint[:_LONGEST]}\n" if isinstance(error, EdgeError) and error.hint else ""
    said = str(error)[:_LONGEST]  # what stands in the file may be as long as that is
    if isinstance(error, EdgeError) and not isinstance(error, HalfTaken):
        return f"Nothing was changed: {said}\n{hint}"
    return f"This box was not set up to the end: {said}\n{hint}"


def entry_of(by: str, told: dict[str, str], reason: str = "") -> Entry:
    """For the audit.

    Args:
        by: Where the file was found.
        told: What it changed.
        reason: Why it was refused; empty: it was not.
    """
    return Entry(
        at=time.time(),
        event=Event.ADMINISTERED,
        actor=Actor(by, Kind.MACHINE),
        outcome=Outcome.REFUSED if reason else Outcome.SUCCESS,
        what="edge provision",
        reason=reason,
        detail=told,
    )
