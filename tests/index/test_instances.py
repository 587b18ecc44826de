"""How rows come to be and change; counters never drift from the rows."""

from __future__ import annotations

import dataclasses

from edge.dicom.instance import Availability, Custody
from edge.index import lookup
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
