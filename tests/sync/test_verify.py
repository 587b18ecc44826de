import asyncio
import contextlib
import dataclasses
import io
import logging
import time
import zlib

import pydicom
import pytest

from edge import config
from edge.cache.ledger import Settlement
from edge.dicom.instance import Custody
from edge.errors import CloudUnreachable, LineClosed
from edge.sync.line import Closed
from edge.sync.link import Link
from edge.sync.verify import Verify
from tests import samples
from tests.fakes.archive import Fault
from tests.sync.conftest import SETTINGS, JumpingClock, until

ACKNOWLEDGED, VERIFIED, CONFLICT = Custody.ACKNOWLEDGED, Custody.VERIFIED, Custody.CONFLICT
EDGE_ONLY = Custody.EDGE_ONLY


@pytest.fixture
async def verifying(link, verify, running):
    running(link, verify)


@pytest.fixture
def there(ledger, cloud, slices):
    """Six instances that the archive said yes to, and has."""
    for part in slices:
        cloud.put(part.data)
    ledger.put(slices, ACKNOWLEDGED)
    return slices


def changed(part10):
    """The same UID with other bytes."""
    dataset = pydicom.dcmread(io.BytesIO(part10))
    dataset.PatientComments = "changed by the archive"
    target = io.BytesIO()
    dataset.save_as(target)
    return target.getvalue()


async def all_are(ledger, *custodies):
    await until(lambda: set(ledger.custodies) <= set(custodies))


async def test_what_the_archive_has_byte_for_byte_is_verified(verifying, ledger, there):
    await all_are(ledger, VERIFIED)


async def test_a_whole_series_is_read_back_in_one_request(verify, ledger, cloud, there):
    await verify.step()
    assert set(ledger.custodies) == {VERIFIED}
    assert len(cloud.requests) == 2


async def test_a_few_of_a_long_series_are_read_back_alone(verify, ledger, cloud):
    parts = list(samples.ct_series(20, rows=8, columns=8))
    for part in parts:
        cloud.put(part.data)
    ledger.put(parts[:5], ACKNOWLEDGED)
    await verify.step()
    assert set(ledger.custodies) == {VERIFIED}
    assert cloud.asked("instances/") == 5


async def test_uploads_go_first_for_a_while(ledger, archive, link, changes, running, cloud, there):
    now = 1000.0
    verify = Verify(ledger, archive, link, changes, config.Sync(), clock=lambda: now)
    ledger.put(samples.ct_series(1, rows=8, columns=8, seed=1))
    running(link, verify)
    await link.wait_online()
    await asyncio.sleep(0.05)
    assert VERIFIED not in ledger.custodies
    now += 100.0
    changes.wake()
    await until(lambda: ledger.custodies.count(VERIFIED) == 6)


async def test_uploads_go_first_no_longer_when_the_clock_is_set_back(
    ledger, archive, link, changes, running, cloud, there
):
    now = 2_000_000_000.0
    verify = Verify(ledger, archive, link, changes, config.Sync(), clock=lambda: now)
    ledger.put(samples.ct_series(1, rows=8, columns=8, seed=1))
    running(link, verify)
    await link.wait_online()
    await asyncio.sleep(0.05)
    now -= 1_000_000_000.0
    changes.wake()
    await until(lambda: ledger.custodies.count(VERIFIED) == 6)


async def test_another_envelope_is_no_conflict(verifying, ledger, cloud, there):
    for part in there:
        dataset = pydicom.dcmread(io.BytesIO(part.data))
        dataset.file_meta.SourceApplicationEntityTitle = "ARCHIVE"
        target = io.BytesIO(b"")
        dataset.save_as(target)
        rewritten = target.getvalue()
        assert rewritten != part.data
        cloud.put(rewritten)
    await all_are(ledger, VERIFIED)


async def test_other_bytes_are_a_conflict_and_touch_no_other(verifying, ledger, cloud, there):
    cloud.put(changed(there[2].data))
    await all_are(ledger, VERIFIED, CONFLICT)
    assert ledger.custodies.count(CONFLICT) == 1
    row = ledger.of(there[2].ref)
    assert row.owed.custody is CONFLICT
    assert "other bytes" in row.reason


async def test_what_is_not_there_is_owed_again_when_patience_has_run_out(
    verifying, ledger, cloud, there
):
    del cloud.instances[there[0].ref.sop_uid]
    await all_are(ledger, VERIFIED, EDGE_ONLY)
    assert ledger.of(there[0].ref).owed.custody is EDGE_ONLY
    assert ledger.of(there[0].ref).history.count(ACKNOWLEDGED) >= 4


async def test_an_archive_that_says_yes_and_keeps_nothing_is_sent_it_ever_more_rarely(
    ledger, archive, link, changes, cloud, slices, caplog
):
    now = 1000.0
    verify = Verify(ledger, archive, link, changes, config.Sync(), clock=lambda: now)
    part = slices[0]
    ledger.put([part], ACKNOWLEDGED)
    row, resent = ledger.of(part.ref), []
    while now < 1000.0 + 7 * 86400:
        now = max(now, row.retry_at)
        if row.owed.custody is EDGE_ONLY:
            # It goes out, and the archive says yes.
            resent.append(now)
            await ledger.settle([Settlement(row.owed.instance_id, ACKNOWLEDGED)])
        await verify.step()
    assert 5 < len(resent) < 40
    assert resent[-1] - resent[-2] > 6 * 3600.0
    assert "said yes to instances that it does not have; to be sent again: 1" in caplog.text


async def test_what_is_verified_is_told_in_counts(verifying, ledger, there, caplog):
    caplog.set_level(logging.INFO)
    await until(lambda: "archive cloud: verified 6 instances" in caplog.text)
    assert there[0].ref.sop_uid not in caplog.text


async def test_an_archive_that_indexes_late_is_given_time(verifying, ledger, cloud, slices):
    ledger.put(slices, ACKNOWLEDGED)
    # The series is listed, then each slice by itself: more than that is a second look.
    await until(lambda: cloud.asked("instances") > 2 * (1 + len(slices)))
    assert set(ledger.custodies) == {ACKNOWLEDGED}
    for part in slices:
        cloud.put(part.data)
    await all_are(ledger, VERIFIED)


async def test_listed_but_not_retrievable_is_not_verified(verifying, ledger, cloud, there):
    cloud.faults["retrieve"].extend([Fault(status=404)] * 10_000)
    await all_are(ledger, EDGE_ONLY)
    assert VERIFIED not in ledger.of(there[0].ref).history


@pytest.mark.parametrize(
    "fault", [Fault(cut_answer=3000), Fault(wrong_boundary=True), Fault(status=500)]
)
async def test_a_look_that_was_cut_short_proves_nothing(verify, ledger, cloud, there, fault):
    cloud.faults["retrieve"].extend([fault] * 100)
    with pytest.raises(CloudUnreachable):
        await verify.step()
    assert set(ledger.custodies) <= {ACKNOWLEDGED, VERIFIED}
    assert ACKNOWLEDGED in ledger.custodies


async def test_a_line_that_recovers_brings_it_to_its_end(verifying, ledger, cloud, there):
    cloud.faults["retrieve"].extend([Fault(cut_answer=3000)] * 5)
    cloud.faults["search"].extend([Fault(), Fault(status=503)])
    await all_are(ledger, VERIFIED)


async def test_an_instance_that_always_fails_stalls_no_other(verifying, ledger, cloud, there):
    cloud.broken = {there[0].ref.sop_uid}
    await until(lambda: ledger.custodies.count(VERIFIED) == 5)
    assert ledger.of(there[0].ref).owed.custody is ACKNOWLEDGED
    cloud.broken = set()
    await all_are(ledger, VERIFIED)


async def test_garbage_under_the_uid_is_a_conflict(verifying, ledger, cloud, there):
    uid = there[1].ref.sop_uid
    held = cloud.instances[uid]
    cloud.instances[uid] = held.__class__(
        b"garbage" * 100,
        held.study_uid,
        held.series_uid,
        held.sop_uid,
        held.sop_class_uid,
        held.attributes,
        0.0,
    )
    await all_are(ledger, VERIFIED, CONFLICT)
    assert ledger.custodies.count(CONFLICT) == 1


class TestSample:
    @pytest.fixture
    def verify(self, ledger, archive, link, changes):
        settings = config.Sync(verify="sample", retry_min_seconds=0.04)
        return Verify(ledger, archive, link, changes, settings)

    @pytest.fixture
    def parts(self, ledger, cloud):
        parts = list(samples.ct_series(50, rows=8, columns=8))
        for part in parts:
            cloud.put(part.data)
        ledger.put(parts, ACKNOWLEDGED)
        return parts

    async def test_every_uid_is_asked_for_and_a_sample_is_read_back(
        self, verify, ledger, cloud, parts
    ):
        await verify.step()
        assert set(ledger.custodies) == {VERIFIED}
        assert 1 <= cloud.asked("instances/") <= 15

    async def test_what_the_archive_said_more_of_is_read_back_in_any_case(
        self, verify, ledger, cloud, parts
    ):
        odd = next(part for part in parts if zlib.crc32(part.ref.sop_uid.encode()) % 10)
        number = ledger.of(odd.ref).owed.instance_id
        await ledger.settle([Settlement(number, ACKNOWLEDGED, "it was there before")])
        cloud.put(changed(odd.data))
        await verify.step()
        assert ledger.of(odd.ref).owed.custody is CONFLICT
        assert ledger.custodies.count(VERIFIED) == len(parts) - 1

    async def test_a_sample_that_is_not_clean_has_all_read_back(self, verify, ledger, cloud, parts):
        for part in parts:
            cloud.put(changed(part.data))
        await verify.step()
        assert set(ledger.custodies) == {CONFLICT}

    async def test_what_is_missing_is_never_taken_for_good(self, verify, ledger, cloud, parts):
        for part in parts[::2]:
            del cloud.instances[part.ref.sop_uid]
        await verify.step()
        assert ledger.custodies.count(ACKNOWLEDGED) == 25
        assert ledger.custodies.count(VERIFIED) == 25


async def test_what_becomes_due_while_it_looks_is_not_slept_through(
    ledger, archive, link, changes, cloud, slices, running
):
    for part in slices:
        cloud.put(part.data)
    ledger.put(slices, Custody.ACKNOWLEDGED)
    clock = JumpingClock(ledger, "unverified")
    for row in ledger.rows.values():
        row.retry_at = clock() + 0.5
    running(link, Verify(ledger, archive, link, changes, SETTINGS, clock=clock))
    await until(lambda: set(ledger.custodies) == {Custody.VERIFIED})


@pytest.mark.parametrize("verify_as", ["series", "one by one"])
async def test_what_is_read_back_keeps_to_the_limit(
    archive, ledger, changes, running, cloud, verify_as
):
    parts = list(samples.ct_series(8, rows=64, columns=64))
    for part in parts:
        cloud.put(part.data)
    settings = config.Sync(retry_min_seconds=0.04, max_download_kbps=800)
    link = Link(archive, ledger, settings)
    owed = parts if verify_as == "series" else parts[:5]
    ledger.put(owed, ACKNOWLEDGED)
    begun = time.monotonic()
    running(link, Verify(ledger, archive, link, changes, settings))
    await all_are(ledger, VERIFIED)
    size = sum(len(part.data) for part in owed)
    assert time.monotonic() - begun > 0.9 * size / 100_000 - 0.2


async def test_nothing_is_read_back_while_downloads_are_off_and_no_verdict_is_made(
    archive, ledger, changes, running, cloud, there
):
    settings = config.Sync(retry_min_seconds=0.04, calendar=("down off",))
    link = Link(archive, ledger, settings)
    running(link, Verify(ledger, archive, link, changes, settings))
    await link.wait_online()
    await asyncio.sleep(0.2)
    assert set(ledger.custodies) == {ACKNOWLEDGED}
    assert link.online


async def test_what_was_seen_before_the_line_closed_is_kept(archive, ledger, changes, cloud, there):
    settings = config.Sync(retry_min_seconds=0.04)
    link = Link(archive, ledger, settings)
    verify = Verify(ledger, archive, link, changes, settings)
    looks = []

    def closed(_):
        looks.append(1)
        return Closed("the calendar", None) if len(looks) > 3 else None

    link.line.closed = closed
    with pytest.raises(LineClosed):
        await verify.step()
    assert ledger.custodies == [VERIFIED] * 3 + [ACKNOWLEDGED] * 3
    link.line.closed = lambda _: None
    await verify.step()
    assert set(ledger.custodies) == {VERIFIED}


def endless(archive, monkeypatch):
    """The archive's answer about one instance begins as it should, and never ends; what it gave."""
    given = []
    retrieve = archive.retrieve_instance

    async def never_ending(ref):
        async with contextlib.aclosing(retrieve(ref)) as pieces:
            async for piece in pieces:
                yield piece
        while len(given) < 200:
            given.append(1)
            yield bytes(1024 * 1024)

    monkeypatch.setattr(archive, "retrieve_instance", never_ending)
    return given


async def test_an_answer_without_end_is_no_answer_and_stalls_no_other(
    verify, archive, ledger, cloud, there, monkeypatch
):
    # The series is listed as a longer one: its instances are read back one by one.
    for part in list(samples.ct_series(20, rows=8, columns=8))[6:]:
        cloud.put(part.data)
    given = endless(archive, monkeypatch)
    await verify.step()
    assert set(ledger.custodies) == {CONFLICT}
    assert len(given) == 2 * len(there)


async def test_a_series_with_an_instance_without_end_is_read_back_one_by_one(
    verify, ledger, cloud, there
):
    cloud.put(there[3].data + bytes(3 * 1024 * 1024))
    await verify.step()
    assert ledger.custodies.count(VERIFIED) == len(there) - 1
    assert ledger.of(there[3].ref).owed.custody is CONFLICT


async def test_the_answer_of_another_request_is_no_conflict_unless_it_goes_on(
    verifying, ledger, cloud, slices
):
    victim, other = slices[0], slices[1]
    uid = victim.ref.sop_uid
    # Under its name lies another instance: a proxy mixed them up, or the archive did.
    cloud.instances[uid] = dataclasses.replace(cloud.put(victim.data), part10=other.data)
    ledger.put([victim], ACKNOWLEDGED)
    await until(lambda: ledger.of(victim.ref).owed.tries == 1)
    assert ledger.of(victim.ref).owed.custody is ACKNOWLEDGED
    assert ledger.of(victim.ref).reason == "the archive gave another instance than this"
    cloud.put(victim.data)
    await all_are(ledger, VERIFIED)

    cloud.instances[uid] = dataclasses.replace(cloud.put(victim.data), part10=other.data)
    ledger.put([victim], ACKNOWLEDGED)
    await until(lambda: CONFLICT in ledger.custodies)
