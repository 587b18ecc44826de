"""What a list shows of a study and of a series, out of their rows."""

from __future__ import annotations

import pytest

from edge.index.study_lines import Vouched, series_line, study_line

NAME = '{"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe^J"}]}}'
SERIES = (
    '{"0008103E": {"vr": "LO", "Value": ["Axial"]}, "00180015": {"vr": "CS", "Value": [7, "HEAD"]}}'
)


def study(*, counts=(0, 0, 0, 0, 0, 0.0), only_here=0, absent=0):
    of_patient = (1, "1.2", NAME, "P1", "19700101", "F", "\\MR\\\\CT\\", "Head")
    flags = (1, only_here, absent)
    return study_line((*of_patient, "20240229", "1200", "A1", 2, 9, 4, 50.0, 0, *flags), counts)


def test_columns_become_what_they_are_called():
    line = study(counts=(1, 2, 3, 0, 4000, 70.0))
    assert (line.study_uid, line.patient_name, line.patient_id) == ("1.2", "Doe^J", "P1")
    assert line.modalities == ("CT", "MR")
    assert (line.series, line.instances, line.here, line.bytes) == (2, 9, 4, 4000)
    assert (line.waiting, line.refused, line.unproven, line.lost) == (1, 2, 3, 0)
    assert (line.is_pinned, line.is_first) == (True, False)
    assert (line.arrived, study().arrived) == (70.0, 50.0)


@pytest.mark.parametrize(
    ("counts", "flags", "worst"),
    [
        ((0, 0, 0, 0, 0, 0), {}, Vouched.SAFE),
        ((0, 0, 1, 0, 0, 0), {}, Vouched.UNPROVEN),
        ((0, 0, 1, 0, 0, 0), {"absent": 1}, Vouched.ABSENT),
        ((0, 0, 1, 0, 0, 0), {"absent": 1, "only_here": 1}, Vouched.ONLY_HERE),
        ((1, 0, 0, 0, 0, 0), {}, Vouched.SAFE),
        ((0, 1, 0, 0, 0, 0), {"only_here": 1}, Vouched.TROUBLE),
        ((0, 1, 0, 1, 0, 0), {"only_here": 1}, Vouched.LOST),
    ],
)
def test_the_worst_of_it_is_said(counts, flags, worst):
    assert study(counts=counts, **flags).custody is worst


def test_a_series_says_what_its_attributes_have_as_text():
    line = series_line(("1.3", 4, "CT", SERIES, 5, 3, 1, 2, 0, 0, 0, 3000))
    assert (line.series_uid, line.number, line.modality) == ("1.3", 4, "CT")
    assert (line.description, line.body_part) == ("Axial", "HEAD")
    assert (line.custody, line.waiting, line.bytes) == (Vouched.ONLY_HERE, 2, 3000)


@pytest.mark.parametrize("attributes", ["", "[]", "{", '{"0008103E": 1}', '{"0008103E": {}}'])
def test_attributes_that_can_t_be_read_say_nothing(attributes):
    assert series_line(("1.3", None, "", attributes, *(0,) * 8)).description == ""
