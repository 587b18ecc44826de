"""What this software does over DICOM, as tables: read off the services and their own constants.

Owns the rows of the conformance statement (PS3.2); `statement` makes sentences of them. A service
says itself what it takes, so it is asked about every SOP class that has a name. What it can't be
asked, which statuses mean what, stands here, and the tests hold it against the code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydicom._uid_dict import UID_dictionary
from pydicom.datadict import keyword_for_tag

from edge.cache.catalogue import Catalogue
from edge.cache.commitments import FailureReason
from edge.dicom.availability import AVAILABILITY_NOTIFICATION
from edge.dicom.dictionary import KEYS
from edge.dicom.instance import Level
from edge.dicom.procedure import MPPS
from edge.dimse import commitment_reports, echo, move, outbox, worklist_poll
from edge.dimse.find import query_service
from edge.dimse.get import get_service
from edge.dimse.messages import CommandField, Status
from edge.dimse.mpps import mpps_service
from edge.dimse.proposal import Proposal
from edge.dimse.query_model import Extension
from edge.dimse.services import Service, find_service
from edge.dimse.storage import storage_service
from edge.dimse.storage_commitment import storage_commitment_service
from edge.dimse.verification import verification_service
from edge.dimse.worklist import worklist_service

__all__ = [
    "AGREEMENTS",
    "ASKED",
    "EVERY_SERVICE",
    "REASONS",
    "STATUSES",
    "SopClass",
    "all_services",
    "commands_of",
    "kept_attributes",
    "known_classes",
    "name_of",
    "named_syntaxes",
    "sop_classes_of",
    "syntaxes_of",
]

_UNUSED: Any = None
"""Collaborators: services are asked what they offer here, and nothing is asked of them."""
_NEVER_ENCODED: Final = ("1.2.840.10008.1.2.6.", "1.2.840.10008.1.2.7.")
"""Mail, XML and live video: nobody stores a data set so."""
_CLASSES: Final = frozenset({"SOP Class", "Meta SOP Class"})


@dataclass(frozen=True, slots=True)
class SopClass:
    """One that has a name."""

    uid: str
    name: str
    is_retired: bool


def all_services() -> tuple[Service, ...]:
    """Those that a server offers, in the order in which they are asked."""
    return (
        verification_service(),
        query_service(Catalogue(_UNUSED)),
        move.move_service(_UNUSED, _UNUSED, _UNUSED),
        get_service(_UNUSED, _UNUSED, _UNUSED),
        storage_commitment_service(_UNUSED, _UNUSED),
        worklist_service(_UNUSED),
        mpps_service(_UNUSED),
        storage_service(_UNUSED),
    )


def known_classes() -> list[SopClass]:
    """All SOP classes of the Standard that have a name, by their UIDs."""
    found = [
        SopClass(uid, str(name or keyword or uid), bool(retired))
        for uid, (name, kind, _, retired, keyword) in UID_dictionary.items()
        if kind in _CLASSES
    ]
    return sorted(found, key=lambda one: [int(part) for part in one.uid.split(".")])


def sop_classes_of(service: Service, services: Sequence[Service]) -> list[SopClass]:
    """Those that the service has; one that another has before it is the other's."""
    return [one for one in known_classes() if find_service(services, one.uid) is service]


def named_syntaxes() -> list[str]:
    """Transfer syntaxes of the Standard that data sets are stored in."""
    return sorted(
        uid
        for uid, (_, kind, *_) in UID_dictionary.items()
        if kind == "Transfer Syntax" and not uid.startswith(_NEVER_ENCODED)
    )


def syntaxes_of(service: Service) -> list[str]:
    """Transfer syntaxes that the service takes; of one that takes any, those with a name."""
    return sorted(service.transfer_syntaxes or named_syntaxes())


def commands_of(service: Service) -> list[str]:
    """DIMSE services, as the Standard writes them."""
    return [CommandField(field).name.replace("_", "-") for field in sorted(service.handlers)]


def name_of(uid: str) -> str:
    """What the Standard calls a UID; the UID itself if it does not."""
    known = UID_dictionary.get(uid)
    return str(known[0]) if known and known[0] else uid


_AGREEMENTS: Final = (
    "relational queries",
    "combined date and time matching",
    "fuzzy semantic matching of person names",
    "time zone query adjustment",
    "enhanced multi-frame image conversion",
    "empty value matching",
    "multiple value matching",
)
"""Bytes of the application information of C-FIND (PS3.4 Table C.5-2)."""
AGREEMENTS: Final[Mapping[str, bool]] = {
    name: bool(byte)
    for name, byte in zip(_AGREEMENTS, Extension.answer(b"\x01" * len(_AGREEMENTS)), strict=True)
}
"""And whether each is agreed to."""


def kept_attributes(level: Level) -> Iterator[tuple[str, str, bool]]:
    """Tag, keyword and whether it is matched, of what an answer at a level of C-FIND can hold.

    At the level of instances it is everything that an instance has: that is not listed.
    """
    catalogue = Catalogue(_UNUSED)
    for number, tag in sorted(KEYS.items()):
        if catalogue.is_kept(tag, level):
            yield tag, keyword_for_tag(number), catalogue.can_match((tag,), level)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of others."""

    proposal: Proposal
    commands: tuple[str, ...]
    when: str


ASKED: Final = (
    Asked(echo.PROPOSAL, ("C-ECHO",), "A person tests the way to a peer (`edge peer echo`)."),
    Asked(
        commitment_reports.PROPOSAL,
        ("N-EVENT-REPORT",),
        "A storage commitment is decided, and the association on which it was asked is gone.",
    ),
    Asked(
        worklist_poll.PROPOSAL,
        ("C-FIND",),
        "Every `interval_seconds`, of each worklist that is configured.",
    ),
    Asked(
        Proposal(MPPS, outbox.SYNTAXES),
        ("N-CREATE", "N-SET"),
        "A performed procedure step came, for peers with `forward_mpps`.",
    ),
    Asked(
        Proposal(AVAILABILITY_NOTIFICATION, outbox.SYNTAXES),
        ("N-CREATE",),
        "A study is complete, for peers with `notify`.",
    ),
)
"""Beside C-STORE for a C-MOVE, which proposes what is stored."""


EVERY_SERVICE: Final[Mapping[Status, str]] = {
    Status.PROCESSING_FAILURE: "Something failed here that nobody foresaw; the log says more.",
    Status.UNRECOGNISED_OPERATION: "The service has no such operation, or the role is not agreed.",
}
_IN_QUERIES: Final[Mapping[Status, str]] = {
    Status.SUCCESS: "All matches were answered.",
    Status.PENDING: "A match follows.",
    Status.CANCELLED: "Matching ended by C-CANCEL.",
    Status.CANNOT_UNDERSTAND: "The identifier or a value in it can't be read.",
    Status.DATA_SET_DOES_NOT_MATCH: "The identifier is not one of the model.",
}
_IN_RETRIEVALS: Final[Mapping[Status, str]] = {
    Status.SUCCESS: "All instances were stored, or none matches.",
    Status.PENDING: "Sub-operations go on; the counts say how far they are.",
    Status.CANCELLED: "Sub-operations ended by C-CANCEL.",
    Status.WARNING: "Some failed, or were stored with a warning.",
    Status.UNABLE_TO_COUNT: "More than 65,535 instances match.",
    Status.UNABLE_TO_PERFORM: "All sub-operations failed.",
    Status.DATA_SET_DOES_NOT_MATCH: "The identifier is not one of the model.",
    Status.CANNOT_UNDERSTAND: (
        "The identifier can't be read, or a study is not known here and the archive out of reach."
    ),
}
STATUSES: Final[Mapping[str, Mapping[Status, str]]] = {
    "verification": {Status.SUCCESS: "Always."},
    "storage": {
        Status.SUCCESS: "The instance is stored durably, now or before.",
        Status.OUT_OF_RESOURCES: "The disk is full.",
        Status.DATA_SET_DOES_NOT_MATCH: "The data set is of another instance than was announced.",
        Status.CANNOT_UNDERSTAND: "The data set is no instance, or is missing.",
        Status.NOT_AUTHORISED: "The peer may not store this.",
        Status.INVALID_SOP_INSTANCE: "Affected SOP Instance UID is not a UID.",
        Status.SOP_CLASS_NOT_SUPPORTED: "The SOP class is not that of the presentation context.",
    },
    "query": {
        **_IN_QUERIES,
        Status.PENDING_KEYS_NOT_SUPPORTED: "A match follows; some optional keys are not matched.",
        Status.UNABLE_TO_PROCESS: "The search failed.",
    },
    "retrieve by C-MOVE": {
        **_IN_RETRIEVALS,
        Status.DESTINATION_UNKNOWN: "No peer that can be called has that AE title.",
    },
    "retrieve by C-GET": _IN_RETRIEVALS,
    "storage commitment": {
        Status.SUCCESS: "The request is kept durably; N-EVENT-REPORT follows.",
        Status.NO_SUCH_SOP_INSTANCE: "Not the well-known SOP instance.",
        Status.NO_SUCH_ARGUMENT: "The transaction or the list of instances is missing.",
        Status.INVALID_ARGUMENT_VALUE: "A UID is not one, or the list is empty.",
        Status.SOP_CLASS_NOT_SUPPORTED: "Not the SOP class of storage commitment.",
        Status.NO_SUCH_ACTION: "Action Type ID is not 1.",
        Status.RESOURCE_LIMITATION: "Too much at once, too much is waiting, or the disk is full.",
        Status.PROCESSING_FAILURE: "The data set can't be read.",
    },
    "modality worklist": {
        **_IN_QUERIES,
        Status.PENDING_KEYS_NOT_SUPPORTED: (
            "A match follows; a key that asks for something chose nothing: this item has no value "
            "of it, or no worklist has it."
        ),
        Status.SOP_CLASS_NOT_SUPPORTED: "The SOP class is not that of the presentation context.",
    },
    "modality performed procedure step": {
        Status.SUCCESS: "The step is kept durably.",
        Status.OPTIONAL_ATTRIBUTES_NOT_SUPPORTED: "N-GET: some attributes are not in the step.",
        Status.INVALID_ATTRIBUTE_VALUE: "A value can't be; the data set names it.",
        Status.ATTRIBUTE_LIST_ERROR: "N-SET: some attributes may not change, the others were set.",
        Status.PROCESSING_FAILURE: (
            "The data set can't be read; with Error ID A710, the step is over and may no longer "
            "be updated."
        ),
        Status.DUPLICATE_SOP_INSTANCE: "The step is there already.",
        Status.NO_SUCH_SOP_INSTANCE: "No such step.",
        Status.INVALID_SOP_INSTANCE: "The SOP Instance UID is not a UID.",
        Status.NO_SUCH_SOP_CLASS: "The SOP class is not that of the presentation context.",
        Status.MISSING_ATTRIBUTE: "An attribute is missing.",
        Status.MISSING_ATTRIBUTE_VALUE: "An attribute has no value.",
        Status.UNRECOGNISED_OPERATION: "The operation is not of this SOP class.",
        Status.RESOURCE_LIMITATION: "The disk is full, or there are too many steps.",
    },
}
"""By the name of a service: what it answers with, and when."""


REASONS: Final[Mapping[FailureReason, str]] = {
    FailureReason.PROCESSING_FAILURE: "It could not be decided within `dimse.commit_days`.",
    FailureReason.NO_SUCH_OBJECT_INSTANCE: "It is not here, or not any more.",
    FailureReason.CLASS_INSTANCE_CONFLICT: "It is of another SOP class.",
    FailureReason.SOP_CLASS_NOT_SUPPORTED: "Its SOP class is none that is stored here.",
}
"""Failure Reason (0008,1197) in a report of storage commitment, and when."""
