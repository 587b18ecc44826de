"""What the doctor says of associations that others asked for, case by case."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge.cache.associations import Side
from edge.config import Dimse, Peer
from edge.dicom.uids import VERIFICATION
from edge.dimse import doctor
from edge.dimse.negotiation import NotAccepted
from edge.dimse.peers import Cause, Refusal
from edge.errors import How, PeerError
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
        "box: if it may call: edge peer approve CT9",
    ]
    strict = replace(SETTINGS, unknown_peers="reject")
    assert said(rejected(Cause.UNKNOWN, settings=strict, expected="CT1"))[1:] == [
        'device: if it is CT1: set its own AE title to "CT1", exactly so',
        'box: if it may call: add a [[dimse.peer]] with ae_title = "CT9" and host = "10.0.0.9"',
    ]


def test_a_wrong_address_or_certificate():
    finding = rejected(Cause.ADDRESS, expected="10.0.0.5 or ct1.clinic")
    assert said(finding) == [
        "CT9 is expected to call from 10.0.0.5 or ct1.clinic, and it calls from 10.0.0.9",
        'box: if the device has moved, set host = "10.0.0.9" for the peer CT9',
        "device: if this is another device, give it an AE title of its own",
    ]
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
    assert "edge peer approve CT9 --may" in store.changes[0].what
    (store,) = contexts(images, is_stranger=True)
    assert "can do nothing here" in store.what
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


def test_a_role_that_is_not_possible_and_no_context_at_all():
    (finding,) = contexts(NotAccepted(CT, (JPEG,), 1, "no role"))
    assert "in a role (SCU, SCP) that it can't have here" in finding.what
    assert "no presentation context" in doctor.nothing_proposed().what


def test_a_hundred_refused_contexts_are_a_short_text():
    many = [NotAccepted(f"1.2.3.{n}", (IMPLICIT,) * 40, 3, "not offered here") for n in range(128)]
    (finding,) = contexts(*many)
    assert "1.2.3.3 and 124 more" in finding.what
    assert len(finding.contexts) == doctor.MOST_SHOWN
    assert len(finding.contexts[0].offered) == 8


def lost(
    how, why="it is said", during="", *, requested=True, settings=SETTINGS, is_encrypted=False
):
    error = PeerError(why, how=how)
    return doctor.lost(
        error, settings, during=during, was_requested=requested, is_encrypted=is_encrypted
    )


def test_what_we_ended_ourselves_is_no_trouble():
    assert lost(How.OURS) is None


@pytest.mark.parametrize(
    ("how", "during", "words", "side", "change"),
    [
        (
            How.ABORTED,
            "C-STORE",
            "aborted the association in the middle of C-STORE",
            "device",
            "log",
        ),
        (How.BROKEN, "C-FIND", "it is said, in the middle of C-FIND", "network", "cable"),
        (How.STALLED, "C-STORE", "it is said, in the middle of C-STORE", "network", "MTU"),
        (How.IDLE, "", "without using it: it is said", "device", "release"),
        (How.GAVE_WAY, "", "had to end for another's", "device", "close"),
        (How.TOO_LONG, "C-STORE", "more than one instance may", "box", "max_instance_bytes"),
        (How.VIOLATION, "", "broke the rules of DICOM, with no request", "device", "renew"),
    ],
)
def test_an_association_that_was_lost(how, during, words, side, change):
    finding = lost(how, during=during)
    assert words in finding.what
    assert finding.changes[0].side == side
    assert change in finding.changes[0].what


def test_one_that_hangs_up_with_nothing_under_way_loses_nothing():
    finding = lost(How.BROKEN)
    assert finding.what.endswith("so nothing was lost")
    assert finding.changes == ()


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (How.TLS, "it called the port for TLS, and could not speak it"),
        (How.SILENT, "it connected, and asked for nothing"),
        (How.BROKEN, "hung up without asking for anything"),
        (How.GAVE_WAY, "others needed the connection"),
        (How.VIOLATION, "broke the rules of DICOM before it was associated"),
    ],
)
def test_one_that_was_never_associated(how, words):
    assert words in lost(how, requested=False).what


def test_one_that_refuses_our_certificate_is_to_trust_it():
    finding = lost(How.BROKEN, "ALERT_UNKNOWN_CA", requested=False, is_encrypted=True)
    assert "without asking for anything: ALERT_UNKNOWN_CA" in finding.what
    assert "trust the authority" in finding.changes[0].what


def test_other_protocols_are_told_which_port_they_need():
    http = lost(How.OTHER_PROTOCOL, "it speaks HTTP: browsers need", requested=False)
    assert said(http)[1] == "device: browsers and DICOMweb need the port of http.listen"
    tls = lost(How.OTHER_PROTOCOL, "it speaks TLS, which", requested=False)
    assert said(tls)[1:] == [
        "device: switch TLS off for this box",
        "box: or name a port for TLS: dimse.tls_listen",
    ]
    both = replace(SETTINGS, tls_listen="0.0.0.0:2762")
    tls = lost(How.OTHER_PROTOCOL, "it speaks TLS, which", requested=False, settings=both)
    assert "0.0.0.0:2762" in tls.changes[0].what
    other = lost(How.OTHER_PROTOCOL, "a PDU of type 53 came", requested=False)
    assert "is no DICOM: a PDU of type 53 came" in other.what


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
