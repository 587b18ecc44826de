"""Dead letters and conflicts in the index: found with all that is known, decided in one write."""

from __future__ import annotations

from functools import partial

import pytest

from edge.dicom.instance import Custody
from edge.index import disputes, lookup, remedies, residence
from edge.index.custody import Primary
from edge.index.disputes import Query, Theirs
from edge.index.summary import summary
from tests.index.rows import counters_are_true

PRIMARY = Primary()
REFUSED, CONFLICT = Custody.REFUSED, Custody.CONFLICT
NAME = ("PN", {"Alphabetic": "SAMPLE^ONE"})


@pytest.fixture
async def settle(database):
    async def call(sop_uid, now_is, reason="", retry_at=0.0):
        row = await lookup.find_one(database, sop_uid)
        await database.write(
            lambda db: PRIMARY.settle(db, row.instance_id, now_is, reason, retry_at, 2000.0)
        )
        return row.instance_id

    return call


async def test_a_dead_letter_is_found_with_patient_time_and_the_archives_words(
    database, put, new_instance, settle
):
    await put(new_instance(sop="1.1", t00100010=NAME, t00100020=("LO", "P1")))
    await settle("1.1", REFUSED, "reason 0122: no")
    [found] = await disputes.find(database, REFUSED, Query())
    assert (found.patient_name, found.patient_id) == ("SAMPLE^ONE", "P1")
    assert (found.reason, found.refusals, found.given_up) == ("reason 0122: no", 1, 0)
    assert found.since > 1e9
    assert found.remedy is None


async def test_since_when_and_how_often_count_from_the_first_refusal(
    database, put, new_instance, settle
):
    await put(new_instance(sop="1.1"))
    await settle("1.1", REFUSED, retry_at=3000.0)
    [first] = await disputes.find(database, REFUSED, Query())
    await settle("1.1", Custody.SENT)
    assert await disputes.find(database, REFUSED, Query()) == []
    await settle("1.1", REFUSED)
    [again] = await disputes.find(database, REFUSED, Query())
    assert (again.since, again.refusals) == (first.since, 2)
    await settle("1.1", Custody.ACKNOWLEDGED)
    assert await database.read("SELECT * FROM disputes") == []


async def test_pages_are_newest_first_and_counted_whole(database, put, new_instance, settle):
    for number in range(5):
        await put(new_instance(sop=f"1.{number}", study=f"9.{number % 2}", series=f"9.{number}.1"))
        instance_id = await settle(f"1.{number}", REFUSED)
        await database.write(
            lambda db, at=1000.0 + number, of=instance_id: db.execute(
                "UPDATE disputes SET since = ? WHERE instance_id = ?", (at, of)
            )
        )
    page = await disputes.find(database, REFUSED, Query(limit=2, offset=1))
    assert [one.ref.sop_uid for one in page] == ["1.3", "1.2"]
    assert await disputes.count(database, REFUSED, Query(limit=2, offset=1)) == 5
    of_study = await disputes.find(database, REFUSED, Query(study_uid="9.1"))
    assert [one.ref.sop_uid for one in of_study] == ["1.3", "1.1"]


async def test_a_retry_is_due_at_once_and_is_harmless_when_repeated(
    database, put, new_instance, settle
):
    await put(new_instance(sop="1.1"))
    instance_id = await settle("1.1", REFUSED)
    assert await PRIMARY.due(database, [Custody.EDGE_ONLY, REFUSED], 5000.0, 10) == []
    assert await database.write(partial(disputes.retry, instance_id=instance_id))
    [due] = await PRIMARY.due(database, [Custody.EDGE_ONLY], 5000.0, 10)
    assert due.instance_id == instance_id
    assert not await database.write(partial(disputes.retry, instance_id=instance_id))
    assert await counters_are_true(database)


async def test_what_was_given_up_is_never_due_whatever_was_under_way(
    database, put, new_instance, settle
):
    await put(new_instance(sop="1.1"))
    instance_id = await settle("1.1", REFUSED, retry_at=3000.0)
    give_up = partial(disputes.give_up, instance_id=instance_id, words="a phantom", now=2500.0)
    assert await database.write(give_up)
    # It was on its way when that was decided, and is refused once more.
    await settle("1.1", Custody.SENT)
    await settle("1.1", REFUSED, retry_at=9000.0)
    assert await PRIMARY.next_due(database, [REFUSED], 0.0) is None
    assert await disputes.find(database, REFUSED, Query(given_up=False)) == []
    [found] = await disputes.find(database, REFUSED, Query(given_up=True))
    assert (found.given_up, found.words) == (2500.0, "a phantom")
    numbers = await summary(database)
    assert (numbers.given_up, numbers.studies_only_here) == (1, 1)
    assert await database.write(partial(disputes.retry, instance_id=instance_id))
    assert (await summary(database)).given_up == 0


async def test_what_is_sent_in_its_place_grows_by_decisions(database, put, new_instance, settle):
    await put(new_instance(sop="1.1"))
    instance_id = await settle("1.1", REFUSED)
    supplied = {"00100020": {"vr": "LO", "Value": ["A"]}}
    corrected = {"00100020": {"vr": "LO", "Value": ["B"]}, "00080050": {"vr": "SH", "Value": ["1"]}}
    for write in (
        partial(remedies.transcode, instance_id=instance_id, transfer_syntax="1.2"),
        partial(remedies.supply, instance_id=instance_id, attributes=supplied),
        partial(remedies.supply, instance_id=instance_id, attributes=corrected),
        partial(remedies.note_sent, instance_id=instance_id, digest=b"d" * 32),
    ):
        await database.write(write)
    found = (await remedies.find(database, [instance_id, 99]))[instance_id]
    assert (found.transfer_syntax, found.attributes) == ("1.2", corrected)
    assert found.sent_digest == b"d" * 32


async def test_what_a_copy_was_sent_of_is_never_evictable(database, put, new_instance, settle):
    await put(new_instance(sop="1.1"), new_instance(sop="1.2"))
    instance_id = await settle("1.1", Custody.VERIFIED)
    await settle("1.2", Custody.VERIFIED)
    limits = {"used_before": 1e12, "verified_since": 0.0, "max_bytes": 1e12}
    both = await residence.evictable(database, **limits)
    await database.write(
        partial(remedies.transcode, instance_id=instance_id, transfer_syntax="1.2")
    )
    assert [it.ref.sop_uid for it in await residence.evictable(database, **limits)] == ["1.2"]
    # Also if that was decided between choosing and evicting.
    evicted = await database.write(lambda db: residence.evict(db, both))
    assert [it.ref.sop_uid for it in evicted] == ["1.2"]


async def test_a_decision_about_a_conflict_stands_until_it_is_carried_out(
    database, put, new_instance, settle
):
    await put(new_instance(sop="1.1"))
    instance_id = await settle("1.1", CONFLICT)
    theirs = Theirs(b"t" * 32, "1.2.840.10008.1.2.1", 777)
    await database.write(lambda db: disputes.note_theirs(db, instance_id, theirs))
    assert await disputes.undone(database, 10) == []
    note = partial(disputes.note_decision, instance_id=instance_id, decision="keep-archive")
    assert await database.write(note)
    [found] = await disputes.undone(database, 10)
    assert (found.decision, found.theirs) == ("keep-archive", theirs)
    end = partial(disputes.end_decision, instance_id=instance_id, custody=CONFLICT, words="no")
    await database.write(end)
    assert await disputes.undone(database, 10) == []
    [found] = await disputes.find(database, CONFLICT, Query())
    assert (found.decision, found.words) == ("", "no")
    await settle("1.1", Custody.SENT)
    assert not await database.write(note)


async def test_what_is_in_quarantine_is_found_beside_what_is_kept(database, put, new_instance):
    kept = new_instance(sop="1.1", content=b"kept", t00100020=("LO", "P1"))
    other = new_instance(sop="1.1", content=b"other")
    await put(kept, other)
    [found] = await disputes.find_aside(database, Query(sop_uids=("1.1",)))
    assert found.dataset_digest == other.dataset_digest
    assert found.kept[2] == kept.dataset_digest
    assert found.patient_id == "P1"
    assert await disputes.count(database, None, Query()) == 1
    assert await disputes.find_aside(database, Query(study_uid="9.9")) == []
    assert await database.write(lambda db: disputes.discard(db, other.object))
    assert not await database.write(lambda db: disputes.discard(db, other.object))
    assert await counters_are_true(database)
