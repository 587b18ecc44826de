"""How it stands with each instance of a transaction is read from its row, whenever it is asked."""

from __future__ import annotations

import pytest

from edge.index import commitment_items, commitments
from edge.index.commitment_items import Patience, State
from edge.index.commitments import Asked

CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
SOP = "1.2.3.1.77"
ASKED = 5000.0
STRICT = Patience((), absent_before=0.0, undecided_before=0.0)
AT_EDGE = Patience(("CT1",), absent_before=0.0, undecided_before=0.0)


@pytest.fixture
def state_of(database):
    """How it stands with an instance, and whether that is decided."""

    async def find(patience=STRICT, sop_class=CT, sop=SOP):
        asked = Asked("CT1", "1.9", ((sop_class, sop),))
        await database.write(lambda db: commitments.forget(db, ["1.9"]))
        await database.write(
            lambda db: commitments.ask(db, asked, ASKED, max_open=100, max_each=100)
        )
        ((number,),) = await database.read("SELECT id FROM commitments")
        (item,) = await commitment_items.items(database, number, patience)
        (waiting,) = await commitment_items.waiting(database, patience)
        assert (waiting.state, waiting.is_decided) == (item.state, item.is_decided)
        found = await commitment_items.first_undecided(database, number, 0, patience)
        assert found == (None if item.is_decided else 0)
        return item.state, item.is_decided

    return find


@pytest.fixture
def row(database, put, new_instance):
    """Have the instance, with columns set to these."""

    async def make(**columns):
        await put(new_instance(sop=SOP))
        for name, value in columns.items():
            sql = f"UPDATE instances SET {name} = ? WHERE sop_uid = ?"
            await database.write(lambda db, sql=sql, value=value: db.execute(sql, (value, SOP)))

    return make


WAITS, COMMITTED = (State.WAITING, False), (State.COMMITTED, True)


@pytest.mark.parametrize("custody", ["EDGE_ONLY", "SENT", "ACKNOWLEDGED", "CONFLICT", "REFUSED"])
async def test_what_no_archive_verifiably_has_waits_or_is_committed_at_the_edge(
    row, state_of, custody
):
    await row(custody=custody)
    assert await state_of() == WAITS
    assert await state_of(AT_EDGE) == COMMITTED


@pytest.mark.parametrize("availability", ["ONLINE", "NEARLINE"])
async def test_what_the_archive_verifiably_has_is_committed_wherever_it_is(
    row, state_of, availability
):
    await row(custody="VERIFIED", availability=availability)
    assert await state_of() == COMMITTED
    assert await state_of(AT_EDGE) == COMMITTED


async def test_what_the_archive_only_lists_is_not_here(row, state_of):
    await row(custody="ACKNOWLEDGED", availability="NEARLINE")
    assert (await state_of())[0] is State.ABSENT
    assert (await state_of(AT_EDGE))[0] is State.ABSENT


@pytest.mark.parametrize(
    "columns",
    [
        {"withheld": "REJECTED"},
        {"custody": "VERIFIED", "withheld": "TRASH"},
        {"availability": "UNAVAILABLE"},
    ],
)
async def test_what_is_hidden_or_lost_is_not_here(row, state_of, columns):
    await row(**columns)
    assert (await state_of())[0] is State.ABSENT
    assert (await state_of(AT_EDGE))[0] is State.ABSENT


async def test_what_is_not_here_may_still_come_for_a_while(state_of):
    assert await state_of() == (State.ABSENT, False)
    late = Patience((), absent_before=ASKED + 1, undecided_before=0.0)
    assert await state_of(late) == (State.ABSENT, True)


async def test_what_waited_too_long_is_decided(row, state_of):
    await row()
    late = Patience((), absent_before=0.0, undecided_before=ASKED + 1)
    assert await state_of(late) == (State.WAITING, True)


@pytest.mark.parametrize("patience", [STRICT, AT_EDGE])
async def test_an_instance_of_another_class_is_told_whatever_vouches_for_it(
    row, state_of, patience
):
    await row(custody="VERIFIED")
    assert await state_of(patience, MR) == (State.CONFLICTING, True)
    assert await state_of(patience) == COMMITTED


@pytest.mark.parametrize(("role", "expected"), [("failover", COMMITTED), ("copy", WAITS)])
async def test_an_archive_that_stands_in_counts_and_one_for_copies_does_not(
    database, row, state_of, role, expected
):
    await row()
    await database.write(
        lambda db: db.execute(
            "INSERT INTO archives (name, role, online, since) VALUES ('other', ?, 1, 1)", (role,)
        )
    )
    await database.write(
        lambda db: db.execute(
            "INSERT INTO copies (archive, instance_id, custody)"
            " SELECT 'other', id, 'VERIFIED' FROM instances"
        )
    )
    assert await state_of() == expected


async def test_nothing_is_said_of_a_study_that_the_archive_is_seen_to_miss(database, row, state_of):
    await row(custody="VERIFIED")
    await database.write(
        lambda db: db.execute(
            "INSERT INTO absences (study_id, state, is_whole, sweep, since)"
            " SELECT id, 'SUSPECTED', 1, 1, 1 FROM studies"
        )
    )
    assert await state_of() == WAITS
    assert await state_of(AT_EDGE) == COMMITTED


async def test_of_two_versions_nobody_knows_which_is_the_devices(database, row, state_of):
    await row(custody="VERIFIED")
    await database.write(
        lambda db: db.execute(
            "INSERT INTO quarantine (study_uid, series_uid, sop_uid, object, key_id, content_bytes,"
            " sealed_bytes, transfer_syntax, dataset_digest, origin, peer, received)"
            " VALUES ('1', '2', ?, 'x', x'00', 1, 1, '1.2', x'00', 'DIMSE', 'CT1', 1)",
            (SOP,),
        )
    )
    assert await state_of() == WAITS
    assert await state_of(AT_EDGE) == COMMITTED  # both are sealed here


async def test_what_a_person_gave_up_fails_at_once(database, row, state_of):
    await row(custody="REFUSED")
    assert await state_of() == WAITS
    await database.write(lambda db: db.execute("UPDATE disputes SET given_up = 1"))
    assert await state_of() == (State.REFUSED, True)
    assert await state_of(AT_EDGE) == COMMITTED


async def test_looking_goes_on_where_it_stopped(database, put, new_instance):
    new = [new_instance(sop=f"1.2.3.1.{number}") for number in range(6)]
    await put(*new)
    asked = Asked("CT1", "1.9", tuple((CT, one.ref.sop_uid) for one in new))
    await database.write(lambda db: commitments.ask(db, asked, ASKED, max_open=100, max_each=100))

    async def verify(*numbers):
        for number in numbers:
            await database.write(
                lambda db, number=number: db.execute(
                    "UPDATE instances SET custody = 'VERIFIED' WHERE sop_uid = ?",
                    (f"1.2.3.1.{number}",),
                )
            )

    await verify(0, 1, 3)
    assert await commitment_items.first_undecided(database, 1, 0, STRICT) == 2
    await verify(2, 4, 5)
    assert await commitment_items.first_undecided(database, 1, 2, STRICT) is None
