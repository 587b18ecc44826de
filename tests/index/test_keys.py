import pytest

from edge.dicom.instance import Level
from edge.index.keys import can_match, is_kept

PATIENT, STUDY, SERIES, INSTANCE = Level


@pytest.mark.parametrize(
    ("tag", "matched", "kept"),
    [
        ("00100010", {PATIENT, STUDY, SERIES, INSTANCE}, {PATIENT, STUDY, SERIES, INSTANCE}),
        ("00080020", {PATIENT, STUDY, SERIES, INSTANCE}, {STUDY, SERIES, INSTANCE}),
        ("00080060", {PATIENT, STUDY, SERIES, INSTANCE}, {SERIES, INSTANCE}),
        ("00080061", {PATIENT, STUDY, SERIES, INSTANCE}, {STUDY, SERIES, INSTANCE}),
        ("00080018", {PATIENT, STUDY, SERIES, INSTANCE}, {INSTANCE}),
        ("00180050", {INSTANCE}, {INSTANCE}),
        ("00201200", set(), {PATIENT, STUDY, SERIES, INSTANCE}),
        ("00201206", {PATIENT, STUDY, SERIES, INSTANCE}, {STUDY, SERIES, INSTANCE}),
        ("00080054", set(), {PATIENT, STUDY, SERIES, INSTANCE}),
        ("00880130", set(), set()),
    ],
)
def test_what_is_matched_and_what_is_told_at_each_level(tag, matched, kept):
    assert {level for level in Level if can_match((tag,), level)} == matched
    assert {level for level in Level if is_kept(tag, level)} == kept
