"""Which keys of a worklist query choose, which only tell apart, and which choose nothing."""

import pytest

from edge.dicom.worklist_query import Fit, Obstacle, WorklistQuery
from edge.errors import QueryError
from tests.worklists import item, model

STEP = "00400100"


def query(*, step=None, **keys):
    """Keys by tag, as ``x00100020="P1"``."""
    asked = {tag[1:]: element(tag[1:], value) for tag, value in keys.items()}
    inner = {tag[1:]: element(tag[1:], value) for tag, value in (step or {}).items()}
    return WorklistQuery({**asked, STEP: {"vr": "SQ", "Value": [inner]}})


def element(tag, value):
    if isinstance(value, dict):
        return {"vr": "SQ", "Value": [{t[1:]: element(t[1:], v) for t, v in value.items()}]}
    vr = {"00100010": "PN", "00400002": "DA", "00400003": "TM", "0020000D": "UI"}.get(tag, "LO")
    return {"vr": vr, "Value": [{"Alphabetic": value} if vr == "PN" else value]}


def without(number, *tags):
    whole = model(item(number))
    for tag in tags:
        whole.pop(tag, None)
        whole[STEP]["Value"][0].pop(tag, None)
    return whole


@pytest.mark.parametrize(
    ("keys", "tag"),
    [
        ({"x00100020": "P1"}, "00100020"),
        ({"x00100010": "DOE*"}, "00100010"),
        ({"x00080050": "A1"}, "00080050"),
        ({"x00401001": "RP1"}, "00401001"),
        ({"step": {"x00400001": "CT1"}}, "00400001"),
        ({"step": {"x00080060": "CT"}}, "00080060"),
        ({"step": {"x00400009": "SPS1"}}, "00400009"),
        ({"step": {"x00400003": "0800-1000"}}, "00400003"),
    ],
)
def test_a_usual_key_has_to_match_and_fails_where_there_is_no_value(keys, tag):
    asked = query(**keys)
    assert asked.fit(model(item(1))) is Fit.WHOLLY
    assert asked.fit(without(1, tag)) is Fit.NO


def test_any_other_key_tells_apart_those_that_have_a_value():
    asked = query(step={"x00400010": "CTROOM"})
    other, same, empty = model(item(1)), model(item(2)), without(3, "00400010")
    same[STEP]["Value"][0]["00400010"] = {"vr": "SH", "Value": ["CTROOM"]}
    assert [asked.fit(one) for one in (other, same, empty)] == [Fit.NO, Fit.WHOLLY, Fit.PARTLY]
    clinic = query(x00080080="CLINIC")
    assert clinic.fit(model(item(1))) is Fit.PARTLY
    assert clinic.fit(model(item(1, InstitutionName="HOSPITAL"))) is Fit.NO


@pytest.mark.parametrize(
    ("keys", "name"),
    [
        ({"x00080052": "STUDY"}, "QueryRetrieveLevel"),
        ({"x00080060": "MR"}, "Modality"),
        ({"x00090010": "FOO"}, "00090010"),
        ({"step": {"x00100020": "P9"}}, "PatientID"),
        ({"x00081115": {"x0020000E": "1.2"}}, "ReferencedSeriesSequence"),
    ],
)
def test_a_key_that_no_worklist_has_is_ignored_and_owned_up_to(keys, name):
    asked = query(**keys)
    assert asked.ignored == (name,)
    assert asked.fit(model(item(1))) is Fit.PARTLY
    assert query(**keys, x00100020="P9").fit(model(item(1))) is Fit.NO


def test_keys_without_a_value_ask_for_nothing():
    asked = query(x00080052="", x00100020="*", x00080005="ISO_IR 100", step={"x00400010": "*"})
    assert (asked.ignored, asked.fit(model(item(1)))) == ((), Fit.WHOLLY)


def test_a_sequence_is_met_by_one_of_its_items_and_by_none_at_all():
    coded = model(item(1))
    codes = [{"00080100": element("00080100", one)} for one in ("X1", "X2")]
    coded["00321064"] = {"vr": "SQ", "Value": codes}
    fits = {
        code: query(x00321064={"x00080100": code}).fit(coded) for code in ("X1", "X2", "X3", "X*")
    }
    assert fits == {"X1": Fit.WHOLLY, "X2": Fit.WHOLLY, "X3": Fit.NO, "X*": Fit.WHOLLY}
    assert query(x00321064={"x00080100": "X1"}).fit(model(item(2))) is Fit.PARTLY


def test_what_left_nothing_is_named_with_what_there_is_and_without_patients():
    listed = [
        model(item(1, station="CT1", when="20260310")),
        model(item(2, station="MR1", modality="MR", when="20260311")),
    ]
    asked = query(step={"x00400001": "ct1", "x00080060": "CT"})
    assert asked.obstacles(listed) == [Obstacle("station", "ct1", True, ("CT1", "MR1"))]
    day = query(step={"x00400002": "20260312-", "x00400003": "1000-1200"})
    assert day.obstacles(listed) == [
        Obstacle("date", "20260312- 1000-1200", True, ("20260310", "20260311"))
    ]
    patient = query(x00100020="P9", x00080052="STUDY")
    assert patient.obstacles(listed) == [Obstacle("PatientID", alone=True)]


def test_keys_that_leave_nothing_together_are_named_together():
    listed = [model(item(1)), model(item(2, station="MR1", modality="MR"))]
    asked = query(x00100010="DOE*", step={"x00400001": "CT1", "x00080060": "MR"})
    assert asked.obstacles(listed) == [Obstacle("station", "CT1"), Obstacle("modality", "MR")]


def test_the_days_that_can_match_are_known_beforehand():
    assert query(step={"x00400002": "20260310"}).days == ("20260310", "20260310")
    assert query(step={"x00400002": "20260310-"}).days == ("20260310", "")
    assert query(x00100020="P1").days == ("", "")


@pytest.mark.parametrize(
    "keys",
    [
        {"step": {"x00400002": "monday"}},
        {"x00321064": {f"x0008{number:04X}": "x" for number in range(0x100, 0x120)}},
    ],
)
def test_a_key_of_a_worklist_that_can_not_be_understood_is_refused(keys):
    with pytest.raises(QueryError):
        query(**keys)
