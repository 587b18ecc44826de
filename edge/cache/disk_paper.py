"""Whether somebody was shown the recovery key of the disk that is in force, so as to print it.

Keeps a digest of the one that was shown last, in the index; the key itself is never in there. The
machine makes that key by itself (`edge.machine.disk_key`), also anew where its file or its slot was
missing: then a sheet in a safe opens nothing any more, and nobody would know.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence

from edge.index.database import Database
from edge.index.remote import cursor, set_cursor

__all__ = ["DiskPaper"]

_SHOWN = "disk-key:shown"


class DiskPaper:
    """Of one box.

    Args:
        database: The index.
        groups: The key in force, in groups; none: the disk has none. Blocks.
    """

    def __init__(self, database: Database, groups: Callable[[], list[str]]) -> None:
        self._database = database
        self._groups = groups

    async def has_key(self) -> bool:
        """Whether the disk has one."""
        return bool(await asyncio.to_thread(self._groups))

    async def show(self) -> list[str]:
        """The key, for who prints it; none: the disk has none."""
        groups = await asyncio.to_thread(self._groups)
        if groups:
            digest = _digest(groups)
            await self._database.write(lambda db: set_cursor(db, _SHOWN, digest))
        return groups

    async def is_unseen(self) -> bool:
        """Whether there is one, and nobody was shown it."""
        try:
            groups = await asyncio.to_thread(self._groups)
        except PermissionError:  # who asks is not the service
            return False
        return bool(groups) and await cursor(self._database, _SHOWN) != _digest(groups)


def _digest(groups: Sequence[str]) -> str:
    """Of 256 random bits: it tells nothing of them."""
    return hashlib.sha256(" ".join(groups).encode()).hexdigest()
