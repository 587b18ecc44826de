"""That the record was found damaged: an alarm until it is sound again, or an admin says they know.

Owns what is remembered of that, in the index, so that it outlives the service and is known to
commands. Promises that what somebody has seen is no alarm again, that anything beyond it is, and
that nobody is taken to know of what they were not told.
A rebuilt index has forgotten it: the next check finds it again.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable
from typing import Protocol

import msgspec

from edge.access.audit.check import Finding, Report
from edge.errors import EdgeError

__all__ = ["Damage", "Damages", "flaws_of"]

log = logging.getLogger(__name__)

_MOST = 500
"""Flaws that are told apart."""


class Damage(msgspec.Struct, frozen=True):
    """What is known of it."""

    what: str = ""
    """Was found, and nobody has seen to it; empty if there is no such thing."""
    since: float = 0.0
    """When it was found, in POSIX seconds."""
    found: frozenset[str] = frozenset()
    """The flaws that the last check found."""
    seen: frozenset[str] = frozenset()
    """Those that an admin knows of."""
    is_noted: bool = False
    """Something was found since the last check began, which no admin can have seen by it."""
    notes: int = 0
    """How often that was, ever."""


class Memory(Protocol):
    """What keeps it: the index, or a fake."""

    async def damage(self) -> str:
        """What was kept last; empty if nothing was."""

    async def set_damage(self, text: str) -> None:
        """Keep it."""


def flaws_of(report: Report) -> frozenset[str]:
    """What a check found, by names that are the same whenever the same is found.

    What is harmless has none. What is beyond as many as can be told apart has one name together.
    """
    names = [_name_of(one) for one in report.findings if not one.is_harmless]
    rest = names[_MOST:]
    return frozenset(names[:_MOST] + ([_digest(" ".join(rest))] if rest else []))


class Damages:
    """Remembers what was found.

    Args:
        memory: Keeps it.
        clock: POSIX seconds.
    """

    def __init__(self, memory: Memory, *, clock: Callable[[], float] = time.time) -> None:
        self._memory = memory
        self._clock = clock
        self._turn = asyncio.Lock()

    async def known(self) -> Damage:
        """What is known now.

        Raises:
            EdgeError: The index can't be read.
        """
        text = await self._memory.damage()
        return msgspec.json.decode(text, type=Damage) if text else Damage()

    async def note(self, what: str) -> None:
        """Something was found as the record was continued: an alarm, whatever somebody knows.

        Where there is an alarm, its words stay: those of a check are more exact.

        Raises:
            EdgeError: The index can't be read or written; nothing is remembered.
        """
        async with self._turn:
            known = await self.known()
            what, since, notes = known.what or what, self._since(known), known.notes + 1
            await self._keep(Damage(what, since, known.found, known.seen, True, notes))

    async def checked(self, report: Report, notes: int | None = None) -> Damage:
        """All of the record was gone through; what is known now, whether it can be kept or not.

        Args:
            report: What that found.
            notes: Those of what was known as that began: what was noted since stays an alarm. None
                means that nothing was.

        Raises:
            EdgeError: The index can't be read.
        """
        async with self._turn:
            known = await self.known()
            grave = [one for one in report.findings if not one.is_harmless]
            found = flaws_of(report)
            is_noted = notes is not None and notes < known.notes
            now = Damage("", 0.0, found, known.seen, is_noted, known.notes)
            if found - known.seen:
                more = f", and {len(grave) - 1} more" if len(grave) > 1 else ""
                what = f"{grave[0].what}{more}"
                now = msgspec.structs.replace(now, what=what, since=self._since(known))
            elif is_noted:
                now = msgspec.structs.replace(now, what=known.what, since=known.since)
            if now != known:
                try:
                    await self._keep(now)
                except EdgeError as error:
                    log.warning("the index does not remember what a check found: %s", error)
        return now

    async def see(self, flaws: frozenset[str]) -> Damage:
        """An admin knows of these flaws: once they know of all, it is no alarm any more.

        What was found since the check that told them of these stays an alarm, whoever knows.

        Args:
            flaws: As `flaws_of` named them to them.

        Raises:
            EdgeError: The index can't be read or written; all is as before.
        """
        async with self._turn:
            known = await self.known()
            now = msgspec.structs.replace(known, seen=known.seen | (flaws & known.found))
            if now.found <= now.seen and not now.is_noted:
                now = Damage(found=now.found, seen=now.seen, notes=now.notes)
            await self._keep(now)
            return now

    def _since(self, known: Damage) -> float:
        return known.since if known.what else self._clock()

    async def _keep(self, damage: Damage) -> None:
        await self._memory.set_damage(msgspec.json.encode(damage).decode())


def _name_of(finding: Finding) -> str:
    """The same for the same flaw, whenever it is found; another where it grew."""
    one = finding
    return _digest(f"{one.fault} {one.segment} {one.first} {one.last} {one.what}")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
