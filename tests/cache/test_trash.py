"""The trash: what goes there, what never does, what comes back, and that a rebuild knows it."""

from __future__ import annotations

import pytest

from edge.cache.admission import Outcome, Source
from edge.cache.ledger import Settlement
from edge.cache.trash import Query, Trashed
from edge.dicom.instance import Availability, Custody, Origin, Withheld
from edge.dicom.remote import RemoteInstance, RemoteSeries, RemoteStudy
from edge.errors import DecisionRefused, StorageFull
from edge.index import lookup, residence
from tests.cache.test_eviction import Clock, verify
from tests.index.rows import counters_are_true
from tests.notes import note
from tests.samples import chunks, ct_series

DAY = 86400.0
SAMPLES = list(ct_series(3, rows=32, columns=32))
REFS = [sample.ref for sample in SAMPLES]
UIDS = [ref.sop_uid for ref in REFS]
STUDY = REFS[0].study_uid


@pytest.fixture
async def filled(open_cache):
    """A cache with three verified images, and a clock."""
    clock = Clock()
    async with open_cache(clock=clock) as cache:
        await fill(cache)
        cache.now = clock
        yield cache


async def fill(cache):
    for sample in SAMPLES:
        await cache.send(sample)
    await verify(cache, *SAMPLES)


def lose_index(folder):
    for path in folder.glob("index.db*"):
        path.unlink()


async def put(cache, *refs):
    return await cache.trash.put(refs or REFS, archive="cloud", reason="its feed says so")


async def shown(cache):
    return {row.ref.sop_uid for row in await lookup.find(cache.database, STUDY)}


async def row_of(cache, sample):
    return await lookup.find_one(cache.database, sample.ref.sop_uid)


async def actions(cache):
    rows = await cache.database.read("SELECT action FROM changes ORDER BY sequence")
    return [action for (action,) in rows]


def learned(*samples):
    ref = samples[0].ref
    instances = tuple(RemoteInstance(one.ref.sop_uid, one.sop_class_uid, {}) for one in samples)
    return RemoteStudy(ref.study_uid, "f", {}, (RemoteSeries(ref.series_uid, {}, instances),))


async def records_in(folder):
    return sorted(path.name for path in (folder / "trash").glob("*"))


async def test_what_was_verified_is_hidden_and_listed(filled):
    assert await put(filled, *REFS[:2]) == Trashed(trashed=2)
    assert await shown(filled) == set(UIDS[2:])
    assert (await actions(filled))[-2:] == ["DELETE", "DELETE"]
    page = await filled.trash.contents(Query(limit=1))
    [one] = page.items
    assert page.total == 2
    assert (one.archive, one.reason) == ("cloud", "its feed says so")
    assert one.patient_id
    assert one.until == filled.now.now + 30 * DAY
    assert await counters_are_true(filled.database)
    study = await filled.trash.studies(50, 0)
    assert (study.total, study.items[0].images) == (1, 2)
    assert study.items[0].until == one.until
    # Once more changes nothing.
    assert await put(filled, *REFS[:2]) == Trashed()


@pytest.mark.parametrize("custody", [one for one in Custody if one is not Custody.VERIFIED])
async def test_what_is_not_verified_is_never_trashed(filled, custody):
    row = await row_of(filled, SAMPLES[0])
    await filled.ledger.settle([Settlement(row.instance_id, custody)])
    assert await put(filled) == Trashed(trashed=2, kept=1)
    assert await shown(filled) == {UIDS[0]}


async def test_what_a_copy_was_sent_of_is_never_trashed(filled):
    row = await row_of(filled, SAMPLES[0])
    await filled.database.write(
        lambda db: db.execute("INSERT INTO remedies VALUES (?, '', '{}', NULL)", (row.instance_id,))
    )
    assert await put(filled, REFS[0]) == Trashed(kept=1)


async def test_what_has_other_bytes_in_quarantine_is_never_trashed(filled):
    data = bytearray(SAMPLES[0].data)
    data[-1] ^= 1
    assert (await filled.send(bytes(data))).outcome is Outcome.CONFLICT
    assert await put(filled, REFS[0]) == Trashed(kept=1)


async def test_what_another_archive_than_the_primary_deletes_stays(filled):
    await filled.ledger.set_roles({"cloud": "primary", "second": "copy"})
    result = await filled.trash.put(REFS, archive="second", reason="x")
    assert result == Trashed(kept=3)
    assert await shown(filled) == set(UIDS)


async def test_what_only_the_archive_had_is_forgotten(filled):
    (other,) = ct_series(1, rows=32, columns=32, series=2)
    await filled.ledger.learn(learned(other))
    assert await put(filled, other.ref) == Trashed(forgotten=1)
    assert await row_of(filled, other) is None
    assert (await actions(filled))[-1] == "DELETE"
    assert await counters_are_true(filled.database)


async def test_what_is_not_known_counts_nowhere(filled):
    (other,) = ct_series(1, rows=32, columns=32, series=2)
    assert await put(filled, other.ref) == Trashed()


async def test_what_a_person_restores_is_owed_to_the_archive(filled, tmp_path):
    await put(filled)
    assert len(await records_in(tmp_path)) == 1
    assert await filled.trash.restore(Query((UIDS[0],))) == 1
    row = await row_of(filled, SAMPLES[0])
    assert (row.custody, row.withheld) == (Custody.EDGE_ONLY, Withheld.NO)
    assert await shown(filled) == {UIDS[0]}
    assert await filled.read(REFS[0]) == SAMPLES[0].data
    [record] = (await filled.trash_records.read_all()).values()
    assert len(record.objects) == 2
    assert await filled.trash.restore(Query(study_uid=STUDY)) == 2
    assert await records_in(tmp_path) == []
    assert await filled.trash.restore(Query()) == 0
    assert await counters_are_true(filled.database)


async def test_what_the_archive_lists_again_is_asked_about(filled):
    await put(filled)
    assert await filled.trash.take_back(UIDS[:1], listed=True) == 1
    assert (await row_of(filled, SAMPLES[0])).custody is Custody.SENT
    await filled.ledger.learn(learned(*SAMPLES[:2]))
    assert (await row_of(filled, SAMPLES[1])).custody is Custody.ACKNOWLEDGED
    assert await shown(filled) == set(UIDS[:2])


async def test_what_a_device_sends_again_comes_back_and_is_owed(filled, sealed_files):
    await put(filled)
    assert (await filled.send(SAMPLES[0])).outcome is Outcome.STORED
    row = await row_of(filled, SAMPLES[0])
    assert (row.custody, row.withheld) == (Custody.EDGE_ONLY, Withheld.NO)
    assert (await actions(filled))[-1] == "CREATE"
    assert len(sealed_files()) == 4
    await filled.trash.tidy()
    assert len(sealed_files()) == 3
    assert await filled.read(REFS[0]) == SAMPLES[0].data
    assert await counters_are_true(filled.database)


async def test_what_the_archive_gives_again_comes_back_verified(filled):
    await put(filled)
    source = Source(Origin.CLOUD, "cloud", vouches=True)
    await filled.admission.store_instance(chunks(SAMPLES[0].data), source)
    row = await row_of(filled, SAMPLES[0])
    assert (row.custody, row.withheld) == (Custody.VERIFIED, Withheld.NO)


async def test_other_bytes_of_what_is_in_the_trash_bring_it_back_too(filled):
    await put(filled)
    data = bytearray(SAMPLES[0].data)
    data[-1] ^= 1
    assert (await filled.send(bytes(data))).outcome is Outcome.CONFLICT
    row = await row_of(filled, SAMPLES[0])
    assert (row.custody, row.withheld) == (Custody.SENT, Withheld.NO)


async def test_doubt_brings_back_whatever_raises_it(filled):
    await put(filled)
    row = await row_of(filled, SAMPLES[0])
    await filled.ledger.doubt([row.instance_id])
    row = await row_of(filled, SAMPLES[0])
    assert (row.custody, row.withheld) == (Custody.SENT, Withheld.NO)
    assert await shown(filled) == {UIDS[0]}
    assert await filled.database.read("SELECT count(*) FROM trash") == [(2,)]


async def test_what_a_note_rejects_stays_hidden_when_it_leaves_the_trash(filled):
    await filled.send(note(REFS[:1]))
    await put(filled)
    before = await actions(filled)
    assert await filled.trash.restore(Query()) == 3
    assert (await row_of(filled, SAMPLES[0])).withheld is Withheld.REJECTED
    assert len(await actions(filled)) == len(before) + 2


async def test_eviction_takes_nothing_of_the_trash(open_cache):
    async with open_cache() as cache:
        await fill(cache)
        await put(cache, *REFS[:2])
        size = cache.space.used // 3
    async with open_cache(max_bytes=size) as cache:
        assert await cache.eviction.make_room() == size
        rows = [await row_of(cache, sample) for sample in SAMPLES]
        assert [row.object is not None for row in rows] == [True, True, False]


async def test_a_lost_index_is_rebuilt_with_the_trash(open_cache, tmp_path, sealed_files):
    async with open_cache() as cache:
        await fill(cache)
        await put(cache, *REFS[:2])
        await cache.send(SAMPLES[0])  # its old object is an orphan of the record
    lose_index(tmp_path)
    async with open_cache() as cache:
        assert await shown(cache) == {UIDS[0], UIDS[2]}
        row = await row_of(cache, SAMPLES[1])
        assert (row.custody, row.withheld) == (Custody.VERIFIED, Withheld.TRASH)
        assert (await row_of(cache, SAMPLES[0])).custody is Custody.SENT
        page = await cache.trash.contents(Query())
        assert [(one.sop_uid, one.reason) for one in page.items] == [(UIDS[1], "its feed says so")]
        assert len(sealed_files()) == 3
        assert await counters_are_true(cache.database)


async def test_a_lost_index_is_rebuilt_with_what_notes_reject(open_cache, tmp_path):
    async with open_cache() as cache:
        await fill(cache)
        await cache.send(note(REFS[:2]))
    lose_index(tmp_path)
    async with open_cache() as cache:
        assert await shown(cache) == {UIDS[2], note(REFS[:2]).ref.sop_uid}


async def test_a_record_that_came_to_nothing_is_removed_at_the_next_start(
    open_cache, tmp_path, monkeypatch
):
    async def crash(*_):
        raise OSError("power cut")

    async with open_cache() as cache:
        await fill(cache)
        with monkeypatch.context() as patch:
            patch.setattr(cache.database, "write", crash)
            with pytest.raises(OSError, match="power cut"):
                await put(cache)
    assert len(await records_in(tmp_path)) == 1
    async with open_cache() as cache:
        assert await records_in(tmp_path) == []
        assert await shown(cache) == set(UIDS)


async def test_a_record_that_is_gone_is_written_anew(filled, tmp_path):
    await put(filled)
    [name] = await records_in(tmp_path)
    (tmp_path / "trash" / name).unlink()
    await filled.trash.tidy()
    [record] = (await filled.trash_records.read_all()).values()
    assert len(record.objects) == 3


async def test_a_full_disk_hides_nothing(filled, monkeypatch):
    async def full(_):
        raise StorageFull("full")

    monkeypatch.setattr(filled.trash_records, "write", full)
    with pytest.raises(StorageFull):
        await put(filled)
    assert await shown(filled) == set(UIDS)


async def test_an_object_of_the_trash_that_is_damaged_is_not_fetched(filled):
    await put(filled)
    row = await row_of(filled, SAMPLES[0])
    await filled.database.write(lambda db: residence.lose(db, [row.object]))
    row = await row_of(filled, SAMPLES[0])
    assert row.availability is Availability.UNAVAILABLE
    assert (await filled.trash.due(10)) == []


async def test_what_is_not_known_is_named_and_not_called_done(filled):
    await put(filled)
    for decide in (filled.trash.restore, filled.trash.empty):
        with pytest.raises(DecisionRefused, match=r"no such study is known here: 1\.2\.3"):
            await decide(Query(study_uid="1.2.3"))
        with pytest.raises(DecisionRefused, match=r"no such image is known here: 1\.2\.3"):
            await decide(Query((UIDS[0], "1.2.3")))
    assert await shown(filled) == set()
    assert await filled.trash.restore(Query(study_uid=STUDY)) == 3
    assert await filled.trash.restore(Query(study_uid=STUDY)) == 0


async def test_the_log_names_only_what_there_is_to_name(filled, caplog):
    await put(filled, REFS[0])
    assert caplog.messages[-1] == "archive cloud deleted instances: 1 in the trash now"
    row = await row_of(filled, SAMPLES[1])
    leaves = residence.Evictable(row.instance_id, row.ref, row.object, 1)
    await filled.database.write(lambda db: residence.evict(db, [leaves]))
    await filled.ledger.settle(
        [Settlement((await row_of(filled, SAMPLES[2])).instance_id, Custody.ACKNOWLEDGED)]
    )
    await put(filled, *REFS)
    assert caplog.messages[-1] == (
        "archive cloud deleted instances: 1 known no more, for only the archive had them;"
        " 1 kept as before, for it was not proven to have had the same bytes"
    )
