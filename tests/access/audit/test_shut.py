"""What the audit hears of a box that was shut, once it can be written again."""

from __future__ import annotations

import asyncio
import os

import pytest

from edge.access.audit import shut
from edge.access.audit.entry import Actor, Entry, Event, Kind
from edge.crypto.custodian import Locked
from edge.errors import StorageFull


class Audit:
    """Takes entries, unless it is full."""

    def __init__(self):
        self.entries, self.is_full = [], False

    async def record(self, *entries):
        if self.is_full:
            raise StorageFull("there is no room")
        self.entries += entries


@pytest.fixture
def audit():
    return Audit()


def some(number):
    return Entry(at=float(number), event=Event.KEY, actor=Actor("Ada"), what="the box was opened")


async def test_what_waits_is_handed_over_once(tmp_path, audit):
    await shut.hand_over(tmp_path, audit)
    assert audit.entries == []
    for number in range(2):
        await asyncio.to_thread(shut.keep, tmp_path, some(number))
    await shut.hand_over(tmp_path, audit)
    assert audit.entries == [some(0), some(1)]
    await shut.hand_over(tmp_path, audit)
    assert len(audit.entries) == 2


async def test_what_the_record_can_not_take_waits_for_the_next_start(tmp_path, audit, caplog):
    await asyncio.to_thread(shut.keep, tmp_path, some(1))
    audit.is_full = True
    await shut.hand_over(tmp_path, audit)
    assert "is not in the audit yet" in caplog.text
    audit.is_full = False
    await shut.hand_over(tmp_path, audit)
    assert audit.entries == [some(1)]


def test_what_waits_is_bounded_and_no_rubbish_keeps_anybody_out(tmp_path):
    for number in range(200):
        shut.keep(tmp_path, some(number))
    kept = shut.entries_in(tmp_path)
    assert (len(kept), kept[-1]) == (128, some(199))
    (tmp_path / "unlocked").write_bytes(os.urandom(3000))
    shut.keep(tmp_path, some(1))
    assert shut.entries_in(tmp_path)[-1] == some(1)


def test_a_disk_that_takes_nothing_keeps_nobody_from_opening_the_box(tmp_path, caplog):
    shut.keep(tmp_path / "missing", some(1))
    assert "the audit will not hear of this: the box was opened, Ada" in caplog.text


def test_wrong_tries_are_counted_by_where_they_came_from_and_bounded():
    now = iter(range(10_000))
    tries = shut.Tries(lambda: float(next(now)))
    for _ in range(3):
        tries.wrong(Actor("somebody", address="192.0.2.1"), "the passphrase")
    (one,) = tries.entries()
    assert (one.times, one.at, one.until) == (3, 0.0, 2.0)
    assert one.detail == {"by": "the passphrase"}
    more = shut.Tries()
    for how in ("the passphrase", "the recovery key", "the passphrase"):
        more.wrong(Actor("root", Kind.MACHINE), how)
    assert [one.detail["by"] for one in more.entries()] == ["the passphrase, the recovery key"]
    for number in range(1000):
        tries.wrong(Actor("somebody", address=f"2001:db8::{number:x}"), "the passphrase")
    entries = tries.entries()
    assert len(entries) == 33
    assert sum(entry.times for entry in entries) == 1003


def test_a_locking_that_the_record_heard_of_is_not_told_again():
    assert shut.locked_entry(None) == ()
    assert shut.locked_entry(Locked("Ada", 7.0, destroys=True, is_recorded=True)) == ()
    (told,) = shut.locked_entry(Locked("Ada", 7.0, destroys=True))
    assert (told.at, told.actor, told.what) == (
        7.0,
        Actor("Ada", Kind.MACHINE),
        "the box was locked",
    )


async def test_what_comes_while_the_rest_is_handed_over_waits_on(tmp_path, audit):
    class Slow(Audit):
        async def record(self, *entries):
            await super().record(*entries)
            if len(self.entries) == 1:
                await asyncio.to_thread(shut.keep, tmp_path, some(2))

    slow = Slow()
    await asyncio.to_thread(shut.keep, tmp_path, some(1))
    await shut.hand_over(tmp_path, slow)
    assert await asyncio.to_thread(shut.entries_in, tmp_path) == (some(2),)
    await shut.hand_over(tmp_path, slow)
    assert slow.entries == [some(1), some(2)]
