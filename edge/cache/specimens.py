"""Whether a test image went to an archive and came back the same, when that was last tried.

Keeps the last result for each archive in the index, with a digest of where that is: of one with
another address, nothing is known. Real images are none of this: those prove that the box works, and
nobody's hand-over.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable

from edge.index.database import Database
from edge.index.remote import cursor, set_cursor
from edge.others import Archive

__all__ = ["Specimens"]


class Specimens:
    """Of one box.

    Args:
        database: The index.
        primary: The archive that is set up; None: there is none.
        clock: POSIX seconds.
    """

    def __init__(
        self,
        database: Database,
        primary: Archive | None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._primary = primary
        self._clock = clock

    async def tried(self, archive: Archive, works: bool) -> None:
        """Keep what became of it: it came back and all else went well, or not."""
        said = f"{_where(archive)} {self._clock():.3f}" if works else ""
        await self._database.write(lambda db: set_cursor(db, _key(archive), said))

    async def came_back(self) -> float | None:
        """When it did from the primary one, in POSIX seconds; None: not yet, or not last time."""
        if (archive := self._primary) is None:
            return None
        where, _, moment = (await cursor(self._database, _key(archive)) or "").partition(" ")
        return float(moment) if moment and where == _where(archive) else None


def _key(archive: Archive) -> str:
    return f"specimen:{archive.name}"


def _where(archive: Archive) -> str:
    return hashlib.sha256(f"{archive.kind} {archive.url}".encode()).hexdigest()
