"""The state of the box in one value, the same for the command line, the API and the web page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edge.index.database import Database
from edge.index.remote import ArchiveState, archive_states
from edge.index.summary import Summary, summary

__all__ = ["Status", "read_status"]


@dataclass(frozen=True, slots=True)
class Status:
    """What is here, who vouches for it, and how the way to the archive is."""

    summary: Summary
    archives: tuple[ArchiveState, ...]

    @property
    def sentence(self) -> str:
        """The state in one sentence, for a nurse."""
        only_here = self.summary.studies_only_here
        if self.summary.lost:
            return f"Images that were lost and must be sent again: {self.summary.lost}."
        if self.summary.quarantined:
            return f"Conflicting images that wait for a decision: {self.summary.quarantined}."
        if all(archive.contact is None for archive in self.archives):
            return f"{self.summary.studies} studies are here; no archive was reached yet."
        offline = any(not archive.online for archive in self.archives)
        line = "; the line is down, intake goes on" if offline else ""
        if only_here == 0:
            return f"Everything is safe in the archive{line}."
        exist = "study exists" if only_here == 1 else "studies exist"
        return f"{only_here} {exist} only here{line}."

    def as_json(self) -> dict[str, Any]:
        """For ``edge status --json`` and the API."""
        return {
            "sentence": self.sentence,
            **asdict(self.summary),
            "archives": [asdict(archive) for archive in self.archives],
        }


async def read_status(database: Database, archives: Sequence[str]) -> Status:
    """Read it from the index.

    Args:
        database: The index.
        archives: The names of those that are configured; others are forgotten ones.
    """
    states = await archive_states(database)
    return Status(
        await summary(database), tuple(state for state in states if state.name in archives)
    )
