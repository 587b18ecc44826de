"""What archives have in place of instances since they corrected them."""

from __future__ import annotations

import dataclasses

from edge.dicom.instance import Availability, Custody, Origin
from edge.index import absences, copies, corrections, lookup, residence
from edge.index.instances import PutResult

THEIRS = bytes(range(32))


async def number_of(database, new):
    return (await lookup.find_one(database, new.ref.sop_uid)).instance_id


async def note(database, number, archive="", digest=THEIRS):
    await database.write(lambda db: corrections.note(db, number, archive, digest))


async def evicted(database, **which):
    found = await residence.evictable(
        database, used_before=2000, verified_since=0, max_bytes=10**9, **which
    )
    return await database.write(lambda db: residence.evict(db, found))


async def test_each_archive_has_its_own_and_the_last_one_holds(database, new_instance, put):
    one, other = new_instance(), new_instance()
    await put(one, other)
    number, another = await number_of(database, one), await number_of(database, other)
    await note(database, number)
    await note(database, number, digest=bytes(32))
    await note(database, number, "copies")
    assert await corrections.find(database, "", [number, another]) == {number: bytes(32)}
    assert await corrections.find(database, "copies", [number, another]) == {number: THEIRS}
    assert sorted(await corrections.of_instance(database, number)) == [bytes(32), THEIRS]
    assert await corrections.of_instance(database, another) == []


async def test_who_reviews_knows_it_of_the_archive_that_is_reviewed(database, new_instance, put):
    one = new_instance(custody=Custody.VERIFIED)
    await database.write(lambda db: copies.set_roles(db, {"b": "copy"}, 1.0))
    await put(one)
    number = await number_of(database, one)
    await database.write(lambda db: db.execute("UPDATE copies SET custody = 'VERIFIED'"))
    row = await lookup.find_one(database, one.ref.sop_uid)
    [(study_id,)] = await database.read("SELECT study_id FROM instances")
    await note(database, number)
    [primary] = await absences.vouched(database, study_id)
    [copy] = await absences.vouched(database, study_id, "b")
    assert (primary.corrected, copy.corrected) == (THEIRS, None)
    assert primary.digest == copy.digest == row.dataset_digest


async def test_what_comes_back_corrected_is_no_conflict(database, new_instance, put):
    one = new_instance(custody=Custody.VERIFIED)
    await put(one)
    number = await number_of(database, one)
    await note(database, number)
    assert len(await evicted(database)) == 1
    back = dataclasses.replace(one, origin=Origin.CLOUD, dataset_digest=THEIRS, object="a" * 32)
    assert await put(back) == [PutResult.STORED]
    row = await lookup.find_one(database, one.ref.sop_uid)
    assert (row.availability, row.custody) == (Availability.ONLINE, Custody.VERIFIED)
    assert row.dataset_digest == THEIRS
    assert await corrections.of_instance(database, number) == []


async def test_what_comes_back_otherwise_is_a_conflict(database, new_instance, put):
    one = new_instance(custody=Custody.VERIFIED)
    await put(one)
    await note(database, await number_of(database, one))
    await evicted(database)
    back = dataclasses.replace(one, origin=Origin.CLOUD, dataset_digest=bytes(32))
    assert await put(back) == [PutResult.ALTERED]
    assert (await lookup.find_one(database, one.ref.sop_uid)).custody is Custody.CONFLICT


async def test_a_device_that_sends_that_is_no_archive(database, new_instance, put):
    one = new_instance(custody=Custody.VERIFIED)
    await put(one)
    await note(database, await number_of(database, one))
    await evicted(database)
    sent = dataclasses.replace(one, dataset_digest=THEIRS, custody=Custody.EDGE_ONLY)
    assert await put(sent) == [PutResult.QUARANTINED]


async def test_a_correction_in_an_archive_that_stands_in_makes_no_room(database, new_instance, put):
    one = new_instance()
    await database.write(lambda db: copies.set_roles(db, {"b": "failover"}, 1.0))
    await put(one)
    number = await number_of(database, one)
    await database.write(lambda db: copies.enrol(db, "b"))
    await database.write(
        lambda db: db.execute("UPDATE copies SET custody = 'VERIFIED', verified = 1")
    )
    found = await residence.evictable(
        database, used_before=2000, verified_since=0, max_bytes=1, standing_in="b"
    )
    assert [it.instance_id for it in found] == [number]
    await note(database, number, "b")
    assert await database.write(lambda db: residence.evict(db, found)) == []
    assert await evicted(database, standing_in="b") == []


async def test_it_goes_with_its_instance(database, new_instance, put):
    one = new_instance()
    await put(one)
    await note(database, await number_of(database, one))
    await database.write(lambda db: db.execute("DELETE FROM instances"))
    assert await database.read("SELECT count(*) FROM corrected") == [(0,)]
