"""Lists of studies as screens show them, on a real index."""

from __future__ import annotations

from datetime import date

import pytest

from edge.dicom.instance import Custody, Level
from edge.dicom.query import Match, Query
from edge.index import copies, instances, lookup, pins, search, studies
from edge.index.custody import Primary
from edge.index.pins import Pin, Pinned
from edge.index.study_lines import Here, Order, Vouched, Wanted
from edge.index.summary import summary

NOBODY = Pinned.of((), date(2026, 11, 30))
CT, MR = ("CS", "CT"), ("CS", "MR")


@pytest.fixture
def study(new_instance, put):
    """Puts an instance of a study with a number."""

    async def call(number, *, series=1, sop=1, **attributes):
        uid = f"1.2.{number}.{series}"
        one = new_instance(f"1.2.{number}", uid, f"{uid}.{sop}", **attributes)
        await put(one)
        return one

    return call


@pytest.fixture
def find(database):
    async def call(**wanted):
        total, lines = await studies.find(database, Wanted(**wanted), NOBODY)
        assert total >= len(lines)
        return [int(line.study_uid.rsplit(".", 1)[-1]) for line in lines]

    return call


@pytest.fixture
def settle(database):
    async def call(one, custody):
        found = await lookup.find_one(database, one.ref.sop_uid)
        await database.write(
            lambda db: Primary().settle(db, found.instance_id, custody, "", 0.0, 2000.0)
        )
        return found.instance_id

    return call


async def away(database, one):
    await database.write(
        lambda db: db.execute(
            "UPDATE instances SET availability = 'NEARLINE', object = NULL WHERE sop_uid = ?",
            (one.ref.sop_uid,),
        )
    )


async def worst(database, number):
    """Of a study, and of each of its series."""
    uid = f"1.2.{number}"
    line = await studies.study(database, uid, NOBODY)
    return line.custody, [one.custody for one in await studies.series_of(database, uid)]


async def test_filters_and_orders(find, study):
    await study(1, t00080060=CT, t00080020=("DA", "20240103"))
    await study(2, t00080060=MR, t00080020=("DA", "20240101"))
    await study(3, t00080060=MR)
    assert await find() == [1, 2, 3]
    assert await find(order=Order.ARRIVAL) == [3, 2, 1]
    assert await find(order=Order.ARRIVAL, limit=1, offset=1) == [2]
    assert await find(modality="MR") == [2, 3]
    assert await find(first_day="20240102") == [1]
    assert await find(last_day="20240102") == [2]
    assert await find(text="mr 2024") == [2]
    assert await find(senders=frozenset({"MODALITY"})) == [1, 2, 3]
    assert await find(senders=frozenset({"OTHER"})) == []


async def test_how_much_is_here_is_said_as_searches_say_it(database, find, study):
    await study(1)
    gone = await study(2)
    await study(2, sop=2)
    await study(3)
    for one in (gone, await study(4)):
        await away(database, one)
    assert await find(here=Here.WHOLE) == [3, 1]
    assert await find(here=Here.PARTLY) == [2]
    assert await find(here=Here.NOT) == [4]
    query = Query(Level.STUDY, (Match(("00080056",), ("ONLINE",)),))
    said = [answer["0020000D"]["Value"] async for answer in search.search(database, query)]
    assert sorted(said) == [["1.2.1"], ["1.2.3"]]


async def test_more_than_a_few_are_counted_and_paged_alike(find, study, monkeypatch):
    for number in range(1, 6):
        await study(number)
    few = await find(limit=2, offset=1)
    monkeypatch.setattr(studies, "_FEW", 2)
    assert await find(limit=2, offset=1) == few == [4, 3]


async def test_a_study_and_its_series_say_the_same_of_who_vouches(database, find, study, settle):
    await settle(await study(1), Custody.VERIFIED)
    await study(1, series=2)
    assert await worst(database, 1) == (Vouched.ONLY_HERE, [Vouched.SAFE, Vouched.ONLY_HERE])
    await settle(await study(2), Custody.ACKNOWLEDGED)
    assert await worst(database, 2) == (Vouched.UNPROVEN, [Vouched.UNPROVEN])
    assert await find(custody=Vouched.ONLY_HERE) == [1]
    assert await find(custody=Vouched.UNPROVEN) == [2]


async def test_what_a_second_archive_has_is_only_here_at_no_level(database, find, study):
    one = await study(1)
    await database.write(lambda db: copies.enrol(db, "second"))
    await database.write(
        lambda db: db.execute("UPDATE copies SET custody = 'VERIFIED' WHERE archive = 'second'")
    )
    line = await studies.study(database, one.ref.study_uid, NOBODY)
    assert line.waiting == 1
    assert await worst(database, 1) == (Vouched.SAFE, [Vouched.SAFE])
    assert await find(custody=Vouched.ONLY_HERE) == []


async def test_what_is_in_quarantine_is_only_here_at_each_level(
    database, find, study, settle, new_instance, put
):
    kept = await study(1)
    await settle(kept, Custody.VERIFIED)
    await settle(await study(1, series=2), Custody.VERIFIED)
    [result] = await put(
        new_instance(kept.ref.study_uid, kept.ref.series_uid, kept.ref.sop_uid, content=b"other")
    )
    assert (await summary(database)).quarantined == 1, result
    assert await worst(database, 1) == (Vouched.ONLY_HERE, [Vouched.ONLY_HERE, Vouched.SAFE])
    assert await find(custody=Vouched.ONLY_HERE) == [1]


async def test_trouble_and_loss_are_worse(database, find, study, settle):
    await settle(await study(1), Custody.REFUSED)
    assert await worst(database, 1) == (Vouched.TROUBLE, [Vouched.TROUBLE])
    assert await find(custody=Vouched.TROUBLE) == [1]
    lost = await study(1, sop=2)
    await database.write(
        lambda db: db.execute(
            "UPDATE instances SET availability = 'UNAVAILABLE', object = NULL WHERE sop_uid = ?",
            (lost.ref.sop_uid,),
        )
    )
    assert await worst(database, 1) == (Vouched.LOST, [Vouched.LOST])


async def test_what_is_hidden_is_not_there(database, find, study):
    await study(1)
    await database.write(lambda db: db.execute("UPDATE instances SET withheld = 'REJECTED'"))
    assert await find() == []
    assert await studies.study(database, "1.2.1", NOBODY) is None
    assert await studies.series_of(database, "1.2.1") == ()


async def test_series_stand_in_their_order(database, study):
    await study(1, series=1)
    await study(1, series=2, t00200011=("IS", 7))
    await study(1, series=3, t00200011=("IS", 2))
    found = await studies.series_of(database, "1.2.1")
    assert [one.series_uid for one in found] == ["1.2.1.3", "1.2.1.2", "1.2.1.1"]


async def test_a_patient_is_an_id_and_its_issuer_where_both_are_known(database, study):
    same = {"t00100020": ("LO", "P1")}
    await study(1, **same, t00080020=("DA", "20240101"))
    await study(2, **same, t00080020=("DA", "20240102"))
    await study(3, **same, t00100021=("LO", "HERE"), t00080020=("DA", "20240103"))
    await study(4, **same, t00100021=("LO", "THERE"), t00080020=("DA", "20240104"))
    await study(5)
    await study(6)

    async def others(number, senders=frozenset()):
        lines = await studies.studies_of_patient(database, f"1.2.{number}", senders, NOBODY)
        return [int(line.study_uid.rsplit(".", 1)[-1]) for line in lines]

    assert await others(1) == [4, 3, 2]
    assert await others(3) == [2, 1]
    assert await others(5) == []
    assert await others(1, frozenset({"MODALITY"})) == [4, 3, 2]
    assert await others(1, frozenset({"OTHER"})) == []


async def test_pins_of_a_study_and_of_its_patient_are_told_apart(database, find, study):
    await study(1, t00100020=("LO", "P1"))
    await study(2)
    for pin in (Pin("study", "1.2.2", "", 1.0, "x"), Pin("patient", "P1", "", 1.0, "x")):
        await database.write(lambda db, pin=pin: pins.add(db, pin))
    assert await studies.pinned_by(database, "1.2.1") == (False, True)
    assert await studies.pinned_by(database, "1.2.2") == (True, False)
    assert await studies.pinned_by(database, "1.2.9") == (False, False)
    assert sorted(await find(pinned=True)) == [1, 2]


async def test_a_study_without_instances_left_is_forgotten(database, find, study):
    one = await study(1)
    found = await lookup.find_one(database, one.ref.sop_uid)
    await database.write(lambda db: instances.forget(db, found.instance_id))
    assert await find() == []
