"""What the page on the screen of the box asks the service: how it is, and the set-up code.

Asked over the socket for commands (`edge.admin.local`), so that the page has neither keys nor index
of its own. Owns the code that the screen shows: it is kept in memory alone, and until when it holds
in ``data_dir/screen-code.json``. Promises that a screen is never without a code that nobody else
has: one whose words are lost, by a start of the service, is replaced; one that was handed out
elsewhere, or came in a file, is left alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from edge.access.audit.entry import Actor, Entry, Event, Kind
from edge.access.audit.recorder import Audit
from edge.access.users import Handed, Users
from edge.admin.local import Act
from edge.cache.condition import level_of
from edge.cache.status import Status
from edge.crypto.durable import write_file
from edge.errors import DecisionRefused
from edge.pages.state import cut_off_of, sentence_of, worries_of

__all__ = ["screen_acts"]

log = logging.getLogger(__name__)

_MARK: Final = "screen-code.json"


class _Mark(msgspec.Struct, frozen=True):
    """Which code is the screen's."""

    until: float
    """POSIX seconds; no other code ends at that very moment."""


def screen_acts(
    folder: Path, users: Users, audit: Audit, status: Callable[[], Awaitable[Status]]
) -> Mapping[str, Act]:
    """What it may ask, by name.

    Args:
        folder: ``data_dir``.
        users: Who may log in.
        audit: Hears of codes.
        status: Reads the state of the box.
    """
    shown: Handed | None = None
    one_at_a_time = asyncio.Lock()

    async def is_shown(until: float | None) -> bool:
        """Whether the code that ends then is the screen's."""
        return until is not None and until == await asyncio.to_thread(_marked, folder)

    async def state(_: Mapping[str, Any]) -> Mapping[str, Any]:
        found = await status()
        has_people = not await users.is_empty()
        until = await users.first_code_until()
        return {
            "sentence": await asyncio.to_thread(sentence_of, found),
            "cut_off": await asyncio.to_thread(cut_off_of, found),
            "level": str(level_of(found, is_new=not has_people)),
            "worries": await asyncio.to_thread(worries_of, found, is_new=not has_people),
            "has_people": has_people,
            "code_until": until,
            "code_is_shown": await is_shown(until),
        }

    async def first_code(_: Mapping[str, Any]) -> Mapping[str, Any]:
        """Another one, for who stands before a box in which nobody is."""
        async with one_at_a_time:
            return await another()

    async def shown_code(_: Mapping[str, Any]) -> Mapping[str, Any]:
        """The screen's; each of several screens has the same. Another one if its words are lost."""
        async with one_at_a_time:
            until = await users.first_code_until()
            if shown is not None and shown.until == until:
                return {"code": shown.code, "until": shown.until}
            if until is not None and not await is_shown(until):
                raise DecisionRefused(
                    "a code was handed out elsewhere", hint="the key c makes another"
                )
            return await another()

    async def another() -> Mapping[str, Any]:
        nonlocal shown
        shown = await users.first_code()
        await asyncio.to_thread(_mark, folder, shown.until)
        entry = Entry(
            at=audit.clock(),
            event=Event.SECURITY,
            actor=Actor("console", Kind.MACHINE),
            what="set-up code",
        )
        await audit.record(entry)
        return {"code": shown.code, "until": shown.until}

    return {"state": state, "first-code": first_code, "shown-code": shown_code}


def _mark(folder: Path, until: float) -> None:
    try:
        write_file(folder / _MARK, msgspec.json.encode(_Mark(until)))
    except OSError as error:  # after a start the key c makes another, then
        log.warning("that the screen shows a code can't be kept: %s", error.strerror)


def _marked(folder: Path) -> float | None:
    try:
        return msgspec.json.decode((folder / _MARK).read_bytes(), type=_Mark).until
    except (OSError, msgspec.DecodeError):
        return None
