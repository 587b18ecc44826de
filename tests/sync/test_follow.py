"""Following a feed, with a feed whose pages the tests write, and a real archive behind it."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from edge.cache.custody import Known
from edge.cloud.feed import Action, Change, Page
from edge.dicom.instance import Availability, InstanceRef
from edge.errors import CloudRefused, CloudUnreachable
from edge.sync.follow import Follow
from edge.sync.learning import Learning
from tests.fakes.archive import Fault


class FakeFeed:
    """Pages by position; ``end`` is that behind them all."""

    kind = "fake"
    logs_deletes = True

    def __init__(self):
        self.pages = {}
        self.end = "0"
        self.asked = []

    def say(self, *changes, more=False):
        """Add a page at the end."""
        begin, self.end = self.end, str(int(self.end) + 1)
        self.pages[begin] = Page(changes, self.end, more=more)

    def forget(self):
        """Be restored, so that all positions are of another feed."""
        self.pages.clear()
        self.end = str(int(self.end) + 1000)

    async def latest(self):
        self.asked.append("latest")
        return self.end

    async def after(self, position):
        self.asked.append(position)
        if position == self.end:
            return Page((), position, more=False)
        return self.pages.get(position)


@pytest.fixture
def feed():
    return FakeFeed()


@pytest.fixture
def events(ledger):
    """What happened, in its order."""
    happened = []
    set_cursor = ledger.set_cursor

    async def noting(name, value):
        happened.append((name, value))
        await set_cursor(name, value)

    ledger.set_cursor = noting
    return happened


@pytest.fixture
def follow(ledger, archive, feed, link, learning, events):
    async def start_over():
        events.append("start over")

    return Follow(ledger, archive, feed, link, learning, start_over)


@pytest.fixture
async def placed(follow):
    """One that has its place, and owes nothing."""
    await follow.run()
    follow.owes_a_sweep = False
    return follow


def ref_of(held):
    return InstanceRef(held.study_uid, held.series_uid, held.sop_uid)


def stored(held, at=None):
    return Change(Action.STORED, ref_of(held), at)


def replaced(held):
    return Change(Action.REPLACED, ref_of(held))


def deleted(held):
    return Change(Action.DELETED, ref_of(held))


async def test_the_first_time_it_takes_its_place_at_the_end_before_all_is_swept(
    follow, feed, events, ledger
):
    feed.end = "7"
    assert not await follow.run()
    assert events == ["start over", ("feed:fake:cloud", "7")]
    assert feed.asked == ["latest"]
    assert await follow.run()
    assert ledger.learned == {}


async def test_a_study_that_a_page_names_is_learned_and_the_page_is_not_read_again(
    placed, feed, ledger, cloud, slices
):
    held = [cloud.put(part.data) for part in slices]
    feed.say(*map(stored, held))
    assert await placed.run()
    (study,) = ledger.learned.values()
    assert len(study.series[0].instances) == len(slices)
    assert study.fingerprint != ""
    assert ledger.cursors["feed:fake:cloud"] == feed.end
    cloud.requests.clear()
    await placed.run()
    assert cloud.requests == []
    assert not placed.owes_a_sweep


async def test_it_reads_on_while_there_is_more(placed, feed, ledger, cloud, slices):
    for part in slices:
        feed.say(stored(cloud.put(part.data)), more=True)
    feed.say()
    await placed.run()
    assert ledger.cursors["feed:fake:cloud"] == feed.end
    assert len(ledger.learned) == 1


async def test_a_feed_that_says_more_and_does_not_go_on_is_left(placed, feed, cloud, slices):
    held = cloud.put(slices[0].data)
    feed.pages[feed.end] = Page((stored(held),), feed.end, more=True)
    feed.end = "none"
    with pytest.raises(CloudRefused, match="does not go on"):
        await placed.run()


async def test_a_feed_without_end_is_read_on_at_the_next_look(placed, feed, ledger):
    for _ in range(250):
        feed.say(more=True)
    feed.say()
    for _ in range(2):
        assert await placed.run()
        assert ledger.cursors["feed:fake:cloud"] != feed.end
    assert await placed.run()
    assert ledger.cursors["feed:fake:cloud"] == feed.end


async def test_a_deletion_in_another_study_is_no_word_about_ours(
    placed, feed, ledger, cloud, slices
):
    held = cloud.put(slices[0].data)
    ours = Known(Availability.ONLINE, time.time(), True, True, of=("1.2.3", "1.2.4"))
    ledger.acquaintances[held.sop_uid] = ours
    cloud.instances.clear()
    feed.say(deleted(held))
    await placed.run()
    assert ledger.deleted == []
    assert placed.owes_a_sweep
    ledger.acquaintances[held.sop_uid] = replace(ours, of=(held.study_uid, held.series_uid))
    feed.say(deleted(held))
    await placed.run()
    assert [ref.sop_uid for ref, _ in ledger.deleted] == [held.sop_uid]


async def test_only_the_series_that_were_touched_are_listed(placed, feed, ledger, cloud, add):
    add("20240101", 1)
    (first,) = cloud.instances.values()
    series = first.attributes | {"0020000E": {"vr": "UI", "Value": ["1.2.4.99"]}}
    uid = series | {"00080018": {"vr": "UI", "Value": ["1.2.5.99"]}}
    other = replace(first, series_uid="1.2.4.99", sop_uid="1.2.5.99", attributes=uid)
    cloud.instances["1.2.5.99"] = other
    feed.say(stored(other))
    await placed.run()
    assert cloud.asked("/instances") == 1
    (study,) = ledger.learned.values()
    assert [one.series_uid for one in study.series] == ["1.2.4.99"]
    assert study.fingerprint == "", "a sweep would pass it over although one series is unknown"


async def test_what_is_known_costs_no_request(placed, feed, ledger, cloud, slices):
    held = [cloud.put(part.data) for part in slices]
    here = [Known(Availability.ONLINE, time.time(), True, True)] * len(held)
    ledger.acquaintances = {one.sop_uid: known for one, known in zip(held, here, strict=True)}
    ledger.acquaintances[held[0].sop_uid] = Known(None, time.time(), False, False)
    feed.say(*map(stored, held))
    await placed.run()
    assert cloud.requests == []
    assert ledger.cursors["feed:fake:cloud"] == feed.end


async def test_what_was_lost_here_is_looked_for(placed, feed, ledger, cloud, slices):
    held = cloud.put(slices[0].data)
    lost = Known(Availability.UNAVAILABLE, time.time(), False, False)
    ledger.acquaintances[held.sop_uid] = lost
    feed.say(stored(held))
    await placed.run()
    assert set(ledger.learned) == {held.study_uid}


async def test_what_lies_in_the_trash_and_is_stored_again_is_looked_for(
    placed, feed, ledger, cloud, slices
):
    held = cloud.put(slices[0].data)
    trashed = Known(Availability.ONLINE, time.time(), True, True, in_trash=True)
    ledger.acquaintances[held.sop_uid] = trashed
    feed.say(stored(held))
    await placed.run()
    assert set(ledger.learned) == {held.study_uid}


async def test_of_a_feed_that_does_not_tell_what_was_there_later_times_do(
    placed, feed, ledger, cloud, slices
):
    now = time.time()
    held = [cloud.put(part.data) for part in slices[:4]]
    known = [
        Known(Availability.ONLINE, now, True, True),  # verified after it was stored: our own
        Known(Availability.ONLINE, now - 60, True, True),
        Known(Availability.NEARLINE, now - 60, False, False),
        Known(Availability.ONLINE, now - 60, False, True),  # to be verified in any case
    ]
    ledger.acquaintances = {one.sop_uid: it for one, it in zip(held, known, strict=True)}
    feed.say(*(stored(one, at=now) for one in held))
    await placed.run()
    assert [one.ref.sop_uid for one in ledger.replaced] == [held[1].sop_uid, held[2].sop_uid]


async def test_what_was_replaced_comes_with_the_metadata_of_today_if_there_were_any(
    placed, feed, ledger, cloud, slices
):
    held = [cloud.put(part.data) for part in slices[:3]]
    ledger.acquaintances = {
        held[0].sop_uid: Known(Availability.NEARLINE, 0.0, False, True),
        held[1].sop_uid: Known(Availability.NEARLINE, 0.0, False, False),
        held[2].sop_uid: Known(Availability.ONLINE, 0.0, True, True),
    }
    feed.say(replaced(held[0]))
    await placed.run()
    (one,) = ledger.replaced
    assert one.document["00080018"]["Value"] == [held[0].sop_uid]
    ledger.replaced.clear()
    cloud.requests.clear()
    feed.say(replaced(held[1]), replaced(held[2]))
    await placed.run()
    assert [one.document for one in ledger.replaced] == [None, None]
    assert cloud.asked("/metadata") == 0


async def test_metadata_that_are_refused_hold_up_nothing(placed, feed, ledger, cloud, slices):
    held = cloud.put(slices[0].data)
    ledger.acquaintances[held.sop_uid] = Known(Availability.NEARLINE, 0.0, False, True)
    cloud.faults["metadata"].append(Fault(status=400))
    feed.say(replaced(held))
    await placed.run()
    assert [one.document for one in ledger.replaced] == [None]
    assert ledger.cursors["feed:fake:cloud"] == feed.end


async def test_a_delete_that_is_overtaken_by_another_store_is_none(
    placed, feed, ledger, cloud, slices
):
    gone, again = (cloud.put(part.data) for part in slices[:2])
    for held in (gone, again):
        ledger.acquaintances[held.sop_uid] = Known(Availability.ONLINE, 0.0, True, True)
    feed.say(deleted(gone), deleted(again))
    del cloud.instances[gone.sop_uid]
    await placed.run()
    assert ledger.deleted == [(ref_of(gone), "cloud")]
    # What has its place may have other bytes; the feed calls that no replacement if it tells of
    # the delete before and of the store afterwards.
    assert [one.ref for one in ledger.replaced] == [ref_of(again)]


async def test_deletes_of_what_is_known_are_handed_on(placed, feed, ledger, cloud, slices):
    here, deleted_here, never = (cloud.put(part.data) for part in slices[:3])
    ledger.acquaintances[here.sop_uid] = Known(Availability.ONLINE, 0.0, True, True)
    ledger.acquaintances[deleted_here.sop_uid] = Known(None, 0.0, False, False)
    feed.say(deleted(here), deleted(deleted_here), deleted(never))
    cloud.instances.clear()
    await placed.run()
    assert ledger.deleted == [(ref_of(here), "cloud")]
    assert ledger.learned == {}


async def test_what_was_deleted_after_it_came_is_no_news(placed, feed, ledger, cloud, slices):
    held = cloud.put(slices[0].data)
    feed.say(stored(held), deleted(held))
    await placed.run()
    assert (ledger.learned, ledger.deleted) == ({}, [])


async def test_a_study_that_is_refused_is_left_to_the_sweep(placed, feed, ledger, cloud, add):
    first, second = add("20240101", 1), add("20240102", 2)
    cloud.faults["search"].append(Fault(status=400))
    feed.say(*map(stored, cloud.instances.values()))
    await placed.run()
    assert set(ledger.learned) == {second}
    assert placed.owes_a_sweep
    assert ledger.cursors["feed:fake:cloud"] == feed.end
    assert first not in ledger.learned


async def test_a_study_that_can_not_be_kept_is_left_to_the_sweep(
    placed, feed, ledger, cloud, add, caplog
):
    nonsense, good = add("20240101", 1), add("20240102", 2)
    learn = ledger.learn

    async def strict(study):
        if study.study_uid == nonsense:
            raise OverflowError("Synthetic^Patient is too large to convert")
        await learn(study)

    ledger.learn = strict
    feed.say(*map(stored, cloud.instances.values()))
    await placed.run()
    assert set(ledger.learned) == {good}
    assert placed.owes_a_sweep
    assert "Synthetic" not in caplog.text


async def test_a_study_at_which_the_archive_always_fails_holds_up_the_feed_for_a_while_only(
    placed, feed, ledger, cloud, add
):
    bad, good = add("20240101", 1), add("20240102", 2)
    feed.say(*map(stored, cloud.instances.values()))
    for _ in range(2):
        cloud.faults["search"].append(Fault(status=500))
        with pytest.raises(CloudUnreachable):
            await placed.run()
        assert ledger.learned == {}
        assert ledger.cursors["feed:fake:cloud"] != feed.end
    cloud.faults["search"].append(Fault(status=500))
    await placed.run()
    assert set(ledger.learned) == {good}
    assert placed.owes_a_sweep
    assert bad not in ledger.learned


async def test_what_is_not_listed_yet_is_left_to_the_sweep(placed, feed, ledger, cloud, slices):
    held = [cloud.put(part.data) for part in slices[:2]]
    del cloud.instances[held[1].sop_uid]
    feed.say(*map(stored, held))
    await placed.run()
    assert set(ledger.learned) == {held[0].study_uid}
    assert placed.owes_a_sweep


async def test_a_feed_that_lost_our_place_has_all_swept_anew(placed, feed, events, ledger, caplog):
    feed.say()
    feed.forget()
    events.clear()
    assert not await placed.run()
    assert events == ["start over", ("feed:fake:cloud", feed.end)]
    assert "does not go on where it was read last" in caplog.text
    assert await placed.run()


async def test_studies_of_no_patient_are_passed_over(ledger, archive, feed, link, cloud, add):
    backup = add("20240101", 1)

    async def unlisted():
        return frozenset({backup})

    async def start_over():
        pass

    learning = Learning(ledger, archive, link, unlisted=unlisted)
    follow = Follow(ledger, archive, feed, link, learning, start_over)
    await follow.run()
    feed.say(*map(stored, cloud.instances.values()))
    await follow.run()
    assert ledger.learned == {}
    assert cloud.requests == []


async def test_a_page_that_was_read_before_a_crash_is_read_again_without_harm(
    placed, feed, ledger, cloud, slices, archive, link, learning
):
    held = [cloud.put(part.data) for part in slices]
    feed.say(*map(stored, held))
    follow_ledger = ledger.follow

    async def crash(*arguments):
        raise KeyboardInterrupt

    ledger.follow = crash
    with pytest.raises(KeyboardInterrupt):
        await placed.run()
    ledger.follow = follow_ledger
    assert ledger.learned == {}
    await placed.run()
    once = dict(ledger.learned)
    ledger.cursors["feed:fake:cloud"] = "0"
    await placed.run()
    assert ledger.learned == once
