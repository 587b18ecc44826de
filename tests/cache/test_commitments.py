"""When a transaction is decided, what is said then, and for whom: on a clock that is turned."""

from __future__ import annotations

import pytest

from edge import config, others
from edge.cache.changes import Changes
from edge.cache.commitments import (
    DAY,
    FEWEST_TRIES,
    FIRST_PAUSE,
    LONGEST_PAUSE,
    Asked,
    Commitments,
    FailureReason,
)
from edge.index import commitment_items
from edge.index.database import Database

CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
VERIFICATION = "1.2.840.10008.1.1"
CLOUD = config.Cloud((others.Archive("cloud", "https://cloud"),))


class Ledger:
    """Commitments over a real index, and instances whose custody is set as a test likes."""

    def __init__(self, database, **dimse):
        self.now = 1_000_000.0
        self.database = database
        self.changes = Changes()
        self.configure(**dimse)

    def configure(self, cloud=CLOUD, **dimse):
        whole = config.Config(dimse=config.Dimse(**dimse), cloud=cloud)
        self.commitments = Commitments(self.database, self.changes, whole, lambda: self.now)

    async def have(self, *sops, custody="EDGE_ONLY", sop_class=CT):
        def write(db):
            db.execute(
                "INSERT OR IGNORE INTO studies (id, study_uid, created) VALUES (1, '1.2', 1)"
            )
            db.execute(
                "INSERT OR IGNORE INTO series (id, study_id, series_uid, created, attributes)"
                " VALUES (1, 1, '1.2.1', 1, '{}')"
            )
            for sop in sops:
                db.execute(
                    "INSERT INTO instances (study_id, series_id, sop_uid, sop_class_uid,"
                    " availability, custody, origin, received, last_used)"
                    " VALUES (1, 1, ?, ?, 'ONLINE', ?, 'DIMSE', 1, 1)"
                    " ON CONFLICT (sop_uid) DO UPDATE SET custody = excluded.custody",
                    (sop, sop_class, custody),
                )

        await self.database.write(write)

    async def ask(self, *sops, uid="1.9", peer="CT1", sop_class=CT):
        await self.commitments.ask(Asked(peer, uid, tuple((sop_class, sop) for sop in sops)))

    async def decided(self, peer="CT1"):
        """What can be reported after a look."""
        await self.commitments.decide()
        return await self.commitments.due(peer)


@pytest.fixture
async def ledger(tmp_path):
    async with Database(tmp_path / "index.db", bytes(32)) as database:
        yield Ledger(database)


async def test_all_are_committed_once_each_is_and_not_before(ledger):
    await ledger.have("1.1", "1.2", "1.3")
    await ledger.ask("1.1", "1.2", "1.3")
    for number in ("1.2", "1.1", "1.3"):
        assert await ledger.decided() == []
        await ledger.have(number, custody="VERIFIED")
    (one,) = await ledger.decided()
    verdict = await ledger.commitments.verdict(one)
    assert verdict.committed == ((CT, "1.1"), (CT, "1.2"), (CT, "1.3"))
    assert verdict.failed == ()


async def test_each_failure_has_its_reason(ledger):
    await ledger.have("1.1", custody="VERIFIED")
    await ledger.have("1.2", custody="VERIFIED", sop_class=MR)
    await ledger.have("1.4", custody="REFUSED")
    await ledger.commitments.ask(
        Asked("CT1", "1.9", (*((CT, f"1.{n}") for n in range(1, 5)), (VERIFICATION, "1.5")))
    )
    assert await ledger.decided() == []
    ledger.now += 14 * DAY + 1
    (one,) = await ledger.decided()
    verdict = await ledger.commitments.verdict(one)
    assert verdict.committed == ((CT, "1.1"),)
    assert verdict.failed == (
        (CT, "1.2", FailureReason.CLASS_INSTANCE_CONFLICT),
        (CT, "1.3", FailureReason.NO_SUCH_OBJECT_INSTANCE),
        (CT, "1.4", FailureReason.PROCESSING_FAILURE),
        (VERIFICATION, "1.5", FailureReason.SOP_CLASS_NOT_SUPPORTED),
    )


async def test_the_last_image_may_come_after_the_request(ledger):
    await ledger.have("1.1", custody="VERIFIED")
    await ledger.ask("1.1", "1.2")
    asked = ledger.now
    assert await ledger.commitments.decide() == asked  # looked at again: it waits for another one
    assert await ledger.commitments.decide() == asked + 60.0
    ledger.now += 59
    assert await ledger.decided() == []
    await ledger.have("1.2", custody="VERIFIED")
    (one,) = await ledger.decided()
    assert (await ledger.commitments.verdict(one)).failed == ()


async def test_what_does_not_come_fails_and_what_comes_later_still_counts(ledger):
    await ledger.ask("1.1")
    ledger.now += 61
    (one,) = await ledger.decided()
    (failed,) = (await ledger.commitments.verdict(one)).failed
    assert failed == (CT, "1.1", FailureReason.NO_SUCH_OBJECT_INSTANCE)
    # The report does not get through; meanwhile the image is sent after all.
    await ledger.commitments.not_reported(one, "it refuses")
    await ledger.have("1.1")
    ledger.now += 3600
    (one,) = await ledger.commitments.due("CT1")
    assert await ledger.commitments.verdict(one) is None
    assert await ledger.decided() == []
    await ledger.have("1.1", custody="VERIFIED")
    (one,) = await ledger.decided()
    assert (await ledger.commitments.verdict(one)).committed == ((CT, "1.1"),)


async def test_what_was_verified_and_is_doubted_before_the_report_is_not_reported(ledger):
    await ledger.have("1.1", "1.2", custody="VERIFIED")
    await ledger.ask("1.1", "1.2")
    (one,) = await ledger.decided()
    await ledger.have("1.2", custody="SENT")
    assert await ledger.commitments.verdict(one) is None
    assert await ledger.decided() == []
    standing = (await ledger.commitments.page()).items[0]
    assert standing.decided == 0


async def test_an_instance_that_was_passed_over_is_looked_at_again_before_all_is_decided(ledger):
    await ledger.have("1.1", custody="VERIFIED")
    await ledger.have("1.2")
    await ledger.ask("1.1", "1.2")
    assert await ledger.decided() == []
    await ledger.have("1.1", custody="SENT")
    await ledger.have("1.2", custody="VERIFIED")
    assert await ledger.decided() == []
    await ledger.have("1.1", custody="VERIFIED")
    assert len(await ledger.decided()) == 1


@pytest.mark.parametrize(
    ("dimse", "cloud", "at_edge"),
    [
        ({}, CLOUD, False),
        ({}, config.Cloud(), True),
        ({"commit_after": "edge"}, CLOUD, True),
        ({"peer": (others.Peer("CT1", commit_after="edge"),)}, CLOUD, True),
        ({"peer": (others.Peer("CT2", commit_after="edge"),)}, CLOUD, False),
        (
            {"commit_after": "edge", "peer": (others.Peer("CT1", commit_after="cloud"),)},
            CLOUD,
            False,
        ),
        (
            {"peer": (others.Peer("CT1", "a", commit_after="edge"), others.Peer("CT1", "b"))},
            CLOUD,
            False,
        ),
    ],
)
async def test_what_is_committed_is_a_choice_per_peer_and_the_careful_one_counts(
    ledger, dimse, cloud, at_edge
):
    ledger.configure(cloud, **dimse)
    await ledger.have("1.1")
    await ledger.ask("1.1")
    assert bool(await ledger.decided()) is at_edge


async def test_a_report_is_tried_less_and_less_often_and_then_given_up_after_days(ledger):
    await ledger.have("1.1", custody="VERIFIED")
    await ledger.ask("1.1")
    await ledger.decided()
    began, pauses = ledger.now, []
    while not await ledger.commitments.unreachable("CT1", "it is off"):
        again = await ledger.commitments.next_retry()
        pauses.append(again - ledger.now)
        ledger.now = again
    assert pauses[:4] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE, 8 * FIRST_PAUSE]
    assert max(pauses) == LONGEST_PAUSE
    assert 7 * DAY <= ledger.now - began <= 7 * DAY + LONGEST_PAUSE
    (known,) = (await ledger.commitments.page()).items
    assert (known.outcome, known.reason) == ("GIVEN_UP", "it is off")
    assert await ledger.commitments.retry(["1.9"]) == 1
    assert len(await ledger.commitments.due("CT1")) == 1


async def test_a_box_that_was_off_for_weeks_does_not_give_up_at_its_first_try(ledger):
    await ledger.have("1.1", custody="VERIFIED")
    await ledger.ask("1.1")
    await ledger.decided()
    ledger.now += 30 * DAY
    for _ in range(FEWEST_TRIES - 1):
        assert await ledger.commitments.unreachable("CT1", "it is off") == 0
        ledger.now += LONGEST_PAUSE
    assert await ledger.commitments.unreachable("CT1", "it is off") == 1


async def test_what_was_reported_is_listed_for_a_month(ledger):
    await ledger.have("1.1", custody="VERIFIED")
    await ledger.ask("1.1", "1.2")
    ledger.now += 61
    (one,) = await ledger.decided()
    await ledger.commitments.reported(one, await ledger.commitments.verdict(one))
    assert await ledger.decided() == []
    (known,) = (await ledger.commitments.page()).items
    assert (known.outcome, known.instances, known.failed) == ("REPORTED", 2, 1)
    ledger.now += 29 * DAY
    await ledger.commitments.tidy()
    assert (await ledger.commitments.page()).total == 1
    ledger.now += 2 * DAY
    await ledger.commitments.tidy()
    assert (await ledger.commitments.page()).total == 0


async def test_what_is_not_decided_says_what_it_waits_for(ledger):
    await ledger.have("1.1", custody="VERIFIED")
    await ledger.have("1.2", "1.3")
    await ledger.ask("1.1", "1.2", "1.3", "1.4")
    await ledger.ask("1.1", uid="1.8")
    await ledger.ask("1.4", peer="CT2")
    asked = ledger.now

    async def listed():
        page = (await ledger.commitments.page()).items
        return [(one.peer, one.absent, one.absent_until, one.unsafe) for one in page]

    assert await listed() == [
        ("CT1", 1, asked + 60.0, 2),
        ("CT1", 0, 0.0, 0),  # nothing is lacking, and it was not looked at yet
        ("CT2", 1, asked + 60.0, 0),
    ]
    ledger.now += 61
    assert await listed() == [("CT1", 0, 0.0, 2), ("CT1", 0, 0.0, 0), ("CT2", 0, 0.0, 0)]
    await ledger.have("1.2", "1.3", custody="VERIFIED")
    assert len(await ledger.decided()) == 2
    assert {one[1:] for one in await listed()} == {(None, 0.0, None)}


async def test_of_a_long_list_the_first_are_looked_at(ledger, monkeypatch):
    monkeypatch.setattr("edge.cache.commitments.MOST_TALLIED", 3)
    await ledger.have("1.1")
    await ledger.ask("1.1", "1.2", uid="1.8")
    await ledger.ask("1.1", "1.2", uid="1.9")
    first, second = (await ledger.commitments.page()).items
    assert (first.absent, first.unsafe) == (1, 1)
    assert (second.absent, second.unsafe) == (None, None)


async def test_of_what_waits_for_weeks_one_instance_each_is_looked_at(ledger):
    sops = [f"1.7.{number}" for number in range(4000)]
    await ledger.have(*sops[:100], custody="VERIFIED")
    await ledger.have(*sops[100:])
    for number in range(20):
        await ledger.ask(*sops, uid=f"1.9.{number}")
    assert await ledger.decided() == []
    patience = await ledger.commitments._patience(ledger.now)
    seen = await commitment_items.waiting(ledger.database, patience)
    assert [one.place for one in seen] == [100] * 20
    plan = await ledger.database.read(
        "EXPLAIN QUERY PLAN SELECT t.place FROM commitments c CROSS JOIN commitment_items t"
        " ON t.commitment_id = c.id WHERE t.place = c.place AND c.outcome = '' AND c.decided = 0"
    )
    assert "PRIMARY KEY (commitment_id=? AND place=?)" in plan[-1][-1]
    await ledger.have(*sops, custody="VERIFIED")
    assert len(await ledger.decided()) == 20
