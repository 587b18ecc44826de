"""What the page on the screen of the box asks the service: how it is, and the set-up code.

Asked over the socket for commands (`edge.admin.local`), so that the page has neither keys nor index
of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from edge.access.audit.entry import Actor, Entry, Event, Kind
from edge.access.audit.recorder import Audit
from edge.access.users import Users
from edge.admin.local import Act
from edge.cache.condition import level_of
from edge.cache.status import Status
from edge.pages.state import sentence_of, worries_of

__all__ = ["screen_acts"]


def screen_acts(
    users: Users, audit: Audit, status: Callable[[], Awaitable[Status]]
) -> Mapping[str, Act]:
    """What it may ask, by name.

    Args:
        users: Who may log in.
        audit: Hears of codes.
        status: Reads the state of the box.
    """

    async def state(_: Mapping[str, Any]) -> Mapping[str, Any]:
        found = await status()
        has_people = not await users.is_empty()
        return {
            "sentence": await asyncio.to_thread(sentence_of, found),
            "level": str(level_of(found, is_new=not has_people)),
            "worries": await asyncio.to_thread(worries_of, found, is_new=not has_people),
            "has_people": has_people,
            "code_until": await users.first_code_until(),
        }

    async def first_code(_: Mapping[str, Any]) -> Mapping[str, Any]:
        """For who stands before a box in which nobody is."""
        handed = await users.first_code()
        entry = Entry(
            at=audit.clock(),
            event=Event.SECURITY,
            actor=Actor("console", Kind.MACHINE),
            what="set-up code",
        )
        await audit.record(entry)
        return {"code": handed.code, "until": handed.until}

    return {"state": state, "first-code": first_code}
