"""What will be asked for is here before: at its time, at its pace, into room that nobody misses."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace

import pytest

from edge import config
from edge.cache.absences import Absences, State
from edge.cache.expected import Expectations, Expected
from edge.cache.headroom import Headroom
from edge.cache.pins import Pins
from edge.cache.priors import DAY, Priors
from edge.errors import CloudUnreachable, LineClosed
from edge.index import lookup
from edge.sync.learning import Learning
from edge.sync.line import Line
from edge.sync.link import Link
from edge.sync.prefetch import Prefetch
from tests.cache.conftest import open_cache  # noqa: F401 - a fixture
from tests.fakes.archive import Fault
from tests.patients import made, study_uid

TODAY = date(2026, 3, 10)
LAST_YEAR = TODAY - timedelta(days=365)


class Clock:
    """Noon, at first; a Tuesday."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 10, 12, tzinfo=UTC).timestamp()

    def __call__(self) -> float:
        return self.now

    def at(self, hour, *, days=0):
        moment = datetime(2026, 3, 10, hour, tzinfo=UTC) + timedelta(days=days)
        self.now = moment.timestamp()


@pytest.fixture
def open_box(open_cache, cloud):  # noqa: F811
    """A cache with an archive behind it, and the part that brings things ahead; nothing runs."""

    @asynccontextmanager
    async def opened(*, pin=(), clock=None, cache=None, **sync):
        clock = clock or Clock()
        settings = config.Config(
            cache=config.Cache(pin=tuple(pin), reserve_bytes=0, **(cache or {})),
            sync=config.Sync(**({"prefetch": ("any: 3 within 5 years",)} | sync)),
        )
        limits = {"pin": tuple(pin)} | (cache or {})
        async with open_cache(archive=cloud, clock=clock, **limits) as inner:
            line = Line(settings.sync, clock=clock, zone=UTC)
            link = Link(inner.cloud, inner.ledger, settings.sync, clock=clock, line=line)
            absences = Absences(inner.database, inner.changes, inner.trash, clock)
            prefetch = Prefetch(
                Priors(inner.database, settings, clock, zone=UTC),
                Headroom(settings.cache, inner.database, inner.space, clock),
                inner.ledger,
                inner.fetching,
                inner.cloud,
                link,
                Learning(inner.ledger, inner.cloud, link, absences=absences),
                inner.changes,
                settings.sync,
                clock=clock,
                zone=UTC,
                breath=0.01,
            )
            pins = Pins(inner.database, pin, clock, UTC)
            expectations = Expectations(inner.database, clock, zone=UTC)

            async def send(*parts):
                for part in parts:
                    await inner.send(part)

            async def verified(name):
                """As verification leaves a study that the archive has."""
                for one in await lookup.find(inner.database, study_uid(name)):
                    await inner.database.write(
                        lambda db, one=one: db.execute(
                            "UPDATE instances SET custody = 'VERIFIED', verified = ? WHERE id = ?",
                            (clock.now + 1, one.instance_id),
                        )
                    )

            async def here(name):
                """How many instances of a study are here."""
                rows = await lookup.find(inner.database, study_uid(name))
                return sum(row.object is not None for row in rows)

            async def settle(rounds=50):
                """Work until nothing is left to do; how many rounds it took."""
                for number in range(rounds):
                    if not await prefetch.step():
                        return number
                raise AssertionError("it does not come to rest")

            yield SimpleNamespace(**locals())

    return opened


def put(cloud, *args, **kwargs):
    """Have the archive have a study."""
    parts = made(*args, **kwargs)
    for part in parts:
        cloud.put(part.data)
    return parts


async def test_priors_of_what_was_just_made_come_although_no_sweep_met_them(open_box, cloud):
    put(cloud, "prior", "P1", day=LAST_YEAR)
    put(cloud, "another's", "P2", day=LAST_YEAR)
    async with open_box() as box:
        assert await box.settle() == 0
        assert cloud.requests == []
        await box.send(*made("new", "P1"))
        await box.settle()
        assert await box.here("prior") == 2
        assert await lookup.find(box.inner.database, study_uid("another's")) == []


async def test_a_patient_is_asked_about_once_a_day(open_box, cloud):
    put(cloud, "prior", "P1", day=LAST_YEAR)

    def questions():
        return [query for _, _, query in cloud.requests if "PatientID" in query]

    async with open_box() as box:
        await box.send(*made("new", "P1"))
        await box.settle()
        await box.settle()
        assert [query["PatientID"] for query in questions()] == ["P1"]
        await box.expectations.announce([Expected("P1", "20260312")])
        box.clock.at(20, days=1)
        await box.settle()
        assert len(questions()) == 2


async def test_what_is_listed_of_a_patient_without_what_it_had_is_looked_for(open_box, cloud):
    """No sweep would notice it any more: to those the study is as it was met here."""
    parts = put(cloud, "new", "P1")
    async with open_box() as box:
        await box.send(*parts)
        await box.verified("new")
        del cloud.instances[parts[0].ref.sop_uid]
        await box.settle()
        [absence] = await box.absences.decided(State.SUSPECTED)
        assert absence.study_uid == study_uid("new")
        assert not absence.is_whole


async def test_an_archive_that_ignores_the_question_makes_no_strangers_known(open_box, cloud):
    put(cloud, "stranger's", "P1", day=LAST_YEAR)
    put(cloud, "issued elsewhere", "P*", day=LAST_YEAR)
    async with open_box() as box:
        box.link.line.check("down")
        asked = box.inner.cloud.search_studies

        async def any_patient(params=None, **named):
            return await asked({}, **named)

        box.inner.cloud.search_studies = any_patient
        await box.send(*made("new", "P*"))
        await box.settle()
        assert await lookup.find(box.inner.database, study_uid("stranger's")) == []
        assert await box.here("issued elsewhere") == 2


async def test_tomorrows_patients_are_asked_about_and_fetched_in_quiet_hours(open_box, cloud):
    put(cloud, "prior", "P1", day=LAST_YEAR)
    async with open_box(prefetch_hours=("mon-fri 19:00-06:00",)) as box:
        await box.expectations.announce([Expected("P1", "20260311", source="ris")])
        await box.settle()
        assert cloud.requests == []
        box.clock.at(18)
        assert not box.prefetch.is_quiet
        box.clock.at(19)
        await box.settle()
        assert await box.here("prior") == 2


async def test_what_was_announced_late_for_today_does_not_wait(open_box, cloud):
    put(cloud, "prior", "P1", day=LAST_YEAR)
    async with open_box() as box:
        await box.expectations.announce([Expected("P1", "20260310", source="ris")])
        await box.settle()
        assert await box.here("prior") == 2


async def test_hours_over_midnight_belong_to_the_day_on_which_they_begin(open_box):
    async with open_box(prefetch_hours=("mon 22:00-05:00",)) as box:
        box.clock.at(4)  # Tuesday
        assert box.prefetch.is_quiet
        box.clock.at(4, days=1)
        assert not box.prefetch.is_quiet
    async with open_box(prefetch_hours=()) as box:
        assert box.prefetch.is_quiet


async def test_a_report_that_is_learned_of_what_is_here_is_fetched(open_box, cloud):
    async with open_box(prefetch=()) as box:
        await box.send(*made("study", "P1"))
        box.clock.at(12, days=30)
        put(cloud, "study", "P1", modality="SR", series=5, slices=1)
        assert await box.inner.retrieval.discover(study_uid("study")) is False
        await box.settle()
        assert await box.here("study") == 2
        # As a sweep learns it.
        remote = await box.inner.several.describe_study(study_uid("study"))
        await box.inner.ledger.learn(remote)
        await box.settle()
        assert await box.here("study") == 3


async def test_a_closed_calendar_and_a_spent_budget_stop_it(open_box, cloud):
    put(cloud, "prior", "P1", day=LAST_YEAR)
    async with open_box(calendar=("08:00-18:00 off",)) as box:
        await box.send(*made("new", "P1"))
        with pytest.raises(LineClosed):
            await box.settle()
        box.clock.at(18)
        await box.settle()
        assert await box.here("prior") == 2


async def test_it_keeps_to_the_limit_of_the_line_and_a_viewer_who_joins_does_not(open_box, cloud):
    (part,) = put(cloud, "prior", "P1", day=LAST_YEAR, slices=1, size=3_000_000)
    async with open_box(max_download_kbps=80) as box:  # five minutes
        await box.send(*made("new", "P1"))
        await box.prefetch.step()  # learns
        bringing = asyncio.create_task(box.prefetch.step())
        await asyncio.sleep(0.5)
        assert not bringing.done()
        assert await box.here("prior") == 0
        async with asyncio.timeout(60):
            assert await box.inner.read(part.ref) == part.data
            await bringing
        assert cloud.asked(f"instances/{part.ref.sop_uid}") == 1


async def test_a_viewer_who_joins_what_the_calendar_breaks_off_gets_it_all_the_same(
    open_box, cloud
):
    (part,) = put(cloud, "prior", "P1", day=LAST_YEAR, slices=1, size=200_000)
    async with open_box() as box:
        await box.send(*made("new", "P1"))
        await box.prefetch.step()

        async def closes(pieces):
            async for _ in pieces:
                await asyncio.sleep(0.05)
                raise LineClosed("the calendar lets nothing through")
                yield b""

        fetching = box.inner.fetching
        broken = asyncio.create_task(fetching.bring(part.ref, closes))
        await asyncio.sleep(0.02)
        await asyncio.gather(fetching.fetch(part.ref), broken, return_exceptions=True)
        assert await box.here("prior") == 1


async def test_urgent_uploads_go_first_for_a_while(open_box, cloud):
    async with open_box() as box:
        await box.send(*made("new", "P1"))
        assert not await box.prefetch._should_wait()
        await box.inner.ledger.upload_first(study_uid("new"))
        assert await box.prefetch._should_wait()
        box.clock.now += 301
        assert not await box.prefetch._should_wait()


async def test_an_instance_that_can_not_be_had_holds_up_no_other(open_box, cloud):
    bad, _ = put(cloud, "prior", "P1", day=LAST_YEAR)
    async with open_box() as box:
        await box.send(*made("new", "P1"))
        await box.prefetch.step()
        del cloud.instances[bad.ref.sop_uid]
        await box.settle()
        assert await box.here("prior") == 1
        cloud.put(bad.data)
        await box.settle()
        assert await box.here("prior") == 1
        box.clock.now += 3601
        await box.settle()
        assert await box.here("prior") == 2


async def test_a_line_that_breaks_is_let_alone_for_a_moment(open_box, cloud):
    put(cloud, "prior", "P1", day=LAST_YEAR)
    async with open_box() as box:
        await box.send(*made("new", "P1"))
        await box.prefetch.step()
        cloud.faults["retrieve"].extend([Fault(status=503)] * 8)
        assert not await box.prefetch.step()
        asked = len(cloud.requests)
        assert not await box.prefetch.step()
        assert len(cloud.requests) == asked
        cloud.faults["retrieve"].clear()
        box.clock.now += 31
        await box.settle()
        assert await box.here("prior") == 2


async def test_when_the_archive_can_not_be_asked_the_line_is_said_to_be_down(open_box, cloud):
    async with open_box() as box:
        await box.send(*made("new", "P1"))
        await cloud.stop()
        with pytest.raises(CloudUnreachable):
            await box.prefetch.step()


async def test_it_runs_by_itself_and_its_log_names_nobody(open_box, cloud, caplog):
    caplog.set_level(logging.INFO)
    put(cloud, "prior", "P1-SECRET", day=LAST_YEAR)
    async with open_box() as box:
        for part in (box.link, box.prefetch):
            running = box.inner.group.create_task(part.run())
            box.inner.stack.callback(running.cancel)
        await box.send(*made("new", "P1-SECRET"))
        with box.inner.changes.subscribe() as woken:
            async with asyncio.timeout(30):
                while await box.here("prior") < 2 or "prefetched" not in caplog.text:
                    await woken.wait(0.02)
    ours = [one.getMessage() for one in caplog.records if one.name.startswith("edge.")]
    assert any("prefetched 2 instances" in words for words in ours)
    assert "SECRET" not in "".join(ours)


class TestRoom:
    """What is brought ahead pushes out nothing that anybody would miss."""

    SIZE = 100_000

    async def fill(self, box, count, prefix="old"):
        for number in range(count):
            name = f"{prefix} {number}"
            await box.send(*put(box.cloud, name, f"{prefix}-{number}", slices=1, size=self.SIZE))
            await box.verified(name)
            await self.evict(box)

    async def evict(self, box):
        """As the part does that watches the marks."""
        await box.inner.space.refresh()
        if box.inner.space.above_high_mark:
            await box.inner.eviction.make_room()

    async def test_it_takes_free_room_only_up_to_the_low_mark(self, open_box, cloud):
        async with open_box(cache={"max_bytes": 10 * 110_000}) as box:
            await self.fill(box, 9)
            put(cloud, "prior", "P1", day=LAST_YEAR, slices=5, size=self.SIZE)
            await box.send(*made("new", "P1", slices=1, size=100))
            await box.settle()
            assert await box.here("prior") == 0
            assert not box.inner.space.above_high_mark
            assert [await box.here(f"old {number}") for number in range(9)] == [1] * 9

    async def test_what_was_not_used_for_a_day_makes_room_and_what_was_used_does_not(
        self, open_box, cloud
    ):
        async with open_box(cache={"max_bytes": 20 * 110_000}) as box:
            await self.fill(box, 10, "stale")
            box.clock.now += DAY + 60
            await self.fill(box, 7, "fresh")
            put(cloud, "prior", "P1", day=LAST_YEAR, slices=6, size=self.SIZE)
            await box.send(*made("new", "P1", slices=1, size=100))
            await self.until_rest(box)
            assert await box.here("prior") == 6
            assert [await box.here(f"fresh {number}") for number in range(7)] == [1] * 7
            assert sum([await box.here(f"stale {number}") for number in range(10)]) < 10

    async def test_it_never_fills_more_than_half_of_the_cache_in_a_day(self, open_box, cloud):
        async with open_box(cache={"max_bytes": 10 * 110_000}) as box:
            put(cloud, "prior", "P1", day=LAST_YEAR, slices=9, size=self.SIZE)
            await box.send(*made("new", "P1", slices=1, size=100))
            await self.until_rest(box)
            assert 3 <= await box.here("prior") <= 5

    async def test_what_was_brought_and_evicted_is_not_brought_again(self, open_box, cloud):
        async with open_box(cache={"max_bytes": 10 * 110_000}) as box:
            put(cloud, "prior", "P1", day=LAST_YEAR, slices=2, size=self.SIZE)
            await box.send(*made("new", "P1", slices=1, size=100))
            await self.until_rest(box)
            assert await box.here("prior") == 2
            box.clock.now += 60
            # What comes in, and is sent at once, takes all the room.
            await self.fill(box, 10, "crowd")
            assert await box.here("prior") == 0
            fetched = cloud.asked(study_uid("prior"))
            for _ in range(20):
                box.clock.now += 700
                await self.until_rest(box)
            assert cloud.asked(study_uid("prior")) == fetched

    async def test_it_comes_to_rest_on_a_box_that_is_far_too_small(self, open_box, cloud):
        async with open_box(cache={"max_bytes": 6 * 110_000}) as box:
            for number in range(12):
                put(cloud, f"prior {number}", f"P{number}", day=LAST_YEAR, size=self.SIZE)
                await box.send(*made(f"new {number}", f"P{number}", slices=1, size=100))
            for _ in range(30):
                box.clock.now += 700
                await self.until_rest(box)
            retrieved = [path for _, path, _ in cloud.requests if "instances/" in path]
            # Some of them were broken off for want of room, and tried once more when there was.
            assert 2 <= len(retrieved) <= 2 * 24
            for _ in range(10):
                box.clock.now += 700
                await self.until_rest(box)
            assert len(retrieved) == cloud.asked("instances/")
            assert not box.inner.space.above_high_mark

    async def test_what_is_pinned_is_never_evicted_and_what_is_not_goes(self, open_box, cloud):
        async with open_box(cache={"max_bytes": 10 * 110_000}) as box:
            await self.fill(box, 3, "pinned")
            for number in range(3):
                await box.pins.add("study", study_uid(f"pinned {number}"))
            box.clock.now += 60
            await self.fill(box, 12, "crowd")
            assert [await box.here(f"pinned {number}") for number in range(3)] == [1] * 3
            assert sum([await box.here(f"crowd {number}") for number in range(12)]) < 7

    async def test_pins_beyond_their_share_give_way_to_intake_rules_before_people(
        self, open_box, cloud
    ):
        limits = {"max_bytes": 10 * 110_000}
        async with open_box(pin=("modality CT",), cache=limits) as box:
            await self.fill(box, 2, "teaching")
            for number in range(2):
                await box.pins.add("study", study_uid(f"teaching {number}"))
            box.clock.now += 60
            await self.fill(box, 12, "all pinned")
            assert [await box.here(f"teaching {number}") for number in range(2)] == [1] * 2
            assert not box.inner.space.above_high_mark
            box.inner.space.check_room()

    async def test_pins_that_do_not_fit_are_not_fetched(self, open_box, cloud):
        async with open_box(cache={"max_bytes": 10 * 110_000}) as box:
            put(cloud, "large", "P1", day=LAST_YEAR, slices=9, size=self.SIZE)
            await box.pins.add("study", study_uid("large"))
            await self.until_rest(box)
            assert 3 <= await box.here("large") <= 5
            assert (await box.pins.size()).missing >= 4

    async def until_rest(self, box):
        """As the parts that run side by side would: eviction looks after every round."""
        for _ in range(60):
            worked = await box.prefetch.step()
            await self.evict(box)
            if not worked:
                return
        raise AssertionError("it does not come to rest")
