"""Decisions about conflicts with an archive that does all sorts of things, over a whole cache."""

from __future__ import annotations

import random
from contextlib import asynccontextmanager
from functools import partial
from types import SimpleNamespace

import pytest

from edge.cache.disputes import Disputes, Query
from edge.cache.exchange import Exchange
from edge.cache.settlement import Settling
from edge.dicom.instance import Custody
from edge.errors import CloudUnreachable, StorageFull
from edge.index import lookup
from edge.index.custody import Primary
from edge.index.disputes import Theirs, note_theirs
from edge.sync.arbitration import Arbitration
from edge.sync.link import Link
from tests import samples
from tests.cache.conftest import open_cache as open_cache  # noqa: PLC0414
from tests.fakes.archive import Fault
from tests.sync.conftest import SETTINGS

OURS = next(iter(samples.ct_series(1, rows=32, columns=32)))
THEIRS = OURS.data[:-2048] + random.Random(9).randbytes(2048)


@pytest.fixture
def conflict(open_cache, cloud):
    """A cache in conflict with the archive, and the part that ends that."""

    @asynccontextmanager
    async def opened(theirs=THEIRS):
        async with open_cache(archive=cloud) as cache:
            await cache.send(OURS)
            if theirs is not None:
                cloud.put(theirs)
            row = await lookup.find_one(cache.database, OURS.ref.sop_uid)
            await cache.database.write(
                partial(
                    Primary().settle,
                    instance_id=row.instance_id,
                    custody=Custody.CONFLICT,
                    reason="other bytes",
                    retry_at=0.0,
                    now=1.0,
                )
            )
            exchange = Exchange(cache.store, cache.tombstones, cache.database)
            link = Link(cache.cloud, cache.ledger, SETTINGS)
            part = Arbitration(
                Settling(cache.database, exchange),
                cache.admission,
                cache.cloud,
                link,
                cache.changes,
            )
            disputes = Disputes(cache.database, exchange, has_archive=True)

            async def custody_now():
                return (await lookup.find_one(cache.database, OURS.ref.sop_uid)).custody

            yield SimpleNamespace(
                cache=cache, part=part, disputes=disputes, custody=custody_now, cloud=cloud
            )

    return opened


async def test_nothing_is_asked_or_told_that_nobody_decided(conflict):
    async with conflict() as case:
        assert not await case.part.step()
        assert case.cloud.requests == []
        assert await case.custody() is Custody.CONFLICT


async def test_the_archives_become_the_image_and_ours_stay_aside(conflict):
    async with conflict() as case:
        await case.disputes.keep_archive(Query())
        await case.part.step()
        assert await case.cache.read(OURS.ref) == THEIRS
        assert await case.custody() is Custody.VERIFIED
        [aside] = (await case.disputes.conflicts()).items
        assert (aside.kind, aside.kept.origin) == ("quarantine", "CLOUD")
        assert case.cloud.asked("DELETE") == 0


async def test_ours_are_thrown_away_if_a_person_said_so_and_the_conflict_is_over(conflict, caplog):
    caplog.set_level("INFO", "edge.sync.arbitration")
    async with conflict() as case:
        before = await names(case.cache)
        await case.disputes.keep_archive(Query(), alone=True)
        [waits] = (await case.disputes.conflicts()).items
        assert waits.decision == "keep-archive-alone"
        await case.part.step()
        assert await case.cache.read(OURS.ref) == THEIRS
        assert await case.custody() is Custody.VERIFIED
        assert (await case.disputes.conflicts()).total == 0
        # Its file is gone, and so is the record of that.
        after = await names(case.cache)
        assert (len(after), before & after) == (1, set())
        assert await case.cache.tombstones.read_all() == {}
        assert caplog.messages[-1].endswith(": done: keep-archive-alone")


async def test_ours_are_not_thrown_away_where_there_is_no_room_to_write_that_down(
    conflict, monkeypatch
):
    async with conflict() as case:

        async def full(*_):
            raise StorageFull("no room")

        monkeypatch.setattr(case.cache.tombstones, "write", full)
        await case.disputes.keep_archive(Query(), alone=True)
        assert await case.part.step()
        assert await case.cache.read(OURS.ref) == OURS.data
        monkeypatch.undo()
        assert not await case.part.step()
        assert await case.cache.read(OURS.ref) == THEIRS


@pytest.mark.parametrize(
    ("decide", "whose"), [("keep_archive", "ours"), ("keep_ours", "the archive's")]
)
async def test_the_log_says_what_lies_in_quarantine_after_a_decision(
    conflict, caplog, decide, whose
):
    caplog.set_level("INFO", "edge.sync.arbitration")
    async with conflict() as case:
        await getattr(case.disputes, decide)(Query())
        await case.part.step()
    said = f"; {whose} lies in quarantine until edge sync keep-kept or keep-other"
    assert any(message.endswith(said) for message in caplog.messages)


async def names(cache):
    """Of the objects in the store."""
    found = [await cache.store.names(shelf) for shelf in cache.store.shelves()]
    return {name for each in found for name in each}


async def test_ours_are_owed_once_the_archive_deleted_its_own_which_lie_here(conflict):
    async with conflict() as case:
        await case.disputes.keep_ours(Query())
        await case.part.step()
        assert case.cloud.instances == {}
        assert await case.custody() is Custody.EDGE_ONLY
        [aside] = (await case.disputes.conflicts()).items
        assert (aside.kind, aside.other.origin) == ("quarantine", "CLOUD")
        # A second look finds nothing to do.
        asked = len(case.cloud.requests)
        assert not await case.part.step()
        assert len(case.cloud.requests) == asked


async def test_an_archive_that_has_nothing_gets_ours(conflict):
    async with conflict(theirs=None) as case:
        await case.disputes.keep_ours(Query())
        await case.part.step()
        assert await case.custody() is Custody.EDGE_ONLY
        assert case.cloud.asked("DELETE") == 0


async def test_what_the_archive_does_not_have_can_not_be_taken(conflict):
    async with conflict(theirs=None) as case:
        await case.disputes.keep_archive(Query())
        await case.part.step()
        assert await case.custody() is Custody.CONFLICT
        [found] = (await case.disputes.conflicts()).items
        assert "nothing under this UID" in found.note
        assert found.decision == ""


@pytest.mark.parametrize("decision", ["keep_ours", "keep_archive"])
async def test_if_both_are_the_same_there_is_no_conflict(conflict, decision):
    async with conflict(theirs=OURS.data) as case:
        await getattr(case.disputes, decision)(Query())
        await case.part.step()
        assert await case.custody() is Custody.ACKNOWLEDGED
        assert list(case.cloud.instances) == [OURS.ref.sop_uid]


async def test_a_line_that_is_cut_leaves_the_decision_to_the_next_time(conflict):
    async with conflict() as case:
        await case.disputes.keep_archive(Query())
        case.cloud.faults["retrieve"].append(Fault(cut_answer=100))
        with pytest.raises(CloudUnreachable):
            await case.part.step()
        assert await case.cache.read(OURS.ref) == OURS.data
        assert await case.custody() is Custody.CONFLICT
        await case.part.step()
        assert await case.cache.read(OURS.ref) == THEIRS


async def test_theirs_are_deleted_only_when_they_lie_here(conflict, monkeypatch):
    async with conflict() as case:

        async def full(*_, **__):
            raise StorageFull("no room")

        monkeypatch.setattr(case.cache.admission, "store_instance", full)
        await case.disputes.keep_ours(Query())
        assert await case.part.step()
        assert case.cloud.asked("DELETE") == 0
        assert await case.custody() is Custody.CONFLICT
        monkeypatch.undo()
        assert not await case.part.step()
        assert await case.custody() is Custody.EDGE_ONLY


async def test_an_archive_that_deletes_nothing_is_not_asked_again(conflict):
    async with conflict() as case:
        await case.disputes.keep_ours(Query())
        case.cloud.faults["delete"].append(Fault(status=405))
        await case.part.step()
        assert await case.custody() is Custody.CONFLICT
        assert not await case.part.step()
        assert case.cloud.asked("DELETE") == 1
        notes = {one.note for one in (await case.disputes.conflicts()).items if one.note}
        assert len(notes) == 1


async def test_a_decision_that_is_taken_back_is_not_carried_out(conflict):
    async with conflict() as case:
        await case.disputes.keep_ours(Query())
        fetch = case.part._fetch

        async def taken_back_meanwhile(*asked):
            digest = await fetch(*asked)
            await case.disputes.keep_both(Query())
            return digest

        case.part._fetch = taken_back_meanwhile
        await case.part.step()
        assert case.cloud.asked("DELETE") == 0
        assert await case.custody() is Custody.CONFLICT


async def test_it_waits_for_the_line_and_is_woken_by_a_decision(conflict, running):
    async with conflict() as case:
        running(case.part._link, case.part)
        await case.disputes.keep_archive(Query())
        with case.cache.changes.subscribe() as woken:
            case.cache.changes.wake()
            while await case.custody() is not Custody.VERIFIED:
                assert await woken.wait(10), "it was not carried out"


async def test_what_has_no_end_is_not_taken_in_and_both_are_kept(conflict):
    longer = THEIRS + bytes(2 * 1024 * 1024)
    async with conflict(theirs=longer) as case:
        row = await lookup.find_one(case.cache.database, OURS.ref.sop_uid)
        seen = Theirs(bytes(32), "1.2.840.10008.1.2.1", len(THEIRS))
        await case.cache.database.write(lambda db: note_theirs(db, row.instance_id, seen))
        await case.disputes.keep_archive(Query())
        await case.part.step()
        assert await case.custody() is Custody.CONFLICT
        assert await case.cache.read(OURS.ref) == OURS.data
        [still] = (await case.disputes.conflicts()).items
        assert "no end" in still.note
