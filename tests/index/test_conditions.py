"""Matching keys beyond the plain ones, on a real index; and by which way each is found."""

from __future__ import annotations

import pytest

from edge.dicom.instance import Level
from edge.dicom.query import ALL, Match, Query
from edge.errors import QueryError
from edge.index import instances
from edge.index.search import count, search
from tests.index.plans import Plans

TAGS = {Level.STUDY: "0020000D", Level.SERIES: "0020000E", Level.INSTANCE: "00080018"}
CT, SR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.88.11"


async def found(database, level=Level.STUDY, *, fuzzy=False, **keys):
    """The numbers of what matches; a key without a value asks for what is empty."""
    matches = tuple(
        Match(
            tuple(tag.removeprefix("t").split("_")),
            () if value is None else (value,),
            empty=value is None,
        )
        for tag, value in keys.items()
    )
    query = Query(level, matches, fuzzy=fuzzy, include=frozenset({TAGS[level]}))
    answers = [answer[TAGS[level]]["Value"][0] async for answer in search(database, query)]
    assert await count(database, query) == len(answers)
    return [uid.removeprefix("1.2.") for uid in answers]


@pytest.fixture
def study(new_instance):
    """Makes the one instance of a study with a number."""

    def make(number, *, series=1, sop=1, **attributes):
        study, series = f"1.2.{number}", f"1.2.{number}.{series}"
        return new_instance(study=study, series=series, sop=f"{series}.{sop}", **attributes)

    return make


@pytest.mark.parametrize(
    ("value", "numbers"),
    [
        ("jurgen mueller", ["1"]),
        ("MÜLLER", ["1", "2"]),
        ("mul", ["1", "2"]),
        ("anna", ["2"]),
        ("maier", ["3"]),
        ("太郎", ["4"]),
        ("*eyer*", ["3"]),
        ("muller bauer", []),
    ],
)
async def test_a_fuzzy_name_is_found_by_words_sounds_and_beginnings(
    database, study, put, value, numbers
):
    await put(
        study(1, t00100010=("PN", {"Alphabetic": "Müller^Jürgen"})),
        study(2, t00100010=("PN", {"Alphabetic": "MULLER^ANNA"})),
        study(3, t00100010=("PN", {"Alphabetic": "Meyer^Björn"})),
        study(4, t00100010=("PN", {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎"})),
    )
    assert await found(database, fuzzy=True, t00100010=value) == numbers


async def test_a_name_that_the_index_does_not_keep_is_fuzzy_too(database, study, put):
    await put(
        study(1, t00081050=("PN", {"Alphabetic": "Schmidt^Hans"})),
        study(2, t00081050=("PN", {"Alphabetic": "Bauer^Eva"})),
    )
    assert await found(database, Level.SERIES, t00081050="hans schmitt") == []
    assert await found(database, Level.SERIES, fuzzy=True, t00081050="hans schmitt") == ["1.1"]


@pytest.mark.parametrize(
    ("dates", "times", "numbers"),
    [
        ("20240228-20240229", "2300-1100", ["2", "3"]),
        ("20240228-20240229", "2300-0900", ["2"]),
        ("20240228-", "2300-", ["2", "3", "4"]),
        ("-20240229", "-0900", ["1", "2"]),
        ("20240228-20240229", "10", ["3"]),
        ("20240229", "0900-1100", ["3"]),
    ],
)
async def test_ranges_of_a_date_and_its_time_are_one_range(
    database, study, put, dates, times, numbers
):
    moments = [
        ("20240228", "120000"),
        ("20240228", "2330"),
        ("20240229", "100000"),
        ("20240301", "080000"),
    ]
    for number, (date, time) in enumerate(moments, 1):
        of_study = {"t00080020": ("DA", date), "t00080030": ("TM", time)}
        of_series = {"t00400244": ("DA", date), "t00400245": ("TM", time)}
        await put(study(number, **of_study, **of_series))
    assert await found(database, t00080020=dates, t00080030=times) == numbers
    series = await found(database, Level.SERIES, t00400244=dates, t00400245=times)
    assert series == [f"{number}.1" for number in numbers]


@pytest.mark.parametrize(
    ("value", "hit"),
    [
        ("20240229100000+0000", True),
        ("20240229110000+0100-20240229110000+0100", True),
        ("20240229", True),
        ("2024-2025", True),
        ("-20240229095959", False),
        ("20240229050000-0500", True),
    ],
)
async def test_moments_are_compared_across_time_zones(database, study, put, value, hit):
    await put(study(1, t0008002A=("DT", "20240229120000+0200")))
    assert await found(database, Level.INSTANCE, t0008002A=value) == (["1.1.1"] if hit else [])


@pytest.mark.parametrize(
    ("tag", "level", "number"),
    [
        ("t00080050", Level.STUDY, "2"),
        ("t00100010", Level.STUDY, "2"),
        ("t00080061", Level.STUDY, "2"),
        ("t00081032", Level.STUDY, "2"),
        ("t00104000", Level.STUDY, "2"),
        ("t00200011", Level.SERIES, "2.1"),
        ("t00080060", Level.SERIES, "2.1"),
        ("t00400275_00400009", Level.SERIES, "2.1"),
        ("t00080008", Level.INSTANCE, "2.1.1"),
    ],
)
async def test_what_is_absent_or_empty_is_found_when_asked_for(
    database, study, put, tag, level, number
):
    step = {"00400009": {"vr": "SH", "Value": ["S1"]}}
    await put(
        study(
            1,
            t00080008=("CS", "ORIGINAL"),
            t00080050=("SH", "A1"),
            t00080060=("CS", "CT"),
            t00081032=("SQ", step),
            t00100010=("PN", {"Alphabetic": "Doe"}),
            t00104000=("LT", "text"),
            t00200011=("IS", 1),
            t00400275=("SQ", step),
        ),
        study(2, t00104000=("LT", ""), t00400275=("SQ", {"00400009": {"vr": "SH"}})),
    )
    assert await found(database, level, **{tag: None}) == [number]


async def test_several_keys_of_one_attribute_match_all_together(database, study, put):
    await put(
        study(1, t00080060=("CS", "CT")),
        study(1, series=2, t00080060=("CS", "MR")),
        study(2, t00080060=("CS", "CT")),
    )
    both = tuple(Match(("00080061",), (value,)) for value in ("CT", "MR"))
    answers = [answer async for answer in search(database, Query(Level.STUDY, both))]
    assert [answer["0020000D"]["Value"] for answer in answers] == [["1.2.1"]]


async def test_studies_are_found_by_what_is_below_them(database, study, put):
    await put(
        study(1, t00200011=("IS", 4), t0008103E=("LO", "Axial")),
        study(2, sop=7, t00200011=("IS", 5)),
    )
    assert await found(database, t0020000E="1.2.1.1") == ["1"]
    assert await found(database, t00200011="5") == ["2"]
    assert await found(database, t0008103E="Ax*") == ["1"]
    assert await found(database, t00080018="1.2.2.1.7") == ["2"]
    assert await found(database, Level.SERIES, t00080018="1.2.2.1.7") == ["2.1"]


async def test_studies_can_not_be_matched_by_what_only_metadata_of_instances_has(database):
    with pytest.raises(QueryError, match="00080008"):
        await found(database, t00080008="ORIGINAL")


async def test_studies_tell_their_modalities_and_sop_classes_as_they_come_and_go(
    database, study, put
):
    async def said():
        include = frozenset({"00080062"})
        [answer] = [one async for one in search(database, Query(Level.STUDY, include=include))]
        return answer["00080061"].get("Value"), answer["00080062"].get("Value")

    def of(sop_class, one):
        return instances.replace(one, sop_class_uid=sop_class)

    await put(study(1, t00080060=("CS", "CT")))
    assert await said() == (["CT"], [CT])
    await put(of(SR, study(1, sop=2)), of(SR, study(1, series=2, t00080060=("CS", "SR"))))
    assert await said() == (["CT", "SR"], [CT, SR])
    assert await found(database, t00080062=SR) == ["1"]
    assert await found(database, t00080062="1.2.840.10008.5.1.4.1.1.88") == []

    async def forget(sop):
        [[number]] = await database.read("SELECT id FROM instances WHERE sop_uid = ?", (sop,))
        await database.write(lambda db: instances.forget(db, number))

    await forget("1.2.1.2.1")
    assert await said() == (["CT"], [CT, SR])
    await forget("1.2.1.1.2")
    assert await said() == (["CT"], [CT])


async def test_private_attributes_are_found_in_whatever_block_their_creator_reserved(
    database, study, put
):
    await put(
        study(1, t00290010=("LO", "ACME"), t00291011=("LO", "x")),
        study(2, t00290010=("LO", "OTHER"), t00290011=("LO", "ACME"), t00291111=("LO", "x")),
        study(3, t00290010=("LO", "OTHER"), t00291011=("LO", "x")),
    )
    keys = {"t00290010": "ACME", "t00291011": "x"}
    assert await found(database, Level.INSTANCE, **keys) == ["1.1.1", "2.1.1"]
    assert await found(database, Level.INSTANCE, t00291011="x") == ["1.1.1", "3.1.1"]
    creator = (Match(("00290010",), ("ACME",)),)
    asked = (*creator, Match(("00291011",), ("x",)))
    for include in ("00291011", ALL):
        query = Query(Level.INSTANCE, asked, study_uid="1.2.2", include=frozenset({include}))
        [answer] = [one async for one in search(database, query)]
        assert answer["00290011"]["Value"] == ["ACME"]
        assert answer["00291111"]["Value"] == ["x"]


async def test_a_value_of_another_vr_than_the_dictionarys_spoils_no_search(database, study, put):
    item = {"00080100": {"vr": "SH", "Value": ["A"]}}
    await put(
        study(1, t00321032=("LO", "no tree of names"), t00081032=("LO", "no item", '{"a": 1}')),
        study(2, t00321032=("PN", {"Alphabetic": "Doctor^A"}), t00081032=("SQ", item)),
        study(3, t00321032=("SQ", item), t00081032=("FD", 5)),
    )
    instances = Level.INSTANCE
    assert await found(database, instances, t00321032="doctor*") == ["2.1.1"]
    assert await found(database, instances, t00321032="doctor^a", fuzzy=True) == ["2.1.1"]
    code, day, time = "t00081032_00080100", "t00081032_00400002", "t00081032_00400003"
    assert await found(database, instances, **{code: "A"}) == ["2.1.1"]
    assert await found(database, instances, **{code: "A", day: None}) == ["2.1.1"]
    assert await found(database, instances, **{day: "20260101-", time: "1200-"}) == []
    assert await found(database, instances, t00321032_00321032="doctor*") == []


@pytest.mark.parametrize(
    ("tag", "value", "index"),
    [
        ("0020000D", "1.2.1,1.2.2", "sqlite_autoindex_studies_1 (study_uid=?)"),
        ("00100020", "P1", "studies_by_patient (patient_id=?)"),
        ("00100020", "P1*", "studies_by_patient (patient_id>? AND patient_id<?)"),
        ("00080020", "20240101-20240131", "studies_by_date (study_date>? AND study_date<?)"),
        ("00080050", "A1", "studies_by_accession (accession_number=?)"),
        ("00100010", "DOE*", "PRIMARY KEY (tag=? AND kind=? AND text>? AND text<?)"),
        ("00080061", "CT*", "series_by_modality (modality>? AND modality<?)"),
        ("00080018", "1.2.1.1.1", "sqlite_autoindex_instances_1 (sop_uid=?)"),
    ],
)
@pytest.mark.parametrize("fuzzy", [False, True])
async def test_what_lists_ask_for_is_found_through_an_index(database, tag, value, index, fuzzy):
    plans = Plans(database)
    query = Query(Level.STUDY, (Match((tag,), (value,)),), limit=101, fuzzy=fuzzy)
    await count(plans, query)
    assert [answer async for answer in search(plans, query)] == []
    assert any(index in step for step in plans.steps), plans.steps
    gone_through = [step for step in plans.steps if step.startswith("SCAN ")]
    assert not [step for step in gone_through if " s" in step or " i" in step], gone_through


@pytest.mark.parametrize(
    ("tag", "index"),
    [
        ("00100020", "studies_by_patient"),
        ("00080050", "studies_by_accession"),
        ("00081030", "studies_by_description"),
    ],
)
async def test_a_wild_card_in_front_goes_through_a_narrow_index_alone(database, tag, index):
    plans = Plans(database)
    query = Query(Level.STUDY, (Match((tag,), ("*x*",)),), limit=101)
    await count(plans, query)
    assert [step for step in plans.steps if step.startswith("SCAN ")] == [
        f"SCAN s USING COVERING INDEX {index}"
    ]


@pytest.mark.parametrize("matches", [(), (Match(("00080061",), ("CT,MR",)),)])
async def test_a_page_far_down_and_modalities_are_found_in_narrow_rows(database, matches):
    plans = Plans(database)
    query = Query(Level.STUDY, matches, limit=101, offset=90_000)
    assert [answer async for answer in search(plans, query)] == []
    # Rows of studies are narrow; those of their attributes are not. Hardly any study is hidden.
    assert plans.steps == [
        "SCAN s",
        "USING ROWID SEARCH ON TABLE hidden_studies FOR IN-OPERATOR",
    ]


@pytest.mark.parametrize(
    ("level", "tag", "value", "numbers"),
    [
        (Level.STUDY, "00201206", "2", ["1"]),
        (Level.STUDY, "00201208", "3", ["1"]),
        (Level.STUDY, "00201209", "2", ["1"]),
        (Level.SERIES, "00201206", "1", ["2.1"]),
        (Level.SERIES, "00201209", "2", ["1.1"]),
        (Level.SERIES, "00080061", "CT", ["1.1", "1.2"]),
        (Level.INSTANCE, "00201208", "1", ["2.1.1"]),
        (Level.STUDY, "00080056", "ONLINE", ["2"]),
        (Level.STUDY, "00080056", "NEARLINE", ["1"]),
        (Level.STUDY, "00080056", None, []),
        (Level.SERIES, "00080056", "NEAR*", ["1.1", "1.2"]),
        (Level.INSTANCE, "00080056", "NEARLINE", ["1.2.1"]),
    ],
)
async def test_what_is_computed_matches_as_it_is_shown(
    database, study, put, level, tag, value, numbers
):
    ct = {"t00080060": ("CS", "CT")}
    await put(study(1, **ct), study(1, sop=2, **ct), study(1, series=2), study(2))
    await database.write(
        lambda db: db.execute(
            "UPDATE instances SET availability = 'NEARLINE', object = NULL"
            " WHERE sop_uid = '1.2.1.2.1'"
        )
    )
    assert await found(database, level, **{f"t{tag}": value}) == numbers


@pytest.mark.parametrize("level", list(TAGS))
@pytest.mark.parametrize("tag", ["00201200", "00201202", "00201204", "00081190", "00080052"])
async def test_what_nothing_has_is_refused_at_every_level(database, level, tag):
    with pytest.raises(QueryError, match=tag):
        await found(database, level, **{f"t{tag}": "1"})


async def test_as_many_values_and_words_as_are_taken_are_found(database, study, put):
    words = " ".join(f"w{number}" for number in range(64))
    await put(study(1, t00100010=("PN", {"Alphabetic": words}), t00080060=("CS", "CT")))
    assert await found(database, fuzzy=True, t00100010=words) == ["1"]
    codes, patterns = "\\".join(["X"] * 63), "\\".join(["X*"] * 63)
    for keys in ({"t00080061": f"{codes}\\CT"}, {"t00100010": f"{patterns}\\W0*"}):
        assert await found(database, **keys) == ["1"]


async def test_several_attributes_of_a_sequence_are_matched_in_one_item(database, study, put):
    def item(code, meaning, day):
        return {
            "00080100": {"vr": "SH", "Value": [code]},
            "00080104": {"vr": "LO", "Value": [meaning]},
            "00400002": {"vr": "DA", "Value": [day]},
            "00400003": {"vr": "TM", "Value": ["1200"]},
            "00321032": {"vr": "PN", "Value": [{"Alphabetic": f"Doctor^{code}"}]},
        }

    await put(
        study(1, t00081032=("SQ", item("A", "Head", "20260101"), item("B", "Foot", "20260102"))),
        study(2, t00081032=("SQ", item("A", "Foot", "20260102"))),
    )
    code, meaning, day = "t00081032_00080100", "t00081032_00080104", "t00081032_00400002"
    assert await found(database, **{code: "A", meaning: "Foot"}) == ["2"]
    assert await found(database, **{code: "A", meaning: "*o*"}) == ["2"]
    assert await found(database, **{code: "B", meaning: "Foot"}) == ["1"]
    assert await found(database, **{code: "A", day: "20260102"}) == ["2"]
    moments = {day: "20260101-20260102", "t00081032_00400003": "1300-1400"}
    assert await found(database, **{code: "A", **moments}) == ["2"]
    assert await found(database, **{code: "A", "t00081032_00321032": "doctor^a"}) == ["1", "2"]
    assert await found(database, **{code: "B", "t00081032_00321032": "doctor^a"}) == []
    assert await found(database, **{code: "A", "t00081032_00081190": None}) == ["1", "2"]
    assert await found(database, **{code: "A", meaning: None}) == []
