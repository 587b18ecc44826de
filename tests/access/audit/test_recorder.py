"""The one way into the record: durable when it says so, soon otherwise, and never in the way."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest

from edge.access.audit import recorder
from edge.access.audit.entry import Actor, Event, Kind, Outcome, Subject
from edge.access.audit.recorder import Audit
from edge.access.audit.search import Asked, search
from edge.errors import StorageFull


@pytest.fixture
def audit(open_folder, memory):
    return Audit(open_folder(), memory)


@pytest.fixture
def records(open_folder):
    """All entries that are on the disk, the oldest first."""
    return lambda: search(open_folder(), Asked(), 10_000)[::-1]


@contextlib.asynccontextmanager
async def running(audit):
    async with audit, asyncio.TaskGroup() as group:
        task = group.create_task(audit.run())
        yield task
        task.cancel()


async def until(condition):
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - files tell nobody
            await asyncio.sleep(0.01)


@pytest.mark.blocks  # the test looks into the files
class TestRecording:
    async def test_an_act_is_durable_when_record_returns(self, audit, entry, records):
        async with audit:
            await audit.record(entry())
            assert [one.number for one in records()] == [1]

    async def test_many_that_record_at_once_share_writes(self, audit, entry, records, monkeypatch):
        writes, append = [], audit.folder.append

        def counted(contents, known):
            writes.append(len(contents))
            return append(contents, known)

        monkeypatch.setattr(audit.folder, "append", counted)
        async with running(audit), asyncio.TaskGroup() as group:
            for number in range(200):
                group.create_task(audit.record(entry(float(number))))
        assert len(records()) == 200
        assert sum(writes) == 200
        assert len(writes) < 20

    async def test_an_access_is_durable_soon(self, audit, entry, records):
        async with running(audit):
            audit.note(entry())
            async with asyncio.timeout(recorder.SOON + 1):
                await until(records)

    async def test_what_is_under_way_is_told_of_at_the_end(self, audit, entry, records):
        async with running(audit):
            for number in range(5):
                audit.note(entry(), [(f"1.2.{number}", "1.9")])
        assert [(one.times, one.instances) for one in records()] == [(1, 1), (5, 5)]

    async def test_patients_are_named_as_the_index_knows_them(self, audit, entry, records, memory):
        memory.known["1.2.3"] = ("4711", "Nobody^A", "A1")
        async with audit:
            await audit.record(entry(), entry(patient="given"), entry(study=""), entry(study="9"))
        assert [one.about for one in records()] == [
            Subject("1.2.3", "4711", "Nobody^A", "A1"),
            Subject("1.2.3", "given"),
            Subject(),
            Subject("9"),
        ]

    async def test_who_is_cancelled_takes_nothing_with_him(self, audit, entry, records):
        async with running(audit), asyncio.TaskGroup() as group:
            tasks = [group.create_task(audit.record(entry(float(n)))) for n in range(50)]
            await asyncio.sleep(0)
            for task in tasks[::2]:
                task.cancel()
        assert len(records()) == 50

    async def test_stopping_in_the_middle_of_a_write_writes_each_once(self, audit, entry, records):
        for round_ in range(5):
            async with audit, asyncio.TaskGroup() as group:
                task = group.create_task(audit.run())
                for number in range(20):
                    audit.put(entry(float(number)))
                await asyncio.sleep(0.002 * round_)
                task.cancel()
        assert len(records()) == 100
        assert [one.number for one in records()] == list(range(1, 101))


@pytest.mark.blocks
class TestTrouble:
    async def test_reading_goes_on_and_what_must_be_recorded_is_refused(
        self, audit, entry, records, monkeypatch
    ):
        is_full = [True]
        append = audit.folder.append

        def full(contents, known):
            if is_full[0]:
                raise StorageFull("the disk is full")
            return append(contents, known)

        monkeypatch.setattr(audit.folder, "append", full)
        async with audit:
            await audit.require()
            with pytest.raises(StorageFull):
                await audit.record(entry(1.0))
            with pytest.raises(StorageFull, match="can't be written"):
                await audit.require()
            audit.note(entry(2.0))
            assert audit.trouble
            is_full[0] = False
            await audit.record(entry(3.0))
            await audit.require()
        assert [one.at for one in records()] == [1.0, 2.0, 3.0]

    async def test_the_part_that_writes_fails_so_that_it_shows(self, audit, entry, monkeypatch):
        def full(contents, known):
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(audit.folder, "append", full)
        async with audit:
            audit.note(entry())
            with pytest.raises(OSError, match="Input"):
                await audit.run()
            with pytest.raises(OSError, match="Input"):
                await audit.record(entry())

    async def test_what_found_no_room_meanwhile_is_counted(
        self, audit, entry, records, monkeypatch
    ):
        monkeypatch.setattr(recorder, "_MOST_WAITING", 10)
        async with audit:
            for number in range(25):
                audit.put(entry(float(number)))
        *kept, damaged = records()
        assert len(kept) == 10
        assert (damaged.event, damaged.outcome) == (Event.RECORD_DAMAGED, Outcome.GRAVE)
        assert damaged.reason.startswith("15 entries")

    async def test_a_record_that_was_cut_says_so_itself(
        self, audit, entry, records, open_folder, memory
    ):
        async with audit:
            await audit.record(entry(), entry(), entry())
        assert memory.number == 3
        for segment in open_folder().segments():
            segment.path.unlink()
        async with Audit(open_folder(), memory) as again:
            await again.record(entry())
        assert [(one.number, one.event) for one in records()] == [
            (4, Event.ACCESSED),
            (5, Event.RECORD_DAMAGED),
        ]
        reason = "entries 1 to 3 are missing, or not all of them open"
        assert records()[1].reason == reason
        assert (await again.damages.known()).what == reason

    @pytest.mark.parametrize("failing", ["damage", "set_damage"])
    async def test_an_index_that_can_not_remember_damage_is_told_of_it_again(
        self, audit, entry, open_folder, memory, monkeypatch, failing
    ):
        monkeypatch.setattr(recorder, "_REMEMBER", 0.0)
        async with audit:
            await audit.record(entry(), entry())
        for segment in open_folder().segments():
            segment.path.unlink()
        tried, real = [], getattr(memory, failing)

        async def full(*said):
            tried.append(said)
            raise StorageFull("the disk is full")

        monkeypatch.setattr(memory, failing, full)
        again = Audit(open_folder(), memory)
        async with running(again) as task:
            await again.record(entry())
            await until(lambda: len(tried) > 1)
            assert not task.done()
            assert memory.kept == ""
            monkeypatch.setattr(memory, failing, real)
            await until(lambda: memory.kept)
        reason = "entries 1 to 2 are missing, or not all of them open"
        assert (await again.damages.known()).what == reason

    async def test_a_clock_that_jumps_is_told_of(self, open_folder, memory, records, monkeypatch):
        monkeypatch.setattr(recorder, "_LOOK", 0.0)
        ahead = [1_000_000.0]
        audit = Audit(open_folder(), memory, clock=lambda: time.monotonic() + ahead[0])
        async with running(audit) as task:
            await asyncio.sleep(0)
            ahead[0] += 3600
            await until(records)
            task.cancel()
        (told,) = records()
        assert (told.event, told.detail) == (Event.CLOCK, {"by": "+3600 s"})


@pytest.mark.parametrize(
    ("typed", "told"), [("Anna ", "anna"), ("seven quiet lamps", ""), ("many", "many"), ("", "")]
)
@pytest.mark.blocks
async def test_what_was_typed_as_a_name_is_told_if_somebody_has_it(
    audit, memory, entry, records, typed, told
):
    memory.names = {"anna"}
    who = Actor(typed, address="10.0.0.7")
    async with audit:
        audit.suspect(entry(event=Event.LOGGED_IN, actor=who, outcome=Outcome.REFUSED, study=""))
    assert [one.actor.name for one in records()] == [told]


@pytest.mark.blocks
async def test_what_calls_itself_by_an_ae_title_is_told_by_it(audit, entry, records):
    who = Actor("STRANGER", Kind.PEER, address="10.0.0.7")
    async with audit:
        audit.suspect(entry(event=Event.REFUSED, actor=who, outcome=Outcome.REFUSED, study=""))
    assert [one.actor.name for one in records()] == ["STRANGER"]


async def test_the_index_is_told_of_the_head(audit, entry, memory, monkeypatch):
    monkeypatch.setattr(recorder, "_REMEMBER", 0.0)
    async with running(audit):
        await audit.record(entry(), entry())
        await until(lambda: memory.number == 2)
    assert memory.digest == audit.known.digest
