"""Why a worklist is empty, in words."""

from edge.cache.associations import Side
from edge.cache.worklist import Obstacle
from edge.dimse.doctor_worklist import found_nothing, why_nothing


def test_a_key_that_nothing_meets_is_told_with_what_there_is():
    station = Obstacle("station", "ct1", True, ("CT1", "MR1"))
    assert why_nothing([station]) == 'it asked for station "ct1"; the list has CT1, MR1'
    assert why_nothing([Obstacle("modality", "DX", True)]) == (
        'it asked for modality "DX"; no step has one'
    )
    assert why_nothing([Obstacle("PatientID", alone=True)]) == (
        "no step has the PatientID that it asked for"
    )


def test_keys_that_leave_nothing_together_are_told_together():
    said = why_nothing([Obstacle("station", "CT1"), Obstacle("PatientName")])
    assert said == 'no step has all that it asked for: station "CT1", PatientName'


def test_what_comes_from_elsewhere_is_shown_as_text_of_bounded_length():
    said = why_nothing([Obstacle("station", "CT1\n\x1b[2J", True, ("M" * 500, "X\r"))])
    assert "\n" not in said
    assert "\x1b" not in said
    assert len(said) < 200


def test_it_is_no_trouble_and_both_sides_are_advised():
    finding = found_nothing([Obstacle("station", "ct1", True, ("CT1",))])
    assert finding.is_harmless
    assert finding.what.startswith("its worklist query found nothing, though steps are scheduled")
    assert [change.side for change in finding.changes] == [Side.DEVICE, Side.BOX]
    assert finding.about == "station"
