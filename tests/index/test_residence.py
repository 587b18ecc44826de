"""Which instances are here: eviction, and objects that are gone."""

from __future__ import annotations

import dataclasses

from edge.dicom.instance import Availability, Custody, Origin
from edge.index import lookup, remote, residence
from edge.index.instances import PutResult
from edge.index.summary import summary
from tests.index.rows import counters_are_true, listed


async def test_an_evicted_instance_comes_back_with_its_custody(database, new_instance, put):
    one = new_instance(custody=Custody.VERIFIED, origin=Origin.CLOUD)
    await put(one)
    candidates = await residence.evictable(
        database, used_before=2000, verified_since=0, max_bytes=1
    )
    await database.write(lambda db: residence.evict(db, candidates))
    (row,) = await lookup.find(database, "1.2.3")
    assert (row.availability, row.object) == (Availability.NEARLINE, None)
    assert await counters_are_true(database)
    assert await put(one) == [PutResult.STORED]
    (row,) = await lookup.find(database, "1.2.3")
    assert (row.availability, row.custody) == (Availability.ONLINE, Custody.VERIFIED)
    assert await counters_are_true(database)


async def test_only_verified_instances_can_be_evicted(database, new_instance, put):
    await put(*(new_instance(custody=one) for one in Custody))
    candidates = await residence.evictable(
        database, used_before=1e12, verified_since=0, max_bytes=10**9
    )
    assert len(candidates) == 1
    stale = [dataclasses.replace(candidates[0], object="0" * 32)]
    assert await database.write(lambda db: residence.evict(db, stale)) == []


async def test_lost_objects_become_nearline_or_unavailable(database, new_instance, put):
    safe, unsafe = new_instance(custody=Custody.VERIFIED), new_instance()
    await put(safe, unsafe)
    counts = await database.write(lambda db: residence.lose(db, [safe.object, unsafe.object]))
    assert counts == (1, 1)
    rows = {row.ref: row.availability for row in await lookup.find(database, "1.2.3")}
    assert rows == {safe.ref: Availability.NEARLINE, unsafe.ref: Availability.UNAVAILABLE}
    assert (await summary(database)).lost == 1
    assert await counters_are_true(database)
    await database.write(lambda db: remote.learn(db, listed(unsafe.ref.sop_uid), 1000.0))
    row = await lookup.find_one(database, unsafe.ref.sop_uid)
    assert row.availability is Availability.NEARLINE


async def test_what_a_device_sends_again_must_be_verified_again(database, new_instance, put):
    one = new_instance(custody=Custody.VERIFIED)
    await put(one)
    candidates = await residence.evictable(
        database, used_before=2000, verified_since=0, max_bytes=1
    )
    await database.write(lambda db: residence.evict(db, candidates))
    assert await put(one) == [PutResult.STORED]
    (row,) = await lookup.find(database, "1.2.3")
    assert (row.availability, row.custody) == (Availability.ONLINE, Custody.ACKNOWLEDGED)


async def test_a_key_is_released_once_no_object_is_sealed_with_it(database, new_instance, put):
    here, also, evicted, lost = (
        dataclasses.replace(new_instance(custody=Custody.VERIFIED), key_id=name * 16)
        for name in (b"h", b"h", b"e", b"l")
    )
    await put(here, evicted, lost, also)
    candidates = await residence.evictable(
        database, used_before=2000, verified_since=0, max_bytes=10**9
    )
    gone = [one for one in candidates if one.object in (evicted.object, also.object)]
    await database.write(lambda db: residence.evict(db, gone))
    await database.write(
        lambda db: db.execute(
            "UPDATE instances SET availability = 'UNAVAILABLE', object = NULL WHERE object = ?",
            (lost.object,),
        )
    )
    assert await residence.key_ids_of_evicted(database) == {b"e" * 16}
    assert await residence.key_ids_of_objects(database) == {b"h" * 16}
    names = [b"h" * 16, b"e" * 16, b"l" * 16, b"?" * 16]
    unused = await database.write(lambda db: residence.release_keys(db, names))
    assert unused == {b"e" * 16, b"?" * 16}
    assert await residence.key_ids_in_use(database) == {b"h" * 16, b"l" * 16}
    assert await residence.key_ids_of_evicted(database) == set()


async def test_the_shelves_of_which_it_names_an_object_are_known(database, new_instance, put):
    assert await residence.named_shelves(database) == set()
    names = ["00" + "f" * 30, "5a" + "0" * 30, "5a" + "1" * 30, "ff" + "f" * 30]
    await put(*(dataclasses.replace(new_instance(), object=name) for name in names))
    assert await residence.named_shelves(database) == {"00", "5a", "ff"}
    kept = new_instance(sop="1.9", content=b"first")
    await put(dataclasses.replace(kept, object=names[0][:-1] + "0"))
    other = new_instance(sop="1.9", content=b"second")
    await put(dataclasses.replace(other, object="7" * 32))
    assert await residence.named_shelves(database) == {"00", "5a", "77", "ff"}
