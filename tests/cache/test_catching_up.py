"""What came while a newer version ran is known to the index of before that takes its place."""

from __future__ import annotations

import json
import time
from types import SimpleNamespace

import pytest

from edge.dicom.instance import Availability, Custody
from edge.dicom.remote import RemoteStudy
from edge.index import copies, custody, edits, residence, tombstones
from edge.index.copies import Further
from tests.cache.newer_index import SAMPLES, custody_of, evict, row_of, settle
from tests.index.rows import counters_are_true
from tests.notes import note
from tests.samples import ct_series

pytestmark = pytest.mark.blocks  # the tests make the newer index themselves

ARCHIVE = SimpleNamespace(url="http://127.0.0.1:9")
"""Nobody asks it anything: what would be asked stands in the index."""


def others(count=1):
    """Other bytes under the same UIDs."""
    made = list(ct_series(count, rows=16, columns=16, pixels="smooth"))
    assert [one.ref for one in made] == [one.ref for one in SAMPLES[:count]]
    return made


async def run(cache, sql, *values):
    await cache.database.write(lambda db: db.execute(sql, values))


async def delete(cache, sample, **more):
    await cache.deletion.delete(
        sample.ref.study_uid, sample.ref.series_uid, sample.ref.sop_uid, **more
    )


async def withdrawals(cache):
    rows = await tombstones.due(cache.database, time.time() + 1e6, 100)
    return {ref.sop_uid for ref, _ in rows}


@pytest.mark.parametrize("number", [0, 4], ids=["known before", "came since"])
@pytest.mark.parametrize("where", ["here", "evicted", "unreadable"])
async def test_what_was_deleted_and_sent_again_is_not_withdrawn(
    open_cache, updated, newer, tmp_path, number, where
):
    await updated()
    sample = SAMPLES[number]
    async with open_cache(archive=ARCHIVE) as cache:
        if number == 4:
            await cache.send(sample)
        await settle(cache, sample, Custody.VERIFIED)
        await delete(cache, sample, archive=True)
        assert await withdrawals(cache) == {sample.ref.sop_uid}
        await cache.send(sample)
        await settle(cache, sample, Custody.VERIFIED)
        if where == "evicted":
            await evict(cache, sample)
        name = (await row_of(cache, sample)).object
    if where == "unreadable":
        [path] = (tmp_path / "objects").rglob(name)
        path.write_bytes(b"the disk is failing")
    newer[1]()
    for _ in range(2):
        async with open_cache(archive=ARCHIVE) as cache:
            assert await withdrawals(cache) == set()
            row = await row_of(cache, sample)
            assert row.custody in (Custody.ACKNOWLEDGED, Custody.VERIFIED)
            is_here = row.availability is Availability.ONLINE
            assert is_here == (where == "here")
            assert await counters_are_true(cache.database)


async def test_a_deletion_of_before_that_was_taken_back_since_is_none(open_cache, updated, newer):
    async with open_cache(archive=ARCHIVE) as cache:
        await cache.send(SAMPLES[5])
        await settle(cache, SAMPLES[5], Custody.VERIFIED)
        await delete(cache, SAMPLES[5], archive=True)
    await updated()
    async with open_cache(archive=ARCHIVE) as cache:
        await cache.send(SAMPLES[5])
        await settle(cache, SAMPLES[5], Custody.VERIFIED)
        await evict(cache, SAMPLES[5])
    newer[1]()
    async with open_cache(archive=ARCHIVE) as cache:
        assert await withdrawals(cache) == set()
        assert await cache.database.read("SELECT 1 FROM tombstones") == []
        assert (await row_of(cache, SAMPLES[5])).availability is Availability.NEARLINE


@pytest.mark.parametrize(
    ("unread", "change"),
    [
        ("custody", "ALTER TABLE instances RENAME COLUMN custody TO care"),
        ("deletions", "ALTER TABLE tombstones RENAME TO graves"),
    ],
)
async def test_of_what_can_t_be_read_nothing_is_withdrawn(
    open_cache, updated, newer, unread, change
):
    await updated()
    async with open_cache(archive=ARCHIVE) as cache:
        await cache.send(SAMPLES[4])
        await settle(cache, SAMPLES[4], Custody.VERIFIED)
        await delete(cache, SAMPLES[4], archive=True)
        await cache.send(SAMPLES[4])
        await settle(cache, SAMPLES[4], Custody.VERIFIED)
        await evict(cache, SAMPLES[4])
        await run(cache, change)
    newer[1]()
    for number in range(2):
        async with open_cache(archive=ARCHIVE) as cache:
            if not number:
                assert cache.database.not_taken_over == unread
            assert await withdrawals(cache) == set()


async def test_values_of_another_form_are_no_reason_not_to_start(open_cache, updated, newer):
    await updated()
    [stranger] = ct_series(1, rows=16, columns=16, seed=9)
    async with open_cache() as cache:
        await cache.send(stranger)
        await settle(cache, stranger, Custody.VERIFIED)
        await run(cache, "UPDATE study_attributes SET attributes = 'of another form'")
    newer[1]()
    async with open_cache() as cache:
        unread = "custody, corrections of patients and studies"
        assert cache.database.not_taken_over == unread
        assert await cache.read(stranger.ref) == stranger.data
        assert await custody_of(cache, stranger) == Custody.SENT
        assert await custody_of(cache, SAMPLES[0]) == Custody.ACKNOWLEDGED


async def test_what_went_into_the_trash_twice_is_there(open_cache, updated, newer):
    async with open_cache() as cache:
        await cache.send(SAMPLES[5])
        await settle(cache, SAMPLES[5], Custody.VERIFIED)
        await cache.trash.put([SAMPLES[5].ref], archive="cloud", reason="gone")
    await updated()
    async with open_cache() as cache:
        await cache.send(SAMPLES[5])
        await settle(cache, SAMPLES[5], Custody.VERIFIED)
        await cache.trash.put([SAMPLES[5].ref], archive="cloud", reason="gone again")
        await cache.trash.tidy()
    newer[1]()
    for _ in range(2):
        async with open_cache() as cache:
            row = await row_of(cache, SAMPLES[5])
            assert (row.withheld, row.custody) == ("TRASH", Custody.VERIFIED)
            assert await cache.database.read("SELECT reason FROM trash") == [("gone again",)]
            assert await counters_are_true(cache.database)


async def test_what_the_newer_version_let_go_without_a_tombstone_is_gone(
    open_cache, updated, newer
):
    await updated()
    async with open_cache() as cache:
        await cache.trash.put([SAMPLES[0].ref], archive="cloud", reason="gone")
        [one] = await cache.trash.due(10) or await _due(cache)
        await cache.deletion.erase([one])
        assert await row_of(cache, SAMPLES[0]) is None
    newer[1]()
    async with open_cache() as cache:
        assert await row_of(cache, SAMPLES[0]) is None
        assert cache.report.lost == cache.report.fetchable == 0
        # Who follows the feed hears of it.
        rows = await cache.database.read("SELECT sop_uid FROM changes WHERE action = 'DELETE'")
        assert rows == [(SAMPLES[0].ref.sop_uid,)]


async def _due(cache):
    await run(cache, "UPDATE trash SET since = 0")
    return await cache.trash.due(10)


async def test_what_came_into_the_trash_and_out_of_it_is_so(open_cache, updated, newer):
    async with open_cache() as cache:
        await cache.send(SAMPLES[5])
        await settle(cache, SAMPLES[5], Custody.VERIFIED)
        await cache.trash.put([SAMPLES[5].ref], archive="cloud", reason="gone")
    await updated()
    async with open_cache() as cache:
        await cache.trash.put([SAMPLES[0].ref], archive="cloud", reason="gone")
        await cache.trash.take_back([SAMPLES[5].ref.sop_uid])
    newer[1]()
    for _ in range(2):
        async with open_cache() as cache:
            assert (await row_of(cache, SAMPLES[0])).withheld == "TRASH"
            row = await row_of(cache, SAMPLES[5])
            assert not row.withheld
            assert row.custody == Custody.SENT
            assert await cache.read(SAMPLES[5].ref) == SAMPLES[5].data
            assert await counters_are_true(cache.database)


async def test_what_was_rejected_since_is_shown_to_nobody(open_cache, updated, newer):
    await updated()
    async with open_cache() as cache:
        await cache.send(SAMPLES[4])
        for sample in (SAMPLES[0], SAMPLES[4]):  # the note itself was evicted since
            await run(
                cache,
                "INSERT INTO rejections VALUES (?, '1.2.3', '113037', 0)",
                sample.ref.sop_uid,
            )
            await run(
                cache,
                "UPDATE instances SET withheld = 'REJECTED' WHERE sop_uid = ?",
                sample.ref.sop_uid,
            )
    newer[1]()
    async with open_cache() as cache:
        assert (await row_of(cache, SAMPLES[0])).withheld == "REJECTED"
        assert (await row_of(cache, SAMPLES[4])).withheld == "REJECTED"
        assert not (await row_of(cache, SAMPLES[1])).withheld
        assert await counters_are_true(cache.database)


async def test_of_a_study_that_is_missed_everything_is_asked_again(open_cache, updated, newer):
    await updated()
    async with open_cache() as cache:
        await run(
            cache, "INSERT INTO absences SELECT id, 'HELD', 1, 1, 0 FROM studies WHERE 1 LIMIT 1"
        )
    newer[1]()
    async with open_cache() as cache:
        found = [await custody_of(cache, sample) for sample in SAMPLES[:3]]
        assert found == [Custody.ACKNOWLEDGED] * 3
        assert await cache.database.read("SELECT fingerprint FROM studies") == [("",)]


async def test_other_bytes_under_the_same_uid_take_its_place(open_cache, updated, newer):
    await updated()
    [other] = others()
    async with open_cache() as cache:
        await delete(cache, SAMPLES[0])
        await cache.send(other)
    newer[1]()
    async with open_cache() as cache:
        assert await cache.read(other.ref) == other.data
        assert await custody_of(cache, other) == Custody.SENT
        assert await cache.database.read("SELECT count(*) FROM quarantine") == [(0,)]
        assert cache.report.lost == 0


async def test_what_another_archive_has_alone_is_not_lost(open_cache, updated, newer):
    await updated()
    async with open_cache() as cache:
        row = await row_of(cache, SAMPLES[3])  # no archive had it before the update
        await run(
            cache, "INSERT INTO archives (name, role, online, since) VALUES ('b', 'failover', 1, 0)"
        )
        await run(
            cache,
            "INSERT INTO copies (archive, instance_id, custody) VALUES ('b', ?, 'VERIFIED')",
            row.instance_id,
        )
        await evict(cache, SAMPLES[3])
    newer[1]()
    async with open_cache() as cache:
        row = await row_of(cache, SAMPLES[3])
        assert (row.availability, row.custody) == (Availability.NEARLINE, Custody.EDGE_ONLY)
        assert cache.report.lost == 0
        # It is asked again, and then the primary archive gets it from there.
        [due] = await Further("b").due(
            cache.database, [Custody.ACKNOWLEDGED], time.time(), max_count=9
        )
        assert due.ref == SAMPLES[3].ref
        await run(cache, "UPDATE copies SET custody = 'VERIFIED'")
        assert await copies.absent(cache.database, "b", 9) == [SAMPLES[3].ref]
        assert await residence.quarantined_objects(cache.database) == []


async def test_who_waits_is_told_and_nobody_twice(open_cache, updated, newer):
    async with open_cache() as cache:
        await run(
            cache,
            "INSERT INTO outbox (peer, operation, sop_class_uid, sop_uid, queued)"
            " VALUES ('RIS', 'N-CREATE', '1.2', '1.2.1', 0)",
        )
    await updated()
    async with open_cache() as cache:
        await run(cache, "UPDATE outbox SET state = 'DONE'")
        await run(
            cache,
            "INSERT INTO commitments (peer, transaction_uid, asked, instances)"
            " VALUES ('CT', '1.2.3', 0, 1)",
        )
        await run(cache, "INSERT INTO commitment_items VALUES (1, 0, '1.2', '1.2.4')")
        await run(cache, "INSERT OR REPLACE INTO cursors VALUES ('line', 'spent')")
        await run(cache, "INSERT OR REPLACE INTO cursors VALUES ('sweep:cloud', 'later')")
    newer[1]()
    async with open_cache() as cache:
        assert cache.database.not_taken_over == ""
        read = cache.database.read
        assert await read("SELECT state FROM outbox") == [("DONE",)]
        assert await read("SELECT sop_uid FROM commitment_items") == [("1.2.4",)]
        assert await read("SELECT value FROM cursors WHERE name = 'line'") == [("spent",)]
        assert await read("SELECT value FROM cursors WHERE name = 'sweep:cloud'") == []


async def test_what_a_note_says_holds_though_the_note_is_made_anew(open_cache, updated, newer):
    said = note([SAMPLES[0].ref])
    async with open_cache() as cache:
        await cache.send(SAMPLES[0])
        await cache.send(said)
        await settle(cache, said, Custody.VERIFIED)
        await cache.trash.put([said.ref], archive="cloud", reason="gone")
    await updated()
    async with open_cache() as cache:
        await cache.trash.take_back([said.ref.sop_uid])
        await settle(cache, said, Custody.VERIFIED)
        await evict(cache, said)
        assert (await row_of(cache, SAMPLES[0])).withheld == "REJECTED"
    newer[1]()
    async with open_cache() as cache:
        assert (await row_of(cache, SAMPLES[0])).withheld == "REJECTED"
        assert (await row_of(cache, said)).availability is Availability.NEARLINE
        assert await counters_are_true(cache.database)


async def test_what_was_in_the_trash_is_not_sent_again(open_cache, updated, newer):
    async with open_cache() as cache:
        await cache.send(SAMPLES[5])
        await settle(cache, SAMPLES[5], Custody.VERIFIED)
        await cache.trash.put([SAMPLES[5].ref], archive="cloud", reason="gone")
    await updated()
    async with open_cache() as cache:  # more is missed of the study
        await run(cache, "INSERT INTO absences SELECT id, 'SUSPECTED', 0, 1, 0 FROM studies")
    newer[1]()
    async with open_cache() as cache:
        row = await row_of(cache, SAMPLES[5])
        assert (row.withheld, row.custody) == ("TRASH", Custody.VERIFIED)
        assert await custody_of(cache, SAMPLES[0]) == Custody.ACKNOWLEDGED


async def test_beside_a_row_no_tombstone_stands(open_cache, updated, newer):
    async with open_cache(archive=ARCHIVE) as cache:
        await cache.send(SAMPLES[5])
        await settle(cache, SAMPLES[5], Custody.VERIFIED)
        await delete(cache, SAMPLES[5], archive=True)
    await updated()
    async with open_cache(archive=ARCHIVE) as cache:
        await cache.send(SAMPLES[5])
        await settle(cache, SAMPLES[5], Custody.VERIFIED)
        await evict(cache, SAMPLES[5])
        await run(cache, "ALTER TABLE tombstones RENAME TO graves")
    newer[1]()
    async with open_cache(archive=ARCHIVE) as cache:
        assert cache.database.not_taken_over == "deletions"
        # Or else it could not be fetched: what the archive has of it would count as deleted.
        assert (await row_of(cache, SAMPLES[5])).availability is Availability.NEARLINE
        assert await cache.database.read("SELECT 1 FROM tombstones") == []


async def test_numbers_go_on_above_those_of_a_clock_that_was_ahead(open_cache, updated, newer):
    await updated()
    ahead = int(time.time() * 1000) + 10**12
    async with open_cache() as cache:
        await run(cache, "UPDATE sqlite_sequence SET seq = ? WHERE name = 'changes'", ahead)
        await cache.send(SAMPLES[4])
    newer[1]()
    async with open_cache() as cache:
        [(first,)] = await cache.database.read("SELECT min(sequence) FROM changes")
        assert first > ahead + 1


async def test_what_an_archive_got_since_is_there_though_it_is_not_here(
    open_cache, updated, newer, tmp_path
):
    async with open_cache() as cache:
        await cache.send(SAMPLES[5])
        name = (await row_of(cache, SAMPLES[5])).object
        await cache.store.delete(name)
        await cache.database.write(lambda db: residence.lose(db, [name]))
    await updated()
    async with open_cache() as cache:
        await cache.send(SAMPLES[5])
        await settle(cache, SAMPLES[5], Custody.VERIFIED)
        name = (await row_of(cache, SAMPLES[5])).object
    [path] = (tmp_path / "objects").rglob(name)
    path.write_bytes(b"the disk is failing")
    newer[1]()
    async with open_cache() as cache:
        row = await row_of(cache, SAMPLES[5])
        assert (row.availability, row.custody) == (Availability.NEARLINE, Custody.ACKNOWLEDGED)


async def test_what_is_adopted_is_not_called_lost(open_cache, updated, newer):
    await updated()
    async with open_cache() as cache:
        await cache.send(SAMPLES[4])
    newer[1]()
    async with open_cache() as cache:
        assert await cache.read(SAMPLES[4].ref) == SAMPLES[4].data
        assert await cache.database.read("SELECT DISTINCT reason FROM instances") == [("",)]


async def test_what_somebody_wants_to_go_up_first_does(open_cache, updated, newer):
    await updated()
    async with open_cache() as cache:
        await cache.send(SAMPLES[4])
        await cache.database.write(
            lambda db: custody.upload_first(db, SAMPLES[4].ref.study_uid, first=True)
        )
    newer[1]()
    async with open_cache() as cache:
        rows = await cache.database.read(
            "SELECT DISTINCT upload_first, priority FROM studies, instances"
        )
        assert rows == [(1, 0)]


RIGHT, WRONG = ({"00100010": {"vr": "PN", "Value": [{"Alphabetic": name}]}} for name in ("A", "B"))


@pytest.mark.parametrize("is_known", [True, False], ids=["known before", "came since"])
async def test_whose_images_they_are_was_corrected_and_is_so(open_cache, updated, newer, is_known):
    [single] = ct_series(1, rows=16, columns=16, seed=9)
    async with open_cache() as cache:
        if is_known:
            await cache.send(single)
    await updated()
    study_uid = single.ref.study_uid
    async with open_cache() as cache:
        await cache.send(single)
        await settle(cache, single, Custody.VERIFIED)
        await run(
            cache, "INSERT INTO archives (name, role, online, since) VALUES ('', 'primary', 1, 0)"
        )
        for said in (WRONG, RIGHT):
            study = RemoteStudy(study_uid, "f", said, ())
            held = await edits.survey(cache.database, study)
            await cache.database.write(
                lambda db, study=study, held=held: edits.note(
                    db, _number(db, study_uid), study, held, 1.0
                )
            )
        assert await edits.overlay_of(cache.database, study_uid) == RIGHT
    newer[1]()
    async with open_cache() as cache:
        assert cache.database.not_taken_over == ""
        # Study and images say the same, though the archive can't be asked.
        assert await edits.overlay_of(cache.database, study_uid) == RIGHT
        [(shown,)] = await cache.database.read(
            "SELECT a.attributes FROM study_attributes a JOIN studies s ON s.id = a.study_id"
            " WHERE s.study_uid = ?",
            (study_uid,),
        )
        assert json.loads(shown)["00100010"] == RIGHT["00100010"]
        assert len(await edits.history(cache.database, study_uid)) == 2
        assert await cache.database.read("SELECT announced FROM edits") == [(None,)] * 2
        # What the archive says next is compared with the original.
        original = await cache.database.read("SELECT original FROM overlays")
        assert json.loads(original[0][0])["00100010"] != RIGHT["00100010"]
        assert await cache.read(single.ref) == single.data


def _number(db, study_uid):
    return db.execute("SELECT id FROM studies WHERE study_uid = ?", (study_uid,)).fetchone()[0]


async def test_who_heard_half_of_what_came_and_went_since_hears_the_rest(
    open_cache, updated, newer
):
    await updated()
    async with open_cache() as cache:
        await cache.send(SAMPLES[4])
        await settle(cache, SAMPLES[4], Custody.VERIFIED)
        # Who follows by number has heard so far that it is there.
        await delete(cache, SAMPLES[4])
    newer[1]()
    async with open_cache() as cache:
        rows = await cache.database.read("SELECT sop_uid FROM changes WHERE action = 'DELETE'")
        assert rows == [(SAMPLES[4].ref.sop_uid,)]
