"""Decisions in a whole cache: what is refused, and what lies in quarantine."""

from __future__ import annotations

import asyncio
import io
import random
from functools import partial

import pydicom
import pytest

from edge.cache.disputes import Disputes, Query
from edge.cache.exchange import Exchange
from edge.dicom.instance import Custody
from edge.errors import DecisionRefused, InstanceNotFound
from edge.index import disputes as index_disputes
from edge.index import lookup
from edge.index.custody import Primary
from tests import samples


def disputes_of(cache):
    exchange = Exchange(cache.store, cache.tombstones, cache.database)
    return Disputes(cache.database, exchange, has_archive=True)


@pytest.fixture
def disputes(cache):
    return disputes_of(cache)


@pytest.fixture
def sample():
    return next(iter(samples.ct_series(1, rows=32, columns=32)))


@pytest.fixture
def other(sample):
    """The same UID, other pixels."""
    return sample.data[:-2048] + random.Random(7).randbytes(2048)


async def refuse(cache, ref, now_is=Custody.REFUSED):
    row = await lookup.find_one(cache.database, ref.sop_uid)
    await cache.database.write(
        partial(
            Primary().settle,
            instance_id=row.instance_id,
            custody=now_is,
            reason="no",
            retry_at=0.0,
            now=1.0,
        )
    )


async def row_of(cache, ref):
    return await lookup.find_one(cache.database, ref.sop_uid)


async def test_only_what_can_be_made_is_promised(cache, disputes, sample):
    await cache.send(sample)
    await refuse(cache, sample.ref)
    query = Query((sample.ref.sop_uid,))
    [refused] = (await disputes.transcode(query, "explicit")).refused
    assert "stored in this transfer syntax" in refused.why
    with pytest.raises(DecisionRefused, match="transfer syntax"):
        await disputes.transcode(query, "1.2.840.10008.1.2.4.50")
    [refused] = (await disputes.supply(query, "Modality=MR")).refused
    assert "has a value" in refused.why
    assert (await row_of(cache, sample.ref)).custody is Custody.REFUSED
    assert (await disputes.transcode(query, "jpeg-2000")).done == 1
    [owed] = await cache.ledger.owed(9e9, max_bytes=1, max_count=1)
    assert owed.remedy.transfer_syntax == "1.2.840.10008.1.2.4.90"


async def test_a_decision_can_be_repeated_and_an_unknown_image_is_named(cache, disputes, sample):
    await cache.send(sample)
    await refuse(cache, sample.ref)
    query = Query((sample.ref.sop_uid, "1.2.3"))
    first, second = await disputes.retry(query), await disputes.retry(query)
    assert (first.done, first.unchanged) == (1, 0)
    assert (second.done, second.unchanged) == (0, 1)
    assert [one.sop_uid for one in first.refused] == ["1.2.3"]


async def test_a_study_that_is_not_known_is_no_decision(cache, disputes, sample):
    await cache.send(sample)
    for decide in (disputes.retry, disputes.keep_both, disputes.keep_other):
        with pytest.raises(DecisionRefused, match=r"no such study is known here: 1\.2\.3"):
            await decide(Query(study_uid="1.2.3"))
    assert (await disputes.retry(Query(study_uid=sample.ref.study_uid))).done == 0


async def test_what_undoes_a_correction_must_be_confirmed(cache, disputes, sample):
    await cache.send(sample)
    await refuse(cache, sample.ref, Custody.CONFLICT)
    await cache.database.write(
        lambda db: db.execute(
            "INSERT INTO edits (study_id, version, archive, at, before, after)"
            " SELECT id, 1, 'cloud', 1.0, '{}', '{\"00100010\": {}}' FROM studies"
        )
    )
    [refused] = (await disputes.keep_ours(Query())).refused
    assert "undoes what was corrected in the archive: PatientName (say --yes" in refused.why
    [waits] = (await disputes.conflicts()).items
    assert waits.decision == ""
    assert (await disputes.keep_ours(Query(), confirmed=True)).done == 1


async def test_all_does_not_mean_what_was_given_up(cache, disputes, sample):
    await cache.send(sample)
    await refuse(cache, sample.ref)
    for reason in ("", " \n", "a\nb", "x" * 1001):
        with pytest.raises(DecisionRefused, match="reason"):
            await disputes.give_up(Query(), reason)
    assert (await disputes.give_up(Query(), "a phantom")).done == 1
    assert (await disputes.retry(Query())).done == 0
    assert (await disputes.dead_letters()).total == 0
    [letter] = (await disputes.dead_letters(given_up=True)).items
    assert letter.given_up_because == "a phantom"
    assert (await disputes.retry(Query(study_uid=sample.ref.study_uid))).done == 1


async def test_as_stored_takes_a_copy_back(cache, disputes, sample):
    await cache.send(sample)
    await refuse(cache, sample.ref)
    await disputes.transcode(Query(), "rle")
    await refuse(cache, sample.ref)
    [letter] = (await disputes.dead_letters()).items
    assert (letter.copy.transfer_syntax, letter.tries) == ("1.2.840.10008.1.2.5", 2)
    await disputes.retry(Query(), as_stored=True)
    [owed] = await cache.ledger.owed(9e9, max_bytes=1, max_count=1)
    assert owed.remedy is None


async def test_the_two_are_exchanged_and_exchanged_again(open_cache, sample, other, tmp_path):
    async with open_cache() as cache:
        disputes = disputes_of(cache)
        await cache.send(sample)
        await cache.send(other)
        before = (await disputes.conflicts()).items
        outcome = await disputes.keep_other(Query())
        assert (outcome.done, outcome.refused) == (1, [])
        assert await cache.read(sample.ref) == other
        [after] = (await disputes.conflicts()).items
        assert (after.kept.digest, after.other.digest) == (
            before[0].other.digest,
            before[0].kept.digest,
        )
        assert after.kept.peer == after.other.peer == "MODALITY"
        assert (await row_of(cache, sample.ref)).custody is Custody.EDGE_ONLY
    # Neither a restart nor the loss of the index makes anything else of it.
    for lost in (False, True):
        if lost:
            for path in tmp_path.glob("index.db*"):
                await asyncio.to_thread(path.unlink)
        async with open_cache() as cache:
            assert await cache.read(sample.ref) == other
            assert (await disputes_of(cache).conflicts()).total == 1
    async with open_cache() as cache:
        assert (await disputes_of(cache).keep_other(Query())).done == 1
        assert await cache.read(sample.ref) == sample.data


async def test_marks_that_a_crash_left_wrong_are_put_right(open_cache, sample, other, monkeypatch):
    async with open_cache() as cache:
        await cache.send(sample)
        await cache.send(other)

        async def killed(name):
            raise asyncio.CancelledError

        monkeypatch.setattr(cache.store, "take_back", killed)
        with pytest.raises(asyncio.CancelledError):
            await disputes_of(cache).keep_other(Query())
    async with open_cache() as cache:
        row = await row_of(cache, sample.ref)
        assert await cache.read(sample.ref) == other
        assert row.object not in await cache.store.aside(row.object[:2])
        [aside] = await cache.database.read("SELECT object FROM quarantine")
        assert aside[0] in await cache.store.aside(aside[0][:2])


@pytest.mark.parametrize("step", ["take_back", "delete"])
async def test_after_a_crash_what_was_thrown_away_stays_away(
    open_cache, sample, other, monkeypatch, step
):
    async with open_cache() as cache:
        await cache.send(sample)
        await cache.send(other)
        kept = await row_of(cache, sample.ref)
        [aside] = await index_disputes.find_aside(cache.database, Query())

        async def killed(name):
            raise asyncio.CancelledError

        monkeypatch.setattr(cache.store, step, killed)
        exchange = Exchange(cache.store, cache.tombstones, cache.database)
        with pytest.raises(asyncio.CancelledError):
            await exchange.swap(aside, Custody.VERIFIED, goes=kept.instance_id)
        assert len(await cache.tombstones.read_all()) == 1
    async with open_cache() as cache:
        assert await cache.read(sample.ref) == other
        assert await index_disputes.find_aside(cache.database, Query()) == []
        names = [await cache.store.names(shelf) for shelf in cache.store.shelves()]
        assert {name for each in names for name in each} == {aside.object}
        assert await cache.tombstones.read_all() == {}


async def test_only_the_instance_that_was_meant_is_thrown_away(cache, sample, other):
    await cache.send(sample)
    await cache.send(other)
    kept = await row_of(cache, sample.ref)
    [aside] = await index_disputes.find_aside(cache.database, Query())
    exchange = Exchange(cache.store, cache.tombstones, cache.database)
    assert await exchange.swap(aside, Custody.VERIFIED, goes=kept.instance_id + 1)
    assert await cache.read(sample.ref) == other
    [still] = await index_disputes.find_aside(cache.database, Query())
    assert still.object == kept.object


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Custody.EDGE_ONLY, Custody.EDGE_ONLY),
        (Custody.SENT, Custody.SENT),
        (Custody.REFUSED, Custody.SENT),
        (Custody.ACKNOWLEDGED, Custody.ACKNOWLEDGED),
        (Custody.VERIFIED, Custody.ACKNOWLEDGED),
        (Custody.CONFLICT, Custody.ACKNOWLEDGED),
    ],
)
async def test_who_has_the_new_one_is_asked_where_that_is_not_known(
    cache, disputes, sample, other, before, after
):
    await cache.send(sample)
    await cache.send(other)
    await refuse(cache, sample.ref, before)
    old = (await row_of(cache, sample.ref)).instance_id
    assert (await disputes.keep_other(Query())).done == 1
    new = await row_of(cache, sample.ref)
    assert new.custody is after
    # An answer about the old one, which was under way, says nothing of the new.
    await cache.database.write(
        partial(
            Primary().settle,
            instance_id=old,
            custody=Custody.VERIFIED,
            reason="",
            retry_at=0.0,
            now=1.0,
        )
    )
    assert (await row_of(cache, sample.ref)).custody is after


async def test_of_several_in_quarantine_the_right_one_must_be_named(cache, disputes, sample, other):
    third = sample.data[:-2048] + random.Random(8).randbytes(2048)
    for data in (sample.data, other, third):
        await cache.send(data)
    outcome = await disputes.keep_other(Query())
    assert outcome.done == 0
    assert len(outcome.refused) == 2
    newest = (await disputes.conflicts()).items[0]
    assert (await disputes.keep_other(Query(), digest=newest.other.digest)).done == 1
    assert await cache.read(sample.ref) == third


async def test_bytes_are_thrown_away_only_when_that_is_said(
    cache, disputes, sample, other, sealed_files
):
    await cache.send(sample)
    await cache.send(other)
    with pytest.raises(DecisionRefused, match="throws bytes away"):
        await disputes.keep_kept(Query())
    assert len(sealed_files()) == 2
    assert (await disputes.keep_kept(Query(), digest="ffff", confirmed=True)).done == 0
    assert (await disputes.keep_kept(Query(), confirmed=True)).done == 1
    assert len(sealed_files()) == 1
    assert await cache.read(sample.ref) == sample.data
    assert await cache.tombstones.read_all() == {}


async def test_the_last_copy_of_a_uid_is_not_thrown_away(cache, disputes, sample, other):
    await cache.send(sample)
    await cache.send(other)
    name = (await row_of(cache, sample.ref)).object
    await cache.store.delete(name)
    with pytest.raises(InstanceNotFound):
        await cache.read(sample.ref)
    await cache.database.write(
        lambda db: db.execute(
            "UPDATE instances SET availability = 'UNAVAILABLE', object = NULL, sealed_bytes = 0"
        )
    )
    [refused] = (await disputes.keep_kept(Query(), confirmed=True)).refused
    assert "not here any more" in refused.why
    assert (await disputes.keep_other(Query())).done == 1
    assert await cache.read(sample.ref) == other
    assert (await disputes.conflicts()).total == 0


async def test_another_of_another_study_takes_the_place_there(cache, disputes, sample):
    dataset = pydicom.dcmread(io.BytesIO(sample.data))
    dataset.StudyInstanceUID = "2.25.1"
    dataset.SeriesInstanceUID = "2.25.2"
    moved = io.BytesIO()
    dataset.save_as(moved)
    await cache.send(sample)
    await cache.send(moved.getvalue())
    assert (await disputes.keep_other(Query(study_uid="2.25.1"))).done == 1
    row = await row_of(cache, sample.ref)
    assert (row.ref.study_uid, row.ref.series_uid) == ("2.25.1", "2.25.2")
    assert await lookup.find(cache.database, sample.ref.study_uid) == []
    actions = await cache.database.read("SELECT action FROM changes ORDER BY sequence")
    assert [action for (action,) in actions] == ["CREATE", "DELETE", "CREATE"]
