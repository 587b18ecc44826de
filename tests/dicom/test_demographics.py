"""When two values say the same, and what of an archive's answer is taken at all."""

from __future__ import annotations

import zlib

import msgspec
import pytest

from edge.dicom.demographics import (
    DEMOGRAPHICS,
    described,
    is_same,
    keyword,
    overlaid,
    overlaid_document,
)
from edge.index.attributes import STUDY_TAGS


def pn(**groups):
    return {"vr": "PN", "Value": [groups]}


def value(vr, *values):
    return {"vr": vr, "Value": list(values)}


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (pn(Alphabetic="DOE^JANE"), pn(Alphabetic="DOE^JANE^^^")),
        (pn(Alphabetic="DOE^JANE"), pn(Alphabetic=" DOE ^ JANE ")),
        (pn(Alphabetic="DOE^J", Ideographic="合^患"), pn(Alphabetic="DOE^J")),
        (pn(Alphabetic="DOE^J", Ideographic="合^患"), pn(Alphabetic="DOE^J", Ideographic="^")),
        (pn(Alphabetic="DOE^J", Ideographic="合^患"), pn(Alphabetic="DOE^J=合^患")),
        (pn(Alphabetic="DOE^ÉDITH"), pn(Alphabetic="DOE^E\u0301DITH")),
        (pn(Alphabetic="DOE^Édith"), pn(Alphabetic="DOE^Édith".encode().decode("latin-1"))),
        (value("LO", "P1"), value("LO", "P1 ")),
        (value("LO", "P1"), value("LO", "P1", "")),
        (value("DA", "20260102"), value("DA", "2026.01.02")),
        (value("TM", "101500.123456"), value("TM", "101500")),
        (value("TM", "1015"), value("TM", "10:15:00.000")),
        (None, value("LO")),
        (None, {"vr": "LO"}),
        (
            value("SQ", {"00100020": value("LO", "P1")}),
            value("SQ", {"00100020": value("LO", "P1 ")}),
        ),
        (
            value("SQ", {"00100020": value("LO", "P1"), "00100022": value("CS", "TEXT")}),
            value("SQ", {"00100020": value("LO", "P1"), "00100022": value("CS", "")}),
        ),
    ],
)
def test_they_say_the_same(ours, theirs):
    assert is_same(ours, theirs)
    assert is_same(theirs, ours)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (pn(Alphabetic="DOE^JANE"), pn(Alphabetic="DOE^JOAN")),
        (pn(Alphabetic="DOE^JANE"), pn(Alphabetic="Doe^Jane")),
        (pn(Alphabetic="DOE^J", Ideographic="合"), pn(Alphabetic="DOE^J", Ideographic="患")),
        (pn(Alphabetic="DOE"), None),
        (value("LO", "P1"), value("LO", "P10")),
        (value("LO", "P1", "P2"), value("LO", "P1")),
        (value("DA", "20260102"), value("DA", "20260201")),
        (value("TM", "101500"), value("TM", "101501")),
        (
            value("SQ", {"00100020": value("LO", "P1")}),
            value("SQ", {"00100020": value("LO", "P2")}),
        ),
    ],
)
def test_they_say_something_else(ours, theirs):
    assert not is_same(ours, theirs)
    assert not is_same(theirs, ours)


def test_an_answer_is_taken_in_the_form_that_the_standard_gives_it():
    answer = {
        "00080020": value("DA", "2026.01.02"),
        "00080030": value("TM", "10:15"),
        "00080050": {"vr": "XX", "Value": [4711]},
        "00100010": value("PN", "DOE^JANE "),
        "00101002": value(
            "SQ", {"00100020": value("LO", "P1"), "7FE00010": value("OW", "x"), 1: 2}
        ),
        "00201208": value("IS", 3),
        "00081190": value("UR", "https://elsewhere"),
    }
    assert described(answer) == {
        "00080020": value("DA", "20260102"),
        "00080030": value("TM", "1015"),
        "00080050": value("SH", "4711"),
        "00100010": pn(Alphabetic="DOE^JANE"),
        "00101002": value("SQ", {"00100020": value("LO", "P1")}),
    }


@pytest.mark.parametrize(
    "attribute",
    [
        None,
        7,
        [],
        {"vr": "PN"},
        {"Value": None},
        value("PN", None),
        value("PN", {}),
        value("PN", {"Alphabetic": ""}),
        value("PN", {"Alphabetic": "^^"}),
        value("PN", {"Ideographic": "??^??"}),
        value("PN", {"Alphabetic": ["DOE"]}),
        value("PN", {"Alphabetic": "DOE\ufffd"}),
        value("PN", {"Alphabetic": "DOE\nJANE"}),
        value("PN", {"Alphabetic": "D" * 5000}),
        value("PN", *[{"Alphabetic": "DOE"}] * 1000),
        {"vr": "PN", "BulkDataURI": "https://elsewhere"},
    ],
    ids=lambda it: str(it)[:40],
)
def test_what_is_not_well_formed_says_nothing(attribute):
    assert described({"00100010": attribute}) == {}


@pytest.mark.parametrize(
    ("tag", "vr", "wrong", "right"),
    [
        ("00080020", "DA", "not a date", "20240131"),
        ("00080030", "TM", "noon", "1015"),
        ("00100020", "LO", "A\\B", "4711"),
        ("00080050", "SH", "1\\2", "12"),
    ],
)
def test_a_value_that_is_none_of_its_kind_says_nothing(tag, vr, wrong, right):
    assert described({tag: value(vr, wrong)}) == {}
    assert described({tag: value(vr, right)}) == {tag: value(vr, right)}


def test_a_sequence_without_end_says_nothing():
    nested = value("LO", "P1")
    for _ in range(50):
        nested = value("SQ", {"00101002": nested})
    assert described({"00101002": nested}) == {}


def test_an_overlay_touches_nothing_else():
    document = {
        "00080005": value("CS", "ISO_IR 192"),
        "00100020": value("LO", "P1"),
        "7FE00010": {"vr": "OW", "BulkDataURI": "7FE00010"},
    }
    overlay = {"00080050": value("SH", "A7"), "00100020": value("LO", "Ü9")}
    shown = overlaid(document, overlay)
    assert shown == document | overlay
    assert list(shown) == sorted(shown)
    packed = zlib.compress(msgspec.json.encode(document))
    text = zlib.decompress(overlaid_document(packed, msgspec.json.encode(overlay).decode()))
    assert text == msgspec.json.encode(shown)


def test_each_is_of_the_study_and_has_a_name():
    assert set(DEMOGRAPHICS) <= STUDY_TAGS
    assert keyword("00100010") == "PatientName"
    assert all(keyword(tag).isalpha() for tag in DEMOGRAPHICS)
