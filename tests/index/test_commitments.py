"""Transactions of storage commitment, in the index."""

from __future__ import annotations

import pytest

from edge.index import commitments
from edge.index.commitments import Asked, CommitmentsFull, Standing

CT = "1.2.840.10008.5.1.4.1.1.2"
DAY = 86400.0


def asked(*numbers, uid="1.9", peer="CT1"):
    return Asked(peer, uid, tuple((CT, f"1.2.3.{number}") for number in numbers))


@pytest.fixture
def ask(database):
    async def call(request, now=1000.0, **most):
        most = {"max_open": 100, "max_each": 100} | most
        return await database.write(lambda db: commitments.ask(db, request, now, **most))

    return call


async def contents(database):
    return await database.read(
        "SELECT c.peer, c.transaction_uid, t.place, t.sop_uid FROM commitments c"
        " JOIN commitment_items t ON t.commitment_id = c.id ORDER BY c.id, t.place"
    )


async def decide(database, now=2000.0):
    rows = await database.read("SELECT id, asked FROM commitments WHERE outcome = ''")
    await database.write(lambda db: commitments.advance(db, [(*row, None) for row in rows], now))


async def test_the_same_request_again_changes_nothing_but_that_it_is_reported_now(database, ask):
    assert await ask(asked(1, 2))
    before = await contents(database)
    await decide(database)
    (one,) = await commitments.due(database, "CT1", 10)
    await database.write(lambda db: commitments.postpone(db, one, 2000.0, (5.0, 60.0), "it is off"))
    assert await commitments.due_peers(database, 2000.0, DAY) == []
    assert not await ask(asked(2, 1), now=2500.0)
    assert await contents(database) == before
    assert await commitments.due_peers(database, 2500.0, DAY) == ["CT1"]
    (again,) = await commitments.due(database, "CT1", 10)
    assert (again.asked, again.tries) == (1000.0, 1)


async def test_more_under_the_same_uid_is_added_while_it_is_open(database, ask):
    await ask(asked(1, 2))
    await decide(database)
    assert await ask(asked(2, 3), now=3000.0)
    assert [row[3] for row in await contents(database)] == ["1.2.3.1", "1.2.3.2", "1.2.3.3"]
    assert [row[2] for row in await contents(database)] == [0, 1, 2]
    ((instances, decided, when),) = await database.read(
        "SELECT instances, decided, asked FROM commitments"
    )
    assert (instances, decided, when) == (3, 0.0, 3000.0)


async def test_a_report_of_less_than_was_asked_meanwhile_ends_nothing(database, ask):
    await ask(asked(1))
    await decide(database)
    (one,) = await commitments.due(database, "CT1", 10)
    await ask(asked(1, 2), now=2100.0)
    await database.write(lambda db: commitments.reported(db, one, 2200.0, 0))
    assert (await commitments.standing(database)).waiting == 1
    assert len(await contents(database)) == 2


async def test_a_transaction_that_is_over_begins_anew(database, ask):
    await ask(asked(1))
    await decide(database)
    (one,) = await commitments.due(database, "CT1", 10)
    await database.write(lambda db: commitments.reported(db, one, 2200.0, 1))
    assert await contents(database) == []
    (known,) = await commitments.page(database, limit=10, offset=0)
    assert (known.outcome, known.instances, known.failed) == ("REPORTED", 1, 1)
    assert await ask(asked(1), now=4000.0)
    assert len(await contents(database)) == 1
    assert (await commitments.standing(database)).waiting == 1


async def test_the_same_uid_of_two_peers_is_two_transactions(database, ask):
    await ask(asked(1))
    await ask(asked(2, peer="CT2"))
    assert [row[0] for row in await contents(database)] == ["CT1", "CT2"]
    assert await commitments.open_peers(database) == ["CT1", "CT2"]


async def test_a_peer_has_so_much_waiting_and_others_are_not_hindered(database, ask):
    await ask(asked(1, 2, 3), max_open=4)
    with pytest.raises(CommitmentsFull):
        await ask(asked(4, 5, uid="1.8"), max_open=4)
    with pytest.raises(CommitmentsFull):
        await ask(asked(1, 2, 3, 4, 5), max_open=4)
    assert await ask(asked(4, uid="1.8"), max_open=4)
    assert await ask(asked(1, 2, 3, 4, peer="CT2"), max_open=4)
    assert len(await contents(database)) == 8


async def test_one_transaction_has_so_many_instances_however_often_it_is_asked_for(database, ask):
    await ask(asked(1, 2, 3), max_each=4)
    with pytest.raises(CommitmentsFull, match="more than 4 instances in one transaction"):
        await ask(asked(4, 5), max_each=4)
    assert await ask(asked(3, 4), max_each=4)
    assert len(await contents(database)) == 4


async def test_an_instance_that_is_named_twice_counts_once(database, ask):
    await ask(Asked("CT1", "1.9", ((CT, "1.2"), (CT, "1.2"), ("1.3", "1.2"))))
    ((instances,),) = await database.read("SELECT instances FROM commitments")
    assert instances == len(await contents(database)) == 2


async def test_retry_and_forget_are_about_what_they_name(database, ask):
    for uid in ("1.1", "1.2", "1.3"):
        await ask(asked(1, uid=uid))
    await decide(database)
    await ask(asked(1, uid="1.4"))
    first, second, _ = await commitments.due(database, "CT1", 10)
    for one in (first, second):
        await database.write(
            lambda db, one=one: commitments.postpone(db, one, 2000.0, (5.0, 60.0), "it is off")
        )
    assert await database.write(lambda db: commitments.give_up(db, "CT1", 5000.0, 1999.0, 1)) == 0
    assert await database.write(lambda db: commitments.give_up(db, "CT1", 5000.0, 2000.0, 2)) == 0
    assert await database.write(lambda db: commitments.give_up(db, "CT1", 5000.0, 2000.0, 1)) == 2
    assert await commitments.standing(database) == Standing(1, 1, 2, "CT1: it is off")
    assert await database.write(lambda db: commitments.retry(db, ["1.1", "1.4"], 6000.0)) == 1
    assert [one.transaction_uid for one in await commitments.due(database, "CT1", 9)] == [
        "1.1",
        "1.3",
    ]
    assert await database.write(lambda db: commitments.forget(db, None)) == 1
    assert await database.write(lambda db: commitments.forget(db, ["1.3", "1.4", "1.5"])) == 2
    assert [row[1] for row in await contents(database)] == ["1.1"]
    assert await commitments.count(database) == 1


async def test_a_clock_that_was_ahead_holds_nothing_up(database, ask):
    await ask(asked(1), now=1e9)
    await decide(database, now=1e9)
    await database.write(lambda db: commitments.turn_back_clock(db, 1000.0, DAY))
    (one,) = await commitments.due(database, "CT1", 10)
    assert (one.asked, one.decided) == (1000.0, 1000.0)
    await database.write(lambda db: commitments.postpone(db, "CT1", 1e9, (5.0, 60.0), "it is off"))
    assert await commitments.due_peers(database, 1000.0, DAY) == ["CT1"]


async def test_what_was_over_long_ago_is_forgotten(database, ask):
    await ask(asked(1))
    await decide(database)
    (one,) = await commitments.due(database, "CT1", 10)
    await ask(asked(1, uid="1.8"))
    await database.write(lambda db: commitments.reported(db, one, 2200.0, 0))
    assert await database.write(lambda db: commitments.purge(db, 2200.0)) == 0
    assert await database.write(lambda db: commitments.purge(db, 2201.0)) == 1
    assert await commitments.count(database) == 1


async def test_the_next_retry_is_the_earliest(database, ask):
    assert await commitments.next_retry(database, 1000.0) is None
    for number, uid in enumerate(("1.1", "1.2")):
        await ask(asked(1, uid=uid), now=1000.0 + number)
    await decide(database)
    for one in await commitments.due(database, "CT1", 10):
        await database.write(
            lambda db, one=one: commitments.postpone(db, one, one.asked, (5000.0, 1e4), "off")
        )
    assert await commitments.next_retry(database, 2000.0) == 6000.0
