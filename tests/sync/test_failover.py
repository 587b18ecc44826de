"""Who stands in, when, and when not any more."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import AsyncExitStack

import pytest

from edge import config
from edge.cloud.dicomweb import DicomwebArchive
from edge.cloud.retry import Backoff
from edge.errors import CloudUnreachable, InstanceNotFound, StorageFull
from edge.others import Archive
from edge.sync.failover import Failover, StandIn
from edge.sync.line import Line
from edge.sync.link import Link
from tests import samples
from tests.fakes.archive import FakeArchive
from tests.sync.conftest import until

MINUTES = 60.0
NAMES = ("primary", "near", "far")


class Ledger:
    """What Failover asks of the ledger, noted."""

    def __init__(self, states) -> None:
        self.set_archive_state = states.set_archive_state
        self.standing_in = set()
        self.to_bring = []
        self.log = []

    async def stand_in(self, archive):
        if archive not in self.standing_in:
            self.log.append(f"{archive} stands in")
        self.standing_in.add(archive)
        return 0

    async def step_back(self, archive):
        self.log.append(f"{archive} steps back")
        self.standing_in.discard(archive)

    async def to_bring_home(self, archive, *, max_count):
        return [ref for name, ref in self.to_bring if name == archive][:max_count]


class Pulling:
    """Runs, and says whether it does."""

    def __init__(self) -> None:
        self.runs = 0

    async def run(self):
        self.runs += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.runs -= 1


class Fetching:
    """Fetches, and takes what it fetched off the list."""

    def __init__(self, ledger) -> None:
        self.ledger = ledger
        self.fetched = []
        self.failures = []

    async def fetch(self, ref):
        if self.failures:
            raise self.failures.pop(0)
        self.fetched.append(ref)
        self.ledger.to_bring = [one for one in self.ledger.to_bring if one[1] != ref]


class Stage:
    """Three archives, the lines to them, and the part that watches."""

    def __init__(self, states, changes, calendar) -> None:
        self.now = 1000.0
        self.changes = changes
        self.ledger = Ledger(states)
        self.fetching = Fetching(self.ledger)
        self.clouds = {name: FakeArchive() for name in NAMES}
        self.links = {}
        self.pulls = {name: Pulling() for name in NAMES[1:]}
        self.line = Line(config.Sync(calendar=calendar))

    async def open(self, stack):
        for name, cloud in self.clouds.items():
            await stack.enter_async_context(cloud)
            client = await stack.enter_async_context(DicomwebArchive(Archive(name, cloud.url)))
            settings = config.Sync(retry_min_seconds=0.02, retry_max_seconds=0.04)
            self.links[name] = Link(
                client,
                self.ledger,
                settings,
                clock=lambda: self.now,
                backoff=Backoff(0.02, 0.04),
                look=0.02,
                line=self.line,
            )

    def failover(self):
        others = [StandIn(name, self.links[name], self.pulls[name]) for name in NAMES[1:]]
        return Failover(
            self.ledger,
            self.links["primary"],
            others,
            self.fetching,
            self.changes,
            config.Sync(failover_minutes=60.0),
            clock=lambda: self.now,
            look=0.01,
        )

    async def online(self, *names):
        await until(lambda: {name for name in NAMES if self.links[name].online} == set(names))

    async def cut(self, name):
        await self.clouds[name].stop()
        self.links[name].failed(CloudUnreachable(f"archive {name}: away"))

    async def restore(self, name):
        await self.clouds[name].start()
        self.links[name].nudge()
        await until(lambda: self.links[name].online)

    async def stays(self, *standing_in):
        """That and no other stands in, also after some more looks."""
        await until(lambda: self.ledger.standing_in == set(standing_in))
        await asyncio.sleep(0.1)
        assert self.ledger.standing_in == set(standing_in)
        assert {name for name, pull in self.pulls.items() if pull.runs} == set(standing_in)

    def later(self, minutes):
        self.now += minutes * MINUTES
        self.changes.wake()


@pytest.fixture
def calendar():
    """Rules; none unless a test says otherwise."""
    return ()


@pytest.fixture
async def stage(ledger, changes, calendar, running):
    async with AsyncExitStack() as stack:
        made = Stage(ledger, changes, calendar)
        await made.open(stack)
        running(*made.links.values())
        await made.online(*NAMES)
        yield made


@pytest.fixture
async def watching(stage):
    """The part, watching; it is stopped before the archives are."""
    task = asyncio.create_task(stage.failover().run())
    await until(lambda: len(stage.ledger.log) == 2)
    stage.ledger.log.clear()
    yield stage
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_nobody_stands_in_before_patience_has_run_out(watching):
    await watching.cut("primary")
    await watching.stays()
    watching.later(59)
    await watching.stays()
    watching.later(1)
    await watching.stays("near")


async def test_an_absence_is_counted_from_its_own_beginning(watching):
    await watching.cut("primary")
    watching.later(59)
    await watching.restore("primary")
    await watching.cut("primary")
    watching.later(59)
    await watching.stays()
    assert watching.ledger.log == []


async def test_the_first_in_the_order_whose_line_is_up_stands_in(watching):
    await watching.cut("near")
    await watching.cut("primary")
    watching.later(60)
    await watching.stays("far")


async def test_who_stands_in_goes_on_when_a_better_one_comes_back(watching):
    await watching.cut("near")
    await watching.cut("primary")
    watching.later(60)
    await watching.stays("far")
    await watching.restore("near")
    await watching.stays("far")


async def test_another_takes_over_from_one_that_goes_away_itself(watching):
    await watching.cut("primary")
    watching.later(60)
    await watching.stays("near")
    await watching.cut("near")
    await watching.stays("far")
    assert watching.ledger.log == ["near stands in", "near steps back", "far stands in"]


async def test_with_all_away_the_last_one_keeps_its_place_until_another_can(watching):
    await watching.cut("primary")
    watching.later(60)
    await watching.stays("near")
    await watching.cut("far")
    await watching.cut("near")
    await watching.stays("near")
    await watching.restore("far")
    await watching.stays("far")


async def test_when_the_primary_archive_is_back_it_steps_back_and_nothing_more_is_learned(watching):
    await watching.cut("primary")
    watching.later(60)
    await watching.stays("near")
    await watching.restore("primary")
    await watching.stays()
    assert watching.ledger.log == ["near stands in", "near steps back"]


async def test_what_a_run_before_left_is_owed_no_more(stage):
    stage.ledger.standing_in = {"near", "far"}
    task = asyncio.create_task(stage.failover().run())
    await until(lambda: not stage.ledger.standing_in)
    task.cancel()
    await asyncio.wait([task])
    assert stage.ledger.log == ["near steps back", "far steps back"]


async def test_the_end_ends_what_is_learned_from_the_one_that_stands_in(stage):
    await stage.cut("primary")
    stage.later(60)
    task = asyncio.create_task(stage.failover().run())
    await until(lambda: stage.pulls["near"].runs == 1)
    task.cancel()
    await asyncio.wait([task])
    assert stage.pulls["near"].runs == 0


def refs(count):
    return [part.ref for part in samples.ct_series(count, rows=8, columns=8)]


async def test_what_was_evicted_meanwhile_is_brought_home_once_the_primary_archive_is_back(
    watching,
):
    await watching.cut("primary")
    watching.later(60)
    await watching.stays("near")
    first, second = refs(2)
    watching.ledger.to_bring = [("near", first), ("far", second)]
    await watching.stays("near")
    assert watching.fetching.fetched == []
    await watching.restore("primary")
    await until(lambda: watching.fetching.fetched == [first, second])


@pytest.mark.parametrize(
    "failure", [CloudUnreachable("away"), InstanceNotFound("gone"), StorageFull("full")]
)
async def test_what_can_not_be_brought_home_yet_holds_up_no_other_archive(watching, failure):
    first, second, third = refs(3)
    watching.fetching.failures = [failure]
    watching.ledger.to_bring = [("near", first), ("near", second), ("far", third)]
    watching.changes.wake()
    await until(lambda: len(watching.fetching.fetched) == 3)
    assert watching.fetching.fetched[0] == third
    assert set(watching.fetching.fetched) == {first, second, third}


async def test_from_an_archive_that_is_away_nothing_is_brought_home_until_it_is_back(watching):
    (ref,) = refs(1)
    await watching.cut("near")
    watching.ledger.to_bring = [("near", ref)]
    watching.changes.wake()
    await asyncio.sleep(0.1)
    assert watching.fetching.fetched == []
    await watching.restore("near")
    await until(lambda: watching.fetching.fetched == [ref])


@pytest.mark.parametrize("calendar", [("down off",)])
async def test_while_the_calendar_lets_nothing_come_nothing_is_brought_home(watching):
    watching.ledger.to_bring = [("near", ref) for ref in refs(2)]
    watching.changes.wake()
    await asyncio.sleep(0.1)
    assert watching.fetching.fetched == []
