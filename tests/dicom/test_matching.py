"""One identifier put to one data set."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.dicom.matching import answer_of, fits, matcher_of
from edge.errors import QueryError

DATA = {
    "00080050": {"vr": "SH", "Value": ["A-1"]},
    "00080061": {"vr": "CS", "Value": ["CT", "MR"]},
    "00100010": {
        "vr": "PN",
        "Value": [{"Alphabetic": "Yamada^Tarou", "Ideographic": "\u5c71\u7530^\u592a\u90ce"}],
    },
    "00100030": {"vr": "DA", "Value": ["1970.01.31"]},
    "00101030": {"vr": "DS", "Value": [71.5]},
    "0020000D": {"vr": "UI", "Value": ["1.2.3"]},
    "00321064": {
        "vr": "SQ",
        "Value": [
            {
                "00080100": {"vr": "SH", "Value": ["X1"]},
                "00080102": {"vr": "SH", "Value": ["L"]},
            },
            {
                "00080100": {"vr": "SH", "Value": ["X2"]},
                "00080102": {"vr": "SH", "Value": ["DCM"]},
            },
        ],
    },
    "00400002": {"vr": "DA", "Value": ["20260310"]},
    "00400003": {"vr": "TM", "Value": ["1015"]},
}


def matches(**asked):
    """Keys such as ``LO_00100020``."""
    identifier = {
        name[3:]: {"vr": name[:2], "Value": value if isinstance(value, list) else [value]}
        for name, value in asked.items()
    }
    return matcher_of(identifier).matches(DATA)


@pytest.mark.parametrize(
    ("key", "value", "is_met"),
    [
        ("SH_00080050", "A-1", True),
        ("SH_00080050", "a-1", False),
        ("SH_00080050", "A-?", True),
        ("SH_00080050", "*1", True),
        ("SH_00080050", "*", True),
        ("SH_00080050", ["B", "A-1"], True),
        ("CS_00080061", "MR", True),
        ("CS_00080061", "US", False),
        ("DA_00100030", "19700131", True),
        ("DA_00100030", "19700101-19701231", True),
        ("DA_00100030", "19710101-", False),
        ("DS_00101030", "71.50", True),
        ("DS_00101030", "71", False),
        ("UI_0020000D", ["1.2.4", "1.2.3"], True),
        ("UI_0020000D", "1.2", False),
        ("UI_0020000D", "1.2.*", False),
        ("DA_00400002", "20260310", True),
        ("TM_00400003", "1000-1030", True),
        ("TM_00400003", "1016-", False),
        ("LO_00104000", "absent", False),
        ("LO_00104000", "*", True),
    ],
)
def test_each_kind_of_matching(key, value, is_met):
    assert matches(**{key: value}) is is_met


@pytest.mark.parametrize(
    ("name", "is_met"),
    [
        ({"Alphabetic": "YAMADA^TAROU"}, True),
        ({"Alphabetic": "yamada^*"}, True),
        ({"Alphabetic": "Yamada"}, False),
        ({"Alphabetic": "\u5c71\u7530*"}, True),
        ({"Ideographic": "\u5c71\u7530*"}, True),
        ({"Alphabetic": "Yamada*", "Ideographic": "\u5c71\u7530*"}, True),
        ({"Alphabetic": "Yamada*", "Ideographic": "\u5c71\u672c*"}, False),
        ({"Alphabetic": "*"}, True),
    ],
)
def test_names_match_by_any_group_or_by_each_that_is_asked_for(name, is_met):
    assert matches(PN_00100010=[name]) is is_met


def test_date_and_time_ranges_are_one_span():
    def span(dates, times):
        return matches(DA_00400002=dates, TM_00400003=times)

    assert span("20260309-20260311", "1100-0900")
    assert span("20260310-20260311", "1000-0900")
    assert not span("20260310-20260311", "1100-0900")
    assert span("20260310", "1000-1100")
    assert not span("20260310", "1100-1200")


def test_one_item_of_a_sequence_has_to_meet_all():
    def code(value, scheme):
        return matches(
            SQ_00321064=[
                {
                    "00080100": {"vr": "SH", "Value": [value]},
                    "00080102": {"vr": "SH", "Value": [scheme]},
                }
            ]
        )

    assert code("X1", "L")
    assert code("X2", "D*")
    assert not code("X1", "DCM")
    assert matches(SQ_00321064=[{"00080100": {"vr": "SH"}}])
    assert not matches(SQ_00081110=[{"00081150": {"vr": "UI", "Value": ["1.2"]}}])


@pytest.mark.parametrize(
    ("tag", "element"),
    [
        ("00400002", {"vr": "DA", "Value": ["today"]}),
        ("00321064", {"vr": "SQ", "Value": [{}, {}]}),
        ("00100030", {"vr": "DA", "Value": ["-"]}),
        ("00101030", {"vr": "DS", "Value": ["heavy"]}),
        ("00100020", {"vr": "LO", "BulkDataURI": "too long"}),
        ("00100010", {"vr": "PN", "Value": [{"Alphabetic": f"*{n}*"} for n in range(65)]}),
    ],
)
def test_what_is_no_key_is_refused(tag, element):
    with pytest.raises(QueryError):
        matcher_of({tag: element})


def test_more_keys_than_anybody_asks_for_are_refused():
    crowd = {f"000910{n:02X}": {"vr": "SH", "Value": ["x"]} for n in range(100)}
    with pytest.raises(QueryError, match="64"):
        matcher_of(crowd)
    within = {"vr": "SQ", "Value": [{"00100020": {"vr": "LO", "Value": ["x"]}}]}
    with pytest.raises(QueryError, match="64"):
        matcher_of({f"000910{n:02X}": within for n in range(100)})


def test_the_answer_has_what_was_asked_for_and_nothing_else():
    asked = {
        "00080005": {"vr": "CS", "Value": ["ISO_IR 100"]},
        "00080050": {"vr": "SH", "Value": ["A*"]},
        "00104000": {"vr": "LT"},
        "00081110": {"vr": "SQ"},
        "00321064": {"vr": "SQ", "Value": [{"00080102": {"vr": "SH"}, "00080104": {"vr": "LO"}}]},
    }
    assert answer_of(asked, DATA) == {
        "00080050": {"vr": "SH", "Value": ["A-1"]},
        "00104000": {"vr": "LT"},
        "00081110": {"vr": "SQ"},
        "00321064": {
            "vr": "SQ",
            "Value": [
                {"00080102": {"vr": "SH", "Value": [scheme]}, "00080104": {"vr": "LO"}}
                for scheme in ("L", "DCM")
            ],
        },
    }
    assert answer_of({"00321064": {"vr": "SQ"}}, DATA) == {"00321064": DATA["00321064"]}


def naive(pattern, text):
    """The same by definition, for short texts."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(naive(pattern[1:], text[n:]) for n in range(len(text) + 1))
    return bool(text) and pattern[0] in ("?", text[0]) and naive(pattern[1:], text[1:])


@given(st.text("ab*?", max_size=8), st.text("ab*", max_size=8))
def test_wild_cards_mean_what_they_mean(pattern, text):
    assert fits(pattern, text) == naive(pattern, text)


def test_a_hostile_pattern_takes_no_time():
    begun = time.monotonic()
    assert not fits("*a" * 500 + "b", "a" * 10_000)
    assert time.monotonic() - begun < 20
