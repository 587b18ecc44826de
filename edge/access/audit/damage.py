"""That the record was found damaged: an alarm until it is sound again, or an admin says they know.

Owns what is remembered of that, in the index, so that it outlives the service and is known to
commands. Promises that what somebody has seen is no alarm again, and that anything beyond it is.
A rebuilt index has forgotten it: the next check finds it again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Protocol

import msgspec

from edge.access.audit.check import Finding, Report
from edge.errors import EdgeError

__all__ = ["Damage", "Damages"]

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


class Memory(Protocol):
    """What keeps it: the index, or a fake."""

    async def damage(self) -> str:
        """What was kept last; empty if nothing was."""

    async def set_damage(self, text: str) -> None:
        """Keep it."""


class Damages:
    """Remembers what was found.

    Args:
        memory: Keeps it.
        clock: POSIX seconds.
    """

    def __init__(self, memory: Memory, *, clock: Callable[[], float] = time.time) -> None:
        self._memory = memory
        self._clock = clock

    async def known(self) -> Damage:
        """What is known now."""
        text = await self._memory.damage()
        return msgspec.json.decode(text, type=Damage) if text else Damage()

    async def note(self, what: str) -> None:
        """Something was found as the record was continued: an alarm, whatever somebody knows.

        Where there is an alarm, its words stay: those of a check are more exact.
        """
        known = await self.known()
        if not known.what:
            await self._keep(msgspec.structs.replace(known, what=what, since=self._clock()))

    async def checked(self, report: Report) -> Damage:
        """All of the record was gone through; what is known now.

        Args:
            report: What that found.
        """
        known = await self.known()
        grave = [one for one in report.findings if not one.is_harmless]
        found = frozenset(_name_of(one) for one in grave[:_MOST])
        now = Damage(found=found, seen=known.seen)
        if found - known.seen:
            more = f", and {len(grave) - 1} more" if len(grave) > 1 else ""
            now = Damage(f"{grave[0].what}{more}", self._since(known), found, known.seen)
        if now != known:
            await self._keep(now)
        return now

    async def see(self) -> Damage:
        """An admin knows of what the last check found: it is no alarm any more."""
        known = await self.known()
        now = Damage(found=known.found, seen=known.seen | known.found)
        await self._keep(now)
        return now

    def _since(self, known: Damage) -> float:
        return known.since if known.what else self._clock()

    async def _keep(self, damage: Damage) -> None:
        try:
            await self._memory.set_damage(msgspec.json.encode(damage).decode())
        except EdgeError as error:
            log.warning("the index does not remember that the audit was damaged: %s", error)


def _name_of(finding: Finding) -> str:
    """The same for the same flaw, whenever it is found."""
    return f"{finding.fault} {finding.segment} {finding.first} {finding.last}"
