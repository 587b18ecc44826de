"""Studies that people send: begun, stopped and ended, over a line that waits for the test."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from edge import config, others
from edge.access.audit.entry import Actor
from edge.cache.gifts import GiftState
from edge.cache.opened import InstanceEntry
from edge.dicom.instance import Availability, InstanceRef
from edge.dimse import giving as module
from edge.dimse.giving import Giving
from edge.dimse.peers import Peers
from edge.dimse.progress import Cancelled
from edge.errors import DecisionRefused, InstanceNotFound
from tests.dimse import raw

SOMEBODY = Actor("somebody")
COUNT = 3


class Retrieval:
    """Has three instances of every study, after a moment."""

    def __init__(self):
        self.lacks = set()
        self.asked = []

    async def instances(self, study_uid):
        self.asked.append(study_uid)
        await asyncio.sleep(0)
        return [] if study_uid in self.lacks else [_entry(study_uid, one) for one in range(COUNT)]


def _entry(study_uid, number):
    return InstanceEntry(
        instance_id=number,
        ref=InstanceRef(study_uid, f"{study_uid}.1", f"{study_uid}.1.{number}"),
        sop_class_uid=raw.CT,
        transfer_syntax=raw.EXPLICIT,
        size=0,
        number_of_frames=1,
        availability=Availability.ONLINE,
    )


@dataclass
class Carrying:
    """Carries what it may; each event lets it go on."""

    turns: asyncio.Event = field(default_factory=asyncio.Event)
    answer: asyncio.Event = field(default_factory=asyncio.Event)
    """Of the peer, to our call."""
    stored: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(100_000))
    """By the peer."""
    release: asyncio.Event = field(default_factory=asyncio.Event)
    defects: set = field(default_factory=set)
    waiting: list = field(default_factory=list)
    """Destinations for which a turn was asked for,"""
    called: list = field(default_factory=list)
    """and those to which something was carried."""

    def __post_init__(self):
        for event in (self.turns, self.answer, self.release):
            event.set()

    @asynccontextmanager
    async def turn(self, destination, progress):
        self.waiting.append(destination.ae_title)
        async with progress.patience():
            await self.turns.wait()
        yield

    async def carry(self, destination, entries, progress, values, what):
        self.called.append(destination.ae_title)
        if entries[0].ref.study_uid in self.defects:
            raise ZeroDivisionError
        async with progress.patience():
            await self.answer.wait()
        for _ in entries:
            if progress.is_cancelled:
                raise Cancelled
            await self.stored.acquire()
            await progress.complete()
        await self.release.wait()


@pytest.fixture
def carrying():
    return Carrying()


@pytest.fixture
def retrieval():
    return Retrieval()


@pytest.fixture
def ended():
    """What was told of as it ended."""
    return []


@pytest.fixture
async def giving(carrying, retrieval, ended):
    peers = (
        others.Peer(ae_title="OTHER ", host="127.0.0.1"),
        others.Peer(ae_title="THIRD", host="127.0.0.1"),
    )
    known = Peers(config.Dimse(peer=peers))
    made = Giving(retrieval, carrying, known, lambda actor, gift, tally: ended.append(gift))
    async with running(made):
        yield made


@asynccontextmanager
async def running(giving):
    task = asyncio.create_task(giving.run())
    await asyncio.sleep(0)
    try:
        yield task
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def end(gift):
    await raw.until(lambda: gift.ended)
    return gift


async def test_a_study_goes_whole(giving, carrying, ended):
    gift = await end(await giving.give("1.2", "OTHER", SOMEBODY))
    assert (gift.state, gift.sent, gift.instances) == (GiftState.DONE, COUNT, COUNT)
    assert (giving.of("1.2"), ended) == ([gift], [gift])


async def test_what_waits_for_its_turn_waits_and_is_looked_up_only_then(
    giving, carrying, retrieval
):
    carrying.turns.clear()
    gift = await giving.give("1.2", "OTHER", SOMEBODY)
    await raw.until(lambda: carrying.waiting)
    assert (gift.state, gift.instances) == (GiftState.WAITING, COUNT)
    assert (retrieval.asked, carrying.called) == (["1.2"], [])
    retrieval.lacks.add("1.2")
    carrying.turns.set()
    await end(gift)
    assert (gift.state, gift.failed) == (GiftState.FAILED, 1)
    assert gift.reason == "it is not here any more"
    assert not carrying.called


@pytest.mark.parametrize("where", ["turns", "answer"])
async def test_what_waits_is_stopped_at_once(giving, carrying, where, ended):
    getattr(carrying, where).clear()
    gift = await giving.give("1.2", "OTHER", SOMEBODY)
    await raw.until(lambda: carrying.waiting if where == "turns" else carrying.called)
    assert giving.stop("1.2", gift.number)
    await end(gift)
    assert (gift.state, gift.sent, gift.reason) == (GiftState.STOPPED, 0, "")
    assert ended == [gift]
    assert not giving.stop("1.2", gift.number)


async def test_what_is_sent_is_stopped_after_the_instance_on_the_line(giving, carrying):
    carrying.stored = asyncio.Semaphore(1)
    gift = await giving.give("1.2", "OTHER", SOMEBODY)
    await raw.until(lambda: gift.sent == 1)
    assert not giving.stop("1.3", gift.number)
    assert giving.stop("1.2", gift.number)
    assert not gift.ended
    carrying.stored.release()
    await end(gift)
    assert (gift.state, gift.sent) == (GiftState.STOPPED, 2)


async def test_what_is_there_wholly_is_done_also_if_it_is_stopped_then(giving, carrying):
    carrying.release.clear()
    gift = await giving.give("1.2", "OTHER", SOMEBODY)
    await raw.until(lambda: gift.sent == COUNT)
    assert giving.stop("1.2", gift.number)
    carrying.release.set()
    await end(gift)
    assert (gift.state, gift.failed) == (GiftState.DONE, 0)


async def test_a_wish_that_is_said_twice_at_once_counts_once(giving, carrying):
    wishes = (giving.give("1.2", title, SOMEBODY) for title in ("OTHER", " OTHER ", "THIRD"))
    first, second, third = await asyncio.gather(*wishes, return_exceptions=True)
    assert isinstance(second, DecisionRefused)
    assert (await end(first)).peer == "OTHER"
    assert (await end(third)).peer == "THIRD"
    assert len(carrying.called) == 2
    await end(await giving.give("1.2", "OTHER", SOMEBODY))


async def test_so_many_wait_at_the_most_also_if_all_come_at_once(giving, carrying, monkeypatch):
    monkeypatch.setattr(module, "_MOST_WAITING", 5)
    carrying.turns.clear()
    wishes = (giving.give(f"1.{number}", "OTHER", SOMEBODY) for number in range(9))
    answers = await asyncio.gather(*wishes, return_exceptions=True)
    refused = [one for one in answers if isinstance(one, DecisionRefused)]
    assert len(refused) == 4
    assert "on their way already" in str(refused[0])


async def test_a_defect_in_one_takes_no_other_along(giving, carrying, caplog):
    carrying.defects.add("1.2")
    carrying.answer.clear()
    other = await giving.give("1.3", "OTHER", SOMEBODY)
    broken = await end(await giving.give("1.2", "OTHER", SOMEBODY))
    assert (broken.state, broken.failed) == (GiftState.FAILED, 1)
    assert broken.reason == "a defect: see the log"
    assert "a study to OTHER: ZeroDivisionError" in caplog.text
    carrying.answer.set()
    assert (await end(other)).state is GiftState.DONE


async def test_what_is_not_there_or_can_t_be_called_is_refused(giving, retrieval):
    retrieval.lacks.add("1.2")
    with pytest.raises(InstanceNotFound):
        await giving.give("1.2", "OTHER", SOMEBODY)
    with pytest.raises(DecisionRefused, match="no peer that can be called"):
        await giving.give("1.3", "NOBODY", SOMEBODY)
    assert giving.of("1.3") == []


async def test_what_is_under_way_as_the_box_stops_ends_with_it(carrying, retrieval, ended):
    carrying.answer.clear()
    peers = Peers(config.Dimse(peer=(others.Peer(ae_title="OTHER", host="127.0.0.1"),)))
    giving = Giving(retrieval, carrying, peers, lambda actor, gift, tally: ended.append(gift))
    with pytest.raises(DecisionRefused, match="starts anew"):
        await giving.give("1.2", "OTHER", SOMEBODY)
    run = asyncio.create_task(giving.run())
    await asyncio.sleep(0)
    gift = await giving.give("1.2", "OTHER", SOMEBODY)
    await raw.until(lambda: carrying.called)
    last = asyncio.create_task(giving.give("1.3", "OTHER", SOMEBODY))
    await asyncio.sleep(0)
    late = asyncio.create_task(giving.give("1.4", "OTHER", SOMEBODY))
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
    # The last one was cancelled before its first step.
    assert sorted(one.study_uid for one in ended) == ["1.2", "1.3"]
    for one in (gift, await last):
        assert one.ended
        assert (one.state, one.reason) == (GiftState.FAILED, "the box was stopped")
    with pytest.raises(DecisionRefused, match="starts anew"):
        await late
    assert giving.of("1.4") == []
