"""What may be said of a performed procedure step, and when."""

import pytest

from edge.dicom import procedure
from edge.dicom.procedure import Fault, changed_step, new_step
from edge.errors import StepRefused
from tests.dimse.steps import beginning, ending, json_of


def begun(**values):
    return new_step(json_of(beginning(**values)))


def refusal(call, *arguments):
    with pytest.raises(StepRefused) as refused:
        call(*arguments)
    return refused.value.fault, refused.value.tags


def test_a_step_begins_with_all_that_others_expect_of_it():
    said = json_of(beginning())
    for tag in ("00100030", "00400242", "00081032", "00400250"):  # type 2: devices forget them
        del said[tag]
    step = new_step(said)
    assert step["00100030"] == {"vr": "DA"}
    assert step["00081032"] == {"vr": "SQ"}
    assert "00080005" not in step
    assert procedure.studies_of(step) == ["1.2.3"]
    assert procedure.scheduled_steps(step) == [procedure.ScheduledStep("1.2.3", "A1", "R1", "S1")]


@pytest.mark.parametrize(
    "tag", "00400270 00400253 00400241 00400244 00400245 00400252 00080060".split()
)
def test_what_is_type_1_must_be_there_and_have_a_value(tag):
    said = json_of(beginning())
    emptied = {**said, tag: {"vr": said[tag]["vr"]}}
    del said[tag]
    assert refusal(new_step, said) == (Fault.MISSING, (tag,))
    assert refusal(new_step, emptied) == (Fault.EMPTY, (tag,))


@pytest.mark.parametrize("state", ["COMPLETED", "DISCONTINUED", "SCHEDULED"])
def test_a_step_begins_in_progress(state):
    said = json_of(beginning(PerformedProcedureStepStatus=state))
    assert refusal(new_step, said) == (Fault.INVALID, ("00400252",))


@pytest.mark.parametrize("uid", ["../x", "1..2", "1" * 65])
def test_a_study_is_a_uid(uid):
    said = json_of(beginning())
    said["00400270"]["Value"][0]["0020000D"]["Value"] = [uid]
    assert refusal(new_step, said) == (Fault.INVALID, ("0020000D",))


def test_sequences_are_replaced_as_a_whole():
    step = begun()
    series = json_of(ending())["00400340"]
    first = {"vr": "SQ", "Value": [{"0020000E": {"vr": "UI", "Value": ["1.1"]}}]}
    _, step, _ = changed_step(step, {"00400340": first})
    _, step, _ = changed_step(step, {"00400340": series})
    assert "Value" not in step["00400340"] or step["00400340"]["Value"] == []


def test_what_may_not_change_is_left_out_and_told_only_where_it_differs():
    said = {**json_of(ending()), "00100020": {"vr": "LO", "Value": ["X"]}, "00200010": {"vr": "SH"}}
    changes, after, left_out = changed_step(begun(), said)
    assert left_out == ("00100020", "00200010")
    assert after["00100020"]["Value"] == ["4711"]
    assert "00100020" not in changes
    same = {**json_of(ending()), "00100020": {"vr": "LO", "Value": ["4711"]}}
    assert changed_step(begun(), same)[2] == ()


@pytest.mark.parametrize("state", ["COMPLETED", "DISCONTINUED"])
def test_the_end_has_a_time_and_is_the_end(state):
    said = json_of(ending(state=state))
    timeless = {tag: element for tag, element in said.items() if tag != "00400250"}
    assert refusal(changed_step, begun(), timeless) == (Fault.EMPTY, ("00400250",))
    _, after, _ = changed_step(begun(), said)
    assert procedure.state_of(after).is_final
    assert refusal(changed_step, after, said)[0] == Fault.FINAL
    assert refusal(changed_step, after, {})[0] == Fault.FINAL


@pytest.mark.parametrize("value", [{"vr": "CS"}, {"vr": "CS", "Value": ["DONE"]}])
def test_there_are_three_states(value):
    fault, tags = refusal(changed_step, begun(), {"00400252": value})
    assert (fault in (Fault.EMPTY, Fault.INVALID), tags) == (True, ("00400252",))


@pytest.mark.parametrize(
    "nonsense",
    [
        {"00400340": {"vr": "SQ", "Value": [None, "x", 3]}},
        {"00400340": {"vr": "UN", "InlineBinary": "AAAA"}},
        {"00400340": {"vr": "LO", "Value": "x"}},
        {"00400254": 7},
        {"00291001": {"vr": "OB", "BulkDataURI": "00291001"}},
    ],
)
def test_nonsense_names_no_instance(nonsense):
    _, after, _ = changed_step(begun(), nonsense)
    assert list(procedure.references(after)) == []


def test_all_that_is_named_is_found_images_or_not():
    image = {"00081150": {"vr": "UI", "Value": ["1.9"]}, "00081155": {"vr": "UI", "Value": ["1.5"]}}
    other = {"00081150": {"vr": "UI", "Value": ["1.9"]}, "00081155": {"vr": "UI", "Value": ["1.6"]}}
    series = {
        "0020000E": {"vr": "UI", "Value": ["1.4"]},
        "00081140": {"vr": "SQ", "Value": [image]},
        "00400220": {"vr": "SQ", "Value": [other]},
    }
    _, after, _ = changed_step(begun(), {"00400340": {"vr": "SQ", "Value": [series]}})
    assert [(one.series_uid, one.sop_uid) for one in procedure.references(after)] == [
        ("1.4", "1.5"),
        ("1.4", "1.6"),
    ]


def test_a_sequence_that_was_too_long_to_be_read_is_not_taken_for_none():
    said = {"00400340": {"vr": "SQ", "BulkDataURI": "00400340"}}
    assert refusal(changed_step, begun(), said) == (Fault.FULL, ("00400340",))
