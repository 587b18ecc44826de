"""The state of the box in one value, the same for the command line, the API and the web page."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge.cache.space import Space
from edge.config import Config
from edge.dicom.instance import Custody
from edge.errors import StorageFull
from edge.index import leftovers
from edge.index.database import Database
from edge.index.remote import ArchiveState, archive_states
from edge.index.summary import Summary, summary
from edge.store.objects import ObjectStore

__all__ = ["Parts", "Status", "read_status"]


Parts = Mapping[str, str]
"""Part of the service -> "running", or why it is not."""


@dataclass(frozen=True, slots=True)
class Status:
    """What is here, who vouches for it, and how the box and the way to the archive are."""

    summary: Summary
    archives: tuple[ArchiveState, ...]
    """Of those that are configured, the ones that were tried."""
    untried: tuple[str, ...]
    """The others' names."""
    capacity_bytes: int
    """Sealed bytes that may be kept in all."""
    refusal: str
    """Why new images are refused; empty if they are not."""
    drop_folder: str
    """What hinders the drop folder: it can't be read, or what was admitted can't be taken away.

    Empty if nothing does, or there is none. Without a running service it may be the last known.
    """
    parts: Parts | None
    """None if the service is not running."""

    @property
    def sentence(self) -> str:
        """The state for a nurse: what is wrong, then always what exists only here."""
        return " ".join([*self._troubles(), f"{self._safety()}{self._line()}."])

    def _troubles(self) -> Iterator[str]:
        """The gravest first."""
        numbers = self.summary
        if self.parts is None:
            yield "The service is not running: nothing comes in."
        elif failing := sorted(name for name, state in self.parts.items() if state != "running"):
            yield f"The service is in trouble: {', '.join(failing)}."
        if numbers.lost:
            yield f"{_count(numbers.lost, 'image was', 'images were')} lost and must be sent again."
        if self.refusal:
            yield f"New images are refused: {self.refusal}."
        if self.drop_folder:
            yield f"The drop folder is in trouble: {self.drop_folder}."
        if conflicts := numbers.quarantined + numbers.custody.get(Custody.CONFLICT, 0):
            yield f"{_count(conflicts, 'image is', 'images are')} in conflict."
        if refused := numbers.custody.get(Custody.REFUSED, 0):
            yield f"The archive refuses {_count(refused, 'image', 'images')}."
        if kept := numbers.withdrawals_refused:
            yield f"The archive does not delete {_count(kept, 'image', 'images')} as it was told."

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
        if offline := [archive for archive in self.archives if not archive.online]:
            mend = any(archive.lasting for archive in offline)
            what = "the way to the archive must be mended" if mend else "the line is down"
            goes_on = "" if self.refusal or self.parts is None else ", intake goes on"
            return f"; {what}{goes_on}"
        if self.untried:
            return "; the archive was not reached yet"
        return "" if self.archives else "; no archive is configured"

    def as_json(self) -> dict[str, Any]:
        """For ``edge status --json`` and the API."""
        return {
            "sentence": self.sentence,
            **asdict(self.summary),
            "capacity_bytes": self.capacity_bytes,
            "refusal": self.refusal,
            "drop_folder": self.drop_folder,
            "archives": [asdict(archive) for archive in self.archives],
            "running": self.parts is not None,
            "parts": dict(self.parts or {}),
        }


async def read_status(
    config: Config, database: Database, store: ObjectStore, parts: Parts | None
) -> Status:
    """Read it from the index, the disk and the configuration.

    Args:
        config: Says which archives and folders count; others are forgotten ones.
        database: The index.
        store: On the disk whose room counts.
        parts: The states of the service's parts; None if it is not running.
    """
    names = [archive.name for archive in config.cloud.archive]
    states = {state.name: state for state in await archive_states(database)}
    space = Space(config.cache, database, store)
    await space.refresh()
    try:
        space.check_room()
        refusal = ""
    except StorageFull as error:
        refusal = str(error)
    return Status(
        summary=await summary(database),
        archives=tuple(states[name] for name in names if name in states),
        untried=tuple(name for name in names if name not in states),
        capacity_bytes=space.capacity,
        refusal=refusal,
        drop_folder=await _trouble_of(config.dropfolder.path, database),
        parts=parts,
    )


async def _trouble_of(drop_folder: Path, database: Database) -> str:
    if drop_folder == Path():
        return ""
    try:
        await asyncio.to_thread(lambda: next(drop_folder.iterdir(), None))
    except OSError as error:
        return f"it can't be read: {error.strerror or error}"
    # Only the service knows the rest: who asks may well be root.
    return await leftovers.trouble(database)


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
