"""When tokens were used, and from where: noted in memory, written now and then.

Owns the promise that requests cost no writes: of a token that asks a thousand times a second, one
row is written when its day or its address changes, and those of all tokens together, every few
minutes. What a power cut loses is minutes of that; whether a token is valid never depends on it.

A day is all that is kept: it says whether anybody still needs the token, and no more than that
about who worked when.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence

from edge.errors import EdgeError

__all__ = ["TokenUses"]

log = logging.getLogger(__name__)

_PAUSE = 300.0


class TokenUses:
    """Uses that are not written yet.

    Args:
        write: Keeps them: ID, day, address.
        now: POSIX seconds.
    """

    def __init__(
        self,
        write: Callable[[Sequence[tuple[str, str, str]]], Awaitable[None]],
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._write = write
        self._now = now
        self._noted: dict[str, tuple[str, str]] = {}

    def note(self, token_id: str, address: str, *, known: tuple[str, str]) -> None:
        """A token is used now.

        Args:
            token_id: Of one that exists, so there are never more here than there are tokens.
            address: From where.
            known: Day and address that are written already.
        """
        use = time.strftime("%Y-%m-%d", time.localtime(self._now())), address
        if use == known:
            self._noted.pop(token_id, None)
        else:
            self._noted[token_id] = use

    def noted(self, token_id: str) -> tuple[str, str] | None:
        """Day and address of what is not written yet."""
        return self._noted.get(token_id)

    async def flush(self) -> None:
        """Write what is noted; if that can't be done now, it stays noted."""
        noted = dict(self._noted)
        if not noted:
            return
        try:
            await self._write([(token_id, *use) for token_id, use in noted.items()])
        except EdgeError as error:
            log.warning("when tokens were last used is not known exactly: %s", error)
            return
        for token_id, use in noted.items():
            if self._noted.get(token_id) == use:
                del self._noted[token_id]

    async def run(self) -> None:
        """Write every few minutes."""
        while True:
            await asyncio.sleep(_PAUSE)
            await self.flush()
