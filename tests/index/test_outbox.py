"""Messages to peers: their order, their bounds, and what a person decides."""

import pytest

from edge.index import outbox
from edge.index.database import Database
from edge.index.outbox import Delivery


@pytest.fixture
async def database(tmp_path):
    async with Database(tmp_path / "index.db", bytes(32)) as opened:
        yield opened


async def queue(database, sop_uid, operation="N-SET", peers=("RIS",), now=1.0):
    await database.write(lambda db: outbox.put(db, peers, operation, "1.9", sop_uid, b"{}", now))


async def due(database, now=10.0, peer="RIS"):
    return [(one.message_id, one.sop_uid) for one in await outbox.due(database, peer, now, 10)]


async def settle(database, message_id, state, retry_at=0.0):
    await database.write(lambda db: outbox.settle(db, message_id, state, "why", retry_at, 5.0))


async def test_only_the_first_of_each_instance_is_due(database):
    for sop_uid in ("1.1", "1.2", "1.1"):
        await queue(database, sop_uid)
    assert await due(database) == [(1, "1.1"), (2, "1.2")]
    await settle(database, 1, Delivery.DUE, retry_at=100.0)
    assert await due(database) == [(2, "1.2")]
    assert await outbox.due_times(database, 10.0) == {"RIS": 0.0}
    await settle(database, 2, Delivery.DONE)
    assert await outbox.due_times(database, 10.0) == {"RIS": 100.0}
    assert await due(database, now=100.0) == [(1, "1.1")]
    await settle(database, 1, Delivery.DONE)
    assert await due(database, now=100.0) == [(3, "1.1")]


async def test_a_time_that_a_wrong_clock_wrote_is_due(database):
    await queue(database, "1.1")
    await settle(database, 1, Delivery.DUE, retry_at=10 * 86400.0)
    await database.write(lambda db: outbox.fail_peer(db, "RIS", "away", 10 * 86400.0, 1.0))
    assert await due(database) == [(1, "1.1")]
    assert await outbox.due_times(database, 10.0) == {"RIS": 0.0}


async def test_what_was_sent_and_not_answered_is_due_again(database):
    await queue(database, "1.1")
    assert await database.write(lambda db: outbox.mark_sent(db, 1))
    (message,) = await outbox.due(database, "RIS", 10.0, 10)
    assert message.state is Delivery.SENT
    await settle(database, 1, Delivery.DONE)
    assert not await database.write(lambda db: outbox.mark_sent(db, 1))


async def test_a_refused_beginning_holds_what_follows_and_a_refused_change_does_not(database):
    await queue(database, "1.1", "N-CREATE")
    await queue(database, "1.1")
    await queue(database, "1.2", "N-SET")
    await queue(database, "1.2", "N-SET")
    await settle(database, 1, Delivery.REFUSED)
    await settle(database, 3, Delivery.REFUSED)
    assert await due(database) == [(4, "1.2")]
    assert (await outbox.counts(database)).refused == 2
    assert await database.write(lambda db: outbox.retry(db, [1])) == 1
    assert await due(database) == [(1, "1.1"), (4, "1.2")]
    assert await database.write(lambda db: outbox.retry(db, None)) == 4


async def test_what_is_dropped_takes_along_what_waits_behind_it(database):
    for sop_uid in ("1.1", "1.1", "1.2"):
        await queue(database, sop_uid)
    assert await database.write(lambda db: outbox.drop(db, [1], 5.0)) == 2
    assert await due(database) == [(3, "1.2")]
    assert await database.write(lambda db: outbox.retry(db, [1, 2])) == 0
    assert (await outbox.counts(database)).dropped == 2
    assert await database.write(lambda db: outbox.drop(db, [1], 5.0)) == 0


async def test_too_many_drop_the_oldest_of_that_peer(database, monkeypatch):
    monkeypatch.setattr(outbox, "MOST_WAITING", 3)
    await queue(database, "1.1", "N-CREATE", peers=("RIS", "OTHER"))
    await queue(database, "1.1")
    for number in range(2, 4):
        await queue(database, f"1.{number}")
    assert [uid for _, uid in await due(database)] == ["1.2", "1.3"]
    assert [uid for _, uid in await due(database, peer="OTHER")] == ["1.1"]
    assert (await outbox.counts(database)).dropped == 2


async def test_a_study_is_queued_once_until_it_is_said(database):
    def tell(db):
        outbox.notify(db, ["RIS"], "1.2.3", 1.0)

    await database.write(tell)
    await database.write(tell)
    assert (await outbox.counts(database)).waiting == 1
    await database.write(lambda db: outbox.mark_sent(db, 1))
    await database.write(tell)
    assert (await outbox.counts(database)).waiting == 2


async def test_a_peer_in_trouble_is_known_until_it_listens(database):
    await queue(database, "1.1")
    for tries in (1, 2):
        await database.write(lambda db: outbox.fail_peer(db, "RIS", "away", 50.0, 1.0))
        (trouble,) = await outbox.troubles(database)
        assert (trouble.tries, trouble.reason) == (tries, "away")
    assert await outbox.due_times(database, 10.0) == {"RIS": 50.0}
    await database.write(lambda db: outbox.reached(db, "RIS"))
    assert await outbox.troubles(database) == []


async def test_what_is_over_is_forgotten_after_its_time(database):
    await queue(database, "1.1")
    await queue(database, "1.2")
    await settle(database, 1, Delivery.DONE)
    assert await database.write(lambda db: outbox.forget_before(db, 6.0)) == 1
    assert await database.read("SELECT sop_uid FROM outbox") == [("1.2",)]
