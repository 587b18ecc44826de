"""What the edge says about an instance: its name, where it is, who vouches for it.

These are the values that travel between all other packages. They hold no bytes of the instance.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Availability", "Custody", "InstanceRef", "Level", "Origin", "Withheld"]


class Level(StrEnum):
    """The levels of the information model (PS3.4 C.6)."""

    PATIENT = "PATIENT"
    STUDY = "STUDY"
    SERIES = "SERIES"
    INSTANCE = "IMAGE"


class Availability(StrEnum):
    """Instance Availability (0008,0056): is it here?"""

    ONLINE = "ONLINE"
    """A sealed object in the store."""
    NEARLINE = "NEARLINE"
    """Only in the archive; opening it fetches it."""
    UNAVAILABLE = "UNAVAILABLE"
    """Lost here, and no archive is known to have it."""


class Custody(StrEnum):
    """Who vouches for the instance, beside this box."""

    EDGE_ONLY = "EDGE_ONLY"
    """Nobody else is known to have it."""
    SENT = "SENT"
    """It went out, and the answer is unknown; ask before sending again."""
    ACKNOWLEDGED = "ACKNOWLEDGED"
    """The archive listed it as stored."""
    VERIFIED = "VERIFIED"
    """The archive was asked again and has exactly this object."""
    CONFLICT = "CONFLICT"
    """The archive has other bytes under this UID, or had; a person decides."""
    REFUSED = "REFUSED"
    """The archive will not take it; its words are kept. A dead letter, or tried again at times."""


class Withheld(StrEnum):
    """Why an instance that is known here is shown to nobody."""

    NO = ""
    """It is shown."""
    REJECTED = "REJECTED"
    """A rejection note says that it shall not be used."""
    TRASH = "TRASH"
    """The archive deleted it; it is here for some days more."""


class Origin(StrEnum):
    """The door by which the bytes came in."""

    DIMSE = "DIMSE"
    DICOMWEB = "DICOMWEB"
    MEDIA = "MEDIA"
    CLOUD = "CLOUD"


@dataclass(frozen=True, slots=True)
class InstanceRef:
    """The three UIDs that name an instance."""

    study_uid: str
    series_uid: str
    sop_uid: str
