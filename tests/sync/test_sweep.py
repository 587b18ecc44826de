import asyncio
import datetime as dt

import pytest

from edge.errors import CloudUnreachable
from edge.sync.sweep import Sweep
from tests.fakes.archive import Fault
from tests.sync.conftest import TODAY


@pytest.fixture
def sweep(ledger, archive, link, learning):
    return Sweep(ledger, archive, link, learning, clock=TODAY.timestamp)


async def test_a_small_archive_is_learned_in_one_sweep(sweep, ledger, cloud, slices):
    for part in slices:
        cloud.put(part.data)
    await sweep.run()
    (study,) = ledger.learned.values()
    assert study.study_uid == slices[0].ref.study_uid
    (series,) = study.series
    assert {instance.sop_uid for instance in series.instances} == {
        part.ref.sop_uid for part in slices
    }


async def test_an_empty_archive_teaches_nothing(sweep, ledger):
    await sweep.run()
    assert ledger.learned == {}


async def test_absence_is_never_a_delete(sweep, ledger, cloud, slices):
    for part in slices:
        cloud.put(part.data)
    await sweep.run()
    cloud.instances.clear()
    await sweep.run()
    (study,) = ledger.learned.values()
    assert len(study.series[0].instances) == 6


async def test_a_large_archive_is_swept_in_windows_and_nothing_is_left_out(
    sweep, ledger, cloud, add
):
    day = dt.date(2024, 6, 20)  # Some are dated in the future.
    expected = set()
    for number in range(150):
        expected.add(add(f"{day - dt.timedelta(days=number * number // 4):%Y%m%d}"))
    cloud.cap = 20
    await sweep.run()
    assert set(ledger.learned) == expected


async def test_a_day_with_more_studies_than_fit_an_answer_is_paged(sweep, ledger, cloud, add):
    # More, too, than the pass through the unfiltered list meets in one sweep.
    expected = {add("20240301") for _ in range(60)} | {add("20240302") for _ in range(5)}
    cloud.cap = 2
    await sweep.run()
    assert set(ledger.learned) == expected


async def test_studies_without_a_date_and_with_absurd_dates_are_met(sweep, ledger, cloud, add):
    dates = ["", "", "18500101", "99991231", "20240615", "19000101"]
    expected = {add("20240601") for _ in range(30)} | {add(date) for date in dates}
    cloud.cap = 20
    await sweep.run()
    assert set(ledger.learned) == expected


async def test_a_cap_below_our_limit_is_noticed(sweep, ledger, cloud, add):
    expected = {add(f"202401{number % 28 + 1:02}") for number in range(40)}
    cloud.cap = 15
    await sweep.run()
    assert set(ledger.learned) == expected


async def test_an_archive_that_ignores_offsets_ends_the_sweep(sweep, ledger, cloud, add):
    expected = {add(f"202401{number % 28 + 1:02}") for number in range(150)}
    cloud.cap = 100
    cloud.ignores_offset = True
    await asyncio.wait_for(sweep.run(), 20)
    assert set(ledger.learned) == expected


async def test_an_archive_that_ignores_dates_is_paged_as_one_list(sweep, ledger, cloud, add):
    expected = {add(f"2010{number % 12 + 1:02}{number % 28 + 1:02}") for number in range(250)}
    cloud.ignores_dates = True
    assert await sweep.run()
    assert set(ledger.learned) == expected
    dated = [it for it in cloud.requests if "StudyDate" in str(it)]
    assert len(dated) == 1, "the others would have the same answer"


async def test_a_day_without_end_is_left_at_last(sweep, ledger, cloud, add, monkeypatch):
    monkeypatch.setattr("edge.sync.sweep._MOST_STUDIES", 200)
    expected = {add("20240615") for _ in range(350)}
    assert not await sweep.run() or set(ledger.learned) == expected
    for _ in range(3):
        await sweep.run()
    assert set(ledger.learned) == expected, "the unfiltered list has them"


async def test_the_days_just_past_are_swept_every_time(sweep, ledger, cloud, add):
    for number in range(50):
        add(f"{dt.date(2010, 1, 1) + dt.timedelta(days=number):%Y%m%d}")
    study = add("20240614")
    cloud.cap = 2
    # The slow sweep is far in the past, and will not be back for a while.
    ledger.cursors["sweep:cloud"] = '{"until": "2005-01-01"}'
    await sweep.run()
    assert study in ledger.learned


async def test_a_sweep_that_was_cut_goes_on_where_it_stopped_after_a_restart(
    sweep, learning, ledger, archive, link, cloud, add
):
    expected = {
        add(f"{dt.date(2024, 6, 1) - dt.timedelta(days=7 * number):%Y%m%d}")
        for number in range(100)
    }
    cloud.cap = 20
    cloud.faults["search"].extend([Fault()] * 150 + [Fault(status=500)])
    with pytest.raises(CloudUnreachable):
        await sweep.run()
    done = set(ledger.learned)
    assert 0 < len(done) < 100
    cloud.requests.clear()
    await Sweep(ledger, archive, link, learning, clock=TODAY.timestamp).run()
    assert set(ledger.learned) == expected
    asked = [query["StudyDate"] for _, _, query in cloud.requests if "StudyDate" in query]
    # After the days just past it does not begin at the newest again.
    assert asked[0].endswith("-")
    assert not any(one.endswith("-") for one in asked[1:])


async def test_a_cursor_that_can_not_be_understood_starts_over(sweep, ledger, cloud, add):
    expected = {add(f"202401{number % 28 + 1:02}") for number in range(50)}
    cloud.cap = 20
    ledger.cursors["sweep:cloud"] = '{"until": "the day after"}'
    await sweep.run()
    assert set(ledger.learned) == expected


async def test_studies_that_arrive_while_a_window_is_paged_are_not_lost(
    sweep, ledger, cloud, add, archive
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
    await sweep.run()
    assert set(ledger.learned) == expected


@pytest.mark.parametrize("cap", [100, 200])
async def test_an_archive_that_changes_between_its_pages_hides_nothing(
    sweep, ledger, cloud, add, archive, cap
):
    """With the caps of Google and Azure: on one day, on many, and without a date."""
    for number in range(150):
        add("20240301", number)
        add(f"{dt.date(2024, 2, 1) - dt.timedelta(days=number):%Y%m%d}", 1000 + number)
        add("", 2000 + number)
    cloud.cap = cap
    original = archive.search_studies
    doomed, newcomers = iter(range(0, 2150, 50)), iter(range(5000, 5040))

    async def while_others_work(params, **page):
        found = await original(params, **page)
        if (number := next(doomed, None)) is not None:
            cloud.instances.pop(f"1.2.5.{number}", None)  # In front: others move forward.
        if (number := next(newcomers, None)) is not None:
            add("20240301" if number % 2 else "", number)
        return found

    archive.search_studies = while_others_work
    await sweep.run()
    left = {held.study_uid for held in cloud.instances.values()}
    archive.search_studies = original
    await sweep.run()
    assert left <= set(ledger.learned)


async def test_it_says_when_all_was_seen(sweep, cloud, add):
    for number in range(250):
        add(f"{dt.date(2010, 1, 1) + dt.timedelta(days=number):%Y%m%d}")
    cloud.cap = 10
    assert not await sweep.run()  # Going through the list takes longer than a sweep.
    assert await sweep.run()
    cloud.cap = None
    assert await sweep.run()


async def test_one_that_is_under_way_when_all_is_to_be_seen_anew_has_not_seen_it(
    sweep, ledger, cloud, add, archive
):
    for number in range(30):
        add(f"{dt.date(2010, 1, 1) + dt.timedelta(days=number):%Y%m%d}")
    cloud.cap = 10
    original = archive.search_studies

    async def start_over_meanwhile(params, **page):
        archive.search_studies = original
        await sweep.start_over()
        return await original(params, **page)

    archive.search_studies = start_over_meanwhile
    assert not await sweep.run()
    fresh = ledger.cursors["sweep:cloud"]
    assert '"has_seen_dates":false' in fresh
    assert await sweep.run()
