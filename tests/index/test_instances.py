"""How rows come to be and change; counters never drift from the rows."""

from __future__ import annotations

import dataclasses

import pytest

from edge.dicom.instance import Availability, Custody
from edge.index import lookup, residence
from edge.index.instances import PutResult
from edge.index.summary import summary
from tests.index.rows import counters_are_true


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
    first = rows[0][0]
    assert rows == [(number, "CREATE") for number in range(first, first + 5)]


async def test_the_same_data_set_under_another_transfer_syntax_is_another_one(
    database, new_instance, put
):
    one = new_instance()
    others = [
        dataclasses.replace(one, object=str(n) * 32, transfer_syntax=f"1.2.840.10008.1.2.4.{n}")
        for n in (5, 7)
    ]
    again = dataclasses.replace(others[0], object="a" * 32)
    assert await put(one, *others, again) == [
        PutResult.STORED,
        PutResult.QUARANTINED,
        PutResult.QUARANTINED,
        PutResult.DUPLICATE,
    ]


async def lost(database, one, custody):
    await database.write(
        lambda db: db.execute("UPDATE instances SET custody = ?", (custody,)).rowcount
    )
    await database.write(lambda db: residence.lose(db, [one.object]))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Custody.EDGE_ONLY, Custody.EDGE_ONLY),
        (Custody.SENT, Custody.SENT),
        (Custody.REFUSED, Custody.SENT),
        (Custody.CONFLICT, Custody.SENT),
    ],
)
@pytest.mark.parametrize("content", [b"first", b"corrected"])
async def test_what_is_sent_in_place_of_a_lost_instance_takes_it(
    database, new_instance, put, before, after, content
):
    one = new_instance(sop="1.9", content=b"first")
    await put(one)
    await lost(database, one, before)
    corrected = new_instance(sop="1.9", content=content)
    assert await put(corrected) == [PutResult.STORED]
    (row,) = await lookup.find(database, "1.2.3")
    assert (row.object, row.custody) == (corrected.object, after)
    assert row.availability is Availability.ONLINE
    assert await counters_are_true(database)


async def test_a_lost_instance_that_is_sent_with_its_study_corrected_moves_there(
    database, new_instance, put
):
    one = new_instance(sop="1.9", content=b"first")
    await put(one)
    await lost(database, one, Custody.EDGE_ONLY)
    corrected = new_instance(sop="1.9", content=b"second", study="1.2.4", series="1.2.4.1")
    assert await put(corrected) == [PutResult.STORED]
    assert await lookup.find(database, "1.2.3") == []
    (row,) = await lookup.find(database, "1.2.4", "1.2.4.1")
    assert row.object == corrected.object
    assert await database.read("SELECT count(*) FROM studies") == [(1,)]
    assert await counters_are_true(database)


async def test_a_number_that_no_column_holds_keeps_no_instance_out(database, new_instance, put):
    one = new_instance(t00200013=("IS", 2**70), t00200011=("IS", "1e30"))
    assert await put(one) == [PutResult.STORED]
