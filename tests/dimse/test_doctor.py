"""What the doctor says of associations that others asked for, case by case."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge.cache.associations import Side
from edge.config import Dimse
from edge.dicom.uids import VERIFICATION
from edge.dimse import doctor
from edge.dimse.negotiation import NotAccepted
from edge.dimse.peers import Cause, Refusal
from edge.others import Peer
from tests.dimse.raw import CT

SETTINGS = Dimse(listen="0.0.0.0:11112", unknown_peers="learn")
JPEG = "1.2.840.10008.1.2.4.50"
IMPLICIT = "1.2.840.10008.1.2"


def rejected(cause, why="because", expected="", settings=SETTINGS, calling="CT9"):
    refusal = Refusal(1, 1, 3, why, cause, expected)
    return doctor.rejected(refusal, settings, calling=calling, called="PACS", host="10.0.0.9")


def said(finding):
    """The sentence, then each side and what to change there."""
    return [finding.what, *(f"{one.side}: {one.what}" for one in finding.changes)]


def test_a_wrong_called_title():
    assert said(rejected(Cause.CALLED)) == [
        'it called the AE title "PACS", but this box is "EDGE"',
        'device: enter "EDGE" as the AE title of this box (called, remote or server AE)',
        "box: or change dimse.ae_title, if all devices are to call it otherwise",
    ]


def test_an_unknown_title_is_approved_where_the_box_learns_and_else_configured():
    assert said(rejected(Cause.UNKNOWN)) == [
        'it calls itself "CT9", and no peer has that AE title',
        "box: if it may call: let it in on the page Devices, or by edge peer approve CT9",
    ]
    strict = replace(SETTINGS, unknown_peers="reject")
    assert said(rejected(Cause.UNKNOWN, settings=strict, expected="CT1"))[1:] == [
        'device: if it is CT1: set its own AE title to "CT1", exactly so',
        (
            'box: if it may call: on the page Devices, let a device in with AE title "CT9" and'
            ' address 10.0.0.9; or add a [[dimse.peer]] with ae_title = "CT9" and host = "10.0.0.9"'
        ),
    ]


def test_a_wrong_address_or_certificate():
    finding = rejected(Cause.ADDRESS, expected="10.0.0.5 or ct1.clinic")
    assert said(finding) == [
        "CT9 is expected to call from 10.0.0.5 or ct1.clinic, and it calls from 10.0.0.9",
        'box: if the device has moved, set host = "10.0.0.9" for the peer CT9',
        "device: if this is another device, give it an AE title of its own",
    ]
    finding = rejected(Cause.ENCRYPTION)
    assert "over TLS alone" in finding.what
    finding = rejected(Cause.CERTIFICATE, expected="ct1")
    assert finding.what == "it calls itself CT9, and does not show the certificate of that peer"
    assert [change.side for change in finding.changes] == [Side.BOX, Side.DEVICE]


def test_a_title_that_is_none_can_forge_no_line():
    finding = rejected(Cause.NO_TITLE, calling="CT\n1\\é")
    assert finding.what == 'it calls itself "CT\\n1\\\\\\xe9", which is no AE title'


@pytest.mark.parametrize(
    ("why", "key"),
    [
        ("it has 1 associations, and its max_associations is 1", "of its [[dimse.peer]]"),
        ("there are as many associations as are allowed", "dimse.max_associations (200 now)"),
    ],
)
def test_a_limit_names_its_setting(why, key):
    finding = rejected(Cause.LIMIT, why, settings=replace(SETTINGS, max_associations=200))
    assert why in finding.what
    assert key in finding.changes[1].what


def contexts(*refused, accepted=(), is_stranger=False):
    return doctor.not_accepted(refused, accepted, ae_title="CT9", is_stranger=is_stranger)


def test_refused_contexts_are_one_finding_for_each_reason():
    palette = NotAccepted("1.2.840.10008.5.1.4.39.1", (IMPLICIT,), 3, "not offered here")
    private = NotAccepted("1.2.3.4.5", (IMPLICIT,), 3, "not offered here")
    images = NotAccepted(CT, (JPEG,), 1, 'its may lacks "store"', ("store",))
    nothing, store = contexts(palette, private, images, accepted={VERIFICATION})
    assert said(nothing) == [
        "it proposed what this box does not offer: Color Palette Storage, 1.2.3.4.5",
        "device: switch these services off for this box; others are not disturbed by it",
    ]
    assert [one.sop_class for one in nothing.contexts] == ["Color Palette Storage", "1.2.3.4.5"]
    assert store.what == 'it proposed CT Image Storage, and its may lacks "store"'
    assert store.changes[0].side is Side.BOX
    assert 'on the page Devices, change CT9 and tick "store"; or' in store.changes[0].what
    assert "edge peer approve CT9 --may" in store.changes[0].what
    (store,) = contexts(images, is_stranger=True)
    assert "can do nothing here" in store.what
    assert "let it in on the page Devices" in store.changes[0].what
    assert "add a [[dimse.peer]] with ae_title = 'CT9'" in store.changes[0].what


def test_a_transfer_syntax_that_is_not_possible_is_named_with_those_that_are():
    refused = NotAccepted(CT, (JPEG,), 4, "no usable transfer syntax", (), (IMPLICIT,))
    (finding,) = contexts(refused, accepted={VERIFICATION})
    assert said(finding) == [
        (
            "it proposed CT Image Storage in no transfer syntax that is possible for that"
            " (JPEG Baseline (Process 1))"
        ),
        "device: allow one of these transfer syntaxes: Implicit VR Little Endian",
    ]
    (context,) = finding.contexts
    assert context.offered == ("JPEG Baseline (Process 1)",)
    assert context.accepted == ("Implicit VR Little Endian",)


def test_what_was_accepted_another_way_needs_no_change():
    refused = NotAccepted(CT, (JPEG,), 4, "no usable transfer syntax")
    (finding,) = contexts(refused, accepted={CT})
    assert finding.changes == ()
    assert "another accepted: nothing lacks" in finding.what


def test_who_can_do_nothing_is_not_told_to_switch_services_off():
    hanging = NotAccepted("1.2.840.10008.5.1.4.38.1", (IMPLICIT,), 3, "not offered here")
    (finding,) = contexts(hanging)
    assert said(finding) == [
        (
            "it proposed what this box does not offer: Hanging Protocol Storage;"
            " so it can do nothing here"
        ),
        "device: have it ask for what this box offers: edge conformance lists that",
    ]


def test_a_crowd_of_storage_classes_is_a_number():
    why, right = 'its may lacks "store"', ("store",)
    crowd = [
        NotAccepted(f"1.2.840.10008.5.1.4.1.1.{number}", (syntax,), 1, why, right)
        for number in ("1", "2", "4", "6.1", "7", "20")
        for syntax in (JPEG, IMPLICIT)
    ]
    (finding,) = contexts(*crowd, NotAccepted(VERIFICATION, (IMPLICIT,), 1, why, right))
    assert finding.what.startswith("it proposed 6 storage classes, Verification SOP Class, and its")
    assert [(one.sop_class, one.sop_class_uid) for one in finding.contexts] == [
        ("6 storage classes", ""),
        ("Verification SOP Class", VERIFICATION),
    ]
    assert finding.contexts[0].why == why
    assert finding.contexts[0].offered == (
        "JPEG Baseline (Process 1)",
        "Implicit VR Little Endian",
    )


def test_commands_can_be_typed_as_they_stand_there():
    unknown = rejected(Cause.UNKNOWN, calling="CT 1")
    assert unknown.changes[0].what.endswith("or by edge peer approve 'CT 1'")
    refused = NotAccepted(CT, (JPEG,), 1, 'its may lacks "store"', ("store",))
    (finding,) = doctor.not_accepted([refused], (), ae_title="CT 1", is_stranger=False)
    assert "say edge peer approve 'CT 1' --may again" in finding.changes[0].what
    never = doctor.never_called(Peer("CT;1", "10.0.0.5"), SETTINGS)
    assert never.changes[-1].what == "try the way back: edge peer echo 'CT;1'"


def test_a_role_that_is_not_possible_and_no_context_at_all():
    (finding,) = contexts(NotAccepted(CT, (JPEG,), 1, "no role"))
    assert "in a role (SCU, SCP) that it can't have here" in finding.what
    assert "no presentation context" in doctor.nothing_proposed().what


def test_a_hundred_refused_contexts_are_a_short_text():
    many = [
        NotAccepted(f"1.2.840.10008.5.1.4.39.{n}", tuple(f"1.2.{m}" for m in range(40)), 3, "no")
        for n in range(900, 1028)
    ]
    (finding,) = contexts(*many)
    assert "1.2.840.10008.5.1.4.39.903 and 124 more" in finding.what
    assert len(finding.contexts) == doctor.MOST_SHOWN
    assert len(finding.contexts[0].offered) == 8


def test_no_uid_and_nothing_that_is_not_ascii_comes_through():
    assert doctor.plain("instance 1.2.840.1.99.7 of é\n") == "instance (a UID) of \\xe9\\n"
    assert doctor.plain("10.0.0.9") == "10.0.0.9"
    assert doctor.plain(f"{CT} is not accepted") == "CT Image Storage is not accepted"


def test_a_peer_that_never_called_is_told_where_to_call():
    both = replace(SETTINGS, tls_listen="0.0.0.0:2762")
    words = said(doctor.never_called(Peer("CT1", "10.0.0.5"), both))
    assert words[0] == "it has never called, as far as is known"
    assert 'AE title "EDGE"' in words[1]
    assert "0.0.0.0:11112 or 0.0.0.0:2762 with TLS" in words[1]
    assert "send a C-ECHO from it" in words[2]
    assert "firewall" in words[3]
    assert words[-1] == "box: try the way back: edge peer echo CT1"
    assert len(said(doctor.never_called(Peer("CT1"), both))) == 4
