"""What is right, to begin from: association requests, command sets, identifiers, conversations.

A conversation has been recorded, as it were: the association request of a device that wants
everything, and then a request of each kind with its data set.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

from edge.dicom.identifier import IDENTIFIER_SYNTAXES, write_identifier
from edge.dicom.procedure import MPPS, MPPS_RETRIEVE
from edge.dicom.scheduled import MODALITY_WORKLIST
from edge.dimse.messages import CommandField, Element, build_command
from edge.dimse.storage_commitment import STORAGE_COMMITMENT, WELL_KNOWN_INSTANCE
from tests.dimse import raw
from tests.dimse.steps import beginning, ending, json_of

TITLE = "FUZZ"
SYNTAXES = sorted(IDENTIFIER_SYNTAXES)
PATIENT_FIND, STUDY_FIND = "1.2.840.10008.5.1.4.1.2.1.1", "1.2.840.10008.5.1.4.1.2.2.1"
STUDY_MOVE, STUDY_GET = "1.2.840.10008.5.1.4.1.2.2.2", "1.2.840.10008.5.1.4.1.2.2.3"
CLASSES = (
    raw.VERIFICATION,
    raw.CT,
    PATIENT_FIND,
    STUDY_FIND,
    STUDY_MOVE,
    STUDY_GET,
    STORAGE_COMMITMENT,
    MODALITY_WORKLIST,
    MPPS,
    MPPS_RETRIEVE,
)
ID_OF = {uid: 2 * number + 1 for number, uid in enumerate(CLASSES)}


def key(vr: str, *values: Any) -> dict[str, Any]:
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}


IDENTIFIERS: dict[str, dict[str, Any]] = {
    "studies": {
        "00080005": key("CS", "ISO_IR 192"),
        "00080020": key("DA", "20200101-20300101"),
        "00080030": key("TM", "0800-"),
        "00080052": key("CS", "STUDY"),
        "00080061": key("CS", "CT", "MR"),
        "00100010": key("PN", {"Alphabetic": "D*^J?", "Ideographic": "\u5c71\u7530^\u592a\u90ce"}),
        "00100020": key("LO", "*"),
        "00101010": key("AS"),
        "0020000D": key("UI", "1.2.3", "1.2.4"),
        "00201208": key("IS", "5"),
    },
    "images": {
        "00080018": key("UI"),
        "00080052": key("CS", "IMAGE"),
        "00081140": key("SQ", {"00081155": key("UI", "1.2.3")}),
        "00100020": key("LO", "P1"),
        "0020000D": key("UI", "1.2.3"),
        "0020000E": key("UI", "1.2.3.4"),
        "00280010": key("US", 512),
        "00281050": key("DS", 40.5),
    },
    "study to retrieve": {
        "00080052": key("CS", "STUDY"),
        # Not here: nobody answers the C-STORE that would follow.
        "0020000D": key("UI", "1.2.4", "1.2.5"),
    },
    "study that is here": {
        "00080052": key("CS", "STUDY"),
        "0020000D": key("UI", "1.2.3"),
    },
    "worklist": {
        "00100010": key("PN", {"Alphabetic": "DOE*"}),
        "0020000D": key("UI", "1.2.3"),
        "00400100": key(
            "SQ",
            {
                "00080060": key("CS", "CT"),
                "00400001": key("AE", "CT1"),
                "00400002": key("DA", "20200101-"),
                "00400003": key("TM"),
            },
        ),
    },
    "commitment": {
        "00081195": key("UI", "1.2.9"),
        "00081199": key(
            "SQ",
            *(
                {"00081150": key("UI", raw.CT), "00081155": key("UI", f"1.2.3.4.{number}")}
                for number in range(3)
            ),
        ),
    },
    "instance": {
        "00080016": key("UI", raw.CT),
        "00080018": key("UI", "1.2.3.4.5"),
        "00080020": key("DA", "20240229"),
        "00080060": key("CS", "CT"),
        "00081140": key("SQ", {"00081150": key("UI", raw.CT), "00081155": key("UI", "1.2.3")}),
        "00100010": key("PN", {"Alphabetic": "Synthetic^Fuzz"}),
        "00100020": key("LO", "SYN-FUZZ"),
        "0020000D": key("UI", "1.2.3"),
        "0020000E": key("UI", "1.2.3.4"),
        "00200013": key("IS", 1),
        "00280010": key("US", 4),
        "00280011": key("US", 4),
        "7FE00010": {"vr": "OW", "InlineBinary": "AAECAwQFBgcICQoLDA0ODwABAgMEBQYHCAkKCwwNDg8="},
    },
    "beginning": json_of(beginning()),
    "ending": json_of(ending()),
}


def encoded(name: str, syntax: str) -> bytes:
    return write_identifier(IDENTIFIERS[name], syntax)


@dataclass(frozen=True)
class Message:
    """A request: its presentation context, and what goes over it."""

    sop_class: str
    command: bytes
    name: str = ""
    """Of its data set; empty if it has none."""
    syntax: str = ""

    @property
    def data_set(self) -> bytes:
        return encoded(self.name, self.syntax) if self.name else b""


def _message(
    sop_class: str,
    field: CommandField,
    number: int,
    name: str = "",
    syntax: str = "",
    **more: int | str,
) -> Message:
    values: dict[Element, int | str | bytes] = {
        Element.COMMAND_FIELD: field,
        Element.MESSAGE_ID: number,
        Element.COMMAND_DATA_SET_TYPE: 1 if name else 0x0101,
    }
    is_requested = field in (CommandField.N_ACTION, CommandField.N_SET, CommandField.N_GET)
    uid_element = (
        Element.REQUESTED_SOP_CLASS_UID if is_requested else Element.AFFECTED_SOP_CLASS_UID
    )
    values[uid_element] = MPPS if sop_class == MPPS_RETRIEVE else sop_class
    values |= {Element[name]: value for name, value in more.items()}
    return Message(sop_class, build_command(values), name, syntax)


def messages(syntax: str) -> list[Message]:
    """One of each kind, data sets in this transfer syntax."""
    named = {"AFFECTED_SOP_INSTANCE_UID": "1.2.3.4.5"}
    requested = {"REQUESTED_SOP_INSTANCE_UID": "1.2.3.4.5"}
    field = CommandField
    return [
        _message(raw.VERIFICATION, field.C_ECHO, 1),
        _message(raw.CT, field.C_STORE, 2, "instance", syntax, PRIORITY=0, **named),
        _message(STUDY_FIND, field.C_FIND, 3, "studies", syntax, PRIORITY=0),
        _message(PATIENT_FIND, field.C_FIND, 4, "images", syntax, PRIORITY=0),
        _message(
            STUDY_MOVE,
            field.C_MOVE,
            5,
            "study to retrieve",
            syntax,
            PRIORITY=0,
            MOVE_DESTINATION="NOWHERE",
        ),
        _message(STUDY_GET, field.C_GET, 6, "study to retrieve", syntax, PRIORITY=0),
        _message(
            STORAGE_COMMITMENT,
            field.N_ACTION,
            7,
            "commitment",
            syntax,
            REQUESTED_SOP_INSTANCE_UID=WELL_KNOWN_INSTANCE,
            ACTION_TYPE_ID=1,
        ),
        _message(MODALITY_WORKLIST, field.C_FIND, 8, "worklist", syntax, PRIORITY=0),
        _message(MPPS, field.N_CREATE, 9, "beginning", syntax, **named),
        _message(MPPS, field.N_SET, 10, "ending", syntax, **requested),
        _message(MPPS_RETRIEVE, field.N_GET, 11, **requested),
    ]


def further(syntax: str) -> list[Message]:
    """What is no request of another kind: a move to who listens, and the end of a search."""
    field, number = CommandField, len(messages(syntax)) + 1
    cancel = build_command(
        {
            Element.COMMAND_FIELD: field.C_CANCEL,
            Element.MESSAGE_ID_BEING_RESPONDED_TO: 3,
            Element.COMMAND_DATA_SET_TYPE: 0x0101,
        }
    )
    return [
        _message(
            STUDY_MOVE,
            field.C_MOVE,
            number,
            "study that is here",
            syntax,
            PRIORITY=0,
            MOVE_DESTINATION="EDGE",
        ),
        Message(STUDY_FIND, cancel),
    ]


def request_body(syntax: str) -> bytes:
    """Of an A-ASSOCIATE-RQ that proposes everything."""
    contexts = b"".join(raw.context_item(ID_OF[uid], uid, [syntax]) for uid in CLASSES)
    user = raw.user_items() + raw.item(0x53, b"\0\1\0\1") + raw.role_item(raw.CT, 1, 1)
    for uid in (STUDY_FIND, STUDY_MOVE):
        name = uid.encode()
        user += raw.item(0x56, len(name).to_bytes(2, "big") + name + b"\1\1\1\1")
    return raw.associate_body(contexts, calling=TITLE, user=user)


REQUESTS = [request_body(syntax) for syntax in SYNTAXES]
COMMANDS = [message.command for message in messages(raw.EXPLICIT)]


def inflated(data: bytes) -> bytes:
    return zlib.decompress(data, wbits=-zlib.MAX_WBITS)


def deflated(data: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflater.compress(data) + deflater.flush()
