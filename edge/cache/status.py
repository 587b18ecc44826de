"""The state of the box in one value, the same for the command line, the API and the web page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edge.dicom.instance import Custody
from edge.index.database import Database
from edge.index.remote import ArchiveState, archive_states
from edge.index.summary import Summary, summary

__all__ = ["Status", "read_status"]


@dataclass(frozen=True, slots=True)
class Status:
    """What is here, who vouches for it, and how the way to the archive is."""

    summary: Summary
    archives: tuple[ArchiveState, ...]
    """Of those that are configured, the ones that were tried."""
    untried: tuple[str, ...]
    """The others' names."""

    @property
    def sentence(self) -> str:
        """The state for a nurse: what is wrong, then always what exists only here."""
        return " ".join([*self._troubles(), f"{self._safety()}{self._line()}."])

    def _troubles(self) -> Iterator[str]:
        numbers = self.summary
        if numbers.lost:
            yield f"{_count(numbers.lost, 'image was', 'images were')} lost and must be sent again."
        if conflicts := numbers.quarantined + numbers.custody.get(Custody.CONFLICT, 0):
            yield f"{_count(conflicts, 'image is', 'images are')} in conflict."
        if refused := numbers.custody.get(Custody.REFUSED, 0):
            yield f"The archive refuses {_count(refused, 'image', 'images')}."

    def _safety(self) -> str:
        numbers = self.summary
        facts = []
        if only_here := numbers.studies_only_here:
            facts.append(f"{_count(only_here, 'study exists', 'studies exist')} only here")
        if unproven := numbers.studies_unproven:
            waits = _count(unproven, "study waits", "studies wait")
            facts.append(f"{waits} for proof that the archive has it all")
        if facts:
            return ", ".join(facts)
        if not numbers.studies:
            return "Nothing is here yet"
        return f"Everything {'else ' if numbers.lost else ''}is safe in the archive"

    def _line(self) -> str:
        if any(not archive.online for archive in self.archives):
            return "; the line is down, intake goes on"
        if self.untried:
            return "; the archive was not reached yet"
        return "" if self.archives else "; no archive is configured"

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
    states = {state.name: state for state in await archive_states(database)}
    return Status(
        await summary(database),
        tuple(states[name] for name in archives if name in states),
        tuple(name for name in archives if name not in states),
    )


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
