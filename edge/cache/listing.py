"""Dead letters and conflicts as a person reads them, with the choices that there are. No I/O.

These values name patients: they are for who may read images, and never for a log.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Generic, TypeVar

from edge.dicom.demographics import keyword
from edge.dicom.instance import Availability
from edge.index.disputes import Aside, Dispute
from edge.index.remedies import remedy_of

__all__ = [
    "KEEP_ARCHIVE_ALONE",
    "Conflict",
    "DeadLetter",
    "Decision",
    "Outcome",
    "Page",
    "Side",
    "Unchanged",
    "conflict_of",
    "dead_letter_of",
    "quarantine_of",
]

T = TypeVar("T")

_DIGITS: Final = 12
"""Of a digest, as it is shown."""


class Decision(StrEnum):
    """What a person can decide."""

    RETRY = "retry"
    TRANSCODE = "transcode"
    SUPPLY = "supply"
    GIVE_UP = "give-up"
    KEEP_BOTH = "keep-both"
    KEEP_ARCHIVE = "keep-archive"
    KEEP_OURS = "keep-ours"
    KEEP_KEPT = "keep-kept"
    KEEP_OTHER = "keep-other"


KEEP_ARCHIVE_ALONE: Final = "keep-archive-alone"
"""How ``keep-archive`` is written down if ours shall be thrown away and not go into quarantine."""

_OF_OPEN: Final = (Decision.RETRY, Decision.TRANSCODE, Decision.SUPPLY, Decision.GIVE_UP)
_OF_GIVEN_UP: Final = (Decision.RETRY, Decision.TRANSCODE, Decision.SUPPLY)
_OF_CONFLICTS: Final = (Decision.KEEP_BOTH, Decision.KEEP_ARCHIVE, Decision.KEEP_OURS)
_OF_QUARANTINE: Final = (Decision.KEEP_KEPT, Decision.KEEP_OTHER)


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of many."""

    total: int
    items: list[T]


@dataclass(frozen=True, slots=True)
class Sent:
    """How the copy differs that is sent in place of an instance."""

    transfer_syntax: str
    """Empty: that of the instance."""
    supplied: list[str]
    """Tags of the attributes that were supplied."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An instance that the archive refuses."""

    study_uid: str
    series_uid: str
    sop_uid: str
    sop_class_uid: str
    patient_name: str
    patient_id: str
    transfer_syntax: str
    size: int
    """Bytes of its file."""
    peer: str
    """Who sent it here."""
    received: float
    since: float
    """When it was first refused, in POSIX seconds, as all times here."""
    tries: int
    """How often it was refused."""
    next_try: float | None
    """None: not before a person says so."""
    reason: str
    """The archive's own words."""
    given_up: float | None
    given_up_because: str
    copy: Sent | None
    """What is sent in its place; None: it is sent as it is."""
    choices: list[Decision]


@dataclass(frozen=True, slots=True)
class Side:
    """One of two that are called the same; what is not known of it is empty, 0 or None."""

    transfer_syntax: str
    size: int
    digest: str
    """How the SHA-256 of its data set begins."""
    origin: str
    peer: str
    received: float | None
    is_here: bool


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two that are called the same."""

    kind: str
    """``archive``: the other one is in the archive; ``quarantine``: it is here, kept aside."""
    study_uid: str
    series_uid: str
    sop_uid: str
    patient_name: str
    patient_id: str
    since: float
    reason: str
    kept: Side | None
    """What is shown to viewers."""
    other: Side
    decision: str
    """What was decided and is not done yet; empty: both are kept."""
    note: str
    """Why the last decision could not be carried out; empty if none failed."""
    edited: list[str]
    """Attributes of its patient and study that were edited in the archive: it may have written its
    files anew for that. Whether they differ in anything else is not said."""
    choices: list[Decision]


@dataclass(frozen=True, slots=True)
class Unchanged:
    """An instance that a decision could not be taken about."""

    sop_uid: str
    why: str


@dataclass(slots=True)
class Outcome:
    """What became of a decision about many."""

    done: int = 0
    unchanged: int = 0
    """Instances that are not, or no more, in the state that the decision is for."""
    refused: list[Unchanged] = field(default_factory=list)

    def count(self, changed: bool) -> None:
        """One more that it was taken about."""
        if changed:
            self.done += 1
        else:
            self.unchanged += 1


def dead_letter_of(one: Dispute) -> DeadLetter:
    """A dead letter, for people."""
    copy = None
    if one.remedy is not None:
        remedy = remedy_of(*one.remedy)
        copy = Sent(remedy.transfer_syntax, sorted(remedy.attributes))
    return DeadLetter(
        study_uid=one.ref.study_uid,
        series_uid=one.ref.series_uid,
        sop_uid=one.ref.sop_uid,
        sop_class_uid=one.sop_class_uid,
        patient_name=one.patient_name,
        patient_id=one.patient_id,
        transfer_syntax=one.transfer_syntax,
        size=one.content_bytes,
        peer=one.peer,
        received=one.received,
        since=one.since,
        tries=one.refusals,
        next_try=one.retry_at or None,
        reason=one.reason,
        given_up=one.given_up or None,
        given_up_because=one.words if one.given_up else "",
        copy=copy,
        choices=list(_OF_GIVEN_UP if one.given_up else _OF_OPEN),
    )


def conflict_of(one: Dispute) -> Conflict:
    """A conflict with the archive, for people."""
    theirs = one.theirs
    return Conflict(
        kind="archive",
        study_uid=one.ref.study_uid,
        series_uid=one.ref.series_uid,
        sop_uid=one.ref.sop_uid,
        patient_name=one.patient_name,
        patient_id=one.patient_id,
        since=one.since,
        reason=one.reason,
        kept=Side(
            one.transfer_syntax,
            one.content_bytes,
            _shown(one.dataset_digest),
            one.origin,
            one.peer,
            one.received,
            one.availability is Availability.ONLINE,
        ),
        other=Side(
            theirs.transfer_syntax if theirs else "",
            theirs.content_bytes if theirs else 0,
            _shown(theirs.digest if theirs else None),
            "CLOUD",
            "",
            None,
            False,
        ),
        decision=one.decision,
        note=one.words,
        edited=[keyword(tag) for tag in one.edited],
        choices=list(_OF_CONFLICTS),
    )


def quarantine_of(one: Aside) -> Conflict:
    """A conflict with what is in quarantine, for people."""
    kept = None if one.kept is None else _kept(*one.kept)
    return Conflict(
        kind="quarantine",
        study_uid=one.ref.study_uid,
        series_uid=one.ref.series_uid,
        sop_uid=one.ref.sop_uid,
        patient_name=one.patient_name,
        patient_id=one.patient_id,
        since=one.received,
        reason="other bytes came under this UID",
        kept=kept,
        other=Side(
            one.transfer_syntax,
            one.content_bytes,
            _shown(one.dataset_digest),
            one.origin,
            one.peer,
            one.received,
            True,
        ),
        decision="",
        note="",
        edited=[],
        choices=list(_OF_QUARANTINE),
    )


def _kept(syntax: str, size: int, digest: bytes | None, *rest: Any) -> Side:
    origin, peer, received, is_somewhere = rest
    return Side(syntax, size, _shown(digest), origin, peer, received, bool(is_somewhere))


def _shown(digest: bytes | None) -> str:
    return "" if digest is None else digest.hex()[:_DIGITS]
