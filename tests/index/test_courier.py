"""What is under way on a disk, as the index knows it."""

from __future__ import annotations

import time

import pytest

from edge.dicom.instance import Custody
from edge.index import courier
from edge.index.courier import Seen
from edge.index.summary import summary


async def add(database, *sops, custody="EDGE_ONLY"):
    """Instances of one study, with the digest that each name has."""

    def write(db):
        db.execute("INSERT OR IGNORE INTO studies (id, study_uid, created) VALUES (1, '1.2', 1.0)")
        db.execute(
            "INSERT OR IGNORE INTO series (id, study_id, series_uid, created, attributes)"
            " VALUES (1, 1, '1.2.1', 1.0, '{}')"
        )
        for sop in sops:
            db.execute(
                "INSERT INTO instances (study_id, series_id, sop_uid, availability, object,"
                " content_bytes, dataset_digest, custody, origin, received, last_used)"
                " VALUES (1, 1, ?, 'ONLINE', ?, 10, ?, ?, 'DIMSE', 1.0, 1.0)",
                (sop, sop, sop.encode(), custody),
            )

    await database.write(write)


async def pack(database, bundle, *sops, at=5.0):
    def write(db):
        courier.begin(db, bundle, at)
        courier.pack(db, bundle, [(sop, sop.encode()) for sop in sops], at)

    await database.write(write)


async def outcomes(database):
    rows = await database.read(
        "SELECT i.sop_uid, c.bundle, c.outcome FROM courier c"
        " JOIN instances i ON i.id = c.instance_id ORDER BY 1, 2"
    )
    return {(sop, bundle): outcome for sop, bundle, outcome in rows}


async def move(database, sop, custody):
    await database.write(
        lambda db: db.execute("UPDATE instances SET custody = ? WHERE sop_uid = ?", (custody, sop))
    )


def seen(sop, custody=Custody.VERIFIED, outcome="VERIFIED"):
    return Seen(sop, outcome, custody, 50.0, sop.encode(), "", lasting=True, theirs=None)


async def test_what_is_on_its_way_is_counted_once_and_since_the_first(database):
    await add(database, "a", "b", "c")
    await pack(database, "1", "a", "b", at=7.0)
    await pack(database, "2", "a", at=9.0)
    numbers = await summary(database)
    assert (numbers.by_courier, numbers.by_courier_since) == (2, 7.0)
    waiting, _ = await courier.waiting(database, [], again=False)
    assert len(waiting) == 1
    waiting, _ = await courier.waiting(database, [], again=True)
    assert len(waiting) == 3
    assert await courier.under_way(database, "1") == 2


@pytest.mark.parametrize(
    ("custody", "outcome"),
    [
        ("ACKNOWLEDGED", "OVERTAKEN"),
        ("VERIFIED", "OVERTAKEN"),
        ("CONFLICT", "OVERTAKEN"),
        ("SENT", ""),
        ("REFUSED", ""),
    ],
)
async def test_what_the_archive_says_overtakes_every_disk(database, custody, outcome):
    await add(database, "a", "b")
    for bundle in ("1", "2"):
        await pack(database, bundle, "a", "b")
    await move(database, "a", custody)
    found = await outcomes(database)
    assert found["a", "1"] == found["a", "2"] == outcome
    assert found["b", "1"] == ""


async def test_what_is_known_of_a_bundle_stays_when_it_is_read_again(database):
    await add(database, "a", "b")
    await pack(database, "1", "a")
    await database.write(lambda db: courier.settle(db, "1", seen("a"), 99.0))
    await database.write(lambda db: courier.forget(db, "1"))
    await pack(database, "1", "a", "b")
    assert await outcomes(database) == {("a", "1"): "VERIFIED", ("b", "1"): ""}
    # One that the archive has already is not under way.
    await add(database, "c", custody="VERIFIED")
    await pack(database, "1", "c", "unknown")
    assert (await outcomes(database))["c", "1"] == "OVERTAKEN"


async def test_a_receipt_speaks_once_and_of_its_own_bundle(database):
    await add(database, "a")
    await pack(database, "1", "a")
    assert await database.write(lambda db: courier.settle(db, "2", seen("a"), 99.0)) == ""
    assert await database.write(lambda db: courier.settle(db, "1", seen("a"), 99.0)) == "VERIFIED"
    rows = await database.read("SELECT custody, verified FROM instances")
    assert rows == [("VERIFIED", 50.0)]
    await move(database, "a", "SENT")
    assert await database.write(lambda db: courier.settle(db, "1", seen("a"), 99.0)) == ""
    assert await database.read("SELECT custody FROM instances") == [("SENT",)]


async def test_a_bundle_that_was_closed_is_remembered_as_such(database):
    await add(database, "a")
    assert await courier.knows(database, "1") is None
    await pack(database, "1", "a")
    assert await courier.knows(database, "1") == 0.0
    now = time.time()
    await database.write(lambda db: courier.close(db, "1", now))
    assert await courier.knows(database, "1") == now
    assert await outcomes(database) == {}


async def test_what_is_deleted_is_not_under_way(database):
    await add(database, "a")
    await pack(database, "1", "a")
    await database.write(lambda db: db.execute("DELETE FROM instances"))
    assert (await summary(database)).by_courier == 0


async def test_what_a_copy_is_sent_of_needs_the_line(database):
    await add(database, "a", "b")
    await database.write(
        lambda db: db.execute(
            "INSERT INTO remedies (instance_id, transfer_syntax, attributes)"
            " SELECT id, '', '{}' FROM instances WHERE sop_uid = 'a'"
        )
    )
    waiting, by_line = await courier.waiting(database, [], again=False)
    assert (len(waiting), by_line) == (1, 1)
    assert len(await courier.rows(database, [one.instance_id for one in waiting])) == 1
