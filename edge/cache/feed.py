"""The change feed, as doors see it: changes in the order of commit, with what they mean by now."""

from __future__ import annotations

from edge.index import feed
from edge.index.database import Database
from edge.index.feed import Action, Change, State

__all__ = ["Action", "Change", "ChangeFeed", "State"]


class ChangeFeed:
    """Reads the feed; reading it holds nothing up.

    Args:
        database: The index.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def after(self, sequence: int, *, limit: int) -> list[Change]:
        """What follows the change with this number."""
        return await feed.changes_after(self._database, sequence, limit=limit)

    async def skip(self, offset: int, *, limit: int) -> list[Change]:
        """What follows the first *offset* changes, or the change of that number."""
        after = await feed.position_after(self._database, offset)
        return await feed.changes_after(self._database, after, limit=limit)

    async def between(self, start: float, end: float, *, offset: int, limit: int) -> list[Change]:
        """The changes of a span of time, in POSIX seconds; *end* is not part of it."""
        return await feed.changes_between(self._database, start, end, offset=offset, limit=limit)

    async def latest(self) -> Change | None:
        """The last change; None if nothing ever changed."""
        return await feed.latest_change(self._database)

    async def metadata(self, change: Change) -> bytes | None:
        """The DICOM JSON object (deflated) of the changed instance as it is now.

        Bulk values stand in it by their relative path. None if the instance is not here any more,
        or its attributes were never seen here.
        """
        if change.state is State.DELETED:
            return None
        return await feed.document_of(self._database, change.ref.sop_uid)
