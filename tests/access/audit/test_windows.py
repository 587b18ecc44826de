"""Acts that a person would call one make one entry, or two; strangers make few."""

from __future__ import annotations

from edge.access.audit.entry import Actor, Event
from edge.access.audit.windows import FURTHER, Windows

CT = "1.2.840.10008.5.1.4.1.1.2"


def test_five_hundred_frames_of_a_study_are_one_act(entry):
    windows, written = Windows(), []
    for number in range(500):
        seen = [(f"1.2.{number // 10}", CT)]
        written += windows.add(entry(1000.0 + number / 10), number / 10, seen)
    assert [(one.times, one.instances) for one in written] == [(1, 1)]
    assert windows.due(160.0) == []
    (closing,) = windows.due(170.0)
    assert (closing.at, closing.until) == (1000.0, 1049.9)
    assert (closing.times, closing.instances, closing.sop_classes) == (500, 50, {CT: 50})
    assert len(windows) == 0


def test_one_act_alone_makes_one_entry(entry):
    windows = Windows()
    (first,) = windows.add(entry(), 0.0, [("1.2.3", CT), ("1.2.4", CT)])
    assert (first.instances, first.sop_classes) == (2, {CT: 2})
    assert windows.close() == []


def test_who_what_and_whether_are_told_apart(entry):
    windows = Windows()
    acts = [
        entry(),
        entry(study="9.9"),
        entry(name="another"),
        entry(event=Event.RECEIVED),
        entry(query="PatientID=1"),
    ]
    for act in (*acts, *acts):
        windows.add(act, 0.0)
    assert len(windows) == len(acts)
    assert len(windows.close()) == len(acts)


def test_who_goes_on_for_hours_is_told_of_now_and_then(entry):
    windows, written = Windows(), []
    for minute in range(60):
        written += windows.add(entry(60.0 * minute), 60.0 * minute)
    assert [one.times for one in written] == [1, 15, 1, 15, 1, 15, 1]


def test_the_silent_one_makes_room_for_a_new_one(entry):
    windows = Windows(most=3)
    for number in range(3):
        windows.add(entry(study=str(number)), float(number))
    windows.add(entry(study="0"), 3.0)
    written = windows.add(entry(study="3"), 4.0)
    assert [one.about.study_uid for one in written] == ["3"]  # of "1", one act, nothing is left
    assert len(windows) == 3
    written = [one for number in range(4, 7) for one in windows.add(entry(study=str(number)), 5.0)]
    assert [(one.about.study_uid, one.times) for one in written if one.times > 1] == [("0", 2)]


def test_instances_are_counted_up_to_a_bound(entry):
    windows = Windows()
    for number in range(60_000):
        windows.add(entry(), number / 1000, [(f"1.{number}", CT)])
    (closing,) = windows.close()
    assert (closing.times, closing.instances) == (60_000, 5000)


def test_a_scan_from_everywhere_makes_a_bounded_number_of_entries(entry):
    windows, written = Windows(most=16, folded=True), []
    for number in range(5000):
        who = Actor("", address=f"10.0.{number // 250}.{number % 250}")
        written += windows.add(entry(event=Event.REFUSED, actor=who, reason=str(number)), 0.0)
    assert len(written) == 16 + 4 + 1
    assert {(one.actor.name, one.reason) for one in written[16:]} == {("many", "")}
    assert [one.actor.address for one in written[15:]] == [
        *(f"10.0.0.{number}" for number in range(15, 20)),
        "",
    ]
    closing = windows.close()
    assert [one.times for one in closing] == [5000 - 20]


def test_who_calls_himself_by_many_names_is_still_known_by_where_he_comes_from(entry):
    windows, written = Windows(most=16, folded=True), []
    for number in range(1000):
        who = Actor(f"n{number}", address="2001:db8::1")
        written += windows.add(entry(event=Event.REFUSED, actor=who), 0.0)
    assert len(written) == 17
    assert (written[-1].actor.name, written[-1].actor.address) == ("many", "2001:db8::/64")


def test_nobody_fills_the_record_by_searching_for_ever_other_things(entry):
    windows, written = Windows(), []
    for number in range(3000):
        at = number / 100
        written += windows.add(entry(study="", query=f"PatientID={number}"), at)
    assert [one.query for one in written[:2]] == ["PatientID=0", "PatientID=1"]
    assert len(written) == 120 + 1
    assert written[-1].query == FURTHER
    (further,) = [one for one in windows.close() if one.query == FURTHER]
    assert further.times == 3000 - 120
    assert [one.query for one in windows.add(entry(query="PatientID=1"), 3600.0)][-1] != FURTHER
