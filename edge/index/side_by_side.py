"""The instances of two files of the index side by side: one of before an update, one of after it.

Owns which of them are the same, and what holds of one that both have. Reads, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final

from edge.dicom.instance import InstanceRef
from edge.index.connection import Connection

__all__ = ["LOST", "Row", "pairs"]

LOST: Final = "it came while a newer version ran, and is not in the store"
_VOUCHED: Final = frozenset({"ACKNOWLEDGED", "VERIFIED"})
_ROWS: Final = (
    "SELECT i.sop_uid, s.study_uid, e.series_uid, i.id, i.availability, i.object, i.custody,"
    " i.reason, i.withheld, i.transfer_syntax, i.dataset_digest FROM instances i"
    " CROSS JOIN series e ON e.id = i.series_id CROSS JOIN studies s ON s.id = i.study_id"
    " ORDER BY i.sop_uid"
)


@dataclass(frozen=True, slots=True)
class Row:
    """An instance, as one of the two files has it."""

    sop_uid: str
    study_uid: str
    series_uid: str
    number: int
    availability: str
    object: str | None
    custody: str
    reason: str
    withheld: str
    transfer_syntax: str
    digest: bytes | None

    @property
    def ref(self) -> InstanceRef:
        """Its UIDs."""
        return InstanceRef(self.study_uid, self.series_uid, self.sop_uid)

    def is_other(self, newer: Row) -> bool:
        """Whether the newer row is of other bytes, or came into the trash or out of it."""
        return (
            self.ref != newer.ref
            or (self.withheld == "TRASH") != (newer.withheld == "TRASH")
            or (self.withheld == "TRASH" and self.object != newer.object)
            or _differ(self.digest, newer.digest)
            or _differ(self.transfer_syntax, newer.transfer_syntax)
        )

    def standing(self, former: Row | None) -> tuple[str, str, str]:
        """Availability, custody and reason that hold from now on, by this newer row."""
        if self.availability == "UNAVAILABLE":
            return self.availability, self.custody, self.reason
        is_same = former is not None and former.custody == self.custody
        if self.custody in _VOUCHED:
            custody = self.custody if is_same else "ACKNOWLEDGED"
        else:
            # Of what is not here another archive has a copy, and it is owed as it was.
            is_owed = is_same or self.availability == "NEARLINE"
            custody = self.custody if is_owed else "SENT"
        reason = former.reason if former is not None and is_same else ""
        if self.availability == "NEARLINE":
            return self.availability, custody, reason
        if former is not None and former.object == self.object:
            return former.availability, custody, reason
        # What is in the store of it is adopted: until then it is where it can be had from.
        was_elsewhere = former is not None and former.availability == "NEARLINE"
        if custody in _VOUCHED or was_elsewhere:
            return "NEARLINE", custody, reason
        return "UNAVAILABLE", custody, LOST


def _differ(one: object, other: object) -> bool:
    """Whether both are known, and not the same."""
    return bool(one) and bool(other) and one != other


def pairs(db: Connection, newer: Connection) -> Iterator[tuple[Row | None, Row | None]]:
    """The instances that are not the same in both files, side by side."""
    with closing(newer.execute(_ROWS)) as theirs, closing(db.execute(_ROWS)) as ours:
        one: Any = ours.fetchone()
        other: Any = theirs.fetchone()
        while one or other:
            if one and other and one[0] == other[0]:
                if one != other:
                    yield Row(*one), Row(*other)
                one, other = ours.fetchone(), theirs.fetchone()
            elif one and (not other or one[0] < other[0]):
                yield Row(*one), None
                one = ours.fetchone()
            else:
                yield None, Row(*other)
                other = theirs.fetchone()
