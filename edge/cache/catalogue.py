"""Search: never waits for the internet, because the index knows what the archive has too."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from edge.dicom.instance import Level
from edge.dicom.query import Query
from edge.index.database import Database
from edge.index.keys import can_match, is_kept
from edge.index.search import count, search
from edge.index.senders import was_sent_by

__all__ = ["Catalogue"]


class Catalogue:
    """Answers queries."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def search(self, query: Query) -> AsyncGenerator[dict[str, Any]]:
        """The answers, each a DICOM JSON object with availability, counts and modalities.

        Raises:
            QueryError: A matching key can't be understood.
        """
        return search(self._database, query)

    def can_match(self, path: tuple[str, ...], level: Level) -> bool:
        """Whether anything at this level can be matched by an attribute."""
        return can_match(path, level)

    def is_kept(self, tag: str, level: Level) -> bool:
        """Whether answers at this level can have a value of an attribute."""
        return is_kept(tag, level)

    async def was_sent_by(self, study_uid: str, senders: frozenset[str]) -> bool:
        """Whether a study is here, and one of these sent something of it."""
        return await was_sent_by(self._database, study_uid, senders)

    async def count(self, query: Query) -> int:
        """How many answers there are, whatever the query's limit and offset.

        Raises:
            QueryError: A matching key can't be understood.
        """
        return await count(self._database, query)
