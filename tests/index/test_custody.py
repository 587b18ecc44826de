"""The queue is a question to the index."""

from __future__ import annotations

from edge.dicom.instance import Custody
from edge.index import custody, lookup, remote
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


PRIORITY = "t00401003"


async def in_turn(database):
    return [row.ref.sop_uid for row in await PRIMARY.unsent(database, 2000.0, 100)]


async def test_what_is_urgent_goes_first_and_the_rest_study_by_study(database, new_instance, put):
    low = new_instance("1.1", "1.1.1", "9.1", **{PRIORITY: ("SH", "LOW")})
    usual = new_instance("1.2", "1.2.1", "9.2")
    high = new_instance("1.3", "1.3.1", "9.3", **{PRIORITY: ("SH", "HIGH")})
    request = {"00401003": {"vr": "SH", "Value": ["stat "]}}
    stat = new_instance("1.4", "1.4.1", "9.4", t00400275=("SQ", request))
    await put(low, usual, high, stat)
    assert await in_turn(database) == ["9.4", "9.3", "9.2", "9.1"]


async def test_a_study_that_a_person_wants_first_goes_before_all_and_what_comes_of_it(
    database, new_instance, put
):
    stat = new_instance("1.1", "1.1.1", "9.1", **{PRIORITY: ("SH", "STAT")})
    await put(stat, new_instance("1.2", "1.2.1", "9.2"))
    assert await database.write(lambda db: custody.upload_first(db, "1.2", True)) == 1
    await put(new_instance("1.2", "1.2.1", "9.3"))
    assert await in_turn(database) == ["9.2", "9.3", "9.1"]
    assert await database.write(lambda db: custody.upload_first(db, "1.2", False)) == 2
    assert await in_turn(database) == ["9.1", "9.2", "9.3"]
    assert await database.write(lambda db: custody.upload_first(db, "1.9", True)) is None


async def test_first_middle_and_last_of_each_series_go_before_the_rest(database, new_instance, put):
    for series in ("1.1", "1.2"):
        await put(*(new_instance("1", series, f"{series}.{number}") for number in range(1, 8)))
    assert await database.write(custody.choose_previews) == 2
    assert await database.write(custody.choose_previews) == 0
    turn = await in_turn(database)
    assert turn[:6] == ["1.1.1", "1.1.4", "1.1.7", "1.2.1", "1.2.4", "1.2.7"]
    assert turn[6:] == [
        f"{series}.{number}" for series in ("1.1", "1.2") for number in (2, 3, 5, 6)
    ]


async def test_previews_are_chosen_anew_when_a_series_grew(database, new_instance, put):
    await put(*(new_instance("1", "1.1", f"1.1.{number}") for number in (1, 2, 3)))
    await database.write(custody.choose_previews)
    await put(*(new_instance("1", "1.1", f"1.1.{number}") for number in (4, 5, 6, 7)))
    await database.write(custody.choose_previews)
    assert (await in_turn(database))[:3] == ["1.1.1", "1.1.4", "1.1.7"]


async def test_the_queue_is_read_in_the_order_of_its_index(database):
    plan = await database.read(
        f"EXPLAIN QUERY PLAN {custody.UNSENT_IN_TURN}", (0.0, custody.FARTHEST, 256)
    )
    steps = [row[3] for row in plan]
    assert steps == ["SCAN instances USING INDEX instances_in_turn"]
