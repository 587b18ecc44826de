import asyncio

import pytest

from edge import config
from edge.cloud.feed import Action, Change, Page
from edge.dicom.instance import InstanceRef
from edge.errors import CloudRefused, CloudUnreachable, StorageFull
from edge.sync.learning import Learning
from edge.sync.line import Closed, Line
from edge.sync.link import Link
from edge.sync.pull import Pull
from tests.fakes.archive import Fault
from tests.sync.conftest import SETTINGS, TODAY, until


@pytest.fixture
def pull(ledger, archive, link, learning):
    return Pull(ledger, archive, link, learning, SETTINGS, clock=TODAY.timestamp)


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
    learning = Learning(ledger, archive, link)
    running(link, Pull(ledger, archive, link, learning, settings, clock=TODAY.timestamp))
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


class Feed:
    """Says what it is told to say next, or that nothing changed."""

    kind = "fake"

    def __init__(self, *, logs_deletes=True):
        self.logs_deletes = logs_deletes
        self.changes = []
        self.looks = 0
        self.error = None

    async def latest(self):
        self._look()
        return "0"

    async def after(self, position):
        self._look()
        changes, self.changes = tuple(self.changes), []
        return Page(changes, position, more=False)

    def _look(self):
        self.looks += 1
        if self.error is not None:
            raise self.error

    def say(self, held):
        ref = InstanceRef(held.study_uid, held.series_uid, held.sop_uid)
        self.changes.append(Change(Action.STORED, ref))


QUICK = config.Sync(
    retry_min_seconds=0.04, retry_max_seconds=0.3, sweep_minutes=0.002, feed_seconds=0.02
)
"""Sweeps each 0.12 s, unless a feed makes them rare."""


def following(ledger, archive, link, feed, settings=QUICK):
    learning = Learning(ledger, archive, link)
    return Pull(ledger, archive, link, learning, settings, clock=TODAY.timestamp, feed=feed)


def sweeps(cloud):
    """Requests for lists of all studies."""
    return sum(path.endswith("/studies") and "limit" in query for _, path, query in cloud.requests)


async def test_what_a_feed_says_is_learned_at_once(ledger, archive, link, running, cloud, slices):
    feed = Feed()
    rare = config.Sync(feed_seconds=0.02, sweep_minutes=60)
    running(link, following(ledger, archive, link, feed, rare))
    await until(lambda: feed.looks > 2)
    held = cloud.put(slices[0].data)
    await asyncio.sleep(0.1)
    assert not ledger.learned
    feed.say(held)
    await until(lambda: held.study_uid in ledger.learned)


async def test_sweeps_are_rare_while_a_feed_says_everything(ledger, archive, link, running, cloud):
    feed = Feed()
    running(link, following(ledger, archive, link, feed))
    await until(lambda: feed.looks > 10)
    before = sweeps(cloud)
    await asyncio.sleep(0.5)
    assert sweeps(cloud) <= before + 1


@pytest.mark.parametrize(
    "feed", [Feed(logs_deletes=False), Feed()], ids=["without deletes", "that is refused"]
)
async def test_sweeps_go_on_beside_a_feed_that_does_not_say_everything(
    ledger, archive, link, running, cloud, feed
):
    if feed.logs_deletes:
        feed.error = CloudRefused("archive cloud: reading the change feed: no", status=404)
    running(link, following(ledger, archive, link, feed))
    await until(lambda: sweeps(cloud) > 6)
    assert link.online


async def test_a_feed_that_begins_to_fail_has_the_sweeps_go_on(
    ledger, archive, link, running, cloud, slices, caplog
):
    feed = Feed()
    running(link, following(ledger, archive, link, feed))
    await until(lambda: feed.looks > 10)
    feed.error = CloudUnreachable("archive cloud: reading the change feed: 500")
    cloud.put(slices[0].data)
    await until(lambda: ledger.learned)
    assert link.online, "the line has nothing to do with it"
    assert caplog.text.count("its feed can't be followed") == 1
    feed.error = None
    feed.say(cloud.put(slices[1].data))
    await until(lambda: len(next(iter(ledger.learned.values())).series[0].instances) == 2)


async def test_no_sweep_begins_before_the_feed_has_its_place(ledger, archive, link, running, cloud):
    feed = Feed()
    placing = asyncio.Event()
    latest = feed.latest

    async def slow():
        await placing.wait()
        return await latest()

    feed.latest = slow
    running(link, following(ledger, archive, link, feed))
    await link.wait_online()
    before = sweeps(cloud)
    await asyncio.sleep(0.3)
    assert sweeps(cloud) == before
    placing.set()
    await until(lambda: sweeps(cloud) > before)
    assert ledger.cursors["feed:fake:cloud"] == "0"


async def test_a_nudge_looks_at_once(ledger, archive, link, running, cloud, slices):
    feed = Feed()
    rare = config.Sync(feed_seconds=3600, sweep_minutes=3600)
    pull = following(ledger, archive, link, feed, rare)
    running(link, pull)
    await until(lambda: feed.looks)
    await asyncio.sleep(0.2)
    held = cloud.put(slices[0].data)
    feed.say(held)
    pull.nudge()
    await until(lambda: held.study_uid in ledger.learned)


async def test_what_ends_it_is_told_by_its_own_name(ledger, archive, link, running, cloud):
    feed = Feed()
    feed.error = StorageFull("no room for the cursor")
    running(link)
    with pytest.raises(StorageFull):
        await following(ledger, archive, link, feed).run()
