"""Which attributes searches can ask for: those with a column of their own, and those nobody keeps.

Owns what the index can match by, and what its answers can tell, at each level (PS3.4 C.2.2.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edge.dicom.instance import Level
from edge.index.attributes import PATIENT_TAGS, SERIES_TAGS, STUDY_TAGS

__all__ = [
    "AVAILABILITY",
    "COLUMNS",
    "MODALITIES_IN_STUDY",
    "SOP_CLASSES_IN_STUDY",
    "UNKNOWN",
    "Column",
    "can_match",
    "is_kept",
]

MODALITIES_IN_STUDY, SOP_CLASSES_IN_STUDY, AVAILABILITY = "00080061", "00080062", "00080056"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the tables of studies, series or instances."""

    level: Level
    name: str
    indexed: bool = False
    unique: bool = False
    null: bool = False
    """What is absent is NULL, rather than empty text."""


COLUMNS: Final = {
    "0020000D": Column(Level.STUDY, "study_uid", indexed=True, unique=True),
    "00100020": Column(Level.STUDY, "patient_id", indexed=True),
    "00100030": Column(Level.STUDY, "birth_date"),
    "00100040": Column(Level.STUDY, "sex"),
    "00080020": Column(Level.STUDY, "study_date", indexed=True),
    "00080030": Column(Level.STUDY, "study_time"),
    "00080050": Column(Level.STUDY, "accession_number", indexed=True),
    "00200010": Column(Level.STUDY, "study_id"),
    "00081030": Column(Level.STUDY, "description", indexed=True),
    "0020000E": Column(Level.SERIES, "series_uid", indexed=True, unique=True),
    "00080060": Column(Level.SERIES, "modality", indexed=True),
    "00200011": Column(Level.SERIES, "series_number", null=True),
    "00080018": Column(Level.INSTANCE, "sop_uid", indexed=True, unique=True),
    "00080016": Column(Level.INSTANCE, "sop_class_uid"),
    "00200013": Column(Level.INSTANCE, "instance_number", null=True),
    "00201206": Column(Level.STUDY, "series_count"),
    "00201208": Column(Level.STUDY, "instance_count"),
    "00201209": Column(Level.SERIES, "instance_count"),
    AVAILABILITY: Column(Level.INSTANCE, "availability"),
}
"""What is matched there."""

UNKNOWN: Final = frozenset(
    # Of the query itself, of places, and of all that a patient has (PS3.4 tables C.3-1 and C.3-2).
    "00080052 00080054 00081190 00880130 00880140 00201200 00201202 00201204".split()
)
"""What no data set holds, and no row either: nothing could ever match."""
_OF_SERIES: Final = frozenset({MODALITIES_IN_STUDY, SOP_CLASSES_IN_STUDY})
"""What studies are found by, and is told by their series."""
_OF_STUDY: Final = _OF_SERIES | {"00201206", "00201208"}
"""What is told of a study, and is no attribute of one."""
_ANYWHERE: Final = frozenset("00080005 00080054 00080056 00201200 00201202 00201204".split())
"""What is told at every level."""


def can_match(path: tuple[str, ...], level: Level) -> bool:
    """Whether anything at this level can be matched by an attribute."""
    tag = path[0]
    if tag in UNKNOWN:
        return False
    is_shared = tag in COLUMNS or tag in STUDY_TAGS or tag in SERIES_TAGS
    return is_shared or level is Level.INSTANCE or tag in _OF_SERIES


def is_kept(tag: str, level: Level) -> bool:
    """Whether answers at this level can have a value of an attribute (PS3.4 C.2.2.1)."""
    if tag in PATIENT_TAGS or tag in _ANYWHERE:
        return True
    if level is Level.PATIENT:
        return False
    if tag in STUDY_TAGS or tag in _OF_STUDY:
        return True
    if level is Level.STUDY:
        return False
    is_known = tag in SERIES_TAGS or tag == "00201209"
    return is_known or (level is Level.INSTANCE and tag not in UNKNOWN)
