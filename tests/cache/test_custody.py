"""What the archive has, lost, or changed: every case is written down, and none is silent."""

from __future__ import annotations

import dataclasses
import io

import pydicom
import pytest

from edge.cache.ledger import Settlement
from edge.cloud.listing import describe_study
from edge.dicom.digest import Digester
from edge.dicom.instance import Availability, Custody
from edge.errors import CloudError, InstanceNotFound
from edge.index import lookup
from tests.fakes.archive import FakeArchive, Fault
from tests.samples import ct_series


@pytest.fixture
async def archive():
    async with FakeArchive() as running:
        yield running


@pytest.fixture
async def evicted(open_cache, archive):
    """A cache that sent an instance, saw it verified, and evicted it."""
    (sample,) = ct_series(1, rows=32, columns=32)
    archive.put(sample.data)
    async with open_cache() as cache:
        await cache.send(sample)
        row = await lookup.find_one(cache.database, sample.ref.sop_uid)
        await cache.ledger.settle([Settlement(row.instance_id, Custody.VERIFIED)])
    async with open_cache(archive=archive, max_bytes=1) as cache:
        assert await cache.eviction.make_room() > 0
    async with open_cache(archive=archive) as cache:
        cache.sample = sample
        yield cache


async def row_of(cache):
    return await lookup.find_one(cache.database, cache.sample.ref.sop_uid)


async def test_what_the_archive_lost_after_it_was_evicted_is_reported_as_lost(
    evicted, archive, caplog
):
    archive.instances.clear()
    with pytest.raises(InstanceNotFound):
        await evicted.read(evicted.sample.ref)
    row = await row_of(evicted)
    assert (row.availability, row.custody) == (Availability.UNAVAILABLE, Custody.EDGE_ONLY)
    assert "archive cloud lost an instance" in caplog.text


async def test_one_refusal_to_give_is_no_loss_while_the_archive_lists_it(evicted, archive):
    archive.faults["retrieve"].append(Fault(status=404))
    with pytest.raises(InstanceNotFound):
        await evicted.read(evicted.sample.ref)
    assert (await row_of(evicted)).availability is Availability.NEARLINE
    assert await evicted.read(evicted.sample.ref) == evicted.sample.data


async def test_an_archive_that_finds_nothing_at_all_lost_nothing(evicted, archive):
    archive.faults["retrieve"].append(Fault(status=404))
    archive.faults["search"].extend([Fault(status=404)] * 2)
    with pytest.raises(CloudError):
        await evicted.read(evicted.sample.ref)
    assert (await row_of(evicted)).availability is Availability.NEARLINE


async def test_what_was_lost_and_is_listed_again_can_be_read_again(evicted, archive):
    kept = dict(archive.instances)
    archive.instances.clear()
    with pytest.raises(InstanceNotFound):
        await evicted.read(evicted.sample.ref)
    archive.instances.update(kept)
    study_uid = evicted.sample.ref.study_uid
    # The next sweep looks into it, though the archive's answer is as it was.
    assert await evicted.ledger.fingerprints([study_uid]) == {}
    await evicted.ledger.learn(await describe_study(evicted.cloud, study_uid))
    assert await evicted.read(evicted.sample.ref) == evicted.sample.data


async def test_what_was_lost_and_is_sent_again_is_owed_to_the_archive(evicted, archive):
    archive.instances.clear()
    with pytest.raises(InstanceNotFound):
        await evicted.read(evicted.sample.ref)
    await evicted.send(evicted.sample)
    row = await row_of(evicted)
    assert (row.availability, row.custody) == (Availability.ONLINE, Custody.EDGE_ONLY)


async def test_other_bytes_than_were_verified_are_kept_as_a_conflict(evicted, archive, caplog):
    dataset = pydicom.dcmread(io.BytesIO(evicted.sample.data))
    dataset.PatientComments = "corrected by the archive"
    corrected = io.BytesIO()
    dataset.save_as(corrected)
    archive.put(corrected.getvalue())
    assert await evicted.read(evicted.sample.ref) == corrected.getvalue()
    row = await row_of(evicted)
    assert (row.availability, row.custody) == (Availability.ONLINE, Custody.CONFLICT)
    assert "gave other bytes" in caplog.text


async def test_what_the_archive_was_seen_to_have_corrected_comes_back_so(evicted, archive, caplog):
    dataset = pydicom.dcmread(io.BytesIO(evicted.sample.data))
    dataset.PatientID = "SYN-CORRECTED"
    corrected = io.BytesIO()
    dataset.save_as(corrected)
    archive.put(corrected.getvalue())
    seen = Digester()
    seen.update(corrected.getvalue())
    number = (await row_of(evicted)).instance_id
    settlement = Settlement(number, Custody.VERIFIED, corrected=seen.digests()[1])
    await evicted.ledger.settle([settlement])
    assert await evicted.read(evicted.sample.ref) == corrected.getvalue()
    row = await row_of(evicted)
    assert (row.availability, row.custody) == (Availability.ONLINE, Custody.VERIFIED)
    assert "other bytes" not in caplog.text


async def test_what_an_archive_has_in_place_is_owned_by_its_account(open_cache, archive):
    (sample,) = ct_series(1, rows=32, columns=32)
    async with open_cache() as cache:
        await cache.ledger.set_roles({"cloud": "primary", "b": "copy"})
        await cache.send(sample)
        number = (await lookup.find_one(cache.database, sample.ref.sop_uid)).instance_id
        of_copies = cache.ledger.beside("b")
        for ledger, digest in ((cache.ledger, bytes(32)), (of_copies, bytes(range(32)))):
            await ledger.settle([Settlement(number, Custody.VERIFIED, corrected=digest)])
            await ledger.settle([Settlement(number, Custody.ACKNOWLEDGED)])
            [one] = await ledger.unverified(1e12, max_count=10)
            assert one.corrected == digest
            assert one.is_held_as(digest)
            assert one.is_held_as(one.dataset_digest)


async def test_what_has_never_been_here_is_the_archives_own_affair(open_cache, archive):
    (sample,) = ct_series(1, rows=32, columns=32)
    archive.put(sample.data)
    async with open_cache(archive=archive) as cache:
        await cache.retrieval.instances(sample.ref.study_uid)
        archive.instances.clear()
        with pytest.raises(InstanceNotFound):
            await cache.read(sample.ref)
        row = await lookup.find_one(cache.database, sample.ref.sop_uid)
        assert row.availability is Availability.NEARLINE


async def test_a_refusal_with_a_time_is_owed_again_then_and_a_final_one_never(open_cache):
    final, passing = ct_series(2, rows=32, columns=32)
    async with open_cache() as cache:
        for sample in (final, passing):
            await cache.send(sample)
        rows = [await lookup.find_one(cache.database, it.ref.sop_uid) for it in (final, passing)]
        await cache.ledger.settle(
            [
                Settlement(rows[0].instance_id, Custody.REFUSED, "reason A900"),
                Settlement(rows[1].instance_id, Custody.REFUSED, "reason 0110", 5000.0),
            ]
        )
        assert await cache.ledger.next_due(4000.0) == 5000.0
        assert await cache.ledger.owed(4000.0, max_bytes=10**9, max_count=10) == []
        owed = await cache.ledger.owed(6000.0, max_bytes=10**9, max_count=10)
        assert [dataclasses.asdict(one.ref) for one in owed] == [dataclasses.asdict(passing.ref)]
