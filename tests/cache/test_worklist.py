"""What is served, and for how long, whoever brought it."""

import datetime as dt
import logging

import pytest

from edge import config, others
from edge.cache.changes import Changes
from edge.cache.expected import Expectations
from edge.cache.worklist import API, StepState, Worklist
from edge.dicom.scheduled import steps_of
from edge.errors import QueryError
from edge.index.database import Database
from edge.index.expected import Expected
from tests.worklists import item, model

UTC = dt.UTC
NOON = dt.datetime(2026, 3, 10, 12, tzinfo=UTC).timestamp()
DAY = 86400.0


class Clock:
    def __init__(self):
        self.now = NOON

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def database(tmp_path):
    async with Database(tmp_path / "index.db", bytes(32)) as database:
        yield database


def sources(*names):
    return tuple(others.WorklistSource(name, "folder") for name in names)


@pytest.fixture
def open_worklist(database, clock):
    async def begin(*names, keep_days=1, **more):
        settings = config.Worklist(sources(*names), keep_days)
        worklist = Worklist(database, settings, clock, zone=UTC, **more)
        await worklist.begin()
        return worklist

    return begin


def steps(*datasets):
    return [step for one in datasets for step in steps_of(model(one))]


def of(number, day="20260310", **fields):
    return item(number, when=day, **fields)


async def ids(worklist, day=""):
    page = await worklist.page(limit=100, offset=0, day=day)
    return [one.step_id for one in page.items]


async def asked(worklist, identifier):
    return (await worklist.find(identifier)).answers


async def test_a_renewal_replaces_all_that_its_source_brought(open_worklist):
    worklist = await open_worklist("ris", "folder")
    assert await worklist.renew("ris", steps(of(1), of(2))) == 2
    assert await worklist.renew("folder", steps(of(3))) == 1
    assert await worklist.renew("ris", steps(of(2), of(4))) == 2
    assert await ids(worklist) == ["SPS2", "SPS3", "SPS4"]
    assert await worklist.renew("ris", steps(of(2), of(4))) == 0
    assert await worklist.renew("ris", ()) == 2
    assert await ids(worklist) == ["SPS3"]


async def test_a_source_that_fails_empties_nothing_and_says_so_once(open_worklist, clock, caplog):
    worklist = await open_worklist("ris")
    caplog.set_level(logging.INFO, logger="edge")
    await worklist.failed("ris", "nothing answers")
    assert "nothing came from it yet" in caplog.text
    await worklist.renew("ris", steps(of(1)))
    assert "worklist source ris answers again" in caplog.text
    caplog.clear()
    for _ in range(3):
        clock.now += 30
        await worklist.failed("ris", "nothing answers")
    assert await ids(worklist) == ["SPS1"]
    (state, _) = await worklist.sources()
    assert (state.steps, state.error) == (1, "nothing answers")
    assert (state.succeeded, state.failing_since) == (NOON, NOON + 30)
    assert caplog.text.count("1 step is served as of 2026-03-10 12:00") == 1
    clock.now += DAY / 4
    await worklist.failed("ris", "nothing answers")
    assert caplog.text.count("stale: 1 step is served as of") == 1
    assert "DOE" not in caplog.text


async def test_offline_a_step_is_served_until_its_day_is_over_and_a_night_more(
    open_worklist, clock
):
    worklist = await open_worklist("ris")
    await worklist.renew("ris", steps(of(1, "20260301"), of(2), of(3, "20260312")))
    # A source that answers says itself what is to be done.
    assert await ids(worklist) == ["SPS1", "SPS2", "SPS3"]
    clock.now += 3600
    assert await ids(worklist) == ["SPS2", "SPS3"]
    clock.now = NOON + DAY
    assert await ids(worklist) == ["SPS2", "SPS3"]
    clock.now = NOON + 2 * DAY
    assert await ids(worklist) == ["SPS3"]
    clock.now = NOON + 4 * DAY
    assert await ids(worklist) == []


async def test_without_a_night_more_it_ends_at_midnight(open_worklist, clock):
    worklist = await open_worklist("ris", keep_days=0)
    await worklist.renew("ris", steps(of(1)))
    clock.now = dt.datetime(2026, 3, 10, 23, 59, tzinfo=UTC).timestamp()
    assert await ids(worklist) == ["SPS1"]
    clock.now += 120
    assert await ids(worklist) == []


@pytest.mark.parametrize("way", ["added", "from a source"])
async def test_a_clock_that_was_just_set_lets_nothing_be_forgotten(
    open_worklist, database, clock, way
):
    believed = False
    worklist = await open_worklist("ris", may_forget=lambda: believed)
    if way == "added":
        await worklist.add(steps(of(1)))
    else:
        await worklist.renew("ris", steps(of(1)))
        await worklist.failed("ris", "it is away")
    clock.now += 400 * DAY
    await worklist.add(steps(of(2)))
    assert await ids(worklist) == []
    clock.now -= 400 * DAY
    assert await ids(worklist) == ["SPS1", "SPS2"]
    believed = True
    clock.now += 400 * DAY
    await worklist.add(steps(of(3)))
    assert await database.read("SELECT step_id FROM worklist_steps") == [("SPS3",)]


async def test_it_is_all_there_after_a_restart_and_what_is_configured_no_more_is_gone(
    open_worklist, database
):
    worklist = await open_worklist("ris", "folder")
    await worklist.renew("ris", steps(of(1)))
    await worklist.renew("folder", steps(of(2)))
    await worklist.add(steps(of(3)))
    again = await open_worklist("folder")
    assert await ids(again) == ["SPS2", "SPS3"]
    assert [one.name for one in await again.sources()] == ["folder", API]
    expected = await Expectations(database, lambda: NOON, zone=UTC).soon()
    assert {one.patient_id for one in expected} == {"P2", "P3"}


async def test_of_two_sources_with_the_same_step_the_first_configured_one_counts(
    open_worklist, clock
):
    worklist = await open_worklist("first", "second")
    await worklist.add(steps(of(1, name="ADDED^BY HAND")))
    await worklist.renew("second", steps(of(1, "20260311", name="SECOND^ONE"), of(2)))
    await worklist.renew("first", steps(of(1, name="FIRST^ONE")))
    page = await worklist.page(limit=10, offset=0)
    assert [(one.patient_name, one.source) for one in page.items] == [
        ("FIRST^ONE", "first"),
        ("DOE^JANE", "second"),
    ]
    # Not even where only the others' day is asked for.
    assert await ids(worklist, "20260311") == []
    await worklist.renew("first", ())
    page = await worklist.page(limit=10, offset=0)
    assert {one.patient_name for one in page.items} == {"SECOND^ONE", "DOE^JANE"}


async def test_steps_without_ids_of_their_own_are_kept_apart(open_worklist):
    worklist = await open_worklist("ris")
    nameless = [model(of(number)) for number in (1, 2)]
    for one in nameless:
        del one["0020000D"]
        del one["00400100"]["Value"][0]["00400009"]
    await worklist.renew("ris", [step for one in nameless for step in steps_of(one)])
    page = await worklist.page(limit=10, offset=0)
    assert {one.patient_id for one in page.items} == {"P1", "P2"}
    await worklist.set_step_state("", "", StepState.COMPLETED, accession_number="A1")
    assert (await worklist.page(limit=10, offset=0)).total == 2


ASK = {"00100020": {"vr": "LO"}}


async def patients(worklist, identifier=ASK):
    return [one["00100020"]["Value"][0] for one in (await worklist.find(identifier)).answers]


async def test_mpps_takes_a_step_off_the_list_also_before_its_source_brings_it(open_worklist):
    worklist = await open_worklist("ris")
    uid = {number: str(of(number).StudyInstanceUID) for number in range(1, 5)}
    assert await worklist.set_step_state(uid[4], "SPS4", "COMPLETED") == 0
    await worklist.renew("ris", steps(*(of(number) for number in range(1, 5))))
    assert await patients(worklist) == ["P1", "P2", "P3"]
    assert await worklist.set_step_state(uid[1], "SPS1", StepState.IN_PROGRESS) == 1
    assert await worklist.set_step_state(uid[2], "", StepState.DISCONTINUED) == 1
    assert await patients(worklist) == ["P3"]
    assert await worklist.set_step_state("", "", "COMPLETED", accession_number="A3") == 1
    assert await patients(worklist) == []
    assert await worklist.set_step_state("", "", "COMPLETED") == 0
    # The next renewal brings them once more, and they are known.
    await worklist.renew("ris", steps(*(of(number, at="0901") for number in range(1, 5))))
    assert await patients(worklist) == []
    page = await worklist.page(limit=10, offset=0)
    assert [one.state for one in page.items] == [
        "IN PROGRESS",
        "DISCONTINUED",
        "COMPLETED",
        "COMPLETED",
    ]
    with pytest.raises(ValueError, match="DONE"):
        await worklist.set_step_state(uid[1], "SPS1", "DONE")


async def test_another_step_of_the_same_study_is_still_to_be_done(open_worklist):
    worklist = await open_worklist("ris")
    two = model(of(1))
    (step,) = two["00400100"]["Value"]
    later = {**step, "00400009": {"vr": "SH", "Value": ["SPS9"]}}
    two["00400100"]["Value"] = [step, later]
    await worklist.renew("ris", steps_of(two))
    assert await ids(worklist) == ["SPS1", "SPS9"]
    uid = two["0020000D"]["Value"][0]
    await worklist.set_step_state(uid, "SPS1", StepState.COMPLETED)
    found = await worklist.find({"00400100": {"vr": "SQ", "Value": [{"00400009": {"vr": "SH"}}]}})
    (answer,) = found.answers
    assert answer["00400100"]["Value"] == [{"00400009": {"vr": "SH", "Value": ["SPS9"]}}]


async def test_whoever_is_scheduled_is_expected(open_worklist, database, clock):
    changes = Changes()
    worklist = await open_worklist("ris", changes=changes)
    expectations = Expectations(database, clock, zone=UTC)
    with changes.subscribe() as woken:
        await worklist.renew("ris", steps(of(1), of(2, "20260309"), of(3, "20260312", patient="X")))
        assert await woken.wait(1)
        assert await expectations.soon() == [
            Expected("P1", "20260310", modality="CT"),
            Expected("X", "20260312", modality="CT"),
        ]
        await worklist.renew("ris", steps(of(1)))
        assert await woken.wait(1)
        await worklist.renew("ris", steps(of(1)))
        assert not await woken.wait(0.01)
    assert [one.patient_id for one in await expectations.soon()] == ["P1"]
    await worklist.add(steps(of(5)))
    assert [one.patient_id for one in await expectations.soon()] == ["P1", "P5"]
    await worklist.remove(str(of(5).StudyInstanceUID))
    assert [one.patient_id for one in await expectations.soon()] == ["P1"]


async def test_what_was_added_is_replaced_and_taken_back_here_only(open_worklist):
    worklist = await open_worklist("ris")
    await worklist.renew("ris", steps(of(1)))
    assert await worklist.add(steps(of(2))) == 1
    assert await worklist.add(steps(of(2, name="ROE^RICHARD"))) == 1
    page = await worklist.page(limit=10, offset=0)
    assert [one.patient_name for one in page.items] == ["DOE^JANE", "ROE^RICHARD"]
    assert await worklist.remove(str(of(1).StudyInstanceUID)) == 0
    assert await worklist.remove(str(of(2).StudyInstanceUID), "ANOTHER") == 0
    assert await worklist.remove(str(of(2).StudyInstanceUID), "SPS2") == 1
    assert await ids(worklist) == ["SPS1"]


async def test_what_could_not_be_taken_is_named_in_the_status_and_counted_in_the_log(
    open_worklist, caplog
):
    worklist = await open_worklist("ris")
    problems = [f"doe{number}.wl: it is no DICOM" for number in range(30)]
    for _ in range(2):
        await worklist.renew("ris", steps(of(1)), problems)
    (state, _) = await worklist.sources()
    assert state.problems == (*problems[:20], "and 10 more")
    assert caplog.text.count("30 of what worklist source ris has is not right") == 1
    assert "doe" not in caplog.text


async def test_what_is_too_much_for_a_worklist_is_cut_and_said(open_worklist, monkeypatch):
    monkeypatch.setattr("edge.cache.worklist.MOST_STEPS", 3)
    worklist = await open_worklist("ris")
    await worklist.renew("ris", steps(*(of(number) for number in range(1, 6))))
    assert await ids(worklist) == ["SPS1", "SPS2", "SPS3"]
    (state, _) = await worklist.sources()
    assert state.problems == ("it has more than 3 steps: 5",)


async def test_answers_come_by_day_and_time(open_worklist):
    worklist = await open_worklist("ris")
    await worklist.renew(
        "ris", steps(of(1, "20260311", at="0700"), of(2, at="1800"), of(3, at="0600"))
    )
    assert await patients(worklist) == ["P3", "P2", "P1"]


@pytest.mark.parametrize(
    "identifier",
    [
        {"00400100": {"vr": "SQ", "Value": [{"00400002": {"vr": "DA", "Value": ["noon"]}}]}},
        {"00400100": {"vr": "SQ", "Value": [{}, {}]}},
        {"00100030": {"vr": "DA", "Value": ["1", "2"]}},
    ],
)
async def test_what_can_not_be_understood_is_refused(open_worklist, identifier):
    worklist = await open_worklist("ris")
    with pytest.raises(QueryError):
        await worklist.find(identifier)


async def test_only_the_days_that_can_match_are_looked_at(open_worklist):
    worklist = await open_worklist("ris")
    await worklist.renew("ris", steps(of(1), of(2, "20260311"), of(3, "20260312")))
    for text, wanted in {
        "20260311": ["P2"],
        "20260311-": ["P2", "P3"],
        "-20260311": ["P1", "P2"],
        "20260310-20260311": ["P1", "P2"],
        "2026.03.12": ["P3"],
        "*": ["P1", "P2", "P3"],
    }.items():
        step = {"00400002": {"vr": "DA", "Value": [text]}}
        identifier = {**ASK, "00400100": {"vr": "SQ", "Value": [step]}}
        assert await patients(worklist, identifier) == wanted, text
