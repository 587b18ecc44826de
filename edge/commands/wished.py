"""A command that has the machine under the box do something: by whom, and with a record of it."""

# ruff: noqa: PLC0415 - see `edge.commands.parsing`

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from edge.access.audit.entry import Event
from edge.commands.parsing import configuration

if TYPE_CHECKING:
    from edge.machine.places import Places
    from edge.machine.wishes import Wish

__all__ = ["places_of", "wished"]


def places_of(options: argparse.Namespace) -> Places:
    """Where the machine's files are."""
    from edge.machine.places import Places

    return Places() if options.root is None else Places.under(options.root)


async def wished(options: argparse.Namespace, wish: Wish) -> None:
    """Have it done, and have it in the audit.

    Raises:
        EdgeError: The machine won't, or it can't be recorded.
    """
    loaded = await configuration(options)
    from edge.commands.witness import witnessed
    from edge.machine.asking import ask
    from edge.machine.wishes import checked

    places = places_of(options)
    options.root = None  # which is nobody's business
    async with witnessed(options, loaded, Event.ADMINISTERED):
        await ask(places, checked(wish))
