"""The check finds whatever was done to the record, and says where."""

from __future__ import annotations

import shutil

import pytest

from edge.access.audit.check import Fault, check_record
from edge.access.audit.entry import Event
from edge.access.audit.folder import EMPTY, Head


@pytest.fixture
def record(open_folder, entry):
    """Two segments of three entries each; the folder, its head."""
    now = [1_800_000_000.0]
    folder = open_folder(clock=lambda: now[0])
    for _ in range(2):
        head, _ = folder.append([entry(now[0], study="1.2").to_bytes() for _ in range(3)])
        now[0] += 8 * 86400
    return folder, head


def faults(folder, known=EMPTY):
    report = check_record(folder, known)
    return [(one.fault, one.segment, one.first) for one in report.findings]


def ends(folder, segment):
    return [128, *(link.end for link in folder.read(segment))]


def replace(segment, data):
    segment.path.write_bytes(bytes(data))


def test_a_record_that_nobody_touched_is_sound(record):
    folder, head = record
    report = check_record(folder, head)
    assert report.is_sound
    assert (report.segments, report.entries, report.since) == (2, 6, 1_800_000_000.0)
    assert report.head == head


def test_an_empty_record_is_sound_unless_it_is_known_not_to_be_empty(open_folder):
    assert check_record(open_folder()).is_sound
    assert faults(open_folder(), Head(3, bytes(32))) == [(Fault.CUT, 0, 1)]


def test_every_byte_that_is_flipped_is_found_in_its_segment(record):
    folder, head = record
    for segment in folder.segments():
        whole = segment.path.read_bytes()
        starts = ends(folder, segment)
        for at in range(len(whole)):
            changed = bytearray(whole)
            changed[at] ^= 0x10
            replace(segment, changed)
            report = check_record(folder, head)
            assert not report.is_sound, at
            found = report.findings[0]
            assert found.segment == segment.number, at
            if at >= 128:  # the entry is named, too
                hit = 3 * (segment.number - 1) + sum(at >= start for start in starts[:-1])
                assert found.first == hit, at
                assert found.fault in (Fault.CHANGED, Fault.TORN), at
            else:
                assert found.fault is Fault.HEADER, at
        replace(segment, whole)
    assert check_record(folder, head).is_sound


def test_every_length_to_which_it_is_cut_is_found(record):
    folder, head = record
    for segment in folder.segments():
        whole = segment.path.read_bytes()
        for length in range(len(whole)):
            replace(segment, whole[:length])
            assert not check_record(folder, head).is_sound, length
        replace(segment, whole)


def test_an_entry_that_was_taken_out_is_missed(record):
    folder, head = record
    segment = folder.segments()[0]
    whole, starts = segment.path.read_bytes(), ends(folder, segment)
    replace(segment, whole[: starts[1]] + whole[starts[2] :])
    assert faults(folder, head) == [(Fault.MISSING, 1, 2)]
    replace(segment, whole[: starts[2]])
    assert faults(folder, head) == [(Fault.MISSING, 2, 3)]


def test_entries_that_were_swapped_are_found(record):
    folder, head = record
    segment = folder.segments()[0]
    whole, starts = segment.path.read_bytes(), ends(folder, segment)
    one, two = whole[starts[0] : starts[1]], whole[starts[1] : starts[2]]
    replace(segment, whole[: starts[0]] + two + one + whole[starts[2] :])
    assert faults(folder, head) == [(Fault.MISSING, 1, 1), (Fault.MOVED, 1, 1)]


def test_an_entry_of_an_older_copy_with_the_same_number_is_found(record, entry, open_folder):
    folder, head = record
    segment = folder.segments()[1]
    older = segment.path.read_bytes()
    # As if the box had been set back, and had gone on differently from the last entry but one.
    last = ends(folder, segment)[2]
    replace(segment, older[:last])
    other = open_folder(clock=lambda: 1_800_000_000.0 + 9 * 86400)
    other.append([entry(5.0).to_bytes()])
    assert faults(folder, head) == [(Fault.EXCHANGED, 2, 6)]
    other.append([entry(6.0).to_bytes()])
    forged, starts = segment.path.read_bytes(), ends(folder, segment)
    replace(segment, older + forged[starts[3] :])
    assert faults(folder) == [(Fault.EXCHANGED, 2, 6)]


def test_a_segment_that_was_removed_is_missed(record):
    folder, head = record
    first, second = folder.segments()
    kept = first.path.read_bytes()
    first.path.unlink()
    assert faults(folder, head) == [(Fault.REMOVED, 1, 0)]
    replace(first, kept)
    second.path.unlink()
    assert faults(folder, head) == [(Fault.CUT, 1, 4)]


def test_a_segment_in_the_middle_that_was_removed_is_missed(record, entry):
    folder, _ = record
    head, _ = folder.append([entry().to_bytes()])
    folder.segments()[1].path.unlink()
    assert (Fault.REMOVED, 2, 0) in faults(folder, head)


def test_segments_that_were_swapped_are_found(record):
    folder, head = record
    first, second = folder.segments()
    kept = first.path.read_bytes()
    shutil.copy(second.path, first.path)
    replace(second, kept)
    found = faults(folder, head)
    assert (Fault.FOREIGN, 1, 4) in found
    assert (Fault.FOREIGN, 2, 1) in found


def test_an_older_copy_of_the_last_segment_is_found_by_what_the_index_remembers(record, entry):
    folder, _ = record
    segment = folder.segments()[1]
    older = segment.path.read_bytes()
    folder._clock = lambda: 1_800_000_000.0 + 9 * 86400
    head, _ = folder.append([entry().to_bytes()])
    replace(segment, older)
    assert faults(folder, head) == [(Fault.CUT, 2, 7)]


def test_a_segment_that_was_sealed_with_another_key_is_found(record):
    folder, _ = record
    folder.key = bytes(32)
    assert [fault for fault, *_ in faults(folder)] == [Fault.HEADER, Fault.HEADER]


def test_a_torn_end_that_the_record_went_on_behind_is_harmless(record, entry, open_folder):
    folder, head = record
    segment = folder.segments()[1]
    replace(segment, segment.path.read_bytes() + b"torn")
    report = check_record(folder, head)
    assert [(one.fault, one.is_harmless) for one in report.findings] == [(Fault.TORN, False)]
    head, flaws = open_folder().append([entry().to_bytes()], head)
    assert flaws
    report = check_record(folder, head)
    assert [(one.fault, one.is_harmless) for one in report.findings] == [(Fault.TORN, True)]
    assert report.is_sound


def test_a_last_entry_that_was_changed_does_not_pass_for_a_torn_end(record, entry, open_folder):
    folder, head = record
    segment = folder.segments()[1]
    data = bytearray(segment.path.read_bytes())
    data[-1] ^= 1
    replace(segment, data)
    head, flaws = open_folder().append([entry().to_bytes()], head)
    assert flaws[-1].until == 6
    report = check_record(folder, head)
    assert not report.is_sound


def test_what_was_pruned_is_not_missed(record, entry):
    folder, _ = record
    pruned = entry(event=Event.RECORD_PRUNED, study="", detail={"segment": "1"})
    head, _ = folder.append([pruned.to_bytes()])
    folder.segments()[0].path.unlink()
    assert check_record(folder, head).is_sound
    folder.segments()[0].path.unlink()
    assert faults(folder, head) == [(Fault.REMOVED, 2, 0)]
