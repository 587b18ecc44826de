"""What is said of flawed steps, and what scanners get of them."""

import pytest

from edge.dicom.scheduled import STEP, steps_of
from edge.dicom.scheduled_check import flaws_of, repeated, without_unreadable
from tests.worklists import item, model


def step(number=1, drop=(), **fields):
    whole = model(item(number, **fields))
    for tag in drop:
        whole.pop(tag, None)
        whole[STEP]["Value"][0].pop(tag, None)
    (found,) = steps_of(whole)
    return found


def with_value(tag, vr, value):
    whole = model(item(1))
    there = whole[STEP]["Value"][0] if tag.startswith("0040") else whole
    there[tag] = {"vr": vr, "Value": [value]}
    (found,) = steps_of(whole)
    return found


def test_a_sound_step_has_no_flaw():
    assert flaws_of(step()) == ""
    assert without_unreadable(step().attributes) == step().attributes


@pytest.mark.parametrize(
    ("tag", "said"),
    [
        ("0020000D", "it has no Study Instance UID (0020,000D)"),
        ("00100020", "it has no Patient ID (0010,0020)"),
        ("00400009", "it has no Scheduled Procedure Step ID (0040,0009)"),
        ("00400002", "it has no Scheduled Procedure Step Start Date (0040,0002)"),
        ("00400001", "it has no Scheduled Station AE Title (0040,0001)"),
    ],
)
def test_what_scanners_need_and_is_missing_is_named(tag, said):
    assert flaws_of(step(drop=[tag])) == said


@pytest.mark.parametrize(
    ("tag", "vr", "value", "name"),
    [
        ("00400002", "DA", "29.11.26", "Scheduled Procedure Step Start Date"),
        ("00400002", "DA", "20260231", "Scheduled Procedure Step Start Date"),
        ("00400003", "TM", "9.15", "Scheduled Procedure Step Start Time"),
        ("00100030", "DA", "1.2.1970", "Patient's Birth Date"),
        ("0020000D", "UI", "1.2.x", "Study Instance UID"),
    ],
)
def test_what_can_not_be_read_is_named_and_kept_from_scanners(tag, vr, value, name):
    found = with_value(tag, vr, value)
    assert flaws_of(found) == f"its {name} ({tag[:4]},{tag[4:]}) can't be read"
    served = without_unreadable(found.attributes)
    there = served[STEP]["Value"][0] if tag.startswith("0040") else served
    assert there[tag] == {"vr": vr}
    assert served["00100020"]["Value"] == ["P1"]


def test_all_flaws_of_a_step_are_said_at_once():
    assert flaws_of(step(drop=["00100020", "00400009", "00080060"])) == (
        "it has no Patient ID (0010,0020), no Modality (0008,0060),"
        " no Scheduled Procedure Step ID (0040,0009)"
    )


def test_another_step_with_the_same_ids_is_found_and_the_same_step_again_is_none():
    other = model(item(1, name="ROE^RICHARD"))
    (clash,) = steps_of(other)
    found = repeated([("a", step(1)), ("b", clash), ("c", step(2)), ("d", step(1))])
    assert list(found) == [("b", "a")]
