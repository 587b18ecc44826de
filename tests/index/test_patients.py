"""Searches for patients, who have no row of their own."""

import pytest

from edge.dicom.instance import Level
from edge.dicom.query import Match, Query
from edge.index import remote
from edge.index import search as index_search
from edge.index.search import count, search
from tests.index.rows import listed

SHOWN = frozenset("00100010 00100020 00100021 00080056 00080020 00201200 00201202 00201204".split())


@pytest.fixture
async def people(new_instance, put):
    """Anna has two studies; two hospitals have a patient 4711; two people have no number."""

    def study(number, name, patient, *, issuer="", series=1):
        more = {"t00100021": ("LO", issuer)} if issuer else {}
        return new_instance(
            study=f"1.2.{number}",
            series=f"1.2.{number}.{series}",
            t00100010=("PN", {"Alphabetic": name}),
            t00100020=("LO", patient),
            t00080020=("DA", f"2026010{number}"),
            **more,
        )

    await put(
        study(1, "Anna^A", "1"),
        study(1, "Anna^A", "1", series=2),
        study(2, "Anna^Married", "1"),
        study(3, "North^N", "4711", issuer="N"),
        study(4, "South^S", "4711", issuer="S"),
        study(5, "No^Number", ""),
        study(6, "No^Number", ""),
        study(7, "Other^One", ""),
    )


async def patients(database, *matches, **more):
    query = Query(Level.PATIENT, matches, shown=SHOWN, **more)
    found = [answer async for answer in search(database, query)]
    if not more:
        assert await count(database, query) == len(found)
    return found


def first(answer, tag):
    value = answer[tag].get("Value", [""])[0]
    return value["Alphabetic"] if isinstance(value, dict) else value


@pytest.mark.usefixtures("people")
async def test_each_patient_is_found_once_with_all_that_it_has(database):
    found = {
        (first(one, "00100020"), first(one, "00100010")): tuple(
            first(one, tag) for tag in ("00201200", "00201202", "00201204")
        )
        for one in await patients(database)
    }
    assert found == {
        ("1", "Anna^Married"): (2, 3, 3),
        ("4711", "North^N"): (1, 1, 1),
        ("4711", "South^S"): (1, 1, 1),
        ("", "No^Number"): (2, 2, 2),
        ("", "Other^One"): (1, 1, 1),
    }


@pytest.mark.parametrize(
    ("match", "names"),
    [
        (Match(("00100020",), ("4711",)), ["North^N", "South^S"]),
        (Match(("00100021",), ("S",)), ["South^S"]),
        # What is matched is what is shown, although a later study says otherwise.
        (Match(("00100010",), ("anna^a",)), ["Anna^A"]),
        (Match(("00080020",), ("20260102-20260103",)), ["Anna^Married", "North^N"]),
        (Match(("00100010",), ("nobody*",)), []),
    ],
)
@pytest.mark.usefixtures("people")
async def test_patients_are_matched_by_any_study_of_theirs(database, match, names):
    found = await patients(database, match)
    assert [first(one, "00100010") for one in found] == names
    # No study speaks of itself there.
    assert not any("00080020" in one for one in found)


@pytest.mark.usefixtures("people")
async def test_counts_are_of_the_patient_whatever_was_matched(database):
    (anna,) = await patients(database, Match(("00080020",), ("20260101",)))
    assert first(anna, "00201200") == 2
    assert first(anna, "00080056") == "ONLINE"
    query = Query(Level.STUDY, (), shown=frozenset({"0020000D", "00201200"}))
    found = {
        first(one, "0020000D"): first(one, "00201200") async for one in search(database, query)
    }
    assert found == {f"1.2.{number}": 2 if number in (1, 2, 5, 6) else 1 for number in range(1, 8)}


@pytest.mark.usefixtures("people")
async def test_what_is_withheld_is_neither_found_nor_counted(database):
    await database.write(
        lambda db: db.execute(
            "UPDATE instances SET withheld = 'REJECTED' WHERE study_id IN"
            " (SELECT id FROM studies WHERE study_uid IN ('1.2.2', '1.2.4'))"
        )
    )
    found = [(first(one, "00100010"), first(one, "00201200")) for one in await patients(database)]
    assert found == [("Anna^A", 1), ("North^N", 1), ("No^Number", 2), ("Other^One", 1)]


@pytest.mark.usefixtures("people")
async def test_a_patient_of_whom_something_is_elsewhere_is_nearline(database):
    await database.write(lambda db: remote.learn(db, listed("9.9", study="9.1"), 1.0))
    (found,) = await patients(database, Match(("00100020",), ("P1",)))
    assert first(found, "00080056") == "NEARLINE"


@pytest.mark.usefixtures("people")
async def test_patients_come_in_batches_and_pages_of_any_size(database, monkeypatch):
    whole = await patients(database)
    monkeypatch.setattr(index_search, "_BATCH", 2)
    monkeypatch.setattr(index_search, "_PAGE", 1)
    assert await patients(database) == whole
    assert await patients(database, limit=3, offset=1) == whole[1:4]


@pytest.mark.parametrize("level", [Level.STUDY, Level.SERIES, Level.INSTANCE])
@pytest.mark.usefixtures("people")
async def test_so_do_all_others(database, monkeypatch, level):
    query = Query(level, (Match(("00100010",), ("*n*",)),))
    whole = [one async for one in search(database, query)]
    monkeypatch.setattr(index_search, "_BATCH", 2)
    assert [one async for one in search(database, query)] == whole
    assert len(whole) == await count(database, query) >= 6
