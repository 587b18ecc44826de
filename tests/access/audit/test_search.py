"""Entries are found by whose, who, when and what."""

from __future__ import annotations

import pytest

from edge.access.audit.entry import Actor, Event, Kind, Outcome, Subject
from edge.access.audit.search import Asked, entries, search

DAY = 86400.0


@pytest.fixture
def folder(open_folder, entry):
    now = [DAY]
    folder = open_folder(clock=lambda: now[0])
    for day in range(1, 41):
        now[0] = day * DAY
        made = entry(
            now[0],
            about=Subject(f"1.2.{day}", f"ID{day}", "Nobody^Ärger" if day == 7 else "Other"),
            actor=Actor("CT1" if day % 2 else "a viewer", ae_title="CT_ROOM" if day % 2 else ""),
        )
        folder.append([made.to_bytes()])
    query = entry(
        now[0],
        Event.QUERIED,
        study="",
        query="PatientName=NOBODY*",
        outcome=Outcome.REFUSED,
        actor=Actor("x", Kind.PEER, address="10.1.1.1"),
        target="whom it befell",
    )
    folder.append([query.to_bytes()])
    return folder


def days(found):
    return [int(entry.at // DAY) for entry in found]


def test_the_newest_come_first_page_by_page(folder):
    assert days(search(folder, Asked(), 3)) == [40, 40, 39]
    found = search(folder, Asked(), 1000)
    assert len(found) == 41
    assert [one.number for one in found] == list(range(41, 0, -1))
    assert [one.number for one in search(folder, Asked(before=39), 2)] == [38, 37]
    assert search(folder, Asked(), 0) == []


@pytest.mark.parametrize(
    ("asked", "numbers"),
    [
        (Asked(study="1.2.9"), [9]),
        (Asked(patient="ID9"), [9]),
        (Asked(patient="ärger"), [7]),
        (Asked(patient="nobody"), [41, 7]),
        (Asked(user="ct_room", since=36 * DAY), [39, 37]),
        (Asked(user="VIEWER", since=36 * DAY, until=40 * DAY), [38, 36]),
        (Asked(user="befell"), [41]),
        (Asked(since=39 * DAY), [41, 40, 39]),
        (Asked(until=3 * DAY), [2, 1]),
        (Asked(event=Event.QUERIED), [41]),
        (Asked(address="10.1.1.1"), [41]),
        (Asked(failed=True), [41]),
        (Asked(study="1.2.9", patient="ID8"), []),
    ],
)
def test_what_is_asked_for_is_found(folder, asked, numbers):
    assert [one.number for one in search(folder, asked, 1000)] == numbers
    assert [one.number for one in entries(folder, asked)] == numbers[::-1]


def test_segments_outside_of_the_time_are_not_opened(folder, monkeypatch):
    opened, read = [], folder.read
    monkeypatch.setattr(folder, "read", lambda segment: opened.append(segment) or read(segment))
    search(folder, Asked(since=39 * DAY), 1000)
    assert len(opened) <= 2 < len(folder.segments())
    opened.clear()
    list(entries(folder, Asked(), after=40))
    assert len(opened) == 1


def test_what_follows_a_number_comes_in_order(folder):
    assert [one.number for one in entries(folder, Asked(), after=38)] == [39, 40, 41]
