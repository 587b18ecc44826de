"""Which attributes belong to which level."""

from __future__ import annotations

import pytest

from edge.index.attributes import (
    SERIES_TAGS,
    STUDY_TAGS,
    NameKind,
    date,
    number,
    person_names,
    select,
    text,
)

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


@pytest.mark.parametrize("written", ["19970424", "1997.04.24"])
def test_a_date_is_one_whenever_it_was_written(written):
    assert date({"00080020": {"vr": "DA", "Value": [written]}}, "00080020") == "19970424"


@pytest.mark.parametrize(
    "value", [1e30, "1e30", "9" * 400, "-9" * 9, "Infinity", "NaN", 2**63, 2**53 + 1, [], {}, None]
)
def test_a_number_that_no_column_holds_is_none(value):
    assert number({"00200013": {"vr": "IS", "Value": [value]}}, "00200013") is None


@pytest.mark.parametrize(
    "attribute",
    [
        None,
        5,
        "text",
        [],
        {},
        {"Value": None},
        {"Value": "x"},
        {"Value": {"a": 1}},
        {"Value": [[1]]},
    ],
)
def test_what_is_not_in_the_form_of_an_attribute_has_no_values(attribute):
    attributes = {"00100010": attribute, "00100020": attribute}
    assert text(attributes, "00100020") == ""
    assert number(attributes, "00100020") is None
    assert person_names(attributes) == set()
    assert person_names({"00100010": {"Value": [{"Alphabetic": 5, "Phonetic": ["x"]}]}}) == set()


def test_every_component_group_of_a_name_is_searched_by():
    names = {(tag, text) for tag, kind, text in person_names(DATASET) if kind is NameKind.NAME}
    assert names == {("00100010", "doe^jane"), ("00100010", "山田")}


def test_the_words_of_a_name_and_their_sounds_are_searched_by():
    name = {"vr": "PN", "Value": [{"Alphabetic": "Müller^Jürgen"}]}
    found = {(kind, text) for _, kind, text in person_names({"00080090": name})}
    assert found == {
        (NameKind.NAME, "müller^jürgen"),
        (NameKind.WORD, "muller"),
        (NameKind.WORD, "jurgen"),
        (NameKind.SOUND, "MLR"),
        (NameKind.SOUND, "ARKM"),
    }


def test_a_selection_holds_what_is_there():
    assert list(select(DATASET, STUDY_TAGS)) == ["00080020", "00100010"]
