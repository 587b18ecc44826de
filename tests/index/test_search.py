"""The matching of PS3.4 C.2.2.2, on a real index."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import random
import string

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.dicom.instance import Level
from edge.dicom.query import ALL, Match, Query
from edge.errors import QueryError
from edge.index import instances
from edge.index.database import Database
from edge.index.search import count
from edge.index.search import search as answers_to


async def search(database, query):
    return [answer async for answer in answers_to(database, query)]


@pytest.fixture
async def studies(new_instance, put):
    """Four studies of people whose names are easy to get wrong."""

    def study(number, name, date, modality, **more):
        return new_instance(
            study=f"1.2.{number}",
            series=f"1.2.{number}.1",
            sop=f"1.2.{number}.1.1",
            t00100010=("PN", name),
            t00100020=("LO", f"P{number}"),
            t00080020=("DA", date),
            t00080060=("CS", modality),
            **more,
        )

    await put(
        study(
            1,
            {"Alphabetic": "Müller^Jürgen", "Ideographic": "缪勒^于尔根"},
            "20260101",
            "CT",
            t00080030=("TM", "0915"),
            t00081030=("LO", "Thorax [nativ]"),
            t00080050=("SH", "A*1"),
        ),
        study(2, {"Alphabetic": "MULLER^ANNA^^^"}, "20260215", "MR", t00080050=("SH", "A-2")),
        study(3, {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎"}, "20260301", "US"),
        study(
            4,
            {"Alphabetic": "Wang^Xiao"},
            "20251231",
            "CT",
            t00081032=(
                "SQ",
                {"00080100": {"vr": "SH", "Value": ["CHEST"]}},
                {"00080100": {"vr": "SH", "Value": ["HEAD"]}},
            ),
        ),
        new_instance(study="1.2.1", series="1.2.1.2", sop="1.2.1.2.1", t00080060=("CS", "SR")),
    )


async def found(database, level=Level.STUDY, **matches):
    pairs = tuple(
        Match(tuple(tag.removeprefix("t").split("_")), (value,)) for tag, value in matches.items()
    )
    tag = {Level.STUDY: "0020000D", Level.SERIES: "0020000E", Level.INSTANCE: "00080018"}[level]
    answers = await search(database, Query(level, pairs, include=frozenset({tag})))
    return [answer[tag]["Value"][0] for answer in answers]


@pytest.mark.parametrize(
    ("value", "numbers"),
    [
        ("müller*", [1]),
        ("MÜLLER^JÜRGEN", [1]),
        ("muller^anna", [2]),
        ("m?ller*", [1, 2]),
        ("*yama*", [3]),
        ("山田*", [3]),
        ("wang^xiao^^", [4]),
        ("wang", []),
        ("*", [1, 2, 3, 4]),
        ("", [1, 2, 3, 4]),
        ("wan[g]*", []),
    ],
)
@pytest.mark.usefixtures("studies")
async def test_names_match_without_regard_to_case_in_every_component_group(
    database, value, numbers
):
    assert await found(database, t00100010=value) == [f"1.2.{number}" for number in numbers]


@pytest.mark.parametrize(
    ("value", "numbers"),
    [
        ("20260101", [1]),
        ("20260101-20260228", [1, 2]),
        ("-20260101", [1, 4]),
        ("20260215-", [2, 3]),
        ("20270101-", []),
    ],
)
@pytest.mark.usefixtures("studies")
async def test_dates_match_as_values_and_ranges(database, value, numbers):
    assert await found(database, t00080020=value) == [f"1.2.{number}" for number in numbers]


@pytest.mark.parametrize(
    ("value", "hit"),
    [("0915", True), ("091500", True), ("09", True), ("0900-0914", False), ("0900-0915", True)],
)
@pytest.mark.usefixtures("studies")
async def test_times_match_whatever_their_precision(database, value, hit):
    assert await found(database, t00080030=value) == (["1.2.1"] if hit else [])


@pytest.mark.parametrize(
    ("tag", "value", "numbers"),
    [
        ("t0020000D", "1.2.1\\1.2.3", [1, 3]),
        ("t0020000D", "1.2.1,1.2.4,1.9", [1, 4]),
        ("t00080061", "CT", [1, 4]),
        ("t00080061", "CT,MR", [1, 2, 4]),
        ("t00080061", "SR", [1]),
        ("t00080060", "US", [3]),
        ("t00100020", "P?", [1, 2, 3, 4]),
        ("t00100020", "P3", [3]),
        ("t00080050", "A-2", [2]),
        ("t00080050", "A*", [1, 2]),
        ("t00081030", "Thorax [n*", [1]),
        ("t00081030", "thorax*", []),
        ("t00081032_00080100", "HEAD", [4]),
        ("t00081032_00080100", "H*", [4]),
        ("t00081032_00080100", "FOOT", []),
    ],
)
@pytest.mark.usefixtures("studies")
async def test_other_attributes_match_as_their_representation_says(database, tag, value, numbers):
    assert await found(database, **{tag: value}) == [f"1.2.{number}" for number in numbers]


@pytest.mark.usefixtures("studies")
async def test_keys_are_joined_by_and(database):
    assert await found(database, t00080061="CT", t00080020="20260101-") == ["1.2.1"]


@pytest.mark.usefixtures("studies")
async def test_series_and_instances_are_found_with_keys_of_every_level(database):
    assert await found(database, Level.SERIES, t00100020="P1") == ["1.2.1.1", "1.2.1.2"]
    assert await found(database, Level.SERIES, t00080060="SR") == ["1.2.1.2"]
    assert await found(database, Level.INSTANCE, t00100020="P1", t00080060="CT") == ["1.2.1.1.1"]
    assert await found(database, Level.INSTANCE, t00200013="1.0") == ["1.2.1.1.1"]
    assert await found(database, Level.INSTANCE, t00080016="1.2.840.10008.5.1.4.1.1.9") == []


@pytest.mark.usefixtures("studies")
async def test_attributes_of_an_instance_without_a_column_are_matched_in_its_metadata(
    database, new_instance, put
):
    await put(new_instance(sop="1.5", t00080008=("CS", "ORIGINAL", "AXIAL")))
    assert await found(database, Level.INSTANCE, t00080008="AXIAL") == ["1.5"]
    assert await found(database, Level.INSTANCE, t00080008="AX*") == ["1.5"]


@pytest.mark.usefixtures("studies")
async def test_pages_are_stable_and_whole(database):
    seen = []
    for offset in range(0, 6, 2):
        query = Query(Level.STUDY, limit=2, offset=offset)
        seen += [answer["0020000D"]["Value"][0] for answer in await search(database, query)]
    assert seen == ["1.2.1", "1.2.2", "1.2.3", "1.2.4"]


UID = {Level.STUDY: "0020000D", Level.SERIES: "0020000E", Level.INSTANCE: "00080018"}
ARRIVALS = st.lists(st.tuples(st.integers(1, 6), st.integers(1, 2)), max_size=4)
"""Instances that come in between two pages: the numbers of their study and series."""


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    level=st.sampled_from(sorted(UID)),
    size=st.integers(1, 4),
    before=ARRIVALS,
    between=st.lists(ARRIVALS, max_size=6),
    narrowed=st.booleans(),
)
def test_paging_while_studies_arrive_loses_none_and_repeats_none(
    tmp_path_factory, new_instance, level, size, before, between, narrowed
):
    async def page_through():
        counter, seen, arriving = itertools.count(1), [], iter(between)
        path = tmp_path_factory.mktemp("index") / "index.db"
        matches = (Match(("00100020",), ("P*",)),) if narrowed else ()

        async with Database(path, bytes(32)) as database:

            async def arrive(what):
                for study, series in what:
                    new = new_instance(
                        study=f"1.{study}",
                        series=f"1.{study}.{series}",
                        sop=f"1.{study}.{series}.{next(counter)}",
                        t00100020=("LO", f"P{study}"),
                    )
                    await database.write(lambda db, new=new: instances.put(db, new, 1000.0))

            async def page(offset):
                query = Query(level, matches, limit=size, offset=offset)
                return [answer[UID[level]]["Value"][0] for answer in await search(database, query)]

            await arrive(before)
            while found := await page(len(seen)):
                seen += found
                await arrive(next(arriving, ()))
            everything = await search(database, Query(level, matches))
            assert seen == [answer[UID[level]]["Value"][0] for answer in everything]
            assert len(set(seen)) == len(seen) == await count(database, Query(level, matches))

    asyncio.run(page_through())


@pytest.mark.usefixtures("studies")
async def test_paging_beside_a_study_that_comes_in_meets_every_instance_once(
    database, new_instance, put
):
    seen, coming = [], [new_instance(study="1.9", sop=f"1.9.{number}") for number in range(60)]
    async with asyncio.TaskGroup() as tasks:
        arrival = tasks.create_task(put(*coming))
        while True:
            done = arrival.done()
            query = Query(Level.INSTANCE, limit=3, offset=len(seen))
            page = [answer["00080018"]["Value"][0] for answer in await search(database, query)]
            seen += page
            if done and not page:
                break
    assert len(seen) == len(set(seen)) == 65


@pytest.mark.usefixtures("studies")
async def test_an_answer_holds_what_the_standard_requires_and_what_was_asked(database):
    query = Query(Level.STUDY, (Match(("00100020",), ("P1",)),))
    (answer,) = await search(database, query)
    assert answer["00080061"] == {"vr": "CS", "Value": ["CT", "SR"]}
    assert answer["00201206"]["Value"] == [2]
    assert answer["00201208"]["Value"] == [2]
    assert answer["00080056"]["Value"] == ["ONLINE"]
    assert answer["00100010"]["Value"][0]["Ideographic"] == "缪勒^于尔根"
    assert "00081030" not in answer
    for include in (frozenset({"00081030"}), frozenset({ALL})):
        query = Query(Level.STUDY, (Match(("00100020",), ("P1",)),), include=include)
        (answer,) = await search(database, query)
        assert answer["00081030"]["Value"] == ["Thorax [nativ]"]


@pytest.mark.usefixtures("studies")
async def test_a_search_below_a_study_does_not_repeat_the_study(database):
    (first, _) = await search(database, Query(Level.SERIES, study_uid="1.2.1"))
    assert "00100010" not in first
    assert first["0020000D"]["Value"] == ["1.2.1"]
    (anywhere, *_) = await search(database, Query(Level.SERIES))
    assert "00100010" in anywhere


@pytest.mark.parametrize(
    ("tag", "value"), [("00080020", "yesterday"), ("00080020", "-"), ("00200013", "x")]
)
async def test_a_key_that_can_not_be_understood_is_named(database, tag, value):
    with pytest.raises(QueryError, match=tag):
        await search(database, Query(Level.INSTANCE, (Match((tag,), (value,)),)))


@pytest.mark.parametrize("value", ["'; DROP TABLE studies; --", '"', "%", "]", "[[[", "*" * 60])
@pytest.mark.usefixtures("studies")
async def test_a_hostile_value_is_only_a_value(database, value):
    for tag in ("t00100010", "t00100020", "t0020000D", "t00081030"):
        await found(database, **{tag: value})
    assert len(await found(database)) == 4


async def test_answers_with_long_metadata_come_a_few_at_a_time_and_all_of_them(
    database, new_instance, put
):
    text = "".join(random.Random(1).choices(string.printable, k=50_000))
    await put(*[new_instance(sop=f"1.{n}", t00104000=("LT", text)) for n in range(7)])
    found = await search(database, Query(Level.INSTANCE, include=frozenset({ALL})))
    assert [answer["00080018"]["Value"] for answer in found] == [[f"1.{n}"] for n in range(7)]
    assert {answer["00104000"]["Value"][0] for answer in found} == {text}


async def test_a_bulk_value_is_said_of_instances_alone(database, new_instance, put):
    new = new_instance(t00104000=("LT",), t00081080=("LO", '"BulkDataURI":'))
    new.attributes["00104000"] = {"vr": "LT", "BulkDataURI": "00104000"}
    await put(dataclasses.replace(new, document=instances.pack(new.attributes)))
    for level, bulk in ((Level.STUDY, None), (Level.SERIES, None), (Level.INSTANCE, "00104000")):
        [answer] = await search(database, Query(level, include=frozenset({ALL})))
        assert answer.get("00104000", {}).get("BulkDataURI") == bulk
        assert answer["00081080"]["Value"] == ['"BulkDataURI":']
