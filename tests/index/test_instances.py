"""How rows come to be and change; counters never drift from the rows."""

from __future__ import annotations

import dataclasses

from edge.dicom.instance import Availability, Custody, InstanceRef, Origin
from edge.dicom.remote import RemoteInstance, RemoteSeries, RemoteStudy
from edge.index import custody, lookup, remote, residence
from edge.index.instances import PutResult
from edge.index.summary import summary


async def counters_are_true(database):
    """Every counter that a trigger keeps, compared with what it counts."""
    rows = await database.read(
        "SELECT s.id FROM studies s WHERE"
        " s.series_count <> (SELECT count(*) FROM series WHERE study_id = s.id)"
        " OR s.instance_count <> (SELECT count(*) FROM instances WHERE study_id = s.id)"
        " OR s.online_count <> (SELECT count(*) FROM instances WHERE study_id = s.id"
        " AND availability = 'ONLINE')"
        " OR s.edge_only_count <> (SELECT count(*) FROM instances WHERE study_id = s.id"
        " AND custody IN ('EDGE_ONLY', 'SENT', 'REFUSED', 'CONFLICT'))"
    )
    total = await database.read(
        "SELECT sealed_bytes - (SELECT coalesce(sum(sealed_bytes), 0) FROM instances)"
        " - (SELECT coalesce(sum(sealed_bytes), 0) FROM quarantine) FROM totals"
    )
    return rows == [] and total == [(0,)]


async def test_an_instance_is_stored_once_and_recognised_the_second_time(
    database, new_instance, put
):
    one = new_instance()
    again = dataclasses.replace(one, object="f" * 32)
    assert await put(one, again) == [PutResult.STORED, PutResult.DUPLICATE]
    (row,) = await lookup.find(database, "1.2.3")
    assert row.object == one.object
    assert row.availability is Availability.ONLINE
    assert row.custody is Custody.EDGE_ONLY
    assert await counters_are_true(database)


async def test_other_bytes_under_a_uid_go_to_quarantine_and_change_nothing(
    database, new_instance, put
):
    one = new_instance(sop="1.9", content=b"first")
    other = new_instance(sop="1.9", content=b"second", study="1.2.4")
    repeated = dataclasses.replace(other, object="e" * 32)
    assert await put(one, other, repeated) == [
        PutResult.STORED,
        PutResult.QUARANTINED,
        PutResult.DUPLICATE,
    ]
    assert (await lookup.find_one(database, "1.9")).object == one.object
    assert (await summary(database)).quarantined == 1
    assert await lookup.find(database, "1.2.4") == []
    assert await counters_are_true(database)


async def test_every_change_has_the_next_number(database, new_instance, put):
    await put(*(new_instance() for _ in range(5)))
    rows = await database.read("SELECT sequence, action FROM changes ORDER BY sequence")
    assert rows == [(number, "CREATE") for number in range(1, 6)]


async def test_an_evicted_instance_comes_back_with_its_custody(database, new_instance, put):
    one = new_instance(custody=Custody.VERIFIED, origin=Origin.CLOUD)
    await put(one)
    candidates = await residence.evictable(database, used_before=2000, max_bytes=1)
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
    candidates = await residence.evictable(database, used_before=1e12, max_bytes=10**9)
    assert len(candidates) == 1
    stale = [dataclasses.replace(candidates[0], object="0" * 32)]
    assert await database.write(lambda db: residence.evict(db, stale)) == []


def listed(*sops, study="1.2.3", series="1.2.3.1"):
    return RemoteStudy(
        study,
        "fingerprint",
        {"00100020": {"vr": "LO", "Value": ["P1"]}},
        (
            RemoteSeries(
                series,
                {"00080060": {"vr": "CS", "Value": ["CT"]}},
                tuple(RemoteInstance(sop, "1.2.840.10008.5.1.4.1.1.2", {}) for sop in sops),
            ),
        ),
    )


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


async def test_what_is_owed_is_computed_from_custody_and_time(database, new_instance, put):
    waiting, sent, later = (new_instance() for _ in range(3))
    await put(waiting, sent, later, new_instance(custody=Custody.VERIFIED))
    ids = {row.ref: row.instance_id for row in await lookup.find(database, "1.2.3")}
    await database.write(lambda db: custody.mark_sent(db, [ids[sent.ref]]))
    await database.write(
        lambda db: custody.settle(db, ids[later.ref], Custody.EDGE_ONLY, "busy", 5000.0)
    )
    unsent = (Custody.EDGE_ONLY, Custody.SENT)
    due = await custody.due(database, unsent, 2000.0, 10)
    assert {row.ref for row in due} == {waiting.ref, sent.ref}
    assert await custody.next_due(database, unsent, 2000.0) == 5000.0
    due = await custody.due(database, unsent, 5000.0, 10)
    assert [row.tries for row in due if row.ref == later.ref] == [1]


async def test_the_state_of_an_archive_keeps_since_when_it_lasts(database):
    for moment, online in ((10.0, True), (20.0, True), (30.0, False), (40.0, False)):
        await database.write(
            lambda db, m=moment, o=online: remote.set_archive_state(db, "cloud", o, "", m)
        )
    (state,) = await remote.archive_states(database)
    assert (state.online, state.since, state.contact) == (False, 30.0, 20.0)


async def test_the_order_is_that_of_series_and_instance_numbers(database, new_instance, put):
    def one(sop, series, series_number, number):
        return new_instance(
            series=series, sop=sop, t00200011=("IS", series_number), t00200013=("IS", number)
        )

    await put(one("1.1", "2.1", 2, 2), one("1.2", "2.2", 1, 1), one("1.3", "2.1", 2, 1))
    rows = await lookup.find(database, "1.2.3")
    assert [row.ref for row in rows] == [
        InstanceRef("1.2.3", "2.2", "1.2"),
        InstanceRef("1.2.3", "2.1", "1.3"),
        InstanceRef("1.2.3", "2.1", "1.1"),
    ]
