import asyncio
import datetime as dt
from dataclasses import replace

import pytest

from edge import config
from edge.errors import CloudUnreachable
from edge.sync.line import Closed, Line
from edge.sync.link import Link
from edge.sync.pull import Pull
from tests import samples
from tests.fakes.archive import Fault
from tests.sync.conftest import SETTINGS, until

TODAY = dt.datetime(2024, 6, 15, 12, tzinfo=dt.UTC)


@pytest.fixture
def pull(ledger, archive, link):
    return new_pull(ledger, archive, link)


def new_pull(ledger, archive, link):
    return Pull(ledger, archive, link, SETTINGS, clock=TODAY.timestamp)


@pytest.fixture
def template(cloud):
    """An instance of which the tests make studies."""
    (part,) = samples.ct_series(1, rows=8, columns=8)
    held = cloud.put(part.data)
    cloud.instances.clear()
    return held


@pytest.fixture
def add(cloud, template):
    """Puts a study of one instance into the archive; its Study Instance UID."""

    def put(date, number=None):
        number = len(cloud.instances) + 1 if number is None else number
        study, series, sop = (f"1.2.{level}.{number}" for level in (3, 4, 5))
        attributes = template.attributes | {
            "00080020": {"vr": "DA", "Value": [date]} if date else {"vr": "DA"},
            "0020000D": {"vr": "UI", "Value": [study]},
            "0020000E": {"vr": "UI", "Value": [series]},
            "00080018": {"vr": "UI", "Value": [sop]},
        }
        cloud.instances[sop] = replace(
            template, study_uid=study, series_uid=series, sop_uid=sop, attributes=attributes
        )
        return study

    return put


def descents(cloud):
    return cloud.asked("/series")


async def test_a_small_archive_is_learned_in_one_sweep(pull, ledger, cloud, slices):
    for part in slices:
        cloud.put(part.data)
    await pull.sweep()
    (study,) = ledger.learned.values()
    assert study.study_uid == slices[0].ref.study_uid
    (series,) = study.series
    assert {instance.sop_uid for instance in series.instances} == {
        part.ref.sop_uid for part in slices
    }


async def test_an_empty_archive_teaches_nothing(pull, ledger):
    await pull.sweep()
    assert ledger.learned == {}


async def test_a_study_that_is_no_patients_is_not_learned(ledger, archive, link, add):
    add("20240101", 1)

    async def unlisted():
        return frozenset({"1.2.3.1", "1.2.3.99"})

    add("20240101", 2)
    pull = Pull(ledger, archive, link, SETTINGS, clock=TODAY.timestamp, unlisted=unlisted)
    await pull.sweep()
    assert set(ledger.learned) == {"1.2.3.2"}


async def test_a_study_that_is_as_it_was_is_not_looked_into(pull, ledger, cloud, slices):
    for part in slices:
        cloud.put(part.data)
    await pull.sweep()
    before = descents(cloud)
    await pull.sweep()
    assert descents(cloud) == before
    assert ledger.learnings == 1


async def test_a_new_instance_and_a_changed_name_are_noticed(pull, ledger, cloud, slices):
    *most, last = slices
    for part in most:
        cloud.put(part.data)
    await pull.sweep()
    cloud.put(last.data)
    await pull.sweep()
    (study,) = ledger.learned.values()
    assert len(study.series[0].instances) == 6
    for uid, held in cloud.instances.items():
        renamed = held.attributes | {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "New"}]}}
        cloud.instances[uid] = replace(held, attributes=renamed)
    await pull.sweep()
    assert ledger.learnings == 3


async def test_an_archive_without_counts_is_looked_into_every_time(pull, ledger, cloud, slices):
    cloud.counts = False
    cloud.put(slices[0].data)
    await pull.sweep()
    cloud.put(slices[1].data)
    await pull.sweep()
    (study,) = ledger.learned.values()
    assert len(study.series[0].instances) == 2


async def test_a_study_that_was_not_listed_whole_is_looked_into_again(pull, ledger, cloud, slices):
    for part in slices:
        cloud.put(part.data)
    cloud.faults["search"].extend([Fault(), Fault(), Fault(), Fault(status=204)])
    await pull.sweep()
    assert ledger.learned[slices[0].ref.study_uid].fingerprint == ""
    await pull.sweep()
    (study,) = ledger.learned.values()
    assert len(study.series[0].instances) == 6
    assert study.fingerprint != ""


async def test_absence_is_never_a_delete(pull, ledger, cloud, slices):
    for part in slices:
        cloud.put(part.data)
    await pull.sweep()
    cloud.instances.clear()
    await pull.sweep()
    (study,) = ledger.learned.values()
    assert len(study.series[0].instances) == 6


async def test_a_large_archive_is_swept_in_windows_and_nothing_is_left_out(
    pull, ledger, cloud, add
):
    day = dt.date(2024, 6, 20)  # Some are dated in the future.
    expected = set()
    for number in range(150):
        expected.add(add(f"{day - dt.timedelta(days=number * number // 4):%Y%m%d}"))
    cloud.cap = 20
    await pull.sweep()
    assert set(ledger.learned) == expected


async def test_a_day_with_more_studies_than_fit_an_answer_is_paged(pull, ledger, cloud, add):
    # More, too, than the pass through the unfiltered list meets in one sweep.
    expected = {add("20240301") for _ in range(60)} | {add("20240302") for _ in range(5)}
    cloud.cap = 2
    await pull.sweep()
    assert set(ledger.learned) == expected


async def test_studies_without_a_date_and_with_absurd_dates_are_met(pull, ledger, cloud, add):
    dates = ["", "", "18500101", "99991231", "20240615", "19000101"]
    expected = {add("20240601") for _ in range(30)} | {add(date) for date in dates}
    cloud.cap = 20
    await pull.sweep()
    assert set(ledger.learned) == expected


async def test_a_cap_below_our_limit_is_noticed(pull, ledger, cloud, add):
    expected = {add(f"202401{number % 28 + 1:02}") for number in range(40)}
    cloud.cap = 15
    await pull.sweep()
    assert set(ledger.learned) == expected


async def test_an_archive_that_ignores_offsets_ends_the_sweep(pull, ledger, cloud, add):
    expected = {add(f"202401{number % 28 + 1:02}") for number in range(150)}
    cloud.cap = 100
    cloud.ignores_offset = True
    await asyncio.wait_for(pull.sweep(), 20)
    assert set(ledger.learned) == expected


async def test_the_days_just_past_are_swept_every_time(pull, ledger, cloud, add):
    for number in range(50):
        add(f"{dt.date(2010, 1, 1) + dt.timedelta(days=number):%Y%m%d}")
    study = add("20240614")
    cloud.cap = 2
    # The slow sweep is far in the past, and will not be back for a while.
    ledger.cursors["sweep:cloud"] = '{"until": "2005-01-01"}'
    await pull.sweep()
    assert study in ledger.learned


async def test_a_sweep_that_was_cut_goes_on_where_it_stopped_after_a_restart(
    pull, ledger, archive, link, cloud, add
):
    expected = {
        add(f"{dt.date(2024, 6, 1) - dt.timedelta(days=7 * number):%Y%m%d}")
        for number in range(100)
    }
    cloud.cap = 20
    cloud.faults["search"].extend([Fault()] * 150 + [Fault(status=500)])
    with pytest.raises(CloudUnreachable):
        await pull.sweep()
    done = set(ledger.learned)
    assert 0 < len(done) < 100
    cloud.requests.clear()
    await new_pull(ledger, archive, link).sweep()
    assert set(ledger.learned) == expected
    asked = [query["StudyDate"] for _, _, query in cloud.requests if "StudyDate" in query]
    # After the days just past it does not begin at the newest again.
    assert asked[0].endswith("-")
    assert not any(one.endswith("-") for one in asked[1:])


async def test_a_cursor_that_can_not_be_understood_starts_over(pull, ledger, cloud, add):
    expected = {add(f"202401{number % 28 + 1:02}") for number in range(50)}
    cloud.cap = 20
    ledger.cursors["sweep:cloud"] = '{"until": "the day after"}'
    await pull.sweep()
    assert set(ledger.learned) == expected


async def test_studies_that_arrive_while_a_window_is_paged_are_not_lost(
    pull, ledger, cloud, add, archive
):
    expected = {add("20240301", number) for number in range(1000, 1050)}
    cloud.cap = 5
    # Not that the pass through the unfiltered list meets them.
    ledger.cursors["sweep:cloud"] = '{"offset": 1000}'
    original = archive.search_studies
    newcomers = iter(range(5))

    async def while_others_store(params, **page):
        found = await original(params, **page)
        if page["offset"] and params and (number := next(newcomers, None)) is not None:
            # In front of all others, so that every offset is off by one.
            expected.add(add("20240301", number))
            cloud.instances = dict(sorted(cloud.instances.items(), key=lambda it: len(it[0])))
        return found

    archive.search_studies = while_others_store
    await pull.sweep()
    assert set(ledger.learned) == expected


async def test_one_study_that_can_not_be_listed_stops_no_other(pull, ledger, cloud, add):
    first, second = add("20240101"), add("20240102")
    cloud.faults["search"].extend([Fault(), Fault(), Fault(status=400)])
    await pull.sweep()
    assert set(ledger.learned) == {second}
    await pull.sweep()
    assert set(ledger.learned) == {first, second}


async def test_a_study_that_is_nonsense_stops_no_other(pull, ledger, cloud, add, template, caplog):
    nonsense, good = add("20240101"), add("20240102")
    learn = ledger.learn

    async def strict(study):
        if study.study_uid == nonsense:
            raise OverflowError("Synthetic^Patient is too large to convert")
        await learn(study)

    ledger.learn = strict
    await pull.sweep()
    assert set(ledger.learned) == {good}
    assert "can't be used: 1 (the last: OverflowError)" in caplog.text
    assert "Synthetic" not in caplog.text


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b"[%b]" % b",".join([b"null"] * 1_000_000), b"not JSON at all"]
)
async def test_a_list_that_is_of_no_use_leaves_the_line_to_the_uploads(
    pull, link, running, ledger, cloud, slices, body, caplog
):
    running(link, pull)
    await link.wait_online()
    await until(lambda: cloud.requests)
    bad = Fault(status=200, body=body, content_type="application/dicom+json")
    cloud.faults["search"].extend([bad] * 3)
    await until(lambda: not cloud.faults["search"])
    assert link.online
    assert "what is new in the archive can't be seen" in caplog.text
    cloud.put(slices[0].data)
    await until(lambda: ledger.learned)


async def test_uids_that_are_none_are_left_out(pull, ledger, cloud, add, template):
    add("20240101")
    bad = {"0020000D": {"vr": "UI", "Value": ["../../etc"]}}
    cloud.instances["x"] = replace(
        template, study_uid="../../etc", attributes=template.attributes | bad
    )
    await pull.sweep()
    assert list(ledger.learned) == ["1.2.3.1"]


async def test_it_sweeps_again_and_again_and_waits_while_offline(
    pull, link, running, ledger, cloud, slices
):
    running(link, pull)
    cloud.put(slices[0].data)
    await until(lambda: ledger.learned)
    await cloud.stop()
    await until(lambda: not link.online)
    cloud.put(slices[1].data)
    await cloud.start()
    await until(lambda: len(next(iter(ledger.learned.values())).series[0].instances) == 2)


async def test_a_sweep_waits_while_downloads_are_off_and_ends_when_they_are(
    archive, ledger, cloud, add, running
):
    for _ in range(10):
        add("20240615")
    settings = config.Sync(sweep_minutes=60)
    line = Line(settings, look=0.02)
    link = Link(archive, ledger, settings, line=line)
    most = [0]
    """Studies that may be learned before the hours end."""

    def closed(_):
        return Closed("the calendar", None) if len(ledger.learned) >= most[-1] else None

    line.closed = closed
    running(link, Pull(ledger, archive, link, settings, clock=TODAY.timestamp))
    await link.wait_online()
    await asyncio.sleep(0.1)
    assert not ledger.learned
    most.append(3)
    await until(lambda: len(ledger.learned) == 3)
    await asyncio.sleep(0.1)
    assert len(ledger.learned) == 3
    assert link.online
    most.append(1000)
    await until(lambda: len(ledger.learned) == 10)
