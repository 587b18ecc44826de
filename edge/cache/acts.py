"""What the box does to patient data by itself, as it is told to whoever keeps the audit.

Nobody asked for these at a door: an archive deleted or edited something, the days of what was in
the trash are over, something went to an archive or came from one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from edge.dicom.instance import InstanceRef

__all__ = ["BoxAct", "Deed", "Tell", "by_study", "nobody"]


class Deed(StrEnum):
    """What was done."""

    TRASHED = "put into the trash"
    """An archive deleted it; it is shown to nobody from now on."""
    ERASED = "erased from the trash"
    EDITED = "edited"
    """An archive edited patient or study; here that is laid over what came."""
    WITHDRAWN = "deleted in the archive"
    """It was deleted here, and the archive was told to."""
    SENT = "sent"
    """To an archive."""
    FETCHED = "fetched"
    """From an archive."""


@dataclass(frozen=True, slots=True)
class BoxAct:
    """One of them, with instances of one study."""

    deed: Deed
    study_uid: str
    archive: str = ""
    """Which it came from or goes to."""
    seen: Sequence[tuple[str, str]] = ()
    """SOP Instance UID, and SOP Class UID as far as it is known."""
    why: str = ""
    """No patient data."""


Tell = Callable[[BoxAct], Awaitable[None]]
"""Told before what is gone then is gone, and after everything else."""


async def nobody(_: BoxAct) -> None:
    """Where no audit is kept."""


def by_study(
    deed: Deed, refs: Iterable[InstanceRef], archive: str = "", why: str = ""
) -> list[BoxAct]:
    """An act for each study of these instances."""
    studies: dict[str, list[tuple[str, str]]] = {}
    for ref in refs:
        studies.setdefault(ref.study_uid, []).append((ref.sop_uid, ""))
    return [BoxAct(deed, uid, archive, seen, why) for uid, seen in studies.items()]
