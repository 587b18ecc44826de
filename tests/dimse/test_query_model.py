"""Identifiers of C-FIND, read by the information models."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.dicom.instance import Level
from edge.dicom.query import Match
from edge.dimse.messages import Status
from edge.dimse.query_model import (
    FIND_MODELS,
    UNIQUE_KEYS,
    BadIdentifier,
    Extension,
    Knowledge,
    read,
)
from edge.index.keys import can_match, is_kept

PATIENT_ROOT, STUDY_ROOT, PATIENT_STUDY_ONLY = FIND_MODELS.values()
KNOWLEDGE = Knowledge(can_match, is_kept)
PLAIN = Extension()


def element(vr, *values):
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}


def identifier(level="STUDY", **more):
    return {"00080052": element("CS", level), **{tag[1:]: one for tag, one in more.items()}}


def asked(levels=STUDY_ROOT, extension=PLAIN, **more):
    return read(identifier(**more), levels, extension, KNOWLEDGE)


@pytest.mark.parametrize(
    ("levels", "level", "unique"),
    [
        (PATIENT_ROOT, "PATIENT", ["00100020"]),
        (PATIENT_ROOT, "STUDY", ["00100020", "0020000D"]),
        (PATIENT_ROOT, "IMAGE", ["00100020", "0020000D", "0020000E", "00080018"]),
        (STUDY_ROOT, "STUDY", ["0020000D"]),
        (STUDY_ROOT, "SERIES", ["0020000D", "0020000E"]),
        (PATIENT_STUDY_ONLY, "STUDY", ["00100020", "0020000D"]),
    ],
)
def test_an_answer_has_the_unique_keys_of_its_level_and_of_those_above(levels, level, unique):
    found = asked(levels, level=level)
    assert list(found.unique) == unique
    assert set(unique) <= found.query.shown
    assert found.query.level == Level(level)


@pytest.mark.parametrize(
    ("levels", "level"),
    [
        (STUDY_ROOT, "PATIENT"),
        (PATIENT_STUDY_ONLY, "SERIES"),
        (STUDY_ROOT, "study"),
        (STUDY_ROOT, "INSTANCE"),
    ],
)
def test_a_level_that_the_model_has_not_does_not_match_the_class(levels, level):
    shown = level if level != "INSTANCE" else "unknown"
    allowed = ", ".join(levels)
    with pytest.raises(BadIdentifier, match=f"Level is {shown}; allowed: {allowed}") as error:
        asked(levels, level=level)
    assert error.value.status == Status.DATA_SET_DOES_NOT_MATCH
    assert error.value.tag == "00080052"


def test_no_level_does_not_match_the_class():
    with pytest.raises(BadIdentifier, match="missing"):
        read({}, STUDY_ROOT, PLAIN, KNOWLEDGE)


@pytest.mark.parametrize(
    ("levels", "level", "keys", "matches"),
    [
        (PATIENT_ROOT, "STUDY", {}, ()),
        (PATIENT_ROOT, "STUDY", {"t00100020": element("LO")}, ()),
        (
            PATIENT_ROOT,
            "STUDY",
            {"t00100020": element("LO", "47*")},
            (Match(("00100020",), ("47*",)),),
        ),
        (
            STUDY_ROOT,
            "SERIES",
            {"t0020000D": element("UI", "1.2", "1.3")},
            (Match(("0020000D",), ("1.2", "1.3")),),
        ),
        (
            STUDY_ROOT,
            "IMAGE",
            {"t0020000D": element("UI", "1.2")},
            (Match(("0020000D",), ("1.2",)),),
        ),
    ],
)
def test_levels_above_narrow_an_answer_and_may_be_left_out(levels, level, keys, matches):
    found = asked(levels, level=level, **keys)
    assert found.query.matches == matches
    assert {tag for one, tag in UNIQUE_KEYS.items() if one in levels} >= set(found.unique)


@pytest.mark.parametrize(
    ("tag", "wrong", "words"),
    [
        ("00080020", element("DA", "2026-13"), "StudyDate: not a date"),
        ("00080030", element("TM", "9 h"), "StudyTime: not a time"),
        ("0020000D", element("UI", "1.2.*"), "StudyInstanceUID: a value is not a UID"),
        ("00201206", element("IS", "many"), "not a number"),
        ("00081110", element("SQ", {}, {}), "one item"),
    ],
)
def test_a_value_that_is_none_is_named_by_its_element_and_never_repeated(tag, wrong, words):
    with pytest.raises(BadIdentifier, match=words) as error:
        asked(**{f"t{tag}": wrong})
    assert error.value.status == Status.CANNOT_UNDERSTAND
    assert error.value.tag == tag
    assert "9 h" not in str(error.value)


def test_universal_keys_are_shown_and_match_nothing():
    found = asked(t00100010=element("PN", {"Alphabetic": "*"}), t00100020=element("LO"))
    assert found.query.matches == ()
    assert {"00100010", "00100020"} <= found.query.shown
    assert found.is_supported


def test_what_says_how_to_read_the_keys_is_no_key():
    found = asked(
        t00080005=element("CS", "ISO_IR 100"),
        t00080201=element("SH", "+0100"),
        t00080000=element("UL", 12),
        t00080030=element("TM", "0900-1000"),
    )
    assert found.charset == ("ISO_IR 100",)
    assert [match.path for match in found.query.matches] == [("00080030",)]
    assert found.keys.keys() == {"00080201", "00080030"}


def test_each_component_group_that_is_given_has_to_be_found():
    name = {"Alphabetic": "YAMADA*", "Ideographic": "\u5c71*"}
    found = asked(t00100010=element("PN", name))
    assert found.query.matches == (
        Match(("00100010",), ("YAMADA*",)),
        Match(("00100010",), ("\u5c71*",)),
    )


def test_a_sequence_is_matched_below_its_one_item():
    item = {"00400009": element("SH", "S1"), "00400007": element("LO")}
    found = asked(level="SERIES", t00400275=element("SQ", item))
    assert found.query.matches == (Match(("00400275", "00400009"), ("S1",)),)
    assert found.keys["00400275"] == {"00400009": "SH", "00400007": "LO"}
    assert asked(t00081032=element("SQ", {})).keys["00081032"] == "SQ"


def test_lists_are_alternatives_unless_multiple_value_matching_was_agreed_on():
    both = element("CS", "CT", "MR")
    assert asked(t00080061=both).query.matches == (Match(("00080061",), ("CT", "MR")),)
    found = asked(extension=Extension(multiple=True), t00080061=both)
    assert found.query.matches == (Match(("00080061",), ("CT",)), Match(("00080061",), ("MR",)))


def test_two_quotes_mean_empty_only_where_that_was_agreed_on():
    quotes = element("SH", '""')
    assert asked(t00080050=quotes).query.matches == (Match(("00080050",), ('""',)),)
    found = asked(extension=Extension(empty=True), t00080050=quotes)
    assert found.query.matches == (Match(("00080050",), (), empty=True),)


@pytest.mark.parametrize(
    ("level", "tag", "value", "is_supported", "is_matched"),
    [
        ("STUDY", "00080054", element("AE", "OTHER"), False, False),
        ("STUDY", "00180050", element("DS", 1.5), False, False),
        ("STUDY", "00180050", element("DS"), False, False),
        ("IMAGE", "00180050", element("DS", 1.5), True, True),
        ("STUDY", "00080061", element("CS", "CT"), True, True),
        ("STUDY", "00080060", element("CS", "CT"), False, True),
        ("STUDY", "00201200", element("IS"), True, False),
        ("IMAGE", "00091001", element("UN"), True, False),
    ],
)
def test_optional_keys_that_are_not_supported_are_said_to_be(
    level, tag, value, is_supported, is_matched
):
    found = asked(level=level, **{f"t{tag}": value})
    assert found.is_supported is is_supported
    assert bool(found.query.matches) is is_matched


def test_a_private_creator_is_matched_only_with_an_attribute_of_its_block():
    creator = element("LO", "ACME")
    alone = asked(level="IMAGE", t00090010=creator, t00091001=element("LO"))
    assert alone.query.matches == ()
    # In implicit VR, its value is bytes of unknown meaning.
    private = {"vr": "UN", "InlineBinary": "WCA="}
    found = asked(level="IMAGE", t00090010=creator, t00091001=private)
    assert found.query.matches == (
        Match(("00090010",), ("ACME",)),
        Match(("00091001",), ("X",)),
    )


@pytest.mark.parametrize(
    ("proposed", "answered"),
    [
        (b"", b""),
        (b"\1", b"\1"),
        (b"\0\1\1", b"\0\1\1"),
        (b"\1\1\1\1\1", b"\1\1\1\0\0"),
        (b"\1\1\1\1\1\1\1\1\1", b"\1\1\1\0\0\1\1"),
        (b"\2\xff\1", b"\0\0\1"),
    ],
)
def test_what_is_answered_is_what_is_done_and_no_longer_than_what_was_proposed(proposed, answered):
    assert Extension.answer(proposed) == answered


def test_what_was_agreed_on_goes_into_the_search():
    assert Extension.agreed(b"") == Extension()
    agreed = Extension.agreed(b"\1\1\1\0\0\1\1")
    assert agreed == Extension(True, True, True, True)
    found = asked(extension=Extension.agreed(b"\0\1\1"), t00080020=element("DA", "20260101-"))
    assert (found.query.combined, found.query.fuzzy) == (True, True)
    assert not asked(extension=Extension()).query.combined


def test_more_keys_than_a_search_has_are_refused():
    many = {f"t0009{number:04X}": element("LO", "x") for number in range(0x1001, 0x1050)}
    with pytest.raises(BadIdentifier, match="too many"):
        asked(level="IMAGE", **many)


_VALUES = st.one_of(
    st.none(), st.text(max_size=6), st.integers(), st.floats(allow_nan=False),
)  # fmt: skip
_ELEMENTS = st.recursive(
    st.builds(
        lambda vr, values: {"vr": vr, "Value": values} if values else {"vr": vr},
        st.sampled_from("CS DA TM DT UI LO IS DS US UN".split()),
        st.lists(_VALUES, max_size=3),
    ),
    lambda inner: st.builds(
        lambda item: {"vr": "SQ", "Value": [item]},
        st.dictionaries(st.sampled_from(["00400009", "00080100"]), inner, max_size=2),
    ),
    max_leaves=4,
)
_TAGS = st.sampled_from(
    "00080020 00080052 00080061 00100020 00200013 00091001 00090010 00400275".split()
)


@given(st.dictionaries(_TAGS, _ELEMENTS))
def test_any_identifier_is_a_search_or_a_clear_refusal(made):
    comment = ""
    try:
        found = read(made, PATIENT_ROOT, PLAIN, KNOWLEDGE)
    except BadIdentifier as error:
        comment = str(error)
    assert comment or found.query.level in PATIENT_ROOT
    assert len(comment) <= 64
