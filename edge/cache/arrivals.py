"""What comes in, and what is on its way to the archive, as screens show it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge.cache.status import WaitingStudy
from edge.index.arrivals import ArrivedStudy, arrived_studies
from edge.index.database import Database

__all__ = ["Arrivals", "ArrivedStudy", "Coming"]

_MOST = 24
_UPLOADS = 12


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Of this moment."""

    arrived: tuple[ArrivedStudy, ...] = ()
    """The newest first."""
    uploads: tuple[WaitingStudy, ...] = ()
    """Those that wait for the line, in the order in which they go; each is among ``arrived``."""


class Coming:
    """Reads it.

    Args:
        database: The index.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self, waiting: Sequence[WaitingStudy]) -> Arrivals:
        """What came last, and the first of those that wait.

        Args:
            waiting: For the line, in their order.
        """
        uploads = tuple(waiting[:_UPLOADS])
        named = tuple(one.study_uid for one in uploads)
        return Arrivals(await arrived_studies(self._database, _MOST, named), uploads)
