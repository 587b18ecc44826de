"""Tombstones: set with the rows they stand for, kept from what the archive lists, settled."""

from __future__ import annotations

import pytest

from edge.dicom.instance import Custody, InstanceRef, Origin
from edge.errors import InstanceDeleted
from edge.index import instances, remote, tombstones
from edge.index.tombstones import Withdrawal
from tests.index.rows import counters_are_true, listed

STUDY, SERIES = "1.2.3", "1.2.3.1"


async def put(database, new):
    return await database.write(lambda db: instances.put(db, new, 1.0))


async def bury(database, target=(STUDY, None, None), *, record="r", withdraw_from=None):
    doomed = await tombstones.doomed_in(database, target)
    await database.write(
        lambda db: tombstones.bury(db, doomed, [], record, 5.0, withdraw_from=withdraw_from)
    )
    return doomed


async def test_rows_go_and_tombstones_come(database, new_instance):
    first, second = new_instance(), new_instance(series="1.2.3.2")
    for one in (first, second):
        await put(database, one)
    await bury(database, (STUDY, SERIES, None))
    assert await counters_are_true(database)
    left = await tombstones.doomed_in(database, (STUDY, None, None))
    assert [one.ref for one in left] == [second.ref]
    assert await tombstones.is_deleted(database, (STUDY, SERIES, first.ref.sop_uid))
    assert not await tombstones.is_deleted(database, (STUDY, "1.2.3.2", None))
    assert await tombstones.records(database) == {"r"}
    rows = await database.read("SELECT sop_uid, at FROM changes WHERE action = 'DELETE'")
    assert rows == [(first.ref.sop_uid, 5.0)]


async def test_what_is_not_as_it_was_is_not_deleted(database, new_instance):
    first, second = new_instance(), new_instance()
    for one in (first, second):
        await put(database, one)
    doomed = await tombstones.doomed_in(database, (STUDY, None, None))
    await database.write(
        lambda db: db.execute("UPDATE instances SET custody = 'SENT' WHERE id = 2")
    )
    with pytest.raises(tombstones.Changed):
        await database.write(
            lambda db: tombstones.bury(db, doomed, [], "r", 5.0, withdraw_from=None)
        )
    assert len(await tombstones.doomed_in(database, (STUDY, None, None))) == 2
    assert await tombstones.records(database) == set()


async def test_what_has_bytes_here_and_is_not_verified_may_be_the_only_copy(database, new_instance):
    for custody in Custody:
        await put(database, new_instance(custody=custody))
    doomed = await tombstones.doomed_in(database, (STUDY, None, None))
    safe = [one.custody for one in doomed if not one.may_be_only_copy]
    assert safe == [Custody.VERIFIED]
    await database.write(lambda db: remote.learn(db, listed("1.9", study="1.8"), 1.0))
    [far] = await tombstones.doomed_in(database, ("1.8", None, None))
    assert not far.may_be_only_copy


async def test_the_archive_brings_nothing_back_and_a_device_does(database, new_instance):
    one = new_instance(sop="1.2.3.1.9")
    await put(database, one)
    await bury(database)
    with pytest.raises(InstanceDeleted):
        await put(database, new_instance(sop="1.2.3.1.9", origin=Origin.CLOUD))
    await database.write(lambda db: remote.learn(db, listed("1.2.3.1.9"), 1.0))
    assert await database.read("SELECT count(*) FROM studies") == [(0,)]
    assert await remote.fingerprints(database, [STUDY]) == {STUDY: "fingerprint"}
    await database.write(lambda db: remote.learn(db, listed("1.2.3.1.9", "1.2.3.1.10"), 1.0))
    assert len(await tombstones.doomed_in(database, (STUDY, None, None))) == 1
    await put(database, one)
    assert not await tombstones.is_deleted(database, (STUDY, None, None))


async def test_a_record_that_no_tombstone_names_sets_those_that_are_missing(database, new_instance):
    alive = new_instance()
    await put(database, alive)
    gone = InstanceRef(STUDY, SERIES, "1.2.3.1.99")
    counts = [
        await database.write(
            lambda db, refs=refs: tombstones.restore(db, refs, "r", 3.0, withdraw=True)
        )
        for refs in ([alive.ref], [alive.ref, gone], [gone])
    ]
    assert counts == [0, 1, 0]
    assert await tombstones.due(database, 4.0, 10) == [(gone, 0)]


async def test_what_the_archive_is_told_is_settled(database, new_instance):
    for _ in range(3):
        await put(database, new_instance())
    doomed = await bury(database, withdraw_from=10.0)
    refs = [one.ref for one in doomed]
    assert await tombstones.due(database, 9.0, 10) == []
    assert await tombstones.next_due(database) == 10.0
    assert await tombstones.due(database, 10.0, 2) == [(refs[0], 0), (refs[1], 0)]
    for ref, withdrawal, at in (
        (refs[0], Withdrawal.DUE, 50.0),
        (refs[1], Withdrawal.DONE, 0.0),
        (refs[2], Withdrawal.REFUSED, 0.0),
    ):
        await database.write(
            lambda db, r=ref, w=withdrawal, at=at: tombstones.settle(db, r.sop_uid, w, "no", at)
        )
    assert await tombstones.due(database, 20.0, 10) == []
    assert await tombstones.due(database, 50.0, 10) == [(refs[0], 1)]
    # A time that was set under a clock that was far ahead does not hold.
    assert await tombstones.due(database, 50.0 - 10 * 86400, 10) == [(refs[0], 1)]
    untold = await tombstones.tombstones_in(database, (STUDY, None, None))
    assert untold == [refs[2]]
    await database.write(lambda db: tombstones.tell_of(db, untold, "again"))
    assert {ref for ref, _ in await tombstones.due(database, 50.0, 10)} == {refs[0], refs[2]}
    assert await tombstones.records(database) == {"r", "again"}
