"""What is edited in the archive holds here, and nothing that came in is rewritten for it."""

from __future__ import annotations

import zlib

import msgspec
import pytest

from edge.dicom.instance import Custody, Level, Origin
from edge.dicom.query import Match, Query
from edge.dicom.remote import RemoteInstance, RemoteSeries, RemoteStudy
from edge.index import copies, edits, feed, lookup, remote
from edge.index.search import search
from tests.index.rows import counters_are_true

DOE = ("PN", {"Alphabetic": "DOE^JANE"})
ROE = ("PN", {"Alphabetic": "ROE^JANE"})


@pytest.fixture(autouse=True)
async def primary(database):
    roles = {"cloud": "primary", "second": "failover"}
    await database.write(lambda db: copies.set_roles(db, roles, 1.0))


@pytest.fixture
def hear(database):
    """The archive answers so about a study, and lists these instances."""

    async def call(
        *sops, study="1.2.3", archive="cloud", contradicted=frozenset(), now=2000.0, **answer
    ):
        attributes = {tag[1:]: {"vr": vr, "Value": values} for tag, (vr, *values) in answer.items()}
        instances = tuple(RemoteInstance(sop, "1.2.840.10008.5.1.4.1.1.2", {}) for sop in sops)
        series = RemoteSeries(f"{study}.1", {"00080060": {"vr": "CS", "Value": ["CT"]}}, instances)
        heard = RemoteStudy(study, "fingerprint", attributes, (series,), archive, contradicted)
        held = await edits.survey(database, heard)
        return await database.write(lambda db: remote.learn(db, heard, now, held))

    return call


async def found(database, level=Level.STUDY, **keys):
    matches = tuple(Match((tag[1:],), (value,)) for tag, value in keys.items())
    query = Query(level, matches=matches, include=frozenset({"all"}))
    return [answer async for answer in search(database, query)]


async def document(database, sop):
    row = await lookup.find_one(database, sop)
    [packed] = await lookup.documents(database, [row.instance_id], 10**6)
    return msgspec.json.decode(zlib.decompress(packed))


async def stored(database, sop):
    [(packed,)] = await database.read(
        "SELECT document FROM metadata WHERE instance_id ="
        " (SELECT id FROM instances WHERE sop_uid = ?)",
        (sop,),
    )
    return msgspec.json.decode(zlib.decompress(packed))


def name(attributes):
    return attributes["00100010"]["Value"][0]["Alphabetic"]


async def versions(database, study="1.2.3"):
    return [edit.version for edit in await edits.history(database, study)]


@pytest.fixture
def sent(put, new_instance):
    """Puts instances of Jane Doe that the archive vouches for."""

    async def call(*sops, custody=Custody.VERIFIED, **attributes):
        for sop in sops:
            usual = {"t00100010": DOE, "t00100020": ("LO", "P1")}
            await put(new_instance(sop=sop, custody=custody, **(usual | attributes)))

    return call


async def test_an_edit_is_found_and_shown_at_every_level(database, sent, hear):
    await sent("1.1", "1.2")
    assert await hear("1.1", "1.2", t00100010=DOE, t00100020=("LO", "P1")) is None
    edit = await hear("1.1", "1.2", t00100010=ROE, t00100020=("LO", "P2"), now=3000.0)
    assert (edit.version, edit.at, edit.archive) == (1, 3000.0, "cloud")
    assert edit.before["00100020"]["Value"] == ["P1"]
    assert edit.after["00100020"]["Value"] == ["P2"]
    for level, count in ((Level.STUDY, 1), (Level.SERIES, 1), (Level.INSTANCE, 2)):
        for keys in ({"t00100020": "P2"}, {"t00100010": "ROE*"}):
            answers = await found(database, level, **keys)
            assert [name(answer) for answer in answers] == ["ROE^JANE"] * count
        assert not await found(database, level, t00100020="P1")
        assert not await found(database, level, t00100010="DOE*")
    assert await edits.history(database, "1.2.3") == [edit]
    assert await counters_are_true(database)


async def test_documents_show_it_and_stay_as_they_came(database, sent, hear):
    await sent("1.1")
    before = await document(database, "1.1")
    await hear("1.1", t00100010=ROE, t00080050=("SH", "A7"))
    shown = await document(database, "1.1")
    assert name(shown) == "ROE^JANE"
    assert shown["00080050"] == {"vr": "SH", "Value": ["A7"]}
    assert list(shown) == sorted(shown)
    assert await stored(database, "1.1") == before
    packed = await feed.document_of(database, "1.1")
    assert msgspec.json.decode(zlib.decompress(packed)) == shown
    row, kept, _ = await lookup.find_with_metadata(database, "1.1")
    assert msgspec.json.decode(zlib.decompress(kept)) == before
    assert row.edition


async def test_an_instance_that_comes_later_does_not_undo_it(database, sent, hear):
    await sent("1.1")
    await hear("1.1", t00100010=ROE)
    await sent("1.2", custody=Custody.EDGE_ONLY)
    assert name(await document(database, "1.2")) == "ROE^JANE"
    assert await hear("1.1", t00100010=ROE) is None
    [answer] = await found(database)
    assert name(answer) == "ROE^JANE"
    assert await counters_are_true(database)


async def test_one_that_is_undone_leaves_no_trace_but_its_history(database, sent, hear):
    await sent("1.1")
    as_it_was = await found(database)
    original = await document(database, "1.1")
    await hear("1.1", t00100010=ROE, t00100020=("LO", "P1"))
    await hear("1.1", t00100010=DOE, t00100020=("LO", "P1"))
    assert await found(database) == as_it_was
    assert await document(database, "1.1") == original
    assert (await lookup.find_one(database, "1.1")).edition == ""
    assert await database.read("SELECT count(*) FROM overlays") == [(0,)]
    assert await versions(database) == [1, 2]


async def test_an_edition_is_another_one_after_every_edit(database, sent, hear):
    await sent("1.1")
    seen = set()
    for value in ("A", "B", "C"):
        await hear("1.1", t00080050=("SH", value))
        seen.add((await lookup.find_one(database, "1.1")).edition)
    assert len(seen) == 3


async def test_what_an_archive_contradicts_itself_in_is_no_edit(database, sent, hear):
    await sent("1.1")
    torn = frozenset({"00100010"})
    edit = await hear("1.1", contradicted=torn, t00100010=ROE, t00080050=("SH", "A7"))
    assert list(edit.after) == ["00080050"]
    [answer] = await found(database)
    assert name(answer) == "DOE^JANE"
    # Of a study that is new, it is better than nothing.
    await hear("1.4.1", study="1.4", contradicted=torn, t00100010=ROE)
    assert len(await found(database, t00100010="ROE*")) == 1
    assert (await hear("1.1", t00100010=ROE)).version == 2


async def test_what_an_answer_lacks_is_no_edit(database, sent, hear):
    await sent("1.1", t00081030=("LO", "HEAD"))
    await hear("1.1", t00100010=DOE, t00081030=("LO", "HEAD"))
    assert await hear("1.1", t00100010=("PN",), t00100020=("LO", "")) is None
    [answer] = await found(database)
    assert answer["00081030"]["Value"] == ["HEAD"]
    assert name(answer) == "DOE^JANE"


@pytest.mark.parametrize(
    "answer",
    [
        {"t00100010": ("PN", {"Alphabetic": "DOE^JANE^^^ "})},
        {"t00100010": ("PN", "DOE ^JANE")},
        {"t00100020": ("LO", "P1 ")},
        {"t00080030": ("TM", "101500")},
        {"t00080030": ("TM", "10:15:00.1")},
        {"t00080020": ("DA", "2026.01.02")},
    ],
    ids=str,
)
async def test_spelling_is_no_edit(database, sent, hear, answer):
    await sent("1.1", t00080020=("DA", "20260102"), t00080030=("TM", "101500.123456"))
    assert await hear("1.1", **answer) is None
    assert await versions(database) == []


async def test_before_the_archive_vouches_for_anything_what_came_in_holds(
    database, sent, hear, new_instance
):
    await sent("1.1", custody=Custody.SENT)
    assert await hear("1.1", t00100010=ROE) is None
    [answer] = await found(database)
    assert name(answer) == "DOE^JANE"
    # It is looked at again, though the archive says the same.
    assert await remote.fingerprints(database, ["1.2.3"]) == {}
    await database.write(lambda db: db.execute("UPDATE instances SET custody = 'ACKNOWLEDGED'"))
    assert (await hear("1.1", t00100010=ROE)).version == 1
    assert await remote.fingerprints(database, ["1.2.3"]) == {"1.2.3": "fingerprint"}


async def test_what_else_the_archive_has_under_the_same_uid_vouches_for_nothing(
    database, sent, hear
):
    await sent("1.1", custody=Custody.EDGE_ONLY)
    assert await hear("1.7", t00100010=ROE) is None
    assert name(await document(database, "1.1")) == "DOE^JANE"
    await database.write(lambda db: db.execute("UPDATE instances SET custody = 'ACKNOWLEDGED'"))
    assert (await hear("1.7", t00100010=ROE)).version == 1


async def test_only_the_primary_archive_is_believed(database, sent, hear):
    await sent("1.1")
    assert await hear("1.1", archive="second", t00100010=ROE) is None
    assert await hear("1.1", archive="unknown", t00100010=ROE) is None
    [answer] = await found(database)
    assert name(answer) == "DOE^JANE"
    assert (await hear("1.1", t00100010=ROE)).version == 1


async def test_where_instances_differ_an_archive_that_names_one_of_them_edits_nothing(
    database, sent, hear
):
    await sent("1.1", t00081030=("LO", "HEAD"))
    await sent("1.2", t00081030=("LO", "NECK"))
    assert await hear("1.1", "1.2", t00081030=("LO", "NECK")) is None
    # But what it says differently than before is one.
    edit = await hear("1.1", "1.2", t00081030=("LO", "HEAD AND NECK"))
    assert edit.before["00081030"]["Value"] == ["HEAD"]
    assert (await document(database, "1.2"))["00081030"]["Value"] == ["HEAD AND NECK"]


async def test_what_an_archive_begins_to_say_of_its_own_studies_is_no_edit(database, hear):
    await hear("1.1", t00100010=DOE)
    assert await hear("1.1", t00100010=DOE, t00080050=("SH", "A7")) is None
    [answer] = await found(database, t00080050="A7")
    assert name(answer) == "DOE^JANE"
    assert await versions(database) == []


async def test_metadata_that_was_kept_of_a_nearline_instance_is_shown_edited(database, hear):
    await hear("1.1", t00100010=DOE)
    kept = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "DOE^JANE"}]}}
    await database.write(lambda db: remote.set_document(db, "1.1", kept, 1.0))
    await hear("1.1", t00100010=ROE)
    assert name(await document(database, "1.1")) == "ROE^JANE"
    assert await stored(database, "1.1") == kept


async def test_a_merge_of_patients_is_the_edit_of_each_study(database, put, new_instance, hear):
    for study in ("1.2.3", "1.2.4", "1.2.5"):
        await put(
            new_instance(
                study,
                f"{study}.1",
                f"{study}.9",
                custody=Custody.VERIFIED,
                t00100010=DOE,
                t00100020=("LO", "P1" if study != "1.2.5" else "P9"),
            )
        )
    for study in ("1.2.3", "1.2.4"):
        await hear(f"{study}.9", study=study, t00100010=ROE, t00100020=("LO", "P9"))
    assert {answer["0020000D"]["Value"][0] for answer in await found(database, t00100020="P9")} == {
        "1.2.3",
        "1.2.4",
        "1.2.5",
    }
    assert [len(await edits.history(database, f"1.2.{n}")) for n in (3, 4, 5)] == [1, 1, 0]


async def test_every_instance_gets_a_change_number_a_lot_at_a_time(
    database, put, new_instance, hear, monkeypatch
):
    monkeypatch.setattr(edits, "_LOT", 3)
    for number in range(8):
        await put(new_instance(sop=f"1.{number}", custody=Custody.VERIFIED, t00100010=DOE))
    before = (await feed.latest_change(database)).sequence
    await hear(*(f"1.{number}" for number in range(8)), t00100010=ROE)
    # A crash between two lots: the next start goes on where it was.
    assert len(await feed.changes_after(database, before, limit=100)) == 3
    lots = 0
    while await database.write(lambda db: edits.announce(db, 4000.0)):
        lots += 1
    changes = await feed.changes_after(database, before, limit=100)
    assert [change.ref.sop_uid for change in changes] == [f"1.{number}" for number in range(8)]
    assert {change.action for change in changes} == {feed.Action.UPDATE}
    assert lots == 1
    assert not await database.write(lambda db: edits.announce(db, 4001.0))


async def test_an_edit_during_the_announcement_of_another_announces_all_once_more(
    database, put, new_instance, hear, monkeypatch
):
    monkeypatch.setattr(edits, "_LOT", 2)
    for number in range(4):
        await put(new_instance(sop=f"1.{number}", custody=Custody.VERIFIED, t00100010=DOE))
    await hear(t00100010=ROE)
    before = (await feed.latest_change(database)).sequence
    await hear(t00100010=("PN", {"Alphabetic": "POE^JANE"}))
    while await database.write(lambda db: edits.announce(db, 4000.0)):
        pass
    changes = await feed.changes_after(database, before, limit=100)
    assert sorted(change.ref.sop_uid for change in changes) == [
        f"1.{number}" for number in range(4)
    ]


async def test_history_goes_with_its_study(database, sent, hear):
    await sent("1.1")
    await hear("1.1", t00100010=ROE)
    await database.write(lambda db: db.execute("DELETE FROM studies"))
    for table in ("said", "overlays", "edits"):
        assert await database.read(f"SELECT count(*) FROM {table}") == [(0,)]


async def test_nonsense_in_an_answer_is_no_edit(database, sent, hear):
    await sent("1.1")
    for nonsense in (["x"], {"a": 1}, 7, None, "", "DOE\ufffdJANE", "x" * 2000, "\x1b[31m"):
        answer = {
            "t00100010": ("PN", nonsense),
            "t00101002": ("SQ", nonsense),
            "t00100040": ("CS", nonsense if not isinstance(nonsense, int) else {}),
        }
        assert await hear("1.1", **answer) is None
    assert await versions(database) == []


async def test_an_archive_that_says_the_same_from_the_beginning_stays_silent(
    database, put, new_instance, hear
):
    await put(new_instance(sop="1.1", origin=Origin.CLOUD, custody=Custody.VERIFIED, t00100010=DOE))
    before = (await feed.latest_change(database)).sequence
    assert await hear("1.1", t00100010=DOE) is None
    assert (await feed.latest_change(database)).sequence == before
