"""Edits of patient and study that were made in the archive, as a person reads them.

These values name patients: they are for who may read images, and never for a log.
"""

from __future__ import annotations

from edge.index import edits
from edge.index.database import Database
from edge.index.edits import Edit

__all__ = ["Edit", "Edits"]


class Edits:
    """Reads their history.

    Args:
        database: The index.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_study(self, study_uid: str) -> list[Edit]:
        """Every edit of a study, the oldest first; none of one that is not known."""
        return await edits.history(self._database, study_uid)
