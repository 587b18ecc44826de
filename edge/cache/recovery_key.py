"""A recovery key that is made where somebody reads it: shown once, and in force once typed back.

Owns the key between the two, in memory. Promises that a key which was not typed back changes
nothing: the box seals for the one before, and whoever closed the page has lost nothing. Who typed
it back has it on paper for sure, for nothing shows it a second time. Only who began may end.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edge.crypto.escrow import Escrow
from edge.crypto.keys import KeyRing
from edge.crypto.recovery import RecoveryKey
from edge.errors import DecisionRefused, SecretError, WrongKey

__all__ = ["RecoveryPaper", "Shown"]

SECONDS = 1800.0
"""That somebody has to write it down."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A key that is to be written down."""

    groups: tuple[str, ...]
    until: float
    """POSIX seconds: typed back later, it is worth nothing."""


@dataclass(frozen=True, slots=True)
class _Pending:
    key: RecoveryKey
    who: str
    ends: float
    """Monotonic."""


class RecoveryPaper:
    """Makes recovery keys for who reads them on a page.

    Args:
        folder: ``data_dir``.
        keys: The ring.
        clock: POSIX seconds.
        monotonic: Monotonic seconds.
    """

    def __init__(
        self,
        folder: Path,
        keys: KeyRing,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._escrow = Escrow(folder, keys)
        self._clock = clock
        self._monotonic = monotonic
        self._pending: _Pending | None = None
        self._turn = asyncio.Lock()

    async def made(self) -> float | None:
        """When the one that is in force was made, in POSIX seconds; None if there is none.

        Raises:
            SecretError: What the box keeps of it was damaged.
        """
        kept = await asyncio.to_thread(self._escrow.read)
        return None if kept is None else kept.made

    async def begin(self, who: str, *, renew: bool = False) -> Shown:
        """Make one, which is not in force yet. Another that waited to be typed back is forgotten.

        Args:
            who: Begins.
            renew: Even if there is one.

        Raises:
            DecisionRefused: There is one.
        """
        async with self._turn:
            if not renew and await self._has_one():
                raise DecisionRefused(
                    "there is a recovery key already, and it can't be shown again",
                    hint="if it is lost, make another: only backups from then on open with that",
                )
            key = RecoveryKey.new()
            self._pending = _Pending(key, who, self._monotonic() + SECONDS)
            return Shown(tuple(key.to_groups()), self._clock() + SECONDS)

    async def confirm(self, who: str, typed: str) -> float:
        """Have the box seal for it from now on, since somebody has it; when that was.

        Raises:
            DecisionRefused: None waits for that, its time is over, or it is another key.
        """
        async with self._turn:
            pending = self._pending
            if pending is None or pending.who != who or self._monotonic() >= pending.ends:
                raise DecisionRefused(
                    "no recovery key waits to be typed back", hint="make one, and write it down"
                )
            try:
                key = RecoveryKey.from_text(typed)
            except WrongKey as error:
                raise DecisionRefused(str(error), hint=error.hint) from error
            if not hmac.compare_digest(key.secret, pending.key.secret):
                raise DecisionRefused(
                    "that is another recovery key", hint="type the one that was just shown"
                )
            now = self._clock()
            await asyncio.to_thread(self._escrow.keep, key.recipient, now)
            self._pending = None
            return now

    async def _has_one(self) -> bool:
        """One that is damaged opens nothing, and may be replaced."""
        try:
            return await self.made() is not None
        except SecretError:
            return False
