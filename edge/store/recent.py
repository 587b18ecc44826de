"""Small objects that were opened whole, for all who read the same at the same time.

Owns what of them stays in memory for the next who asks. Promises that it is bounded, that nothing
stays longer than a second or two after its last use, or after it was deleted, and that what is
being opened is not opened a second time. Never reads or writes anything itself.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge.store.reader import ObjectReader

__all__ = ["Recent"]

_UNUSED = 1.0
"""Seconds after which an object that nobody asked for goes."""


@dataclass(slots=True)
class _Kept:
    opening: asyncio.Future[ObjectReader]
    size: int
    used: float


class Recent:
    """The last few objects, by name.

    Args:
        most: Bytes of content that they may have together.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._sweep: asyncio.TimerHandle | None = None
        self.size = 0
        """Bytes of content that are kept now."""

    def get(self, name: str) -> asyncio.Future[ObjectReader] | None:
        """What was opened, or is being opened; it is others', too. None if it is not here."""
        if (kept := self._kept.get(name)) is None:
            return None
        kept.used = asyncio.get_running_loop().time()
        self._kept.move_to_end(name)
        return kept.opening

    def keep(self, name: str, size: int, opening: asyncio.Future[ObjectReader]) -> None:
        """Keep an object for others; the longest unused ones go for it."""
        loop = asyncio.get_running_loop()
        self._kept[name] = _Kept(opening, size, loop.time())
        self.size += size
        while self.size > self._most:
            self.drop(next(iter(self._kept)))
        if self._sweep is None:
            self._sweep = loop.call_later(_UNUSED, self._drop_unused)

    def drop(self, name: str) -> None:
        """Forget an object; who has it already may read it to its end."""
        if (kept := self._kept.pop(name, None)) is not None:
            self.size -= kept.size

    def clear(self) -> None:
        """Forget all of them, at the end."""
        self._kept.clear()
        self.size = 0
        if self._sweep is not None:
            self._sweep.cancel()

    def _drop_unused(self) -> None:
        loop = asyncio.get_running_loop()
        for name, kept in list(self._kept.items()):
            if kept.used > loop.time() - _UNUSED:
                break
            self.drop(name)
        self._sweep = loop.call_later(_UNUSED, self._drop_unused) if self._kept else None
