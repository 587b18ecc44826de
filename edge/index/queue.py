"""What waits for the line, study by study, computed from custody: no list of it can be lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edge.index.database import Database
from edge.index.names import name_in

__all__ = ["WAITING_STUDIES", "WAITS", "QueuedStudy", "count", "queued"]

WAITS: Final = (
    "custody IN ('EDGE_ONLY', 'SENT')"
    " AND custody IN ('EDGE_ONLY', 'SENT', 'ACKNOWLEDGED', 'REFUSED') AND availability = 'ONLINE'"
)
"""That an instance waits. The condition of the index ``instances_by_work`` stands in it word for
word: SQLite draws no conclusion from one list to another."""
_WAITING: Final = f"instances INDEXED BY instances_by_work WHERE {WAITS}"
"""Those that do. Were the condition another one, SQLite would refuse the question, and not read all
of the table."""
WAITING_STUDIES: Final = (
    "SELECT study_id, min(received) AS since, count(*) AS waiting, sum(content_bytes) AS bytes,"
    f" min(priority) AS priority FROM {_WAITING}"
    " GROUP BY study_id ORDER BY priority, study_id LIMIT ? OFFSET ?"
)
"""Some of the studies that wait, in the order in which they go."""


@dataclass(frozen=True, slots=True)
class QueuedStudy:
    """A study of which something is still to be sent. It names a patient."""

    study_uid: str
    patient_name: str
    patient_id: str
    modalities: tuple[str, ...]
    description: str
    study_date: str
    since: float
    """When the first of what waits came, in POSIX seconds."""
    waiting: int
    """Instances."""
    waiting_bytes: int
    instances: int
    """Of the study, in all."""
    priority: int
    """0: a person let it go first; 1: STAT, 2: HIGH, 3, 4: LOW."""


async def count(database: Database) -> int:
    """How many there are."""
    ((found,),) = await database.read(f"SELECT count(DISTINCT study_id) FROM {_WAITING}")
    return int(found)


async def queued(database: Database, limit: int, offset: int) -> list[QueuedStudy]:
    """Some of them, in the order in which they go."""
    rows = await database.read(
        "SELECT s.study_uid, a.attributes, s.patient_id, s.modalities, s.description,"
        " s.study_date, w.since, w.waiting, w.bytes, s.instance_count, w.priority"
        f" FROM ({WAITING_STUDIES}) w JOIN studies s ON s.id = w.study_id"
        " LEFT JOIN study_attributes a ON a.study_id = s.id"
        " ORDER BY w.priority, w.study_id",
        (limit, offset),
    )
    return [
        QueuedStudy(
            uid,
            name_in(str(attributes)),
            patient_id,
            tuple(sorted(filter(None, modalities.split("\\")))),
            *rest,
        )
        for uid, attributes, patient_id, modalities, *rest in rows
    ]
