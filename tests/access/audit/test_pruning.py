"""What goes from the record is told of before it goes."""

from __future__ import annotations

import dataclasses

import pytest

from edge import config
from edge.access.audit.check import check_record
from edge.access.audit.entry import Event, Outcome
from edge.access.audit.pruning import Pruning
from edge.access.audit.recorder import Audit
from edge.access.audit.search import Asked, search
from edge.errors import StorageFull

DAY = 86400.0
SETTINGS = config.Audit(keep_days=30, max_bytes=10**6)


@pytest.fixture
def now():
    return [1_800_000_000.0]


@pytest.fixture
def audit(open_folder, memory, now):
    return Audit(open_folder(clock=lambda: now[0]), memory, clock=lambda: now[0])


@pytest.mark.blocks  # the test looks into the files
async def test_what_is_older_than_its_days_goes_and_the_record_stays_sound(audit, now, entry):
    async with audit:
        for _ in range(7):
            await audit.record(entry(now[0]))
            now[0] += 8 * DAY
        await Pruning(SETTINGS, audit).look()
        found = search(audit.folder, Asked(), 100)
        assert (found[0].event, found[0].outcome) == (Event.RECORD_PRUNED, Outcome.SUCCESS)
        assert found[0].detail == {"segment": "3", "segments": "3"}
        assert found[-1].number == 4
        assert check_record(audit.folder).is_sound


@pytest.mark.blocks
async def test_what_goes_before_its_days_is_a_failure(audit, now, entry, caplog):
    async with audit:
        for _ in range(3):
            await audit.record(entry(now[0]))
            now[0] += 8 * DAY
        await Pruning(dataclasses.replace(SETTINGS, max_bytes=600), audit).look()
        (told,) = search(audit.folder, Asked(event=Event.RECORD_PRUNED), 100)
        assert (told.outcome, told.reason) == (
            Outcome.FAILED,
            "its room was needed: audit.max_bytes",
        )
    assert "before audit.keep_days were over" in caplog.text


@pytest.mark.blocks
async def test_nothing_goes_that_can_not_be_told_of(audit, now, entry, monkeypatch):
    async with audit:
        for _ in range(3):
            await audit.record(entry(now[0]))
            now[0] += 80 * DAY
        before = audit.folder.segments()

        def full(contents, known):
            raise StorageFull("the disk is full")

        monkeypatch.setattr(audit.folder, "append", full)
        with pytest.raises(StorageFull):
            await Pruning(SETTINGS, audit).look()
        assert audit.folder.segments() == before
