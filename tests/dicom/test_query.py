"""Matching keys, read by their value representation."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.dicom.instance import Level
from edge.dicom.query import (
    Criterion,
    Kind,
    Match,
    Query,
    criterion,
    keys_of,
    moment,
    vr_of,
)
from edge.errors import QueryError


@pytest.mark.parametrize(
    ("tag", "value", "expected"),
    [
        ("00100020", "", Criterion(Kind.UNIVERSAL, "LO")),
        ("00100020", "*", Criterion(Kind.UNIVERSAL, "LO")),
        ("7FE00010", "", Criterion(Kind.UNIVERSAL, "OB")),
        ("00100020", "A1", Criterion(Kind.EXACT, "LO", ("A1",))),
        ("00100020", "A?", Criterion(Kind.WILDCARD, "LO", ("A?",))),
        ("00100020", "A,B", Criterion(Kind.EXACT, "LO", ("A,B",))),
        ("0020000D", "1.2,1.3\\1.4", Criterion(Kind.EXACT, "UI", ("1.2", "1.3", "1.4"))),
        ("0020000D", "1.2\0", Criterion(Kind.EXACT, "UI", ("1.2",))),
        ("00080061", "CT,MR", Criterion(Kind.EXACT, "CS", ("CT", "MR"))),
        ("00100010", "Doe^J*", Criterion(Kind.WILDCARD, "PN", ("doe^j*",), ("doe", "j"))),
        ("00100010", "Doe^*", Criterion(Kind.WILDCARD, "PN", ("doe^*", "doe"), ("doe",))),
        ("00080020", "20260101", Criterion(Kind.RANGE, "DA", ("20260101", "20260101"))),
        ("00080020", "-20260101", Criterion(Kind.RANGE, "DA", ("", "20260101"))),
        ("00080030", "10:15", Criterion(Kind.RANGE, "TM", ("101500000000", "101599999999"))),
        ("00280010", "512", Criterion(Kind.NUMBER, "US", ("512.0",))),
        ("00091001", "x", Criterion(Kind.EXACT, "UN", ("x",))),
    ],
)
def test_a_key_is_read_as_its_representation_says(tag, value, expected):
    assert criterion(Match((tag,), (value,))) == expected


@pytest.mark.parametrize("value", ["tomorrow", "-", "2026-01-01", "20260101\\20260102"])
def test_a_date_that_is_none_is_an_error_with_the_attribute(value):
    with pytest.raises(QueryError, match="00080020"):
        criterion(Match(("00080020",), (value,)))


@pytest.mark.parametrize(
    ("tag", "value", "what"),
    [
        ("00200013", "first", "InstanceNumber"),
        ("00200013", "nan", "InstanceNumber"),
        ("00200013", "1e999", "InstanceNumber"),
        ("7FE00010", "x", "PixelData"),
        ("00100020", "\0", "PatientID"),
        ("00100020", "A\x1bB", "PatientID"),
        ("00100010", " ".join(map(str, range(800))), "64 words"),
        ("00080061", "CT,MR" * 100, "64 values"),
    ],
)
def test_what_can_match_nothing_or_takes_too_much_is_an_error_that_names_it(tag, value, what):
    with pytest.raises(QueryError, match=what) as refused:
        criterion(Match((tag,), (value,)))
    assert tag in str(refused.value)


def test_a_search_has_so_many_keys_but_any_number_of_questions():
    tags = [f"0009{element:04X}" for element in range(0x1000, 0x1041)]
    keys = keys_of(Query(Level.STUDY, tuple(Match((tag,), ("",)) for tag in tags)))
    assert keys == []
    with pytest.raises(QueryError, match="matching keys"):
        keys_of(Query(Level.STUDY, tuple(Match((tag,), ("x",)) for tag in tags)))


@given(st.sampled_from(["00100010", "00080020", "00080030", "0020000D", "00200013"]), st.text())
def test_any_text_is_a_key_or_a_clear_error(tag, value):
    try:
        read = criterion(Match((tag,), (value,)))
    except QueryError as error:
        read = error
    assert isinstance(read, Criterion) or tag in str(read)


def test_moments_sort_like_the_time_of_day():
    times = ["", "00", "0915", "091500", "091500.5", "0916", "235959.999999"]
    assert sorted(times, key=lambda time: moment(time, "0")) == times


def test_representations_come_from_the_data_dictionary():
    assert (vr_of("00100010"), vr_of("00280106"), vr_of("ZZ")) == ("PN", "US", "UN")
