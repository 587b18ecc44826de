"""What the doctor says of associations that ended before their time, or never began."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge.cache.associations import Side
from edge.config import Dimse
from edge.dimse import doctor_lost
from edge.dimse.tls_words import Handshake
from edge.errors import How, PeerError

SETTINGS = Dimse(listen="0.0.0.0:11112", unknown_peers="learn")


def said(finding):
    """The sentence, then each side and what to change there."""
    return [finding.what, *(f"{one.side}: {one.what}" for one in finding.changes)]


def lost(
    how,
    why="it is said",
    during="",
    *,
    requested=True,
    has_asked=True,
    settings=SETTINGS,
    is_encrypted=False,
):
    return doctor_lost.lost(
        PeerError(why, how=how),
        settings,
        during=during,
        was_requested=requested,
        has_asked=has_asked,
        is_encrypted=is_encrypted,
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


@pytest.mark.parametrize(
    ("cause", "changes"),
    [
        (Handshake.NOT_TLS, [(Side.DEVICE, "call the plain port (0.0.0.0:11112)")]),
        (Handshake.TOO_OLD, [(Side.DEVICE, "renew its software")]),
        (Handshake.NO_SUITE, [(Side.DEVICE, "cipher suites of ECDHE")]),
        (
            Handshake.NO_CERTIFICATE,
            [(Side.DEVICE, "give it a certificate"), (Side.BOX, "name no dimse.tls_ca")],
        ),
        (
            f"{Handshake.NOT_VOUCHED} (self-signed certificate)",
            [(Side.BOX, "to the file that dimse.tls_ca names"), (Side.DEVICE, "an authority in")],
        ),
        (
            f"{Handshake.NOT_VOUCHED} (certificate has expired)",
            [(Side.DEVICE, "look at the clocks of both")],
        ),
        (Handshake.NO_TRUST, [(Side.DEVICE, "tls/ca.crt in data_dir")]),
        (
            "it broke off (does it speak TLS, and trust this box?)",
            [(Side.DEVICE, "switch TLS on for this box"), (Side.DEVICE, "have it trust")],
        ),
    ],
)
def test_a_handshake_that_failed_is_mended_by_its_cause(cause, changes):
    finding = lost(How.TLS, f"the TLS handshake failed: {cause}", requested=False)
    assert len(finding.changes) == len(changes)
    for change, (side, words) in zip(finding.changes, changes, strict=True):
        assert change.side is side
        assert words in change.what


def test_every_cause_of_a_failed_handshake_has_changes_of_its_own():
    unknown = lost(How.TLS, "something else", requested=False)
    for cause in Handshake:
        assert lost(How.TLS, cause, requested=False).changes != unknown.changes


def test_no_plain_port_is_named_where_there_is_none():
    alone = replace(SETTINGS, listen="", tls_listen="0.0.0.0:2762")
    finding = lost(How.TLS, Handshake.NOT_TLS, requested=False, settings=alone)
    assert [change.what for change in finding.changes] == ["switch TLS on for this box"]


def test_one_that_aborts_with_nothing_under_way_is_not_told_to_wait_longer():
    before = lost(How.ABORTED, has_asked=False)
    assert before.what == "it aborted the association before it asked for anything"
    assert "another SOP class or transfer syntax" in before.changes[0].what
    later = lost(How.ABORTED)
    assert later.what.endswith("with no request under way, after others were answered")
    assert said(later)[1:] == ["device: look in its own log for the reason"]
    assert (before.kind, before.about) != (later.kind, later.about)


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
