"""How DICOM calls what stands in the record (PS3.15 A.5.3; PS3.16 CID 400 to 405).

Owns the table between events and the Standard's messages: event, action and type. Everything in the
record has a message; what the Standard has none for is a Security Alert, as it says (A.5.3.11).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from edge.access.audit.entry import Entry, Event, Kind

__all__ = [
    "APPLICATION",
    "DESTINATION",
    "DESTINATION_MEDIA",
    "NODE_ID",
    "PATIENT_NUMBER",
    "SEARCH_CRITERIA",
    "SOURCE",
    "SOURCE_MEDIA",
    "STUDY_UID",
    "URI",
    "URI_MEDIA",
    "USB_MEDIA",
    "Code",
    "Message",
    "message_of",
]


@dataclass(frozen=True, slots=True)
class Code:
    """A coded value."""

    value: str
    meaning: str
    system: str = "DCM"


@dataclass(frozen=True, slots=True)
class Message:
    """Which of the Standard's messages it is."""

    event: Code
    """EventID, of CID 400."""
    action: str
    """EventActionCode: C, R, U, D or E."""
    type: Code | None = None
    """EventTypeCode, of CID 401 or 403."""


APPLICATION: Final = Code("110150", "Application")
DESTINATION: Final = Code("110152", "Destination Role ID")
SOURCE: Final = Code("110153", "Source Role ID")
DESTINATION_MEDIA: Final = Code("110154", "Destination Media")
SOURCE_MEDIA: Final = Code("110155", "Source Media")
USB_MEDIA: Final = Code("110030", "USB Disk Emulation")
URI_MEDIA: Final = Code("110037", "URI")
STUDY_UID: Final = Code("110180", "Study Instance UID")
NODE_ID: Final = Code("110182", "Node ID")
PATIENT_NUMBER: Final = Code("2", "Patient Number", "RFC-3881")
SEARCH_CRITERIA: Final = Code("10", "Search Criteria", "RFC-3881")
URI: Final = Code("12", "URI", "RFC-3881")

_ACTIVITY: Final = Code("110100", "Application Activity")
_LOG_USED: Final = Code("110101", "Audit Log Used")
_BEGIN: Final = Code("110102", "Begin Transferring DICOM Instances")
_ACCESSED: Final = Code("110103", "DICOM Instances Accessed")
_TRANSFERRED: Final = Code("110104", "DICOM Instances Transferred")
_DELETED: Final = Code("110105", "DICOM Study Deleted")
_EXPORT: Final = Code("110106", "Export")
_IMPORT: Final = Code("110107", "Import")
_ORDER: Final = Code("110109", "Order Record")
_PATIENT: Final = Code("110110", "Patient Record")
_PROCEDURE: Final = Code("110111", "Procedure Record")
_QUERY: Final = Code("110112", "Query")
_ALERT: Final = Code("110113", "Security Alert")
_AUTHENTICATION: Final = Code("110114", "User Authentication")

_NODE: Final = Code("110126", "Node Authentication")
_RESTRICTED: Final = Code("110132", "Use of Restricted Function")
_HARDWARE: Final = Code("110130", "Hardware Configuration")


def _alert(value: str, meaning: str) -> Message:
    return Message(_ALERT, "E", Code(value, meaning))


_MESSAGES: Final[Mapping[Event, Message]] = {
    Event.ACCESSED: Message(_ACCESSED, "R"),
    Event.SHOWN: Message(_ACCESSED, "R"),
    Event.EXPORTED: Message(_EXPORT, "R"),
    Event.IMPORTED: Message(_IMPORT, "C"),
    Event.SENDING: Message(_BEGIN, "E"),
    Event.SENT: Message(_TRANSFERRED, "R"),
    Event.RECEIVED: Message(_TRANSFERRED, "C"),
    Event.DELETING: Message(_ACCESSED, "D"),
    Event.DELETED: Message(_ACCESSED, "D"),
    Event.QUERIED: Message(_QUERY, "E"),
    Event.SCHEDULED: Message(_ORDER, "C"),
    Event.PERFORMED: Message(_PROCEDURE, "U"),
    Event.PATIENT: Message(_PATIENT, "U"),
    Event.STARTED: Message(_ACTIVITY, "E", Code("110120", "Application Start")),
    Event.STOPPED: Message(_ACTIVITY, "E", Code("110121", "Application Stop")),
    Event.READ_RECORD: Message(_LOG_USED, "R"),
    Event.RECORD_STARTED: _alert("110134", "Audit Recording Started"),
    Event.RECORD_STOPPED: _alert("110133", "Audit Recording Stopped"),
    Event.RECORD_DAMAGED: _alert("110135", "Object Security Attributes Changed"),
    Event.RECORD_PRUNED: Message(_ALERT, "E", _RESTRICTED),
    Event.LOGGED_IN: Message(_AUTHENTICATION, "E", Code("110122", "Login")),
    Event.LOGGED_OUT: Message(_AUTHENTICATION, "E", Code("110123", "Logout")),
    Event.CONNECTED: Message(_ALERT, "E", _NODE),
    Event.REFUSED: Message(_ALERT, "E", _NODE),
    Event.OVERRIDE_STARTED: _alert("110127", "Emergency Override Started"),
    Event.OVERRIDE_STOPPED: _alert("110138", "Emergency Override Stopped"),
    Event.SOFTWARE: _alert("110131", "Software Configuration"),
    Event.NETWORK: _alert("110128", "Network Configuration"),
    Event.SECURITY: _alert("110129", "Security Configuration"),
    Event.USER: _alert("110137", "User Security Attributes Changed"),
    Event.KEY: _alert("110129", "Security Configuration"),
    Event.ADMINISTERED: Message(_ALERT, "E", _RESTRICTED),
    Event.COMMAND: Message(_ALERT, "E", _RESTRICTED),
    Event.CLOCK: Message(_ALERT, "E", _HARDWARE),
}
_ACTIONS: Final = {
    "POST": "C",
    "DELETE": "D",
    "N-CREATE": "C",
    "N-SET": "U",
    "N-GET": "R",
    "edge worklist add": "C",
    "edge worklist remove": "D",
}
"""By the first words of what was done: of orders and procedures."""


def message_of(entry: Entry) -> Message:
    """Which message an entry is."""
    message = _MESSAGES[entry.event]
    if entry.event is Event.DELETED and entry.what == "the study":
        return Message(_DELETED, "D")  # all of it, in a single action (A.5.3.8)
    if entry.event is Event.REFUSED and entry.actor.role and entry.actor.kind is Kind.PERSON:
        return Message(_ALERT, "E", _RESTRICTED)  # it is known who it is
    if message.event in (_ORDER, _PROCEDURE):
        for words, action in _ACTIONS.items():
            if entry.what.startswith(words):
                return Message(message.event, action)
    return message
