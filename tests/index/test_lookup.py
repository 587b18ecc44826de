"""Looking instances up."""

from __future__ import annotations

from edge.dicom.instance import Availability, InstanceRef
from edge.index import lookup, remote
from tests.index.rows import listed


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


async def test_an_instance_is_found_with_its_metadata_at_once(database, new_instance, put):
    one = new_instance()
    await put(one)
    row, document, layout = await lookup.find_with_metadata(database, one.ref.sop_uid)
    assert (row.ref, document, layout) == (one.ref, one.document, b"")
    assert await lookup.find_with_metadata(database, "1.9") is None
    await database.write(lambda db: remote.learn(db, listed("1.7"), 1000.0))
    row, document, layout = await lookup.find_with_metadata(database, "1.7")
    assert (row.availability, document, layout) == (Availability.NEARLINE, None, None)


async def test_the_key_of_a_study_is_that_of_any_of_its_objects(database, new_instance, put):
    assert await lookup.key_of_study(database, "1.2.3") is None
    await put(new_instance())
    assert await lookup.key_of_study(database, "1.2.3") == bytes(16)


async def test_metadata_comes_in_the_order_asked_for_as_far_as_it_fits(database, new_instance, put):
    many = [new_instance(sop=f"1.{n}") for n in range(5)]
    await put(*many)
    await database.write(lambda db: remote.learn(db, listed("1.9"), 1000.0))
    rows = {row.ref.sop_uid: row for row in await lookup.find(database, "1.2.3")}
    ids = [rows[sop].instance_id for sop in ("1.4", "1.9", "1.0", "1.1", "1.2", "1.3")]
    length = len(many[0].document)
    of = {one.ref.sop_uid: one.document for one in many}
    assert await lookup.documents(database, ids, 100 * length) == [
        of["1.4"],
        None,
        *(of[f"1.{n}"] for n in range(4)),
    ]
    assert await lookup.documents(database, ids, 2 * length) == [
        of["1.4"],
        None,
        of["1.0"],
        of["1.1"],
    ]
    assert await lookup.documents(database, ids, 0) == [of["1.4"], None]
