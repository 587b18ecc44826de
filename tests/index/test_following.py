"""What a feed changes in the index."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sqlcipher3

from edge.cache.changes import Changes
from edge.cache.custody import CustodyLedger
from edge.dicom.instance import Availability, Custody, InstanceRef, Origin
from edge.dicom.remote import RemoteInstance, RemoteSeries, RemoteStudy
from edge.index import copies, following, instances, lookup, remote
from edge.index.database import Database
from edge.index.following import Replaced

NOW = 1_700_000_000.0
ONLINE, NEARLINE = "1.2.3.1.1", "1.2.3.1.2"


def listed(*sop_uids, study="1.2.3"):
    rows = tuple(
        RemoteInstance(uid, "1.2.840.10008.5.1.4.1.1.2", {"00200013": {"vr": "IS", "Value": [1]}})
        for uid in sop_uids
    )
    attributes = {"00200011": {"vr": "IS", "Value": [1]}}
    return RemoteStudy(study, "print", {}, (RemoteSeries(f"{study}.1", attributes, rows),))


@pytest.fixture
async def database(tmp_path):
    async with Database(tmp_path / "index.db", bytes(32)) as opened:
        yield opened


@pytest.fixture
def ledger(database):
    return CustodyLedger(database, Changes(), clock=lambda: NOW)


@pytest.fixture
async def filled(database, ledger, new_instance):
    """One VERIFIED that is here, and one that only the archive has, with metadata."""

    def fill(db):
        new = new_instance(sop=ONLINE, origin=Origin.DIMSE, custody=Custody.EDGE_ONLY)
        instances.insert(db, new, NOW)
        db.execute("UPDATE instances SET custody = 'VERIFIED', verified = ?", (NOW,))
        remote.learn(db, listed(NEARLINE), NOW)
        remote.set_document(db, NEARLINE, {"00080018": {"vr": "UI", "Value": [NEARLINE]}}, NOW)

    await ledger.set_roles({"cloud": "primary", "second": "failover"})
    await database.write(fill)
    return database


async def custody_of(database, sop_uid):
    return (await lookup.find_one(database, sop_uid)).custody


def ref(sop_uid):
    return InstanceRef("1.2.3", "1.2.3.1", sop_uid)


async def test_what_is_known_is_told_with_where_it_is(filled, ledger):
    known = await ledger.known([ONLINE, NEARLINE, "1.2.9"])
    assert set(known) == {ONLINE, NEARLINE}
    assert known[ONLINE] == following.Known(
        Availability.ONLINE, NOW, True, True, of=("1.2.3", "1.2.3.1")
    )
    assert known[NEARLINE] == following.Known(
        Availability.NEARLINE, NOW, False, True, of=("1.2.3", "1.2.3.1")
    )


async def test_what_was_replaced_and_is_here_is_verified_anew(filled, ledger):
    await ledger.follow("cloud", [], [Replaced(ref(ONLINE)), Replaced(ref(NEARLINE))], ("c", "1"))
    assert await custody_of(filled, ONLINE) is Custody.ACKNOWLEDGED
    assert await custody_of(filled, NEARLINE) is Custody.ACKNOWLEDGED
    (owed,) = await ledger.unverified(NOW, max_count=10)
    assert owed.ref == ref(ONLINE)
    kept = (await lookup.find_with_metadata(filled, ONLINE))[1]
    assert kept is not None, "what is here has the metadata of what is here"


async def test_metadata_of_what_was_replaced_are_renewed_or_forgotten(filled, ledger):
    today = {"00204000": {"vr": "LT", "Value": ["corrected"]}}
    await ledger.follow("cloud", [], [Replaced(ref(NEARLINE), today)], ("c", "1"))
    document = (await lookup.find_with_metadata(filled, NEARLINE))[1]
    assert document == instances.pack(today)
    await ledger.follow("cloud", [], [Replaced(ref(NEARLINE))], ("c", "2"))
    assert (await lookup.find_with_metadata(filled, NEARLINE))[1] is None


async def test_whoever_follows_this_box_is_told(filled, ledger):
    await ledger.follow("cloud", [], [Replaced(ref(NEARLINE))], ("c", "1"))
    last = await filled.read("SELECT action, sop_uid FROM changes ORDER BY sequence DESC LIMIT 1")
    assert last == [("UPDATE", NEARLINE)]


async def test_another_archive_is_doubted_for_itself_only(filled, ledger):
    await filled.write(lambda db: copies.enrol(db, "second"))
    await filled.write(
        lambda db: db.execute(
            "INSERT OR REPLACE INTO copies (archive, instance_id, custody)"
            " SELECT 'second', id, 'VERIFIED' FROM instances WHERE sop_uid = ?",
            (ONLINE,),
        )
    )
    await ledger.follow("second", [], [Replaced(ref(ONLINE))], ("c", "1"))
    assert await custody_of(filled, ONLINE) is Custody.VERIFIED
    assert await filled.read("SELECT custody FROM copies") == [("ACKNOWLEDGED",)]


async def test_rows_and_cursor_commit_together_or_not_at_all(filled, ledger):
    study = listed("1.2.8.1", study="1.2.8")
    with pytest.raises(sqlcipher3.IntegrityError):
        await ledger.follow("cloud", [study], [Replaced(ref(ONLINE))], ("c", None))
    assert await lookup.find_one(filled, "1.2.8.1") is None
    assert await custody_of(filled, ONLINE) is Custody.VERIFIED
    assert await ledger.cursor("c") is None
    await ledger.follow("cloud", [study], [Replaced(ref(ONLINE))], ("c", "1"))
    assert await lookup.find_one(filled, "1.2.8.1") is not None
    assert await custody_of(filled, ONLINE) is Custody.ACKNOWLEDGED
    assert await ledger.cursor("c") == "1"


async def test_a_study_that_can_not_be_kept_leaves_no_half_and_stops_no_other(filled, ledger):
    sound = listed("1.2.7.1", study="1.2.7")
    [other] = sound.series
    strange_series = replace(other, series_uid="1.2.7.2", attributes=None)
    nonsense = replace(sound, series=(other, strange_series))
    good = listed("1.2.8.1", study="1.2.8")
    strange = await ledger.follow("cloud", [nonsense, good], [], ("c", "1"))
    assert len(strange) == 1
    assert await filled.read("SELECT 1 FROM studies WHERE study_uid = '1.2.7'") == []
    assert await lookup.find_one(filled, "1.2.8.1") is not None
    assert await ledger.cursor("c") == "1"
