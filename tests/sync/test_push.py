import asyncio
import email.utils
import logging
import math
import time
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import pytest

from edge import config, others
from edge.cache.ledger import Remedy
from edge.cloud.dicomweb import DicomwebArchive
from edge.dicom.instance import Custody
from edge.errors import (
    CloudRefused,
    CloudUnauthorised,
    CloudUnreachable,
    PixelWorkersBusy,
    SealBroken,
    UndecodablePixels,
)
from edge.sync.calendar import Calendar
from edge.sync.line import Line
from edge.sync.link import Link
from edge.sync.push import Push
from edge.week import rule_of
from tests import samples
from tests.fakes.archive import Fault, Refusal
from tests.fakes.cache import FakeRemedies
from tests.sync.conftest import SETTINGS, JumpingClock, until

EDGE_ONLY, SENT, ACKNOWLEDGED = Custody.EDGE_ONLY, Custody.SENT, Custody.ACKNOWLEDGED
REFUSED = Custody.REFUSED


@pytest.fixture
async def pushing(link, push, running):
    running(link, push)


def small_batches(ledger, retrieval, archive, link, changes, batch_bytes):
    settings = config.Sync(batch_bytes=batch_bytes, retry_min_seconds=0.04, retry_max_seconds=0.3)
    return Push(ledger, retrieval, archive, link, changes, settings)


async def settled(ledger, *custodies):
    await until(lambda: set(ledger.custodies) <= set(custodies))


async def test_what_is_owed_arrives_once_and_is_acknowledged(pushing, ledger, cloud, slices):
    ledger.put(slices)
    await settled(ledger, ACKNOWLEDGED)
    assert {uid: it.part10 for uid, it in cloud.instances.items()} == {
        part.ref.sop_uid: part.data for part in slices
    }
    assert set(cloud.received.values()) == {1}


async def test_sent_is_committed_before_the_first_byte_goes_out(
    push, ledger, retrieval, cloud, slices
):
    ledger.put(slices)
    seen = []
    opened = retrieval.open_instance

    def watching(entry):
        seen.extend(ledger.custodies)
        return opened(entry)

    retrieval.open_instance = watching
    await push.step()
    assert set(seen) == {SENT}


async def test_what_comes_in_later_wakes_it(pushing, ledger, cloud, slices):
    await asyncio.sleep(0.05)
    ledger.put(slices)
    await settled(ledger, ACKNOWLEDGED)


async def test_it_rests_when_nothing_is_owed(pushing, ledger, cloud, slices):
    ledger.put(slices)
    await settled(ledger, ACKNOWLEDGED)
    await asyncio.sleep(0.1)
    before = len(cloud.requests)
    await asyncio.sleep(0.2)
    assert len(cloud.requests) == before


async def test_one_refused_instance_is_a_dead_letter_with_the_archives_own_words(
    pushing, ledger, cloud, slices
):
    cloud.refusals[slices[2].ref.sop_uid] = Refusal(0xA900, "not what it says it is")
    ledger.put(slices)
    await settled(ledger, ACKNOWLEDGED, REFUSED)
    assert ledger.custodies.count(REFUSED) == 1
    row = ledger.of(slices[2].ref)
    assert row.owed.custody is REFUSED
    assert row.reason == "reason A900 (43264): not what it says it is"
    assert cloud.received[slices[2].ref.sop_uid] == 1


async def test_an_instance_that_the_archive_can_not_parse_stalls_no_other(
    pushing, ledger, cloud, slices
):
    bad, *good = slices
    ledger.put(slices)
    ledger.of(bad.ref).data = b"not DICOM".ljust(len(bad.data), b" ")
    await until(lambda: ledger.custodies.count(ACKNOWLEDGED) == len(good), 3)
    await settled(ledger, ACKNOWLEDGED, REFUSED)
    assert "refused 5 times" in ledger.of(bad.ref).reason
    assert all(cloud.received[part.ref.sop_uid] == 1 for part in good)


async def test_a_generic_failure_is_asked_about_and_tried_again_a_few_times(
    pushing, ledger, cloud, slices
):
    uid = slices[0].ref.sop_uid
    cloud.refusals[uid] = Refusal(0x0110, "database is locked")
    ledger.put(slices)
    await until(lambda: cloud.received[uid] == 2)
    del cloud.refusals[uid]
    await settled(ledger, ACKNOWLEDGED)
    assert cloud.received[uid] == 3


async def test_a_generic_failure_that_stays_is_called_refused(pushing, ledger, cloud, slices):
    uid = slices[0].ref.sop_uid
    cloud.refusals[uid] = Refusal(0x0110, "broken")
    ledger.put(slices)
    await settled(ledger, ACKNOWLEDGED, REFUSED)
    assert cloud.received[uid] == 5
    assert ledger.of(slices[0].ref).reason == "reason 0110 (272): broken (refused 5 times)"


async def test_an_archive_that_is_well_again_after_a_long_illness_gets_what_it_refused(
    ledger, retrieval, archive, link, changes, cloud, slices
):
    now, uid = 1000.0, slices[0].ref.sop_uid
    push = Push(ledger, retrieval, archive, link, changes, config.Sync(), clock=lambda: now)
    cloud.refusals[uid] = Refusal(0x0110, "the database is away")
    ledger.put(slices)
    row, pauses = ledger.of(slices[0].ref), []
    while now < 1000.0 + 3 * 86400:
        while await push.step():
            pass
        pauses.append(row.retry_at - now)
        now = row.retry_at
    assert row.owed.custody is REFUSED
    assert cloud.received[uid] < 30
    assert pauses[-1] >= 6 * 3600.0
    del cloud.refusals[uid]
    while await push.step():
        pass
    assert set(ledger.custodies) == {ACKNOWLEDGED}


async def test_what_was_sent_is_told_in_counts(pushing, ledger, slices, caplog):
    caplog.set_level(logging.INFO)
    ledger.put(slices)
    await until(lambda: "archive cloud: sent 6 instances" in caplog.text)
    assert slices[0].ref.sop_uid not in caplog.text
    assert slices[0].ref.study_uid not in caplog.text


async def test_stored_with_a_generic_failure_is_found_by_asking(pushing, ledger, cloud, slices):
    part = slices[0]
    cloud.refusals[part.ref.sop_uid] = Refusal(0x0110)
    cloud.put(part.data)
    ledger.put([part])
    await settled(ledger, ACKNOWLEDGED)
    assert cloud.received[part.ref.sop_uid] == 1


async def test_what_the_archive_already_has_is_left_to_verification(pushing, ledger, cloud, slices):
    cloud.refusals[slices[0].ref.sop_uid] = Refusal(45070, "already exists")
    ledger.put(slices)
    await settled(ledger, ACKNOWLEDGED)


async def test_a_concurrent_store_is_waited_for(pushing, ledger, cloud, slices):
    uid = slices[0].ref.sop_uid
    cloud.refusals[uid] = Refusal(45071)
    ledger.put(slices)
    await until(lambda: cloud.received[uid] == 3)
    del cloud.refusals[uid]
    await settled(ledger, ACKNOWLEDGED)


async def test_a_full_archive_is_left_alone_for_a_good_while(
    ledger, retrieval, archive, link, changes, cloud, slices
):
    now = 1000.0
    push = Push(ledger, retrieval, archive, link, changes, config.Sync(), clock=lambda: now)
    for part in slices:
        cloud.refusals[part.ref.sop_uid] = Refusal(0xA700)
    ledger.put(slices)
    assert await push.step()
    now += 100.0
    ledger.put(samples.ct_series(1, rows=8, columns=8, seed=1))
    assert not await push.step()
    cloud.refusals.clear()
    # What came since goes first: it may be that only some are too large for the room that is left.
    now += 201.0
    assert await push.step()
    assert ledger.custodies == [EDGE_ONLY] * len(slices) + [ACKNOWLEDGED]
    now += 300.0
    assert await push.step()
    assert set(ledger.custodies) == {ACKNOWLEDGED}
    assert len(cloud.batches) == 3


async def test_one_that_the_archive_has_no_room_for_does_not_keep_the_others_back(
    ledger, retrieval, archive, link, changes, cloud, slices
):
    now = 1000.0
    settings = config.Sync(batch_bytes=1)
    push = Push(ledger, retrieval, archive, link, changes, settings, clock=lambda: now)
    cloud.refusals[slices[0].ref.sop_uid] = Refusal(0xA700)
    ledger.put(slices)
    assert await push.step()
    now += 301.0
    while await push.step():
        pass
    # Others were taken meanwhile, so this one is refused by itself: asked about, and offered later.
    assert ledger.custodies == [SENT] + [ACKNOWLEDGED] * (len(slices) - 1)


async def test_a_pause_that_a_clock_set_which_was_ahead_ends_when_that_is_set_right(
    ledger, retrieval, archive, link, changes, cloud, slices
):
    now = 2_000_000_000.0
    push = Push(ledger, retrieval, archive, link, changes, config.Sync(), clock=lambda: now)
    cloud.refusals[slices[0].ref.sop_uid] = Refusal(0xA700)
    ledger.put(slices[:1])
    assert await push.step()
    now -= 1_000_000_000.0
    ledger.put(slices[1:])
    assert await push.step()
    assert ledger.custodies[1:] == [ACKNOWLEDGED] * 5


@pytest.mark.parametrize(
    "fault",
    [
        Fault(cut_answer=0, commit=True),
        Fault(cut_answer=40),
        Fault(hang=2.5, commit=True),
        Fault(status=504, commit=True),
        Fault(silent=True),
    ],
)
async def test_stored_without_an_answer_is_asked_about_and_not_sent_again(
    pushing, ledger, cloud, slices, fault
):
    cloud.faults["store"].append(fault)
    ledger.put(slices)
    await settled(ledger, ACKNOWLEDGED)
    assert set(cloud.received.values()) == {1}


async def test_an_archive_that_indexes_late_is_given_time(pushing, ledger, cloud, slices):
    cloud.listing_delay = 0.08
    cloud.faults["store"].append(Fault(status=504, commit=True))
    ledger.put(slices)
    await settled(ledger, ACKNOWLEDGED)
    assert set(cloud.received.values()) == {1}


@pytest.mark.parametrize("fault", [Fault(cut_request=500), Fault(status=500), Fault(status=502)])
async def test_what_did_not_arrive_is_sent_again(pushing, ledger, cloud, slices, fault):
    cloud.faults["store"].append(fault)
    ledger.put(slices)
    await settled(ledger, ACKNOWLEDGED)
    assert len(cloud.instances) == len(slices)


async def test_a_restart_in_the_middle_sends_only_what_was_on_the_wire(
    push, ledger, retrieval, archive, link, changes, cloud
):
    parts = list(samples.ct_series(12, rows=256, columns=256))
    ledger.put(parts)
    first = small_batches(ledger, retrieval, archive, link, changes, batch_bytes=1)
    for _ in range(3):
        await first.step()
    done = ledger.custodies.count(ACKNOWLEDGED)
    assert 0 < done < 12
    # Killed after the archive had stored a batch and before its answer was read.
    cloud.faults["store"].append(Fault(hang=5.0))
    killed = asyncio.create_task(first.step())
    await until(lambda: len(cloud.batches) == 4)
    killed.cancel()
    await asyncio.wait([killed])
    on_the_wire = ledger.custodies.count(SENT)
    assert on_the_wire > 0
    again = small_batches(ledger, retrieval, archive, link, changes, batch_bytes=1)
    while set(ledger.custodies) != {ACKNOWLEDGED}:
        await again.step()
    assert set(cloud.received.values()) == {1}


async def test_an_archive_that_is_off_all_the_time_gets_everything_once_it_is_on(
    pushing, ledger, cloud, slices
):
    await cloud.stop()
    ledger.put(slices)
    await asyncio.sleep(0.3)
    assert set(ledger.custodies) <= {EDGE_ONLY, SENT}
    await cloud.start()
    await settled(ledger, ACKNOWLEDGED)
    assert set(cloud.received.values()) == {1}


async def test_while_the_line_is_down_nothing_is_marked_as_sent(
    link, push, running, ledger, cloud, slices
):
    await cloud.stop()
    running(link, push)
    await until(lambda: ledger.states)
    ledger.put(slices)
    await asyncio.sleep(0.2)
    assert set(ledger.custodies) == {EDGE_ONLY}


@pytest.mark.parametrize(
    ("status", "error"),
    [(429, CloudUnreachable), (503, CloudUnreachable), (401, CloudUnauthorised)],
)
async def test_an_archive_that_will_not_talk_now_is_a_matter_of_the_line(
    push, ledger, cloud, slices, status, error
):
    cloud.faults["store"].append(Fault(status=status))
    ledger.put(slices)
    with pytest.raises(error):
        await push.step()
    assert set(ledger.custodies) == {SENT}


async def test_a_wrong_url_refuses_no_instance(ledger, retrieval, changes, cloud, slices):
    async with DicomwebArchive(others.Archive("cloud", f"{cloud.url}/wrong")) as archive:
        link = Link(archive, ledger, SETTINGS)
        push = Push(ledger, retrieval, archive, link, changes, SETTINGS)
        ledger.put(slices)
        with pytest.raises(CloudRefused):
            await push.step()
    assert set(ledger.custodies) == {SENT}


async def test_batches_grow_with_success(push, ledger, cloud):
    parts = list(samples.ct_series(40, rows=512, columns=512))
    ledger.put(parts)
    while await push.step():
        pass
    sizes = list(map(len, cloud.batches))
    assert sizes[0] == 1  # 256 KiB
    assert sizes[:4] == sorted(sizes[:4])
    assert max(sizes) > 10


async def test_what_is_too_large_together_goes_one_by_one(pushing, ledger, cloud, slices):
    cloud.max_request = len(slices[0].data) + 1000
    ledger.put(slices)
    await settled(ledger, ACKNOWLEDGED)
    assert {len(batch) for batch in cloud.batches} == {1}
    assert set(cloud.received.values()) == {1}


async def test_what_is_too_large_by_itself_is_a_dead_letter(pushing, ledger, cloud, slices):
    large, *small = samples.ct_series(1, rows=64, columns=64, seed=1), *slices
    cloud.max_request = 8000
    ledger.put(large)
    ledger.put(small)
    await settled(ledger, ACKNOWLEDGED, REFUSED)
    assert ledger.custodies.count(REFUSED) == 1
    assert "413" in ledger.rows[1].reason


async def test_an_instance_that_can_not_be_read_here_stalls_no_other(
    pushing, ledger, retrieval, cloud, slices
):
    retrieval.broken[slices[1].ref] = SealBroken("its seal is broken")
    ledger.put(slices)
    await until(lambda: ledger.custodies.count(ACKNOWLEDGED) == 5)
    row = ledger.of(slices[1].ref)
    assert row.owed.custody in (EDGE_ONLY, SENT)
    assert "seal is broken" in row.reason
    del retrieval.broken[slices[1].ref]
    await settled(ledger, ACKNOWLEDGED)


async def test_an_instance_on_which_the_archive_dies_stalls_no_other(
    pushing, ledger, cloud, slices
):
    poison = slices[0].ref.sop_uid
    cloud.poison = {poison}
    ledger.put(slices)
    await until(lambda: ledger.custodies.count(ACKNOWLEDGED) == 5)
    assert ledger.of(slices[0].ref).owed.custody in (EDGE_ONLY, SENT)


async def test_an_archive_in_xml_is_understood(pushing, ledger, cloud, slices):
    cloud.xml = True
    cloud.refusals[slices[2].ref.sop_uid] = Refusal(0xC000, "no")
    ledger.put(slices)
    await settled(ledger, ACKNOWLEDGED, REFUSED)
    assert ledger.custodies.count(REFUSED) == 1


async def test_the_archives_words_are_not_logged(pushing, ledger, cloud, slices, caplog):
    cloud.refusals[slices[2].ref.sop_uid] = Refusal(0xA778, "belongs to Synthetic^Patient")
    ledger.put(slices)
    await settled(ledger, ACKNOWLEDGED, REFUSED)
    assert "Synthetic" in ledger.of(slices[2].ref).reason
    assert slices[2].ref.sop_uid in caplog.text
    assert "Synthetic" not in caplog.text


async def test_what_becomes_due_while_it_looks_is_not_slept_through(
    ledger, retrieval, archive, link, changes, slices, running
):
    ledger.put(slices, Custody.EDGE_ONLY)
    clock = JumpingClock(ledger, "owed")
    for row in ledger.rows.values():
        row.retry_at = clock() + 0.5
    running(link, Push(ledger, retrieval, archive, link, changes, SETTINGS, clock=clock))
    await until(lambda: set(ledger.custodies) == {Custody.ACKNOWLEDGED})


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("form", ["seconds", "date"])
async def test_an_archive_is_left_alone_exactly_as_long_as_it_asks(
    pushing, link, ledger, cloud, slices, status, form
):
    await until(lambda: link.online)
    moment = math.ceil(time.time()) + 2
    header = "2" if form == "seconds" else email.utils.formatdate(moment, usegmt=True)
    cloud.faults["store"].append(Fault(status=status, headers={"Retry-After": header}))
    ledger.put(slices)
    await until(lambda: not link.online)
    refused, asked = time.time(), len(cloud.requests)
    await until(lambda: len(cloud.requests) > asked)
    waited = time.time() - refused
    # A date counts from the whole second of the answer's Date.
    shortest = 1.9 if form == "seconds" else moment - refused - 0.1
    assert shortest <= waited <= shortest + 1.3
    await settled(ledger, ACKNOWLEDGED)


@pytest.mark.parametrize(
    ("reason", "words", "end"),
    [
        (45070, "exists", ACKNOWLEDGED),  # Azure: verification compares the bytes
        (43264, "validation", REFUSED),
        (43265, "other study", REFUSED),
        (0xA771, "rejected before", REFUSED),  # dcm4chee
        (0xA778, "patient conflict", REFUSED),
        (0xA779, "patient conflict", REFUSED),
        (0xC122, "transfer syntax", REFUSED),
        (0x0122, "SOP class", REFUSED),
    ],
)
async def test_what_an_archive_says_for_good_is_settled_at_once_and_delays_no_other(
    push, ledger, cloud, slices, reason, words, end
):
    bad, *good = slices
    cloud.refusals[bad.ref.sop_uid] = Refusal(reason, words)
    ledger.put(slices)
    assert await push.step()
    assert ledger.of(bad.ref).owed.custody is end
    assert words in ledger.of(bad.ref).reason
    assert {ledger.of(part.ref).owed.custody for part in good} == {ACKNOWLEDGED}
    assert not await push.step()


async def test_googles_failure_that_means_it_is_there_is_left_to_verification(
    push, ledger, cloud, slices
):
    uid = slices[0].ref.sop_uid
    cloud.refusals[uid] = Refusal(272, "instance already exists", private=True)
    ledger.put(slices)
    await push.step()
    assert set(ledger.custodies) == {ACKNOWLEDGED}


@pytest.mark.parametrize("reason", [45071, 0xA77A])
async def test_what_the_archive_is_busy_with_is_owed_again_later(
    push, ledger, cloud, slices, reason
):
    uid = slices[0].ref.sop_uid
    cloud.refusals[uid] = Refusal(reason)
    ledger.put(slices)
    await push.step()
    row = ledger.of(slices[0].ref)
    assert row.owed.custody is EDGE_ONLY
    assert row.retry_at > 0
    assert ledger.custodies.count(ACKNOWLEDGED) == 5


async def test_an_answer_of_another_request_settles_nothing(pushing, ledger, cloud, slices):
    """As of a proxy that replays what it kept: it names others than were sent."""
    old = Fault(
        status=200,
        body=b'{"00081199":{"vr":"SQ","Value":[{"00081155":{"vr":"UI","Value":["1.2.3"]}}]}}',
        content_type="application/dicom+json",
    )
    cloud.faults["store"].append(old)
    ledger.put(slices)
    await settled(ledger, ACKNOWLEDGED)
    assert set(cloud.received.values()) == {2}
    assert len(cloud.instances) == len(slices)


async def test_several_uploads_go_at_once_where_the_archive_is_slow_to_answer(
    ledger, retrieval, archive, link, changes, cloud, running
):
    parts = list(samples.ct_series(60, rows=64, columns=64))
    cloud.faults["store"].extend(Fault(hang=0.2) for _ in range(200))
    settings = config.Sync(batch_bytes=1, retry_min_seconds=0.04, retry_max_seconds=0.3)
    ledger.put(parts)
    most = 0

    def watch():
        nonlocal most
        most = max(most, ledger.custodies.count(SENT))
        return set(ledger.custodies) == {ACKNOWLEDGED}

    running(link, Push(ledger, retrieval, archive, link, changes, settings))
    await until(watch, 30)
    assert most > 1
    assert set(Counter(cloud.received).values()) == {1}


async def test_a_restart_in_a_long_backlog_asks_only_about_what_was_on_the_wire(
    ledger, retrieval, archive, link, changes, cloud, running
):
    for seed in range(20):
        (part,) = samples.ct_series(1, rows=8, columns=8, seed=seed)
        ledger.put(samples.alike(part, 500))
    cloud.faults["store"].extend([Fault()] * 20)
    cloud.faults["store"].extend([Fault(hang=30.0), Fault(hang=30.0, lose=True)])
    first = asyncio.create_task(Push(ledger, retrieval, archive, link, changes, SETTINGS).run())
    running(link)
    await until(lambda: not cloud.faults["store"] or len(cloud.batches) > 20, 60)
    first.cancel()
    await asyncio.wait([first])
    on_the_wire = {row.owed.ref.sop_uid for row in ledger.rows.values() if row.owed.custody is SENT}
    assert 0 < len(on_the_wire) <= SETTINGS.uploads_in_flight * 256
    assert 1000 < ledger.custodies.count(ACKNOWLEDGED) < 9000
    cloud.faults.clear()
    running(Push(ledger, retrieval, archive, link, changes, SETTINGS))
    await until(lambda: ledger.custodies.count(ACKNOWLEDGED) == 10_000, 120, every=0.1)
    assert {uid for uid, count in cloud.received.items() if count > 1} <= on_the_wire
    assert not cloud.repeated


@pytest.mark.parametrize("wanted", [True, False])
async def test_previews_are_chosen_if_they_are_wanted(
    ledger, retrieval, archive, link, changes, slices, wanted
):
    settings = config.Sync(preview_first=wanted)
    ledger.put(slices)
    await Push(ledger, retrieval, archive, link, changes, settings).step()
    assert bool(ledger.previews_chosen) is wanted


@pytest.fixture
def hours():
    """The rules of the calendar that hold; a test changes them."""
    return [[]]


@pytest.fixture
def watched(archive, ledger, retrieval, changes, hours, cloud):
    """A push over a line whose calendar the test changes, and the client's way over it."""
    line = Line(SETTINGS, look=0.02)

    def limit(_, direction):
        return Calendar([rule_of(text) for text in hours[-1]]).limit(time.time(), direction)

    line._calendar = SimpleNamespace(limit=limit, opens=lambda *_: None)
    paced = DicomwebArchive(others.Archive("cloud", cloud.url), way=line.way("cloud"))
    link = Link(paced, ledger, SETTINGS, line=line)
    return link, Push(ledger, retrieval, paced, link, changes, SETTINGS)


async def test_while_the_calendar_says_off_nothing_is_sent_and_then_it_goes_on_by_itself(
    watched, running, ledger, cloud, slices, hours
):
    hours.append(["off"])
    link, push = watched
    running(link, push)
    ledger.put(slices)
    await link.wait_online()
    await asyncio.sleep(0.2)
    assert set(ledger.custodies) == {EDGE_ONLY}
    assert not cloud.batches
    assert link.online
    hours.append([])
    await settled(ledger, ACKNOWLEDGED)


async def test_an_upload_that_is_broken_off_by_the_calendar_is_made_good(
    watched, running, ledger, cloud, hours
):
    hours.append(["160 kbps"])
    link, push = watched
    running(link, push)
    ledger.put(samples.ct_series(20, rows=64, columns=64))
    await until(lambda: SENT in ledger.custodies)
    await asyncio.sleep(0.3)
    hours.append(["off"])
    await asyncio.sleep(1.5)
    assert not cloud.batches
    assert link.online, "the line is not to blame"
    hours.append([])
    await settled(ledger, ACKNOWLEDGED)
    assert set(cloud.received.values()) == {1}


async def test_uploads_are_as_fast_as_they_may_be_and_the_speed_is_measured(
    watched, running, ledger, hours
):
    hours.append(["4 mbps"])
    link, push = watched
    running(link, push)
    parts = list(samples.ct_series(60, rows=64, columns=64))
    size = sum(len(part.data) for part in parts)
    begun = time.monotonic()
    ledger.put(parts)
    await settled(ledger, ACKNOWLEDGED)
    took = time.monotonic() - begun
    assert took > 0.95 * size / 500_000 - 0.2
    measured = link.line._meters["cloud"].speed("up")
    assert 0.3 * 500_000 < measured < 1.4 * 500_000


# Copies that are sent in place of instances ---------------------------------------------------


@pytest.fixture
def remedies(ledger):
    return FakeRemedies(ledger)


@pytest.fixture
async def mending(ledger, retrieval, archive, link, changes, remedies, running):
    part = Push(ledger, retrieval, archive, link, changes, SETTINGS, remedies=remedies)
    running(link, part)


def mend(ledger, part):
    row = ledger.of(part.ref)
    row.owed = replace(row.owed, remedy=Remedy("1.2.840.10008.1.2.5", {}))
    return row


async def test_a_copy_is_sent_in_place_of_its_instance_and_alone(
    ledger, remedies, cloud, slices, mending
):
    ledger.put(slices)
    mend(ledger, slices[2])
    await settled(ledger, ACKNOWLEDGED)
    for part in slices:
        mark = remedies.MARK if part is slices[2] else b""
        assert cloud.instances[part.ref.sop_uid].part10 == part.data + mark
    assert [slices[2].ref.sop_uid] in cloud.batches


async def test_a_copy_that_can_not_be_made_is_a_dead_letter_and_stalls_no_other(
    ledger, remedies, cloud, slices, mending, caplog
):
    remedies.failures.append(UndecodablePixels("a frame of SAMPLE^ONE is damaged"))
    ledger.put(slices)
    row = mend(ledger, slices[0])
    await settled(ledger, ACKNOWLEDGED, REFUSED)
    assert ledger.custodies.count(ACKNOWLEDGED) == len(slices) - 1
    assert (row.owed.custody, row.retry_at) == (REFUSED, 0.0)
    assert "can't be made: a frame" in row.reason
    assert "SAMPLE^ONE" not in caplog.text
    assert SENT not in row.history


async def test_a_copy_that_can_not_be_made_now_is_made_later(
    ledger, remedies, cloud, slices, mending
):
    remedies.failures.append(PixelWorkersBusy("too many"))
    ledger.put(slices[:1])
    row = mend(ledger, slices[0])
    await settled(ledger, ACKNOWLEDGED)
    assert row.history.count(EDGE_ONLY) == 2
