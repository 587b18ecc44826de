"""What an entry of the record says: who did what, with whose data, when, from where, and whether.

Owns the words of the record. Promises that an entry is one value that is written as JSON and read
again, by later versions, too: what is not known has its default, and what is new is passed over.
Names of patients and what was searched for stand here and nowhere else: entries are sealed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from typing import Any

import msgspec

from edge.access.roles import Identity

__all__ = ["BOX", "Actor", "Entry", "Event", "Kind", "Outcome", "Subject", "moment"]

_LONGEST = 1000
"""Characters of a text in an entry."""


class Event(StrEnum):
    """What happened; `edge.access.audit.codes` says how DICOM calls it (PS3.15 A.5.3)."""

    # Patient data.
    ACCESSED = "instances accessed"
    """Images or their metadata were looked at, drawn, or changed."""
    SHOWN = "shown in a list"
    """A small picture of a study was given, as lists have it: nobody need have opened it."""
    EXPORTED = "data exported"
    """Patient data left on a medium, or as a document."""
    IMPORTED = "data imported"
    """Instances came from a medium: the drop folder, a courier's disk."""
    SENDING = "transfer begun"
    """Instances begin to be sent to another system."""
    SENT = "instances sent"
    RECEIVED = "instances received"
    DELETING = "deletion begun"
    """It is on the disk before anything is deleted; what became of it follows."""
    DELETED = "instances deleted"
    QUERIED = "query"
    SCHEDULED = "order record"
    """The worklist was changed."""
    PERFORMED = "procedure record"
    """A performed procedure step was made or changed."""
    PATIENT = "patient record"
    """Demographics were changed."""
    # The box.
    STARTED = "service started"
    STOPPED = "service stopped"
    READ_RECORD = "record read"
    """Somebody read this record."""
    RECORD_STARTED = "record started"
    RECORD_STOPPED = "record stopped"
    RECORD_DAMAGED = "record damaged"
    """Something of this record is missing, or was changed."""
    RECORD_PRUNED = "record pruned"
    """The oldest part of it was removed, since its time was over or its room was needed."""
    LOGGED_IN = "log-in"
    LOGGED_OUT = "log-out"
    CONNECTED = "node connected"
    REFUSED = "refused"
    """Somebody who is not known, or may not, tried something."""
    OVERRIDE_STARTED = "emergency access started"
    OVERRIDE_STOPPED = "emergency access stopped"
    SOFTWARE = "configuration loaded"
    NETWORK = "network configured"
    """Peers and archives."""
    SECURITY = "security configured"
    """Tokens, keys, certificates, log-in."""
    USER = "user changed"
    KEY = "key act"
    """Lock, unlock, rotation, recovery key."""
    ADMINISTERED = "administered"
    """Any other act on how the box works."""
    COMMAND = "command"
    """A command on the machine itself that changed something, or showed patient data."""
    CLOCK = "clock changed"


class Outcome(IntEnum):
    """EventOutcomeIndicator of PS3.15 A.5.2."""

    SUCCESS = 0
    REFUSED = 4
    """It was not done, as it should be: a right is missing, or what was asked for is not there."""
    FAILED = 8
    """It could not be done, or not wholly."""
    GRAVE = 12
    """The box itself is in trouble."""


class Kind(StrEnum):
    """What somebody is."""

    PERSON = "person"
    """Or a program that shows itself by a person's token or session."""
    PEER = "peer"
    """A DICOM application entity."""
    ARCHIVE = "archive"
    MACHINE = "machine"
    """Who sits at this machine, by the name of the operating system's user."""
    BOX = "box"
    """The service itself."""


class Actor(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who did it."""

    name: str
    kind: Kind = Kind.PERSON
    role: str = ""
    proof: str = ""
    """By what it was proven who that is."""
    token: str = ""
    """Name of the token or of the session; not secret."""
    address: str = ""
    """Where it came from."""
    ae_title: str = ""
    emergency: str = ""
    """The emergency access under which it was done, by its name; the entry of its beginning, of
    which that is the target, has the reason."""

    @classmethod
    def of(cls, identity: Identity, address: str = "") -> Actor:
        """Whom a door has let in."""
        return cls(
            identity.name,
            role=str(identity.role),
            proof=str(identity.proof),
            token=identity.token_id or identity.session_id,
            address=address,
            emergency=identity.emergency,
        )


BOX = Actor("edge", Kind.BOX)
"""What the box does by itself."""


class Subject(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whose data it is about, as the index knew it then."""

    study_uid: str = ""
    patient_id: str = ""
    patient_name: str = ""
    accession_number: str = ""


NOBODY = Subject()


class Entry(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One act, or several of one kind that a person would call one."""

    at: float
    """When, or when the first of them was; POSIX seconds."""
    event: Event
    actor: Actor
    outcome: Outcome = Outcome.SUCCESS
    what: str = ""
    """In words, or the resource; without patient data."""
    about: Subject = NOBODY
    until: float = 0.0
    """When the last of them was; 0 if it was one."""
    times: int = 1
    instances: int = 0
    """Different ones that it was about, as far as they were counted."""
    sop_classes: Mapping[str, int] = {}
    """How many of which."""
    query: str = ""
    """What was searched for; it may name a patient."""
    target: str = ""
    """The other system, user, token or thing that it was about."""
    reason: str = ""
    """Why it was refused or failed, or why somebody says that they do it."""
    detail: Mapping[str, str] = {}
    """What else is worth knowing: what was changed to what."""
    number: int = 0
    """In the record; it is given when the entry is written."""

    def to_bytes(self) -> bytes:
        """As it is sealed; texts are cut to a length that fits."""
        try:
            data = _encode(self)
        except UnicodeEncodeError:  # half a character, out of a header or an argument
            return _printable(self).to_bytes()
        if len(data) > 8 * _LONGEST:
            data = _encode(_cut(self))
        return data

    @classmethod
    def from_bytes(cls, data: bytes, number: int) -> Entry:
        """Read an entry; what a later version wrote, too, as far as it can be understood."""
        try:
            entry = _decode(data)
        except msgspec.DecodeError:
            return cls(at=0.0, event=Event.COMMAND, actor=BOX, what="?", number=number)
        return msgspec.structs.replace(entry, number=number)


def moment(posix: float) -> str:
    """A moment as XML Schema writes it (xs:dateTime), in UTC."""
    return datetime.fromtimestamp(posix, UTC).isoformat(timespec="milliseconds")


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Entry).decode


def _printable(entry: Entry) -> Entry:
    """The same with what can't be written in its texts replaced."""
    plain = msgspec.to_builtins(entry)
    return msgspec.convert(_replaced(plain), Entry)


def _replaced(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_replaced(name): _replaced(one) for name, one in value.items()}
    return value


def _cut(entry: Entry) -> Entry:
    """Whatever strangers sent, and however it is escaped, it is less than a record may have."""
    detail = {name[:64]: text[:200] for name, text in list(entry.detail.items())[:12]}
    about, actor = entry.about, entry.actor
    return msgspec.structs.replace(
        entry,
        what=entry.what[:_LONGEST],
        query=entry.query[:_LONGEST],
        reason=entry.reason[:_LONGEST],
        target=entry.target[:_LONGEST],
        detail=detail,
        about=Subject(*(text[:200] for text in msgspec.structs.astuple(about))),
        actor=msgspec.structs.replace(
            actor, name=actor.name[:200], address=actor.address[:100], ae_title=actor.ae_title[:64]
        ),
        sop_classes={uid[:64]: n for uid, n in list(entry.sop_classes.items())[:16]},
    )
