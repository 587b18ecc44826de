"""What rejection notes hide: before, while and after their images are here, from every search."""

from __future__ import annotations

import itertools

import pytest

from edge.dicom.instance import Custody, Level
from edge.dicom.query import Match, Query
from edge.dicom.rejection import Rejection, Title
from edge.dicom.uids import KEY_OBJECT_SELECTION
from edge.index import instances, lookup, rejections, remote, snapshot
from edge.index.database import Database
from edge.index.feed import changes_after, document_of
from edge.index.search import count, search
from edge.index.summary import summary
from tests.index.conftest import KEY
from tests.index.rows import counters_are_true, listed


@pytest.fixture
def reject(database):
    async def call(*sop_uids, note="1.9", title=Title.QUALITY):
        said = Rejection(title, frozenset(sop_uids)) if sop_uids else None
        await database.write(lambda db: rejections.settle_note(db, note, said, 5.0))

    return call


async def found(database, level, *matches, **where):
    query = Query(level, matches, **where)
    answers = [one async for one in search(database, query)]
    assert await count(database, query) == len(answers)
    tag = {Level.STUDY: "0020000D", Level.SERIES: "0020000E", Level.INSTANCE: "00080018"}[level]
    return [one[tag]["Value"][0] for one in answers]


async def shown(database, study="1.2.3"):
    return [row.ref.sop_uid for row in await lookup.find(database, study)]


async def actions(database):
    changes = await changes_after(database, 0, limit=100)
    return [(str(one.action), one.ref.sop_uid) for one in changes]


async def test_what_is_rejected_is_in_no_count_search_or_feed(database, new_instance, put, reject):
    await put(*(new_instance(sop=f"1.2.3.1.{number}") for number in (1, 2, 3)))
    await reject("1.2.3.1.2")
    assert await counters_are_true(database)
    assert await shown(database) == ["1.2.3.1.1", "1.2.3.1.3"]
    assert await found(database, Level.INSTANCE) == ["1.2.3.1.1", "1.2.3.1.3"]
    by_uid = Match(("00080018",), ("1.2.3.1.2",))
    for level in (Level.STUDY, Level.SERIES, Level.INSTANCE):
        assert await found(database, level, by_uid) == []
    [study] = [one async for one in search(database, Query(Level.STUDY, ()))]
    assert study["00201208"]["Value"] == [2]
    assert await document_of(database, "1.2.3.1.2") is None
    assert (await actions(database))[-1] == ("delete", "1.2.3.1.2")
    numbers = await summary(database)
    assert (numbers.instances, numbers.rejected) == (2, 1)
    await reject()
    assert await shown(database) == ["1.2.3.1.1", "1.2.3.1.2", "1.2.3.1.3"]
    assert (await actions(database))[-1] == ("create", "1.2.3.1.2")
    assert await counters_are_true(database)


async def test_a_study_of_which_all_is_rejected_is_in_no_search(
    database, new_instance, put, reject
):
    attributes = {
        "t00100020": ("LO", "P1"),
        "t00080020": ("DA", "20260101"),
        "t00080050": ("SH", "A1"),
        "t00081030": ("LO", "Thorax"),
        "t00100010": ("PN", {"Alphabetic": "Doe^Jane"}),
        "t00080060": ("CS", "CT"),
    }
    for number, series in ((1, "1.2.3.1"), (2, "1.2.3.2")):
        await put(new_instance(series=series, sop=f"1.2.3.1.{number}", **attributes))
    await put(new_instance(study="1.2.4", series="1.2.4.1", sop="1.2.4.1.1", **attributes))
    keys = {
        "00100020": "P1",
        "00080020": "20260101",
        "00080050": "A1",
        "00081030": "Thor*",
        "00100010": "Doe*",
        "00080061": "CT",
        "00080060": "C*",
        "0020000D": "1.2.3\\1.2.4",
        "00080016": "1.2.840.10008.5.1.4.1.1.2",
        "00080056": "ONLINE",
    }
    matches = [Match((tag,), (value,)) for tag, value in keys.items()]
    combinations = [(), *((one,) for one in matches), *itertools.combinations(matches, 2)]
    for combination in combinations:
        assert set(await found(database, Level.STUDY, *combination)) == {"1.2.3", "1.2.4"}
    await reject("1.2.3.1.1", "1.2.3.1.2")
    assert await counters_are_true(database)
    for combination in combinations:
        assert await found(database, Level.STUDY, *combination) == ["1.2.4"], combination
        assert await found(database, Level.SERIES, *combination) == ["1.2.4.1"], combination
        assert await found(database, Level.INSTANCE, *combination) == ["1.2.4.1.1"], combination
    assert await found(database, Level.SERIES, study_uid="1.2.3") == []
    assert (await summary(database)).studies == 1
    # One more comes of it: the study and that series are there again.
    await put(new_instance(series="1.2.3.2", sop="1.2.3.1.3"))
    assert await found(database, Level.STUDY) == ["1.2.3", "1.2.4"]
    assert await found(database, Level.SERIES, study_uid="1.2.3") == ["1.2.3.2"]
    assert await counters_are_true(database)


async def test_modalities_and_classes_are_those_of_what_is_shown(
    database, new_instance, put, reject
):
    await put(
        new_instance(series="1.2.3.1", sop="1.1", t00080060=("CS", "CT")),
        new_instance(series="1.2.3.2", sop="1.2", t00080060=("CS", "SR")),
    )
    await reject("1.2")
    [study] = [one async for one in search(database, Query(Level.STUDY, ()))]
    assert study["00080061"]["Value"] == ["CT"]
    assert study["00201206"]["Value"] == [1]
    assert await database.read("SELECT sop_classes FROM series ORDER BY id") == [
        ("\\1.2.840.10008.5.1.4.1.1.2\\",),
        ("",),
    ]


async def test_a_note_holds_for_what_comes_later_and_is_sent_again(
    database, new_instance, put, reject
):
    await reject("1.2.3.1.1")
    new = new_instance(sop="1.2.3.1.1")
    for _ in range(2):
        await put(new)
        assert await shown(database) == []
        assert await actions(database) == []
        assert await found(database, Level.STUDY) == []
    assert await counters_are_true(database)
    row = await lookup.find_one(database, "1.2.3.1.1")
    assert (row.custody, row.withheld) == (Custody.EDGE_ONLY, "REJECTED")
    # It is still owed to the archive, and counts as being only here.
    assert await database.read("SELECT edge_only_count FROM studies") == [(1,)]
    await reject()
    assert await shown(database) == ["1.2.3.1.1"]
    assert await actions(database) == [("create", "1.2.3.1.1")]


async def test_what_two_notes_reject_is_shown_when_both_are_gone(
    database, new_instance, put, reject
):
    await put(new_instance(sop="1.1"))
    await reject("1.1", note="1.8")
    await reject("1.1", note="1.9")
    await reject(note="1.9")
    assert await shown(database) == []
    await reject(note="1.8")
    assert await shown(database) == ["1.1"]


async def test_a_note_that_says_something_else_by_now_holds_as_it_is(
    database, new_instance, put, reject
):
    await put(new_instance(sop="1.1"), new_instance(sop="1.2"))
    await reject("1.1")
    await reject("1.2")
    assert await shown(database) == ["1.1"]


async def test_a_note_never_rejects_itself_unless_the_time_is_over(
    database, new_instance, put, reject
):
    await put(new_instance(sop="1.9"))
    await reject("1.1", "1.9")
    assert await shown(database) == ["1.9"]
    await reject("1.1", title=Title.EXPIRED, note="1.8")
    await put(new_instance(sop="1.8"))
    assert await shown(database) == ["1.9"]


async def test_what_the_archive_lists_is_hidden_as_well(database, reject):
    await reject("1.1")
    await database.write(lambda db: remote.learn(db, listed("1.1", "1.2"), 1.0))
    assert await shown(database) == ["1.2"]
    assert await actions(database) == [("create", "1.2")]
    assert await counters_are_true(database)


async def test_deleting_the_last_that_is_shown_hides_the_rest(database, new_instance, put, reject):
    await put(new_instance(sop="1.1"), new_instance(sop="1.2"))
    await reject("1.1")
    row = await lookup.find_one(database, "1.2")
    await database.write(lambda db: instances.forget(db, row.instance_id))
    assert await found(database, Level.STUDY) == []
    assert await counters_are_true(database)
    row = await lookup.find_one(database, "1.1")
    await database.write(lambda db: instances.forget(db, row.instance_id))
    for table in ("studies", "series", "hidden_studies", "hidden_series"):
        assert await database.read(f"SELECT * FROM {table}") == []


async def test_a_backup_remembers_what_was_rejected(tmp_path, reject, database, put, new_instance):
    await put(new_instance(sop="1.1"))
    await reject("1.1", "1.2")
    taken = snapshot.take(tmp_path / "index.db", KEY)
    async with Database(tmp_path / "new.db", KEY) as other:
        await other.write(lambda db: snapshot.restore(db, taken, 9.0))
        assert await shown(other) == []
        assert await actions(other) == []
        await other.write(lambda db: remote.learn(db, listed("1.2", "1.3"), 9.0))
        assert await shown(other) == ["1.3"]


async def test_notes_in_the_archive_are_unread_until_their_metadata_is_kept(database):
    study = listed("1.9", "1.1")
    await database.write(lambda db: remote.learn(db, study, 1.0))
    await database.write(
        lambda db: db.execute(
            "UPDATE instances SET sop_class_uid = ? WHERE sop_uid = '1.9'", (KEY_OBJECT_SELECTION,)
        )
    )
    [ref] = await rejections.unread_notes(database, 10)
    assert ref.sop_uid == "1.9"
    said = {
        "0040A043": {
            "vr": "SQ",
            "Value": [{"00080100": {"Value": ["113037"]}, "00080102": {"Value": ["DCM"]}}],
        },
        "0040A375": {
            "vr": "SQ",
            "Value": [
                {
                    "00081115": {
                        "Value": [{"00081199": {"Value": [{"00081155": {"Value": ["1.1"]}}]}}]
                    }
                }
            ],
        },
    }
    await database.write(lambda db: remote.set_document(db, "1.9", said, 2.0))
    assert await rejections.unread_notes(database, 10) == []
    assert await shown(database) == ["1.9"]
