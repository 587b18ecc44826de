"""Deleting on purpose: what goes, what stays gone, and what brings an instance back."""

from __future__ import annotations

import asyncio
from dataclasses import astuple

import pytest

from edge.cache.admission import Outcome, Source
from edge.cache.ledger import Settlement
from edge.cloud.listing import describe_study
from edge.dicom.instance import Custody, Origin
from edge.errors import DeletionRefused, InstanceDeleted, InstanceNotFound
from edge.index import lookup
from edge.index.tombstones import Withdrawal
from edge.pixels.presentation import Picture
from tests.fakes.archive import FakeArchive
from tests.index.rows import counters_are_true
from tests.samples import chunks, ct_series

SLICES = list(ct_series(3, rows=16, columns=16))
REF = SLICES[0].ref


async def fill(cache):
    for part in SLICES:
        await cache.send(part)


async def known(cache):
    return {row.ref.sop_uid for row in await lookup.find(cache.database, REF.study_uid)}


def read_files(folder):
    return {path: path.read_bytes() for path in folder.iterdir()}


async def verified(cache):
    rows = await lookup.find(cache.database, REF.study_uid)
    await cache.ledger.settle([Settlement(row.instance_id, Custody.VERIFIED) for row in rows])


async def actions(cache):
    rows = await cache.database.read("SELECT action, sop_uid FROM changes ORDER BY sequence")
    return [(action, uid) for action, uid in rows if action != "CREATE"]


def other_bytes(part):
    return part.data.replace(part.data[-64:], bytes(64))


async def test_an_instance_goes_with_its_object_and_its_row(cache, sealed_files):
    await fill(cache)
    await cache.deletion.delete(*(REF.study_uid, REF.series_uid, REF.sop_uid))
    assert await known(cache) == {part.ref.sop_uid for part in SLICES[1:]}
    assert len(sealed_files()) == 2
    assert await actions(cache) == [("DELETE", REF.sop_uid)]
    assert await counters_are_true(cache.database)
    with pytest.raises(InstanceDeleted):
        await cache.retrieval.instances(REF.study_uid, REF.series_uid, REF.sop_uid)


@pytest.mark.parametrize("level", [1, 2])
async def test_a_study_or_a_series_goes_whole(cache, sealed_files, level):
    await fill(cache)
    before = cache.space.used
    await cache.deletion.delete(*(REF.study_uid, REF.series_uid)[:level])
    assert not sealed_files()
    assert await cache.database.read("SELECT count(*) FROM studies") == [(0,)]
    assert cache.space.used == 0 < before
    assert len(await actions(cache)) == len(SLICES)
    for call in (cache.retrieval.instances, cache.deletion.delete):
        with pytest.raises(InstanceDeleted):
            await call(REF.study_uid)


async def test_more_than_fit_one_transaction_go_all_the_same(cache, monkeypatch, sealed_files):
    monkeypatch.setattr("edge.cache.deletion._LOT", 2)
    await fill(cache)
    await cache.deletion.delete(REF.study_uid)
    assert not sealed_files()
    assert await known(cache) == set()


async def test_what_is_not_here_is_not_deleted(cache):
    with pytest.raises(InstanceNotFound) as caught:
        await cache.deletion.delete("1.2.3.4")
    assert not isinstance(caught.value, InstanceDeleted)


async def test_copies_in_quarantine_go_too(cache, sealed_files):
    await fill(cache)
    assert (await cache.send(other_bytes(SLICES[0]))).outcome is Outcome.CONFLICT
    await cache.deletion.delete(REF.study_uid, REF.series_uid, REF.sop_uid)
    assert len(sealed_files()) == 2
    assert await cache.database.read("SELECT count(*) FROM quarantine") == [(0,)]
    assert await counters_are_true(cache.database)


async def test_pictures_of_it_go_too_and_others_stay(cache):
    await fill(cache)
    other = next(iter(ct_series(1, rows=16, columns=16, seed=9)))
    await cache.send(other)
    picture = Picture("image/png", b"patient", 1, 1)
    for part in (SLICES[0], other):
        row = await lookup.find_one(cache.database, part.ref.sop_uid)
        name = cache.pictures.name(part.ref.sop_uid)
        cache.pictures.keep(name, row.key_id, picture, cache.pictures.deletions)
        await cache.pictures.flush()
    await cache.deletion.delete(REF.study_uid, REF.series_uid, REF.sop_uid)
    assert await cache.pictures.get(cache.pictures.name(REF.sop_uid)) is None
    assert await cache.pictures.get(cache.pictures.name(other.ref.sop_uid)) == picture


async def test_pictures_are_looked_through_once_for_however_many_lots(cache, monkeypatch):
    monkeypatch.setattr("edge.cache.deletion._LOT", 1)
    await fill(cache)
    looked, forget = [], cache.pictures._forget
    cache.pictures._forget = lambda *what: looked.append(what) or forget(*what)
    await cache.deletion.delete(REF.study_uid)
    assert len(looked) == 1


async def test_a_crash_after_the_commit_leaves_no_picture(open_cache, tmp_path):
    async with open_cache() as cache:
        await fill(cache)
        row = await lookup.find_one(cache.database, REF.sop_uid)
        name = cache.pictures.name(REF.sop_uid)
        picture = Picture("image/png", b"patient", 1, 1)
        cache.pictures.keep(name, row.key_id, picture, cache.pictures.deletions)
        await cache.pictures.flush()
        folder, found = tmp_path / "rendered", {}

        async def interrupted(_):
            found.update(await asyncio.to_thread(read_files, folder))

        cache.store.delete = interrupted
        await cache.deletion.delete(REF.study_uid)
    assert folder / name in found
    for path, content in found.items():  # the folder, as the end of power left it
        path.write_bytes(content)
    async with open_cache() as cache:
        assert await cache.pictures.get(name) is None
    assert not read_files(folder)


async def test_a_device_that_sends_it_again_makes_it_an_instance_again(cache):
    await fill(cache)
    await cache.deletion.delete(REF.study_uid)
    assert (await cache.send(SLICES[0])).outcome is Outcome.STORED
    assert await cache.read(REF) == SLICES[0].data
    assert await cache.database.read("SELECT count(*) FROM tombstones") == [(2,)]


async def test_the_id_of_a_deleted_instance_is_never_given_again(cache):
    """Who was sending it to the archive settles by its id."""
    await fill(cache)
    rows = await lookup.find(cache.database, REF.study_uid)
    await cache.deletion.delete(REF.study_uid)
    await fill(cache)
    again = await lookup.find(cache.database, REF.study_uid)
    assert not {row.instance_id for row in rows} & {row.instance_id for row in again}


async def test_an_instance_that_changes_meanwhile_is_looked_at_again(cache, sealed_files):
    """The record of what was not deleted after all must not stay: a rebuild would carry it out."""
    await fill(cache)
    write = cache.tombstones.write
    changed = []

    async def change_first(record):
        name = await write(record)
        if not changed:
            changed.append(name)
            await verified(cache)
        return name

    cache.tombstones.write = change_first
    await cache.deletion.delete(REF.study_uid)
    assert not sealed_files()
    assert changed[0] not in await cache.tombstones.read_all()


async def test_without_an_archive_nobody_can_be_told(cache):
    await fill(cache)
    with pytest.raises(DeletionRefused, match="no archive"):
        await cache.deletion.delete(REF.study_uid, archive=True)
    assert len(await known(cache)) == len(SLICES)


# With an archive ----------------------------------------------------------------------------------


@pytest.fixture
async def archive():
    async with FakeArchive() as fake:
        yield fake


async def test_what_may_exist_only_here_needs_to_be_said_so(open_cache, archive):
    async with open_cache(archive=archive) as cache:
        await fill(cache)
        with pytest.raises(DeletionRefused, match="3 of these instances") as caught:
            await cache.deletion.delete(REF.study_uid)
        assert "only-copy=true" in caught.value.hint
        assert len(await known(cache)) == len(SLICES)
        await cache.deletion.delete(REF.study_uid, only_copies=True)
        assert await known(cache) == set()


async def test_a_copy_in_quarantine_exists_only_here(open_cache, archive):
    async with open_cache(archive=archive) as cache:
        await fill(cache)
        await cache.send(other_bytes(SLICES[0]))
        await verified(cache)
        with pytest.raises(DeletionRefused, match="1 of these"):
            await cache.deletion.delete(REF.study_uid)


async def test_what_the_archive_still_has_does_not_come_back(open_cache, archive, sealed_files):
    for part in SLICES:
        archive.put(part.data)
    async with open_cache(archive=archive) as cache:
        await fill(cache)
        await verified(cache)
        await cache.deletion.delete(REF.study_uid, REF.series_uid, REF.sop_uid)
        await cache.deletion.delete(REF.study_uid, REF.series_uid, SLICES[1].ref.sop_uid)
        await cache.ledger.learn(await describe_study(cache.cloud, REF.study_uid))
        assert await known(cache) == {SLICES[2].ref.sop_uid}
        await cache.deletion.delete(REF.study_uid)
        study = await describe_study(cache.cloud, REF.study_uid)
        await cache.ledger.learn(study)
        assert await cache.database.read("SELECT count(*) FROM studies") == [(0,)]
        # Once it is known that nothing is new, the next sweep need not descend into it.
        assert await cache.ledger.fingerprints([REF.study_uid]) == {
            REF.study_uid: study.fingerprint
        }
        with pytest.raises(InstanceDeleted):
            await cache.retrieval.instances(REF.study_uid)
        assert not sealed_files()
        assert len(archive.instances) == len(SLICES)


async def test_a_fetch_that_was_under_way_brings_nothing_back(open_cache, archive, sealed_files):
    async with open_cache(archive=archive) as cache:
        await fill(cache)
        await cache.deletion.delete(REF.study_uid, only_copies=True)
        with pytest.raises(InstanceDeleted):
            await cache.admission.store_instance(
                chunks(SLICES[0].data), Source(Origin.CLOUD, "cloud", vouches=True)
            )
        assert not sealed_files()


async def test_the_archive_is_told_only_if_asked(open_cache, archive):
    async with open_cache(archive=archive) as cache:
        await fill(cache)
        await cache.deletion.delete(REF.study_uid, REF.series_uid, REF.sop_uid, only_copies=True)
        assert await cache.ledger.withdrawals(max_count=10) == []
        await cache.deletion.delete(REF.study_uid, only_copies=True, archive=True)
        told = await cache.ledger.withdrawals(max_count=10)
        # What was deleted before is included.
        assert {one.ref.sop_uid for one in told} == {part.ref.sop_uid for part in SLICES}


@pytest.mark.parametrize("count", [1, 3], ids=["one of it", "all of it"])
async def test_once_the_archive_deleted_its_listing_counts_no_more(open_cache, archive, count):
    """Another instance may be there by now, and the counts as they were."""
    for part in SLICES:
        archive.put(part.data)
    async with open_cache(archive=archive) as cache:
        await fill(cache)
        await verified(cache)
        for part in SLICES[:count]:
            await cache.deletion.delete(*astuple(part.ref), archive=True)
        await cache.ledger.learn(await describe_study(cache.cloud, REF.study_uid))
        assert await cache.ledger.fingerprints([REF.study_uid])
        await cache.ledger.settle_withdrawal(REF, Withdrawal.REFUSED)
        assert await cache.ledger.fingerprints([REF.study_uid])
        await cache.ledger.settle_withdrawal(REF, Withdrawal.DONE)
        assert await cache.ledger.fingerprints([REF.study_uid]) == {}


async def test_what_was_deleted_before_can_be_withdrawn_later(open_cache, archive):
    async with open_cache(archive=archive) as cache:
        await fill(cache)
        await cache.deletion.delete(REF.study_uid, only_copies=True)
        await cache.deletion.delete(REF.study_uid, archive=True)
        assert len(await cache.ledger.withdrawals(max_count=10)) == len(SLICES)


async def test_what_came_again_is_not_withdrawn(open_cache, archive):
    async with open_cache(archive=archive) as cache:
        await fill(cache)
        await cache.deletion.delete(REF.study_uid, only_copies=True, archive=True)
        await cache.send(SLICES[0])
        told = await cache.ledger.withdrawals(max_count=10)
        assert {one.ref.sop_uid for one in told} == {part.ref.sop_uid for part in SLICES[1:]}


async def test_what_may_be_on_its_way_up_is_withdrawn_later(open_cache, archive):
    now = 1_000_000.0
    async with open_cache(archive=archive, clock=lambda: now) as cache:
        await fill(cache)
        rows = await lookup.find(cache.database, REF.study_uid)
        await cache.ledger.mark_sent([rows[0].instance_id])
        await cache.deletion.delete(REF.study_uid, only_copies=True, archive=True)
        assert await cache.ledger.withdrawals(max_count=10) == []
        now += 3600
        assert len(await cache.ledger.withdrawals(max_count=10)) == len(SLICES)


# After a crash, and without the index ------------------------------------------------------------


class Crash(BaseException):
    """Whatever follows does not happen."""


async def crash(*_):
    raise Crash


async def test_a_crash_before_the_commit_deletes_nothing(open_cache, monkeypatch, sealed_files):
    async with open_cache() as cache:
        await fill(cache)
        monkeypatch.setattr(cache.deletion._database, "write", crash)
        with pytest.raises(Crash):
            await cache.deletion.delete(REF.study_uid)
        monkeypatch.undo()
    async with open_cache() as cache:
        assert len(await known(cache)) == len(sealed_files()) == len(SLICES)
        assert await cache.tombstones.read_all() == {}


async def test_a_crash_after_the_commit_brings_nothing_back(open_cache, sealed_files):
    async with open_cache() as cache:
        await fill(cache)
        await cache.send(other_bytes(SLICES[0]))
        cache.store.delete = crash
        with pytest.raises(Crash):
            await cache.deletion.delete(REF.study_uid)
        assert len(sealed_files()) == 4
    async with open_cache() as cache:
        assert cache.report.deleted == 4
        assert not sealed_files()
        assert await known(cache) == set()
        assert cache.report.unused_keys >= 1


@pytest.mark.parametrize("unlinked", [True, False])
async def test_an_index_that_is_made_anew_forgets_no_deletion(
    open_cache, tmp_path, sealed_files, unlinked
):
    async with open_cache() as cache:
        await fill(cache)
        if not unlinked:
            cache.store.delete = crash
        target = REF.study_uid, REF.series_uid, REF.sop_uid
        try:
            await cache.deletion.delete(*target)
        except Crash:
            assert not unlinked
    for path in tmp_path.glob("index.db*"):
        path.unlink()
    async with open_cache() as cache:
        assert len(sealed_files()) == len(await known(cache)) == 2
        with pytest.raises(InstanceDeleted):
            await cache.retrieval.instances(*target)
        # And what came again since is not forgotten with it.
        await cache.send(SLICES[0])
    for path in tmp_path.glob("index.db*"):
        path.unlink()
    async with open_cache() as cache:
        assert await cache.read(REF) == SLICES[0].data
    async with open_cache() as cache:
        assert await cache.read(REF) == SLICES[0].data
        assert await cache.tombstones.read_all() == {}


async def test_what_the_archive_is_to_be_told_survives_the_index(open_cache, archive, tmp_path):
    async with open_cache(archive=archive) as cache:
        await fill(cache)
        await cache.deletion.delete(REF.study_uid, only_copies=True, archive=True)
    for path in tmp_path.glob("index.db*"):
        path.unlink()
    async with open_cache(archive=archive) as cache:
        assert len(await cache.ledger.withdrawals(max_count=10)) == len(SLICES)


async def test_the_records_of_deletions_can_not_be_read_without_the_key(cache, tmp_path):
    await fill(cache)
    await cache.deletion.delete(REF.study_uid)
    [path] = (tmp_path / "tombstones").iterdir()
    assert REF.sop_uid.encode() not in path.read_bytes()
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert await cache.tombstones.read_all() == {}
