"""What the archive lists: rows are only ever added by it."""

from __future__ import annotations

from dataclasses import replace

from edge.dicom.instance import Availability, Custody, Origin
from edge.index import lookup, remote
from edge.index.instances import PutResult
from tests.index.rows import counters_are_true, listed


async def test_a_listing_makes_nearline_rows_and_leaves_local_ones_alone(
    database, new_instance, put
):
    await put(new_instance(sop="1.1"))
    await database.write(lambda db: remote.learn(db, listed("1.1", "1.2"), 1000.0))
    await database.write(lambda db: remote.learn(db, listed("1.1", "1.2"), 1001.0))
    rows = {row.ref.sop_uid: row for row in await lookup.find(database, "1.2.3")}
    assert rows["1.1"].availability is Availability.ONLINE
    assert rows["1.1"].custody is Custody.EDGE_ONLY
    assert rows["1.2"].availability is Availability.NEARLINE
    assert rows["1.2"].custody is Custody.ACKNOWLEDGED
    assert await remote.fingerprints(database, ["1.2.3", "1.9"]) == {"1.2.3": "fingerprint"}
    assert await counters_are_true(database)


async def test_a_listed_instance_that_is_sent_from_here_must_still_be_verified(
    database, new_instance, put
):
    await database.write(lambda db: remote.learn(db, listed("1.7"), 1000.0))
    assert await put(new_instance(sop="1.7")) == [PutResult.STORED]
    row = await lookup.find_one(database, "1.7")
    assert (row.availability, row.custody) == (Availability.ONLINE, Custody.ACKNOWLEDGED)


async def test_a_listed_instance_that_was_fetched_is_verified(database, new_instance, put):
    await database.write(lambda db: remote.learn(db, listed("1.7"), 1000.0))
    await put(new_instance(sop="1.7", origin=Origin.CLOUD, custody=Custody.VERIFIED))
    row = await lookup.find_one(database, "1.7")
    assert (row.availability, row.custody) == (Availability.ONLINE, Custody.VERIFIED)


async def test_a_series_without_instances_makes_no_row_and_has_the_study_listed_again(database):
    """So an archive lists what it is just deleting, or receiving."""
    await database.write(lambda db: remote.learn(db, listed(), 1000.0))
    assert await database.read("SELECT count(*) FROM studies") == [(0,)]
    half = listed("1.1")
    empty = listed(series="1.2.3.2").series
    half = replace(half, series=half.series + empty)
    await database.write(lambda db: remote.learn(db, half, 1001.0))
    assert await database.read("SELECT series_uid FROM series") == [("1.2.3.1",)]
    assert await remote.fingerprints(database, ["1.2.3"]) == {}
    await database.write(lambda db: remote.learn(db, listed("1.1"), 1002.0))
    await database.write(lambda db: remote.learn(db, listed(), 1003.0))
    assert await remote.fingerprints(database, ["1.2.3"]) == {}
    assert len(await lookup.find(database, "1.2.3")) == 1
    await database.write(lambda db: remote.learn(db, listed("1.1"), 1004.0))
    await database.write(lambda db: remote.learn(db, replace(listed(), series=()), 1005.0))
    assert await remote.fingerprints(database, ["1.2.3"]) == {}


async def test_the_state_of_an_archive_keeps_since_when_it_lasts(database):
    for moment, online in ((10.0, True), (20.0, True), (30.0, False), (40.0, False)):
        await database.write(
            lambda db, m=moment, o=online: remote.set_archive_state(db, "cloud", o, "", False, m)
        )
    (state,) = await remote.archive_states(database)
    assert (state.online, state.since, state.contact) == (False, 30.0, 20.0)
