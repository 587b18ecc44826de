"""Has in the audit what a command on this machine did, and who ran it.

Who may run commands on the box with its keys may do anything there: that is not asked, but told.
"""

# ruff: noqa: PLC0415 - see `edge.commands.parsing`

from __future__ import annotations

import os
import pwd
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge.access.audit.entry import Actor, Event
    from edge.opening import Cache

__all__ = ["told", "who"]


def who() -> Actor:
    """Who runs this: the user of the operating system, and by whom that was become."""
    from edge.access.audit.entry import Actor, Kind

    number = os.getuid()
    try:
        name = pwd.getpwuid(number).pw_name
    except KeyError:
        name = f"uid {number}"
    before = os.environ.get("SUDO_USER", "")
    if before.isprintable() and before and before != name:
        name = f"{before[:32]} as {name}"
    host = os.environ.get("SSH_CONNECTION", "").partition(" ")[0]
    return Actor(name, Kind.MACHINE, proof="operating system", address=host[:64])


async def told(
    cache: Cache,
    what: str,
    *,
    event: Event | None = None,
    target: str = "",
    reason: str = "",
    study_uid: str = "",
    query: str = "",
    detail: Mapping[str, str] | None = None,
) -> None:
    """Have it in the record, durable, before the command says that it is done.

    Args:
        cache: The box.
        what: The command, as it is called: ``edge token create``.
        event: What it is; a command, if it is nothing else.
        target: Whom or what it is about.
        reason: Why, if somebody said so.
        study_uid: Whose study it is about.
        query: What was searched for.
        detail: What else is worth knowing; no secrets.

    Raises:
        StorageFull: It can't be written.
    """
    from edge.access.audit.entry import Entry, Event, Subject

    await cache.audit.record(
        Entry(
            at=time.time(),
            event=event or Event.COMMAND,
            actor=who(),
            what=what,
            about=Subject(study_uid),
            target=target,
            reason=reason,
            query=query,
            detail=detail or {},
        )
    )
