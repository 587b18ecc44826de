"""What the doctor says of statuses other than success."""

from __future__ import annotations

import pytest

from edge.cache.associations import Side
from edge.dimse.doctor_statuses import (
    DESTINATION,
    answered_by_it,
    answered_by_us,
    destination_unknown,
)


@pytest.mark.parametrize("status", [0x0000, 0xFE00])
def test_success_and_what_was_cancelled_are_no_trouble(status):
    assert answered_by_us("C-FIND", status, "") is None
    assert answered_by_it("C-FIND", status, "calling it") is None


@pytest.mark.parametrize(
    ("name", "status", "side", "words"),
    [
        ("C-STORE", 0xA700, Side.BOX, "no room left"),
        ("C-STORE", 0xA900, Side.DEVICE, "not what was announced"),
        ("C-STORE", 0xC000, Side.DEVICE, "can't be understood"),
        ("C-STORE", 0x0122, Side.DEVICE, "not the one that was negotiated"),
        ("C-STORE", 0x0124, Side.BOX, "may not do that"),
        ("C-STORE", 0x0110, Side.BOX, "could not do it"),
        ("C-FIND", 0xA900, Side.DEVICE, "does not fit its information model"),
        ("C-FIND", 0xC001, Side.BOX, "could not search"),
        ("C-MOVE", 0xA702, Side.BOX, "none of the images reached"),
        ("C-GET", 0xA702, Side.DEVICE, "took none of the images"),
        ("C-GET", 0xB000, Side.DEVICE, "did not take some"),
        ("N-ACTION", 0x0213, Side.BOX, "so many requests"),
        ("N-ACTION", 0x0115, Side.DEVICE, "is not right"),
        ("N-SET", 0x0112, Side.DEVICE, "step is not known"),
        ("C-ECHO", 0x0211, Side.DEVICE, "no such operation"),
    ],
)
def test_our_answers_say_who_must_change(name, status, side, words):
    finding = answered_by_us(name, status, "why 1.2.3.4.5.6")
    assert finding.what.startswith(f"its {name} was answered with status {status:04X}: ")
    assert words in finding.what
    assert finding.what.endswith("(why (a UID))")
    assert [change.side for change in finding.changes] == [side]
    assert finding.about.startswith(f"{name} {status:04X}")


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0xA700, "out of resources"),
        (0xA7FF, "out of resources"),
        (0xA901, "not what it expects"),
        (0xC123, "can't understand"),
        (0xB007, "with a warning"),
        (0x0122, "does not take that SOP class"),
        (0x0124, "does not allow that"),
        (0x0999, "it refused"),
    ],
)
def test_their_answers_are_changed_on_their_side(status, words):
    finding = answered_by_it("C-STORE", status, "sending images to it")
    assert finding.what.startswith(
        f"sending images to it: it answered C-STORE with status {status:04X}: "
    )
    assert words in finding.what
    assert [change.side for change in finding.changes] == [Side.DEVICE]


@pytest.mark.parametrize("name", ["C-FIND", "C-MOVE", "C-GET"])
def test_each_way_not_to_fit_the_model_is_a_case_of_its_own_and_names_the_statement(name):
    patient = answered_by_us(name, 0xA900, "Level is PATIENT; allowed: STUDY")
    series = answered_by_us(name, 0xA900, "Level is series; allowed: STUDY")
    assert patient.about != series.about
    assert "(Level is PATIENT; allowed: STUDY)" in patient.what
    assert "edge conformance" in patient.changes[0].what
    assert (
        answered_by_us("C-STORE", 0xA900, "one").about
        == answered_by_us("C-STORE", 0xA900, "other").about
    )


@pytest.mark.parametrize(
    ("named", "meant", "words", "changes"),
    [
        (
            "NOWHERE",
            "",
            'the destination "NOWHERE" is not known here',
            [
                (
                    Side.BOX,
                    'on the page Devices, let a device in with AE title "NOWHERE", its address',
                )
            ],
        ),
        (
            "ws1",
            "WS1",
            'the destination "ws1" is not known here',
            [(Side.DEVICE, 'have it name "WS1"'), (Side.BOX, 'ae_title = "ws1"')],
        ),
        (
            "WS1",
            "WS1",
            'it is not said where the destination "WS1" is',
            [(Side.BOX, "name host and port of the peer WS1")],
        ),
        ("", "", "it named no AE title as destination", [(Side.DEVICE, "have it name")]),
    ],
)
def test_a_destination_that_nobody_knows_is_told_by_its_name(named, meant, words, changes):
    finding = destination_unknown(named, meant)
    assert (finding.kind, finding.about) == (DESTINATION, named)
    assert words in finding.what
    for change, (side, what) in zip(finding.changes, changes, strict=True):
        assert change.side is side
        assert what in change.what
