"""Custody with archives beside the primary one."""

from __future__ import annotations

import pytest

from edge.dicom.instance import Availability, Custody, Origin
from edge.index import copies, instances, lookup, remote, residence
from edge.index.copies import Further
from edge.index.custody import Primary
from edge.index.summary import summary

UNSENT = (Custody.EDGE_ONLY, Custody.SENT)
SECOND = Further("second")


async def set_roles(database, **roles):
    await database.write(lambda db: copies.set_roles(db, roles, 1000.0))


async def ids_of(database):
    return {row.ref.sop_uid: row.instance_id for row in await lookup.find(database, "1.2.3")}


async def owed(database, account=SECOND):
    return [row.ref.sop_uid for row in await account.due(database, UNSENT, 2000.0, 100)]


async def settle(database, account, sop_uid, custody, now=1500.0):
    one = (await ids_of(database))[sop_uid]
    await database.write(lambda db: account.settle(db, one, custody, "", 0.0, now))


async def test_what_is_made_here_is_owed_to_the_archive_for_copies(database, new_instance, put):
    await put(new_instance(sop="1.1"))
    await set_roles(database, main="primary", second="copy")
    await put(
        new_instance(sop="1.2"),
        new_instance(sop="1.3", origin=Origin.CLOUD, custody=Custody.VERIFIED),
    )
    assert await owed(database) == ["1.1", "1.2"]
    assert await owed(database, Primary()) == ["1.1", "1.2"]
    await set_roles(database, main="primary", second="copy")  # the next start
    assert await owed(database) == ["1.1", "1.2"]


async def test_custody_with_one_archive_is_nothing_to_another(database, new_instance, put):
    await set_roles(database, main="primary", second="copy", third="copy")
    await put(new_instance(sop="1.1"))
    await settle(database, SECOND, "1.1", Custody.VERIFIED)
    assert await owed(database) == []
    assert await owed(database, Further("third")) == ["1.1"]
    (row,) = await Primary().due(database, UNSENT, 2000.0, 10)
    assert (row.custody, row.tries) == (Custody.EDGE_ONLY, 0)
    assert (await summary(database)).studies_only_here == 0


async def test_a_retry_is_due_in_its_time(database, new_instance, put):
    await set_roles(database, second="copy")
    await put(new_instance(sop="1.1"))
    one = (await ids_of(database))["1.1"]
    await database.write(
        lambda db: SECOND.settle(db, one, Custody.EDGE_ONLY, "busy", 3000.0, 2000.0)
    )
    assert await owed(database) == []
    assert await SECOND.next_due(database, UNSENT, 2000.0) == 3000.0
    (row,) = await SECOND.due(database, UNSENT, 3000.0, 10)
    assert (row.custody, row.tries) == (Custody.EDGE_ONLY, 1)
    await database.write(lambda db: SECOND.mark_sent(db, [one]))
    (row,) = await SECOND.due(database, UNSENT, 2000.0, 10)
    assert row.custody is Custody.SENT


async def test_one_that_stands_in_is_owed_what_the_primary_one_lacks(database, new_instance, put):
    await set_roles(database, main="primary", second="failover")
    await put(new_instance(sop="1.1"), new_instance(sop="1.2", custody=Custody.VERIFIED))
    assert await owed(database) == []
    assert await database.write(lambda db: copies.enrol(db, "second")) == 1
    assert await database.write(lambda db: copies.enrol(db, "second")) == 0
    assert await owed(database) == ["1.1"]
    await database.write(lambda db: copies.retire(db, "second"))
    assert await owed(database) == []


async def evict_all(database, **where):
    found = await residence.evictable(
        database, used_before=1e12, verified_since=0.0, max_bytes=10**9, **where
    )
    return await database.write(lambda db: residence.evict(db, found))


@pytest.mark.parametrize(("role", "gone"), [("failover", 1), ("copy", 0)])
async def test_what_one_that_stands_in_verifiably_has_may_go(
    database, new_instance, put, role, gone
):
    await set_roles(database, main="primary", second=role)
    await put(new_instance(sop="1.1"), new_instance(sop="1.2"))
    await database.write(lambda db: copies.enrol(db, "second"))
    await settle(database, SECOND, "1.1", Custody.VERIFIED)
    assert await evict_all(database) == []
    evicted = await evict_all(database, standing_in="second")
    assert [one.ref.sop_uid for one in evicted] == ["1.1"][:gone]
    absent = await copies.absent(database, "second", 10)
    assert [ref.sop_uid for ref in absent] == ["1.1"][:gone]


async def test_what_is_brought_home_is_still_owed_to_the_primary_one(database, new_instance, put):
    await set_roles(database, main="primary", second="failover")
    one = new_instance(sop="1.1", content=b"bytes")
    await put(one)
    await database.write(lambda db: copies.enrol(db, "second"))
    await settle(database, SECOND, "1.1", Custody.VERIFIED)
    await evict_all(database, standing_in="second")
    assert await owed(database, Primary()) == []
    again = new_instance(sop="1.1", content=b"bytes", origin=Origin.CLOUD)
    await put(again)
    row = await lookup.find_one(database, "1.1")
    assert (row.availability, row.custody) == (Availability.ONLINE, Custody.EDGE_ONLY)
    assert await owed(database, Primary()) == ["1.1"]


async def test_what_the_primary_one_gives_is_proven(database, new_instance, put):
    await set_roles(database, main="primary", second="failover")
    await put(new_instance(sop="1.1", content=b"bytes"))
    await database.write(lambda db: copies.enrol(db, "second"))
    await settle(database, SECOND, "1.1", Custody.VERIFIED)
    await evict_all(database, standing_in="second")
    given = new_instance(sop="1.1", content=b"bytes", origin=Origin.CLOUD, custody=Custody.VERIFIED)
    await put(given)
    assert (await lookup.find_one(database, "1.1")).custody is Custody.VERIFIED


async def test_a_doubt_has_it_asked_about_again(database, new_instance, put):
    await set_roles(database, second="copy")
    await put(new_instance(sop="1.1"))
    await settle(database, SECOND, "1.1", Custody.VERIFIED)
    one = (await ids_of(database))["1.1"]
    await database.write(lambda db: SECOND.doubt(db, [one], "gone"))
    (row,) = await SECOND.due(database, UNSENT, 2000.0, 10)
    assert row.custody is Custody.SENT


async def test_who_is_deleted_is_owed_no_more(database, new_instance, put):
    await set_roles(database, second="copy")
    await put(new_instance(sop="1.1"))
    one = (await ids_of(database))["1.1"]
    await database.write(lambda db: instances.forget(db, one))
    assert await database.read("SELECT count(*) FROM copies") == [(0,)]


async def test_what_became_of_each_archive_is_told(database, new_instance, put):
    await set_roles(database, main="primary", second="copy")
    await put(new_instance(sop="1.1"), new_instance(sop="1.2"))
    await settle(database, SECOND, "1.1", Custody.VERIFIED)
    assert await remote.archive_states(database) == []  # none was tried yet
    await database.write(lambda db: remote.set_archive_state(db, "second", True, "", False, 1000.0))
    (state,) = await remote.archive_states(database)
    assert (state.name, state.unproven) == ("second", 1)


async def test_an_archive_that_is_configured_no_more_is_owed_nothing_new(
    database, new_instance, put
):
    await set_roles(database, main="primary", second="copy")
    await set_roles(database, main="primary")
    await put(new_instance(sop="1.1"))
    assert await owed(database) == []
    await set_roles(database, main="primary", second="copy")
    assert await owed(database) == ["1.1"]
