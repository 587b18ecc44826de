"""When a study is complete, over a real index and store, by a fake clock."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from edge.cache.admission import Source
from edge.cache.completeness import Completeness
from edge.cache.outbox import Outbox
from edge.cache.procedures import Procedures
from edge.config import Procedures as Settings
from edge.dicom.instance import Origin
from tests import samples
from tests.dimse import steps
from tests.samples import chunks


class Clock:
    def __init__(self):
        self.now = 1_700_000_000.0

    def __call__(self):
        return self.now


class Watch:
    """Who watches over one cache."""

    def __init__(self, cache, clock, *, notify=("RIS",)):
        settings = Settings(quiet_seconds=120, wait_hours=12)
        self.cache = cache
        self.completeness = Completeness(
            cache.database, settings, cache.changes, notify=notify, clock=clock
        )
        self.outbox = Outbox(cache.database, cache.changes, ae_title="EDGE", clock=clock)
        self.procedures = Procedures(cache.database, cache.changes, clock=clock)
        self.step = self.completeness.step

    async def coming(self):
        return (await self.completeness.arrivals(limit=10, offset=0)).items

    async def is_complete(self):
        await self.step()
        return await self.coming() == []

    async def notifications(self):
        return (await self.outbox.page(limit=100, offset=0)).items

    async def content(self):
        """What the last notification says, as a RIS takes it."""
        message = (await self.notifications())[-1]
        return message, await self.outbox.begin(message)

    async def begin(self, sop_uid, study_uid):
        step = steps.json_of(steps.beginning(study_uid))
        await self.procedures.create(sop_uid, step, "CT1")

    async def end(self, sop_uid, refs=(), state="COMPLETED"):
        step = steps.json_of(steps.ending(refs, state))
        await self.procedures.change(sop_uid, step)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def watch(open_cache, clock):
    async with open_cache(clock=clock) as cache:
        one = Watch(cache, clock)
        await one.step()
        yield one


def study(count=3, seed=7):
    return list(samples.ct_series(count, rows=16, columns=16, seed=seed))


async def test_without_steps_a_quiet_time_completes_a_study(watch, clock):
    slices = study()
    for one in slices[:2]:
        await watch.cache.send(one)
        clock.now += 100
        assert await watch.step() == pytest.approx(20)
    await watch.cache.send(slices[2])
    await watch.step()
    clock.now += 119
    assert not await watch.is_complete()
    (coming,) = await watch.coming()
    assert (coming.instances, coming.fresh, coming.steps) == (3, 3, 0)
    clock.now += 2
    assert await watch.is_complete()
    message, said = await watch.content()
    assert message.study_uid == slices[0].ref.study_uid
    (series,) = said["00081115"]["Value"]
    assert [one["00081155"]["Value"][0] for one in series["00081199"]["Value"]] == [
        one.ref.sop_uid for one in slices
    ]
    assert {
        (one["00080056"]["Value"][0], one["00080054"]["Value"][0])
        for one in series["00081199"]["Value"]
    } == {("ONLINE", "EDGE")}
    assert said["00081111"] == {"vr": "SQ"}


async def test_a_step_that_is_over_completes_a_study_at_once_if_all_it_names_is_here(watch, clock):
    slices = study()
    refs = [one.ref for one in slices]
    await watch.begin("9.1", refs[0].study_uid)
    for one in slices[:2]:
        await watch.cache.send(one)
    clock.now += 1000
    assert not await watch.is_complete()  # it is in progress
    await watch.end("9.1", refs)
    assert not await watch.is_complete()
    (coming,) = await watch.coming()
    assert (coming.missing, coming.in_progress, coming.steps) == (1, 0, 1)
    await watch.cache.send(slices[2])
    assert await watch.is_complete()
    _, said = await watch.content()
    (step,) = said["00081111"]["Value"]
    assert step["00081155"]["Value"] == ["9.1"]


@pytest.mark.parametrize(
    "order", list(itertools.permutations(["images", "end", "second"])), ids="-".join
)
async def test_all_steps_must_be_over_in_whatever_order_things_happen(watch, order):
    slices = study()
    refs = [one.ref for one in slices]
    await watch.begin("9.1", refs[0].study_uid)
    await watch.begin("9.2", refs[0].study_uid)
    for what in order:
        assert not await watch.is_complete()
        if what == "images":
            for one in slices:
                await watch.cache.send(one)
        elif what == "end":
            await watch.end("9.1", refs[:2])
        else:
            await watch.end("9.2", refs[2:], "DISCONTINUED")
    assert await watch.is_complete()
    assert len(await watch.notifications()) == 1


async def test_what_no_step_names_waits_for_a_quiet_time(watch, clock):
    slices = study()
    await watch.begin("9.1", slices[0].ref.study_uid)
    for one in slices:
        await watch.cache.send(one)
    await watch.end("9.1", [one.ref for one in slices[:2]])
    assert not await watch.is_complete()
    clock.now += 121
    assert await watch.is_complete()


async def test_a_step_that_never_ends_holds_its_study_up_for_some_hours_only(watch, clock):
    slices = study()
    await watch.begin("9.1", slices[0].ref.study_uid)
    for one in slices:
        await watch.cache.send(one)
    clock.now += 11.9 * 3600
    assert not await watch.is_complete()
    clock.now += 0.2 * 3600
    assert await watch.is_complete()
    assert len(await watch.notifications()) == 1
    await watch.end("9.1", [one.ref for one in slices])
    assert await watch.is_complete()
    assert len(await watch.notifications()) == 1  # nothing new is here


async def test_a_step_without_images_is_complete_and_nobody_is_told(watch):
    await watch.begin("9.1", "1.2.3")
    assert not await watch.is_complete()
    await watch.end("9.1", state="DISCONTINUED")
    assert await watch.is_complete()
    assert await watch.notifications() == []


async def test_what_is_added_later_is_said_again(watch, clock):
    slices = study()
    for one in slices[:2]:
        await watch.cache.send(one)
    await watch.step()
    clock.now += 121
    assert await watch.is_complete()
    await watch.content()
    await watch.cache.send(slices[2])
    assert not await watch.is_complete()
    clock.now += 121
    assert await watch.is_complete()
    messages = await watch.notifications()
    assert len(messages) == 2
    assert messages[0].sop_uid != messages[1].sop_uid
    _, said = await watch.content()
    assert len(said["00081115"]["Value"][0]["00081199"]["Value"]) == 3
    await watch.cache.send(slices[0])  # that it was sent again is no news
    assert await watch.is_complete()
    assert len(await watch.notifications()) == 2


async def test_while_a_peer_is_away_a_study_waits_for_it_once(watch, clock):
    for one in study():
        await watch.cache.send(one)
        await watch.step()
        clock.now += 121
        assert await watch.is_complete()
    assert len(await watch.notifications()) == 1


async def test_what_the_archive_gives_is_no_arrival(watch):
    (one,) = study(1)
    source = Source(Origin.CLOUD, "cloud", vouches=True)
    await watch.cache.admission.store_instance(chunks(one.data), source)
    await watch.step()
    assert await watch.coming() == []


async def test_studies_are_complete_each_by_itself(watch, clock):
    await watch.cache.send(study(1, seed=1)[0])
    await watch.step()
    clock.now += 100
    await watch.cache.send(study(1, seed=2)[0])
    await watch.step()
    clock.now += 50
    await watch.step()
    (left,) = await watch.coming()
    assert left.study_uid == study(1, seed=2)[0].ref.study_uid


async def test_nothing_is_forgotten_over_a_restart(open_cache, clock):
    slices = study()
    async with open_cache(clock=clock) as cache:
        watch = Watch(cache, clock)
        await watch.step()
        await cache.send(slices[0])
        await watch.step()
        await cache.send(slices[1])  # and nobody looked
    async with open_cache(clock=clock) as cache:
        watch = Watch(cache, clock)
        await watch.step()
        (coming,) = await watch.coming()
        assert coming.fresh == 2
        clock.now += 121
        assert await watch.is_complete()
        assert len(await watch.notifications()) == 1


async def test_what_was_here_before_is_not_said(open_cache, clock):
    async with open_cache(clock=clock) as cache:
        for one in study():
            await cache.send(one)
        watch = Watch(cache, clock)
        await watch.step()
        clock.now += 1000
        assert await watch.is_complete()
        assert await watch.notifications() == []


async def test_a_clock_that_was_ahead_holds_nothing_up(watch, clock):
    clock.now += 10 * 86400
    await watch.cache.send(study(1)[0])
    await watch.step()
    clock.now -= 10 * 86400
    assert await watch.step() == pytest.approx(120)
    clock.now += 121
    assert await watch.is_complete()


async def test_of_a_study_that_was_deleted_meanwhile_nothing_is_said(watch, clock):
    (one,) = study(1)
    await watch.cache.send(one)
    await watch.step()
    clock.now += 121
    assert await watch.is_complete()
    await watch.cache.deletion.delete(one.ref.study_uid, only_copies=True)
    _, said = await watch.content()
    assert said is None
    assert (await watch.outbox.counts()).waiting == 0


async def test_it_runs_by_itself(open_cache):
    async with open_cache() as cache, asyncio.TaskGroup() as group:
        settings = Settings(quiet_seconds=0.2)
        completeness = Completeness(cache.database, settings, cache.changes, notify=["RIS"])
        outbox, procedures = (
            Outbox(cache.database, cache.changes),
            Procedures(cache.database, cache.changes),
        )
        ready = asyncio.Event()
        task = group.create_task(completeness.run(procedures, outbox, ready=ready))
        await asyncio.wait_for(ready.wait(), 30)
        await cache.send(study(1)[0])
        async with asyncio.timeout(30):
            while not (await outbox.counts()).waiting:  # noqa: ASYNC110 - there is no event
                await asyncio.sleep(0.05)
        task.cancel()
