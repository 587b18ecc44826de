"""The queue is a question to the index."""

from __future__ import annotations

from edge.dicom.instance import Custody
from edge.index import lookup, remote
from edge.index.custody import Primary
from tests.index.rows import listed

PRIMARY = Primary()


async def test_what_is_owed_is_computed_from_custody_and_time(database, new_instance, put):
    waiting, sent, later = (new_instance() for _ in range(3))
    await put(waiting, sent, later, new_instance(custody=Custody.VERIFIED))
    ids = {row.ref: row.instance_id for row in await lookup.find(database, "1.2.3")}
    await database.write(lambda db: PRIMARY.mark_sent(db, [ids[sent.ref]]))
    await database.write(
        lambda db: PRIMARY.settle(db, ids[later.ref], Custody.EDGE_ONLY, "busy", 5000.0, 2000.0)
    )
    unsent = (Custody.EDGE_ONLY, Custody.SENT)
    due = await PRIMARY.due(database, unsent, 2000.0, 10)
    assert {row.ref for row in due} == {waiting.ref, sent.ref}
    assert await PRIMARY.next_due(database, unsent, 2000.0) == 5000.0
    due = await PRIMARY.due(database, unsent, 5000.0, 10)
    assert [row.tries for row in due if row.ref == later.ref] == [1]


async def test_a_settlement_without_a_retry_forgets_the_tries(database, new_instance, put):
    one = new_instance()
    await put(one)
    row = await lookup.find_one(database, one.ref.sop_uid)
    for retry_at, tries in ((10.0, 1), (20.0, 2), (0.0, 0)):
        await database.write(
            lambda db, at=retry_at: PRIMARY.settle(
                db, row.instance_id, Custody.ACKNOWLEDGED, "words", at, 1.0
            )
        )
        assert (await lookup.find_one(database, one.ref.sop_uid)).tries == tries


async def test_only_what_is_here_can_be_sent(database):
    await database.write(lambda db: remote.learn(db, listed("1.1"), 1000.0))
    assert await PRIMARY.due(database, tuple(Custody), 1e12, 10) == []


async def test_a_retry_of_a_clock_that_was_ahead_is_due_at_once(database, new_instance, put):
    one = new_instance()
    await put(one)
    row = await lookup.find_one(database, one.ref.sop_uid)
    year = 365 * 86400.0
    await database.write(
        lambda db: PRIMARY.settle(db, row.instance_id, Custody.EDGE_ONLY, "", 1000.0 + year, 1000.0)
    )
    due = await PRIMARY.due(database, (Custody.EDGE_ONLY,), 1000.0, 10)
    assert [found.ref for found in due] == [one.ref]
