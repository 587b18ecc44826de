"""Which attributes belong to which level."""

from __future__ import annotations

from edge.index.attributes import SERIES_TAGS, STUDY_TAGS, number, person_names, select, text

DATASET = {
    "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe^Jane", "Ideographic": "山田"}]},
    "00200011": {"vr": "IS", "Value": [3]},
    "00080060": {"vr": "CS"},
    "00080020": {"vr": "DA", "Value": [None]},
    "00200013": {"vr": "IS", "Value": ["1A"]},
}


def test_no_attribute_belongs_to_two_levels():
    assert set() == STUDY_TAGS & SERIES_TAGS


def test_values_are_drawn_as_text_and_numbers():
    assert text(DATASET, "00200011") == "3"
    assert text(DATASET, "00080060") == text(DATASET, "00080020") == text(DATASET, "99999999") == ""
    assert number(DATASET, "00200011") == 3
    assert number(DATASET, "00200013") is None
    assert number(DATASET, "00080060") is None


def test_every_component_group_of_a_name_is_searched_by():
    assert person_names(DATASET) == {("00100010", "doe^jane"), ("00100010", "山田")}


def test_a_selection_holds_what_is_there():
    assert list(select(DATASET, STUDY_TAGS)) == ["00080020", "00100010"]
