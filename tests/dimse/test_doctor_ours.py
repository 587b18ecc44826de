"""What the doctor says of associations that we asked for."""

from __future__ import annotations

import pytest

from edge.config import Dimse
from edge.dimse.doctor_ours import given_up, not_agreed, not_committed, nowhere, purpose_of
from edge.dimse.proposal import NotAgreed
from edge.errors import ConfigError, How, PeerError, PeerRefused
from tests.dimse.raw import CT

WORKLIST = "1.2.840.10008.5.1.4.31"


def lost(error):
    return given_up(error, Dimse(), purpose="sending images to it", called="WS1")


@pytest.mark.parametrize(
    ("uids", "purpose"),
    [
        (["1.2.840.10008.1.1"], "testing it with C-ECHO"),
        (["1.2.840.10008.1.20.1"], "reporting storage commitment to it"),
        ([WORKLIST], "asking it for its worklist"),
        ([CT, "1.2.840.10008.5.1.4.1.1.4"], "sending images to it"),
        (
            ["1.2.840.10008.3.1.2.3.3", "1.2.840.10008.5.1.4.33"],
            "telling it of procedure steps and telling it which images are here",
        ),
        ([], "calling it"),
    ],
)
def test_what_an_association_is_for_is_seen_from_what_is_proposed(uids, purpose):
    assert purpose_of(uids) == purpose


@pytest.mark.parametrize(
    ("codes", "words", "side", "change"),
    [
        ((1, 1, 3), 'it does not know the AE title "EDGE"', "device", "enter this box there"),
        ((1, 1, 7), 'it does not go by the AE title "WS1"', "box", "correct ae_title"),
        ((2, 3, 2), "it has as many associations as it allows", "device", "raise its limit"),
        ((1, 1, 1), "it gives no reason", "device", 'allow "EDGE" and its address'),
        ((9, 9, 9), "it does not say why", "device", "look in its log"),
    ],
)
def test_a_rejection_says_who_must_change_what(codes, words, side, change):
    result, source, reason = codes
    finding = lost(PeerRefused(result=result, source=source, reason=reason))
    assert finding.what == f"sending images to it: it rejects the association: {words}"
    assert finding.changes[0].side == side
    assert change in finding.changes[0].what


@pytest.mark.parametrize(
    ("how", "side", "change"),
    [
        (How.UNREACHABLE, "box", "check host and port of the peer WS1"),
        (How.TLS, "box", "tls = true"),
        (How.ABORTED, "device", "log"),
        (How.SILENT, "device", "hangs"),
        (How.BROKEN, "box", "tls = true"),
        (How.OTHER_PROTOCOL, "box", "port of the peer WS1"),
        (How.STALLED, "network", "MTU"),
        (How.VIOLATION, "device", "breaks the Standard"),
    ],
)
def test_one_that_ended_before_its_time(how, side, change):
    finding = lost(PeerError("instance 1.2.3.4.5.6 was last", how=how))
    assert finding.what == "sending images to it: instance (a UID) was last"
    assert finding.changes[0].side == side
    assert change in finding.changes[0].what


def test_what_is_wrong_with_ourselves():
    assert lost(PeerError("given up on our side", how=How.OURS)) is None
    finding = lost(ConfigError("no certificate", hint="make one"))
    assert "this box can't speak TLS: no certificate" in finding.what
    assert finding.changes[0].what == "make one"


def test_a_peer_that_takes_nothing_of_what_is_proposed():
    finding = not_agreed([NotAgreed(WORKLIST, ("1.2.840.10008.1.2",), 3)], "asking it")
    assert finding.what.startswith("asking it: it accepts no presentation context for Modality")
    assert "(in Implicit VR Little Endian)" in finding.what
    assert [(one.sop_class_uid, one.why) for one in finding.contexts] == [
        (WORKLIST, "SOP class not supported")
    ]


def test_one_of_whom_nobody_says_where_it_is():
    finding = nowhere("reporting storage commitment to it", "CT1")
    assert finding.what == "reporting storage commitment to it: it is not said where it is"
    assert "[[dimse.peer]] of CT1" in finding.changes[0].what


def test_images_that_are_not_committed_are_counted_by_their_reason():
    finding = not_committed({0x0112: 3, 0x0119: 1, 0x7777: 1})
    assert "3 are not here, 1 are of another SOP class" in finding.what
    assert "1 failed with 7777" in finding.what
    assert finding.about == "0112"
