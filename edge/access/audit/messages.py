"""Entries as DICOM audit messages: XML by the schema of PS3.15 A.5.1, filled as A.5.3 says.

Owns who takes which part in a message, and what it names. Promises that every message fits the
schema, whatever strangers sent: what can't stand in XML is replaced. What the Standard has no place
for (what was asked for in detail, what was changed) stands in details of an object, as base64.

Where this differs from the Standard's tables: a query is told as text (Search Criteria), not as a
data set; a patient that is not known has an empty ID.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from typing import Final
from xml.etree import ElementTree as ET

import msgspec

from edge.access.audit import codes
from edge.access.audit.codes import Code, message_of
from edge.access.audit.entry import Actor, Entry, Event, Kind, moment

__all__ = ["Messages"]

_ILLEGAL: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What is no character of XML 1.0."""
_SOURCE_TYPE: Final = "4"
"""AuditSourceTypeCode: application server process."""
_PERSON, _SYSTEM = "1", "2"
_PATIENT, _REPORT, _SECURITY_RESOURCE = "1", "3", "13"
_EMERGENCY: Final = "Emergency Override"
"""Detail of an object: under which emergency access (110127) something was done."""
_LOG_NAME: Final = "Security Audit Log"

_Part = tuple[Actor, Code | None]


class Messages:
    """Makes them.

    Args:
        box: What the box is called.
        ae_title: Its own.
    """

    def __init__(self, box: str, ae_title: str) -> None:
        self._box = box
        self._ae_title = ae_title.strip()
        self._process = Actor("edge", Kind.BOX)

    def xml(self, entry: Entry) -> str:
        """The message of an entry."""
        if entry.actor.emergency:
            detail = {**entry.detail, _EMERGENCY: entry.actor.emergency}
            entry = msgspec.structs.replace(entry, detail=detail)
        message = message_of(entry)
        root = ET.Element("AuditMessage")
        event = ET.SubElement(root, "EventIdentification")
        event.set("EventActionCode", message.action)
        event.set("EventDateTime", moment(entry.until or entry.at))
        event.set("EventOutcomeIndicator", str(int(entry.outcome)))
        _coded(event, "EventID", message.event)
        if message.type is not None:
            _coded(event, "EventTypeCode", message.type)
        if words := _words(entry):
            ET.SubElement(event, "EventOutcomeDescription").text = _clean(words)
        self._participants(root, entry)
        source = ET.SubElement(root, "AuditSourceIdentification")
        source.set("AuditSourceID", _clean(self._box))
        ET.SubElement(source, "AuditSourceTypeCode").set("csd-code", _SOURCE_TYPE)
        _OBJECTS.get(message.event.value, _alert_subject)(root, entry)
        return ET.tostring(root, encoding="unicode")

    def _participants(self, root: ET.Element, entry: Entry) -> None:
        """Who did it, who else took part, and in which role."""
        actor = entry.actor
        box = actor if actor.kind is Kind.BOX else self._process
        other = Actor(entry.target, Kind.PEER) if entry.target else None
        parts: list[_Part]
        if entry.event in (Event.SENDING, Event.SENT):
            parts = [(box, codes.SOURCE), (other or actor, codes.DESTINATION)]
            if other is not None and actor.kind is not Kind.BOX:
                parts.append((actor, None))
        elif entry.event is Event.RECEIVED and actor.kind is Kind.BOX:
            parts = [(other or Actor("", Kind.PEER), codes.SOURCE), (box, codes.DESTINATION)]
        elif entry.event in (Event.RECEIVED, Event.QUERIED):
            parts = [(actor, codes.SOURCE), (box, codes.DESTINATION)]
        elif entry.event in (Event.STARTED, Event.STOPPED):
            parts = [(actor, codes.APPLICATION)]
        elif entry.event is Event.EXPORTED:
            media = entry.detail.get("to", "")
            parts = [(actor, codes.DESTINATION), (box, codes.SOURCE)]
            self._add(root, (Actor(media or entry.what), codes.DESTINATION_MEDIA), media=media)
        elif entry.event is Event.IMPORTED:
            parts = [(actor, codes.DESTINATION), (box, codes.DESTINATION)]
            self._add(root, (Actor(entry.what), codes.SOURCE_MEDIA), media=entry.what)
        elif actor.kind is Kind.BOX:
            parts = [(actor, None)]
        else:
            parts = [(actor, None), (box, None)]
        for part in parts:
            self._add(root, part, is_requestor=part[0] is actor)

    def _add(
        self,
        root: ET.Element,
        part: _Part,
        *,
        is_requestor: bool = False,
        media: str | None = None,
    ) -> None:
        actor, role = part
        element = ET.SubElement(root, "ActiveParticipant")
        element.set("UserID", _clean(self._user_id(actor)))
        titles = self._ae_title if actor.kind is Kind.BOX else actor.ae_title
        if titles:
            element.set("AlternativeUserID", _clean(f"AETITLES={titles}"))
        elif actor.token:
            element.set("AlternativeUserID", _clean(actor.token))
        if actor.name:
            element.set("UserName", _clean(actor.name))
        element.set("UserIsRequestor", "true" if is_requestor else "false")
        address = self._box if actor.kind is Kind.BOX else actor.address
        if address:
            element.set("NetworkAccessPointID", _clean(address))
            element.set("NetworkAccessPointTypeCode", "1" if actor.kind is Kind.BOX else "2")
        elif is_requestor:  # what a log-in must have: it came from this machine
            element.set("NetworkAccessPointID", _clean(self._box))
            element.set("NetworkAccessPointTypeCode", "1")
        if role is not None:
            _coded(element, "RoleIDCode", role)
        if actor.role:
            _coded(element, "RoleIDCode", Code(actor.role, actor.role, "edge"))
        if media is not None:
            identifier = ET.SubElement(element, "MediaIdentifier")
            is_disk = media.startswith(("/", "edge courier"))
            _coded(identifier, "MediaType", codes.USB_MEDIA if is_disk else codes.URI_MEDIA)

    def _user_id(self, actor: Actor) -> str:
        """``loginName@domain`` of a person (A.5.2.1); AE title or name of anything else."""
        if actor.kind in (Kind.PERSON, Kind.MACHINE) and actor.name:
            return f"{actor.name}@{self._box}"
        return actor.ae_title or actor.name or actor.address or "unknown"


def _words(entry: Entry) -> str:
    """What happened, for people: never what was searched for."""
    if entry.event is Event.DELETING:
        return "the deletion begins"
    counted = f"{entry.instances} instances, {entry.times} times" if entry.times > 1 else ""
    return "; ".join(word for word in (entry.reason, counted) if word)


def _study_and_patient(root: ET.Element, entry: Entry) -> None:
    """The study, with how many instances of which classes; and its patient."""
    about = entry.about
    if about.study_uid:
        study = _object(root, about.study_uid, codes.STUDY_UID, _SYSTEM, _REPORT, about.study_uid)
        _details(study, entry.detail)
        description = ET.SubElement(study, "ParticipantObjectDescription")
        if about.accession_number:
            accession = ET.SubElement(description, "Accession")
            accession.set("Number", _clean(about.accession_number))
        known = entry.sop_classes or {"": entry.instances}
        for uid, count in known.items():
            sop_class = ET.SubElement(description, "SOPClass")
            if uid:
                sop_class.set("UID", _clean(uid))
            sop_class.set("NumberOfInstances", str(count))
    _patient(root, entry)


def _patient(root: ET.Element, entry: Entry) -> None:
    about, number = entry.about, codes.PATIENT_NUMBER
    patient_id = about.patient_id or entry.detail.get("patient_id", "")
    name = about.patient_name or entry.detail.get("patient_name", "")
    element = _object(root, patient_id, number, _PERSON, _PATIENT, name)
    if not about.study_uid:
        _details(element, entry.detail)


def _patients_only(root: ET.Element, entry: Entry) -> None:
    _patient(root, entry)


def _query(root: ET.Element, entry: Entry) -> None:
    element = ET.SubElement(root, "ParticipantObjectIdentification")
    element.set("ParticipantObjectID", _clean(entry.what or "search"))
    element.set("ParticipantObjectTypeCode", _SYSTEM)
    element.set("ParticipantObjectTypeCodeRole", _REPORT)
    _coded(element, "ParticipantObjectIDTypeCode", codes.SEARCH_CRITERIA)
    query = ET.SubElement(element, "ParticipantObjectQuery")
    query.text = _base64(entry.query)
    if entry.about.study_uid:
        _study_and_patient(root, entry)
    else:
        _details(element, entry.detail)


def _log(root: ET.Element, entry: Entry) -> None:
    element = _object(root, "edge:audit", codes.URI, _SYSTEM, _SECURITY_RESOURCE, _LOG_NAME)
    _details(element, {**entry.detail, "query": entry.query} if entry.query else entry.detail)


def _nothing(_: ET.Element, __: Entry) -> None:
    """No objects are needed (A.5.3.1, A.5.3.12)."""


def _alert_subject(root: ET.Element, entry: Entry) -> None:
    """What an alert is about: a resource here, or the node that it came from (A.5.3.11)."""
    what = " ".join(word for word in (entry.what, entry.target) if word) or str(entry.event)
    is_node = entry.event in (Event.REFUSED, Event.CONNECTED) and entry.actor.address
    subject = entry.actor.address if is_node else f"edge:{entry.what or entry.event}"
    kind = codes.NODE_ID if is_node else codes.URI
    element = _object(root, subject, kind, _SYSTEM, _SECURITY_RESOURCE, what)
    said = f"{entry.event}: {what}" + (f": {entry.reason}" if entry.reason else "")
    _details(element, {"Alert Description": said, **entry.detail})


_OBJECTS: Final[Mapping[str, Callable[[ET.Element, Entry], None]]] = {
    "110100": _nothing,
    "110101": _log,
    "110102": _study_and_patient,
    "110103": _study_and_patient,
    "110104": _study_and_patient,
    "110105": _study_and_patient,
    "110106": _study_and_patient,
    "110107": _study_and_patient,
    "110109": _patients_only,
    "110110": _patients_only,
    "110111": _study_and_patient,
    "110112": _query,
    "110114": _nothing,
}
"""Of each EventID; a Security Alert has its subject."""


def _object(
    root: ET.Element, object_id: str, kind: Code, type_code: str, role: str, name: str
) -> ET.Element:
    element = ET.SubElement(root, "ParticipantObjectIdentification")
    element.set("ParticipantObjectID", _clean(object_id))
    element.set("ParticipantObjectTypeCode", type_code)
    element.set("ParticipantObjectTypeCodeRole", role)
    _coded(element, "ParticipantObjectIDTypeCode", kind)
    ET.SubElement(element, "ParticipantObjectName").text = _clean(name)
    return element


def _details(element: ET.Element, detail: Mapping[str, str]) -> None:
    for name, text in detail.items():
        pair = ET.SubElement(element, "ParticipantObjectDetail")
        pair.set("type", _clean(name))
        pair.set("value", _base64(text))


def _coded(parent: ET.Element, name: str, code: Code) -> None:
    element = ET.SubElement(parent, name)
    element.set("csd-code", _clean(code.value))
    element.set("codeSystemName", code.system)
    element.set("displayName", _clean(code.meaning))
    element.set("originalText", _clean(code.meaning))


def _base64(text: str) -> str:
    return base64.b64encode(text.encode("utf-8", "surrogatepass")).decode()


def _clean(text: str) -> str:
    return _ILLEGAL.sub("\N{REPLACEMENT CHARACTER}", text)
