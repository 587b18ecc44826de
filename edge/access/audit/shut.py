"""What happened to a box that was shut: told to the record once that can be written again.

The record is sealed, and so nobody can write it while the box is locked. Owns the file ``unlocked``
in ``data_dir``, in which there waits for it, as entries: who opened the box, how and from where;
wrong tries before that; another network that it was given; and a locking that no service heard of.
Promises that it holds no secret and no name of a patient, that it is bounded, and that failing to
write it keeps nobody from opening the box.

Crash order: the entries durable here -> durable in the record -> this file deleted. Cut short
before the third step, the record has them twice, with the same time. Calls block, but for
``hand_over``.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from edge.access.audit.entry import BOX, Actor, Entry, Event, Kind, Outcome
from edge.access.audit.recorder import Audit
from edge.crypto.custodian import Locked
from edge.crypto.durable import sync_folder, write_file
from edge.errors import EdgeError

__all__ = ["Tries", "entries_in", "hand_over", "keep", "locked_entry", "opened_entry"]

log = logging.getLogger(__name__)

_FILE: Final = "unlocked"
_MOST: Final = 128
"""Entries; the oldest go first."""
_MOST_BYTES: Final = 1024 * 1024
_MOST_ORIGINS: Final = 32
_ELSEWHERE: Final = Actor("somebody, from many places")


class Tries:
    """Wrong tries to open the box, by who or from where; bounded.

    Args:
        now: POSIX seconds.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._by: dict[Actor, Entry] = {}

    def wrong(self, actor: Actor, how: str) -> None:
        """There was one.

        Args:
            actor: Whose.
            how: By what; several of one actor are told by all of them.
        """
        if actor not in self._by and len(self._by) >= _MOST_ORIGINS:
            actor = _ELSEWHERE
        before, now = self._by.get(actor), self._now()
        known = "" if before is None else before.detail["by"]
        by = known if how in known.split(", ") else ", ".join(filter(None, (known, how)))
        self._by[actor] = Entry(
            at=now if before is None else before.at,
            until=0.0 if before is None else now,
            event=Event.KEY,
            actor=actor,
            outcome=Outcome.REFUSED,
            what="wrong tries to open the box",
            times=1 if before is None else before.times + 1,
            detail={"by": by},
        )

    def entries(self) -> tuple[Entry, ...]:
        """One for each."""
        return tuple(self._by.values())


def locked_entry(locked: Locked | None) -> tuple[Entry, ...]:
    """That the box was locked, if the record has not heard of it."""
    if locked is None or locked.is_recorded:
        return ()
    kept = "what opened it is destroyed" if locked.destroys else "what opens it is kept"
    actor = Actor(locked.by.rstrip(","), Kind.MACHINE)
    return (
        Entry(
            at=locked.at,
            event=Event.KEY,
            actor=actor,
            what="the box was locked",
            detail={"key": kept},
        ),
    )


def opened_entry(how: str, actor: Actor = BOX, locked: Locked | None = None) -> Entry:
    """That the box was opened.

    Args:
        how: By what.
        actor: By whom, and from where.
        locked: If somebody had locked it.
    """
    detail = {"by": how} | ({"locked by": locked.by.rstrip(",")} if locked else {})
    return Entry(
        at=time.time(), event=Event.KEY, actor=actor, what="the box was opened", detail=detail
    )


def keep(folder: Path, *entries: Entry) -> None:
    """Have entries wait for the record; what can't be written is in the log alone."""
    try:
        with _alone(folder):
            lines = [entry.to_bytes() for entry in (*entries_in(folder), *entries)]
            write_file(folder / _FILE, b"\n".join(lines[-_MOST:]))
    except OSError as error:
        for entry in entries:
            log.error(
                "the audit will not hear of this: %s, %s, from %s: %s",
                entry.what,
                entry.actor.name,
                entry.actor.address or "this machine",
                error.strerror,
            )


def entries_in(folder: Path) -> tuple[Entry, ...]:
    """Those that wait."""
    try:
        with (folder / _FILE).open("rb") as file:
            lines = file.read(_MOST_BYTES).splitlines()
    except FileNotFoundError:
        return ()
    return tuple(Entry.from_bytes(line, 0) for line in lines)


async def hand_over(folder: Path, audit: Audit) -> None:
    """Have the record take what waits for it; what it can't take now waits for the next start."""
    try:
        if entries := await asyncio.to_thread(entries_in, folder):
            await audit.record(*entries)
            await asyncio.to_thread(_forget, folder, entries)
    except (EdgeError, OSError) as error:
        log.error("how this box was opened is not in the audit yet: %s", error)


def _forget(folder: Path, told: tuple[Entry, ...]) -> None:
    """The record has these; what came since waits on."""
    with _alone(folder):
        since = [entry.to_bytes() for entry in entries_in(folder) if entry not in told]
        if since:
            write_file(folder / _FILE, b"\n".join(since))
            return
        (folder / _FILE).unlink(missing_ok=True)
        sync_folder(folder)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """The service and who stands before its machine write the file in turn."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
