"""Entries become messages that fit the schema and the tables of PS3.15 A.5."""

from __future__ import annotations

import base64
from xml.etree import ElementTree as ET

import pytest
from pydicom.sr._concepts_dict import concepts

from edge.access.audit import codes
from edge.access.audit.codes import Code, message_of
from edge.access.audit.entry import BOX, Actor, Event, Kind, Outcome, Subject
from edge.access.audit.messages import Messages
from tests.access.audit.grammar import faults

CT = "1.2.840.10008.5.1.4.1.1.2"
VIEWER = Actor("a viewer", role="viewer", proof="token", token="t1", address="10.0.0.7")
PEER = Actor("CT1", Kind.PEER, role="peer", address="10.0.0.9", ae_title="CT1")
ABOUT = Subject("1.2.3", "4711", "Nobody^Ä<&\"'>", "A1")

# What the tables of A.5.3 demand: EventID, action, roles of participants, types of objects.
SOURCE, DESTINATION = "110153", "110152"
STUDY, PATIENT = ("2", "3", "110180"), ("1", "1", "2")
SUBJECT = ("2", "13", "12")
DEMANDED = {
    Event.ACCESSED: ("110103", "R", [], [STUDY, PATIENT]),
    Event.SHOWN: ("110103", "R", [], [STUDY, PATIENT]),
    Event.EXPORTED: ("110106", "R", [DESTINATION, SOURCE, "110154"], [STUDY, PATIENT]),
    Event.IMPORTED: ("110107", "C", [DESTINATION, "110155"], [STUDY, PATIENT]),
    Event.SENDING: ("110102", "E", [SOURCE, DESTINATION], [STUDY, PATIENT]),
    Event.SENT: ("110104", "R", [SOURCE, DESTINATION], [STUDY, PATIENT]),
    Event.RECEIVED: ("110104", "C", [SOURCE, DESTINATION], [STUDY, PATIENT]),
    Event.DELETING: ("110103", "D", [], [STUDY, PATIENT]),
    Event.DELETED: ("110103", "D", [], [STUDY, PATIENT]),
    Event.QUERIED: ("110112", "E", [SOURCE, DESTINATION], [("2", "3", "10"), STUDY, PATIENT]),
    Event.SCHEDULED: ("110109", "C", [], [PATIENT]),
    Event.PERFORMED: ("110111", "U", [], [STUDY, PATIENT]),
    Event.PATIENT: ("110110", "U", [], [PATIENT]),
    Event.STARTED: ("110100", "E", ["110150"], []),
    Event.STOPPED: ("110100", "E", ["110150"], []),
    Event.READ_RECORD: ("110101", "R", [], [SUBJECT]),
    Event.LOGGED_IN: ("110114", "E", [], []),
    Event.LOGGED_OUT: ("110114", "E", [], []),
}
ALERT = ("110113", "E", [], [SUBJECT])
TYPES = {
    Event.STARTED: "110120",
    Event.STOPPED: "110121",
    Event.LOGGED_IN: "110122",
    Event.LOGGED_OUT: "110123",
    Event.REFUSED: "110132",
    Event.CONNECTED: "110126",
    Event.OVERRIDE_STARTED: "110127",
    Event.OVERRIDE_STOPPED: "110138",
    Event.RECORD_STARTED: "110134",
    Event.RECORD_STOPPED: "110133",
    Event.NETWORK: "110128",
    Event.SECURITY: "110129",
    Event.SOFTWARE: "110131",
    Event.USER: "110137",
}


@pytest.fixture
def message(entry):
    """The XML of an entry, parsed; it fits the grammar."""

    def made(event, **fields):
        fields = {"actor": VIEWER, "about": ABOUT, "what": "what", **fields}
        root = ET.fromstring(Messages("box", "EDGE").xml(entry(event=event, **fields)))
        assert faults(root) == []
        return root

    return made


def test_every_code_is_as_ps3_16_has_it():
    known = {
        value: meaning
        for named in concepts["DCM"].values()
        for value, (meaning, _) in named.items()
    }
    ours = [one for one in vars(codes).values() if isinstance(one, Code)]
    ours += [one for made in codes._MESSAGES.values() for one in (made.event, made.type) if one]
    assert len(ours) > 40
    for code in ours:
        if code.system == "DCM":
            assert known[code.value] == code.meaning
        else:
            assert code.system == "RFC-3881"


@pytest.mark.parametrize("event", list(Event), ids=str)
def test_every_event_fits_the_schema_and_its_table(message, event):
    root = message(event, sop_classes={CT: 3}, instances=3, query="PatientName=A*")
    code, action, roles, objects = DEMANDED.get(event, ALERT)
    head = root.find("EventIdentification")
    assert (head.find("EventID").get("csd-code"), head.get("EventActionCode")) == (code, action)
    if event in TYPES:
        assert head.find("EventTypeCode").get("csd-code") == TYPES[event]
    if code == "110113":
        assert head.find("EventTypeCode") is not None
    found = [
        role.get("csd-code")
        for role in root.findall("ActiveParticipant/RoleIDCode")
        if role.get("codeSystemName") == "DCM"
    ]
    assert set(roles) <= set(found)
    named = [
        (
            one.get("ParticipantObjectTypeCode"),
            one.get("ParticipantObjectTypeCodeRole"),
            one.find("ParticipantObjectIDTypeCode").get("csd-code"),
        )
        for one in root.findall("ParticipantObjectIdentification")
    ]
    if event in (Event.REFUSED, Event.CONNECTED):
        objects = [("2", "13", "110182")]
    assert named == objects
    requestors = [
        one for one in root.findall("ActiveParticipant") if one.get("UserIsRequestor") == "true"
    ]
    assert len(requestors) == 1


def test_who_did_it_and_where_is_told_as_the_standard_writes_it(message):
    root = message(Event.ACCESSED)
    person, process = root.findall("ActiveParticipant")
    assert person.attrib == {
        "UserID": "a viewer@box",
        "AlternativeUserID": "t1",
        "UserName": "a viewer",
        "UserIsRequestor": "true",
        "NetworkAccessPointID": "10.0.0.7",
        "NetworkAccessPointTypeCode": "2",
    }
    assert process.get("AlternativeUserID") == "AETITLES=EDGE"
    assert process.get("NetworkAccessPointTypeCode") == "1"
    [role] = person.findall("RoleIDCode")
    assert (role.get("csd-code"), role.get("codeSystemName")) == ("viewer", "edge")


def test_a_study_and_its_patient_are_named(message):
    root = message(Event.ACCESSED, sop_classes={CT: 3, "1.2": 1}, instances=4)
    study, patient = root.findall("ParticipantObjectIdentification")
    assert study.get("ParticipantObjectID") == "1.2.3"
    assert study.find("ParticipantObjectDescription/Accession").get("Number") == "A1"
    counted = study.findall("ParticipantObjectDescription/SOPClass")
    assert [(one.get("UID"), one.get("NumberOfInstances")) for one in counted] == [
        (CT, "3"),
        ("1.2", "1"),
    ]
    assert patient.get("ParticipantObjectID") == "4711"
    assert patient.find("ParticipantObjectName").text == ABOUT.patient_name


def test_a_move_names_sender_receiver_and_who_asked_for_it(message):
    root = message(Event.SENT, actor=PEER, target="DEST")
    parts = [
        (one.get("UserID"), one.get("UserIsRequestor"), one.find("RoleIDCode").get("csd-code"))
        for one in root.findall("ActiveParticipant")
    ]
    assert parts == [
        ("edge", "false", SOURCE),
        ("DEST", "false", DESTINATION),
        ("CT1", "true", "peer"),
    ]


@pytest.mark.parametrize(
    ("event", "parts"),
    [
        (Event.SENT, [("edge", "true", SOURCE), ("cloud", "false", DESTINATION)]),
        (Event.RECEIVED, [("cloud", "false", SOURCE), ("edge", "true", DESTINATION)]),
    ],
)
def test_what_the_box_does_itself_names_the_archive(message, event, parts):
    root = message(event, actor=BOX, target="cloud")
    found = [
        (one.get("UserID"), one.get("UserIsRequestor"), one.find("RoleIDCode").get("csd-code"))
        for one in root.findall("ActiveParticipant")
    ]
    assert found == parts


def test_a_whole_study_that_is_deleted_has_a_message_of_its_own(entry):
    assert message_of(entry(event=Event.DELETED, what="the study")).event.value == "110105"
    assert message_of(entry(event=Event.DELETED, what="the series")).event.value == "110103"


@pytest.mark.parametrize(
    ("event", "what", "action"),
    [
        (Event.SCHEDULED, "POST /api/v1/worklist", "C"),
        (Event.SCHEDULED, "DELETE /api/v1/worklist", "D"),
        (Event.SCHEDULED, "edge worklist remove", "D"),
        (Event.PERFORMED, "N-CREATE, modality performed procedure step", "C"),
        (Event.PERFORMED, "N-GET, modality performed procedure step", "R"),
    ],
)
def test_orders_and_procedures_have_the_action_of_what_was_done(message, event, what, action):
    root = message(event, what=what)
    assert root.find("EventIdentification").get("EventActionCode") == action


def test_who_is_refused_is_a_node_or_somebody_without_the_right(entry):
    stranger = Actor("", address="10.0.0.7")
    for actor, code in ((stranger, "110126"), (PEER, "110126"), (VIEWER, "110132")):
        assert message_of(entry(event=Event.REFUSED, actor=actor)).type.value == code


def test_a_query_and_what_was_changed_are_encoded(message):
    root = message(Event.QUERIED, query="PatientName=Ä*", about=Subject())
    [query] = root.findall("ParticipantObjectIdentification/ParticipantObjectQuery")
    assert base64.b64decode(query.text).decode() == "PatientName=Ä*"
    root = message(Event.NETWORK, reason="why", detail={"ae_title": "CT1", "host": ""})
    details = {
        one.get("type"): base64.b64decode(one.get("value")).decode()
        for one in root.iter("ParticipantObjectDetail")
    }
    assert details == {
        "Alert Description": "network configured: what: why",
        "ae_title": "CT1",
        "host": "",
    }


def test_what_strangers_send_breaks_no_message(message):
    evil = "\x00\x1b]]><!--&\ud800\uffff\U0001f600"
    root = message(
        Event.ACCESSED,
        actor=Actor(evil, address=evil, role=evil, token=evil),
        about=Subject("1.2.3", evil, evil, evil),
        what=evil,
        reason=evil,
        target=evil,
        detail={evil: evil},
    )
    name = root.find("ActiveParticipant").get("UserName")
    assert "\x00" not in name
    assert name.endswith("\U0001f600")


def test_a_span_is_told_of_at_its_end(message):
    root = message(Event.ACCESSED, until=2000.0, times=500, instances=50, outcome=Outcome.FAILED)
    head = root.find("EventIdentification")
    assert head.get("EventDateTime") == "1970-01-01T00:33:20.000+00:00"
    assert head.get("EventOutcomeIndicator") == "8"
    assert head.find("EventOutcomeDescription").text == "50 instances, 500 times"


@pytest.mark.parametrize(
    "event", [Event.ACCESSED, Event.SENT, Event.QUERIED, Event.EXPORTED, Event.OVERRIDE_STARTED]
)
@pytest.mark.parametrize("about", [ABOUT, Subject()])
def test_what_was_done_under_emergency_access_says_so(message, event, about):
    actor = Actor("bert", role="physician", proof="session", token="s1", emergency="0123456789ab")
    root = message(event, actor=actor, about=about)
    details = {
        one.get("type"): base64.b64decode(one.get("value")).decode()
        for one in root.iter("ParticipantObjectDetail")
    }
    assert details["Emergency Override"] == "0123456789ab"


def test_the_reason_stands_in_the_message_of_its_beginning(message):
    root = message(Event.OVERRIDE_STARTED, reason="a bleeding", target="0123456789ab")
    [kind] = root.iter("EventTypeCode")
    assert (kind.get("csd-code"), kind.get("originalText")) == (
        "110127",
        "Emergency Override Started",
    )
    assert root.find(".//EventOutcomeDescription").text == "a bleeding"
