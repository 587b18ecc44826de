"""Every answer that archives were seen to give, against a whole box.

Each instance has its own fate: nothing is lost, nothing that the archive has is sent again, and no
instance waits for another.
"""

from __future__ import annotations

import email.utils
import io
import math
import time
from datetime import UTC, datetime

import pydicom
import pytest

from edge.cache.admission import Source
from edge.cloud.dicomweb import DicomwebArchive
from edge.cloud.transport import Timeouts
from edge.dicom.instance import Origin
from edge.others import Archive
from tests import samples
from tests.fakes.archive import FakeArchive, Fault, Refusal, held
from tests.journeys.box import running, settings

QUICK = {"retry_min_seconds": 0.05, "retry_max_seconds": 0.3}
SMALL = QUICK | {"batch_bytes": 30_000}
"""Three instances of a study in each request."""
ALONE = QUICK | {"batch_bytes": 1}
WITHIN = 30.0
"""Seconds: far less than any pause that an instance of its own would cost the others."""


@pytest.fixture
async def archive():
    """It does not listen yet; its port is its own."""
    made = FakeArchive()
    await made.start()
    await made.stop()
    yield made
    await made.stop()


@pytest.fixture
def open_box(archive, tmp_path, monkeypatch):
    """A box whose patience with this archive is two seconds."""

    def driver(configured, way=None):
        return DicomwebArchive(configured, way=way, timeouts=Timeouts(store=2.0, read=2.0))

    monkeypatch.setattr("edge.cloud.shut.archive_of", driver)

    def start(sync=QUICK):
        archives = (Archive("cloud", archive.url),)
        return running(settings(tmp_path / "box", archives, sync=sync))

    return start


async def take_in(box, parts):
    for part in parts:
        source = Source(Origin.DIMSE, "CT")
        await box.appliance.admission.store_instance(samples.chunks(part.data), source)


def series(count, *, seed=0):
    return list(samples.ct_series(count, rows=64, columns=64, seed=seed))


def has_all(archive, parts):
    there = {uid: instance.part10 for uid, instance in archive.instances.items()}
    return there == {part.ref.sop_uid: part.data for part in parts}


async def until_others_are_verified(box, victim, count):
    async def verified():
        rows = await box.rows(
            "SELECT count(*) FROM instances WHERE custody = 'VERIFIED' AND sop_uid <> ?", victim
        )
        return rows[0][0] == count

    await box.until(verified, "the others are verified", seconds=WITHIN)


async def until_custody_of(box, sop_uid, custody):
    async def has_it():
        return await box.custody_of(sop_uid) == custody

    await box.until(has_it, f"custody {custody}", seconds=WITHIN)


# One instance of an answer -----------------------------------------------------------------------

FOR_GOOD = {
    "does not match its SOP class": Refusal(0xA900, "not what it says it is"),
    "A9FF": Refusal(0xA9FF, "no"),
    "can't be understood": Refusal(0xC000, "no"),
    "CFFF": Refusal(0xCFFF, "no"),
    "SOP class not supported": Refusal(0x0122, "no"),
    "transfer syntax not supported": Refusal(0xC122, "no"),
    "not authorised": Refusal(0x0124, "no"),
    "Azure: validation": Refusal(43264, "PatientID"),
    "Azure: another study": Refusal(43265, "no"),
    "dcm4chee: rejected before": Refusal(0xA771, "no"),
    "dcm4chee: patient conflict": Refusal(0xA778, "no"),
    "dcm4chee: patient merged": Refusal(0xA779, "no"),
}
FOR_NOW = {
    "full": Refusal(0xA700, "out of resources"),
    "A7F0": Refusal(0xA7F0, "out of resources"),
    "generic": Refusal(0x0110, "database is locked"),
    "Google: generic": Refusal(272, "try again", private=True),
    "Azure: another stores it": Refusal(45071, "concurrent"),
    "dcm4chee: deletion under way": Refusal(0xA77A, "deleting"),
}
IT_IS_THERE = {
    "duplicate": Refusal(0x0111, "duplicate"),
    "Azure: exists": Refusal(45070, "exists"),
    "Google: exists": Refusal(272, "the instance already exists", private=True),
}


def each(table):
    return pytest.mark.parametrize("refusal", table.values(), ids=table.keys())


@each(FOR_GOOD)
async def test_what_is_refused_for_good_is_a_dead_letter(archive, open_box, refusal):
    parts = series(5)
    victim, *others = [part.ref.sop_uid for part in parts]
    archive.refusals[victim] = refusal
    async with open_box() as box:
        await take_in(box, parts)
        await archive.start()
        await until_others_are_verified(box, victim, len(others))
        await until_custody_of(box, victim, "REFUSED")
        [(reason, retry_at)] = await box.rows(
            "SELECT reason, retry_at FROM instances WHERE sop_uid = ?", victim
        )
        assert reason == f"reason {refusal.reason:04X} ({refusal.reason}): {refusal.comment}"
        assert retry_at == 0
    assert archive.received == dict.fromkeys([victim, *others], 1)


@each(FOR_NOW)
async def test_what_is_refused_for_now_is_offered_again_and_no_other_waits(
    archive, open_box, refusal
):
    parts = series(5)
    victim, *others = [part.ref.sop_uid for part in parts]
    archive.refusals[victim] = refusal
    async with open_box() as box:
        await take_in(box, parts)
        await archive.start()
        await until_others_are_verified(box, victim, len(others))

        async def refused():
            return archive.received[victim] > 1

        await box.until(refused, "it is offered again", seconds=WITHIN)
        assert await box.custody_of(victim) in ("EDGE_ONLY", "SENT", "REFUSED")
        del archive.refusals[victim]
        await box.until_verified(len(parts), seconds=WITHIN)
    assert has_all(archive, parts)
    assert not archive.repeated
    assert all(archive.received[uid] == 1 for uid in others)


async def test_alone_in_a_request_each_refusal_is_a_409_and_means_the_same(archive, open_box):
    # Not "full": that is about the archive, and everything waits.
    for_now = [
        refusal
        for refusal in FOR_NOW.values()
        if not 0xA700 <= refusal.reason <= 0xA7FF or refusal.reason == 0xA77A
    ]
    refusals = [*FOR_GOOD.values(), *for_now]
    parts = series(len(refusals) + 2)
    uids = [part.ref.sop_uid for part in parts]
    archive.refusals = dict(zip(uids, refusals, strict=False))
    async with open_box(sync=ALONE) as box:
        await take_in(box, parts)
        await archive.start()

        async def settled():
            custody = await box.custody()
            offered = min(archive.received[uid] for uid in uids[len(FOR_GOOD) : -2])
            return custody["VERIFIED"] == 2 and custody["REFUSED"] >= len(FOR_GOOD) and offered > 1

        await box.until(settled, "dead letters, and others", seconds=WITHIN)
        assert max(map(len, archive.batches)) == 1
        for uid in uids[len(FOR_GOOD) :]:
            archive.refusals.pop(uid, None)
        good = len(for_now) + 2
        await box.until(
            lambda: has_custody(box, VERIFIED=good, REFUSED=len(FOR_GOOD)), "as it should be"
        )
    assert not archive.repeated
    assert all(archive.received[uid] == 1 for uid in uids[: len(FOR_GOOD)])


async def has_custody(box, **custodies):
    return await box.custody() == custodies


@pytest.mark.parametrize("same", [True, False], ids=["the same bytes", "other bytes"])
@each(IT_IS_THERE)
async def test_what_is_there_is_compared_and_never_sent_again(archive, open_box, refusal, same):
    parts = series(3)
    victim, *others = [part.ref.sop_uid for part in parts]
    theirs = parts[0].data if same else with_a_comment(parts[0].data)
    # No sweep sees it before it is refused.
    archive.instances[victim] = held(theirs, listed_from=math.inf)
    archive.refusals[victim] = refusal
    async with open_box() as box:
        await take_in(box, parts)
        await archive.start()
        await until_others_are_verified(box, victim, len(others))
        archive.put(theirs)
        await until_custody_of(box, victim, "VERIFIED" if same else "CONFLICT")
        study = await box.viewer.instances(f"/studies/{parts[0].ref.study_uid}")
        assert set(study) == {victim, *others}
    assert archive.instances[victim].part10 == theirs
    assert set(archive.received.values()) == {1}


def with_a_comment(part10):
    dataset = pydicom.dcmread(io.BytesIO(part10))
    dataset.PatientComments = "changed"
    written = io.BytesIO()
    dataset.save_as(written)
    return written.getvalue()


@pytest.mark.parametrize("status", [200, 400, 409, 500])
async def test_the_data_set_counts_and_not_the_status_beside_it(archive, open_box, status):
    parts = series(5)
    victim, *others = [part.ref.sop_uid for part in parts]
    archive.faults["store"].append(Fault(refuse={victim: Refusal(0xA900)}, says=status))
    async with open_box() as box:
        await take_in(box, parts)
        await archive.start()
        await until_others_are_verified(box, victim, len(others))
        await until_custody_of(box, victim, "REFUSED")
    assert set(archive.received.values()) == {1}


async def test_one_that_is_too_large_for_the_archive_is_a_dead_letter(archive, open_box):
    small = series(4)
    (large,) = samples.ct_series(1, rows=256, columns=256, seed=1)
    archive.max_request = 100_000
    async with open_box() as box:
        await take_in(box, [*small, large])
        await archive.start()
        await until_others_are_verified(box, large.ref.sop_uid, len(small))
        await until_custody_of(box, large.ref.sop_uid, "REFUSED")
    assert has_all(archive, small)
    assert not archive.repeated


@pytest.mark.parametrize("ill", ["poison", "broken"])
async def test_one_on_which_the_archive_breaks_stops_no_other(archive, open_box, ill):
    parts = series(5)
    victim, *others = [part.ref.sop_uid for part in parts]
    getattr(archive, ill).add(victim)
    async with open_box() as box:
        await take_in(box, parts)
        await archive.start()
        await until_others_are_verified(box, victim, len(others))
        assert await box.custody_of(victim) in ("EDGE_ONLY", "SENT", "ACKNOWLEDGED")
        getattr(archive, ill).clear()
        await box.until_verified(len(parts), seconds=WITHIN)
    assert has_all(archive, parts)
    assert not archive.repeated


# A whole answer ----------------------------------------------------------------------------------

PORTAL = b"<html><body>Please log in</body></html>"
STORES = {
    "401": Fault(status=401),
    "401, and kept": Fault(status=401, commit=True),
    "403": Fault(status=403),
    "429": Fault(status=429),
    "500": Fault(status=500),
    "500, and kept": Fault(status=500, commit=True),
    "503": Fault(status=503, body=PORTAL, content_type="text/html"),
    "503, and kept": Fault(status=503, commit=True),
    "kept, and no answer in time": Fault(hang=4.0),
    "not kept, and no answer in time": Fault(hang=4.0, lose=True),
    "the request breaks off": Fault(cut_request=5000),
    "the answer breaks off": Fault(cut_answer=20),
    "the answer breaks off, and nothing is kept": Fault(cut_answer=20, lose=True),
    "the answer ends in the middle": Fault(end_answer=40),
    "an empty 200": Fault(status=200, commit=True),
    "an empty 200, and nothing is kept": Fault(status=200),
    "200 that names none": Fault(silent=True),
    "200 that leaves one out": Fault(omit=1),
    "202 that names none, and nothing is kept": Fault(says=202, silent=True, lose=True),
    "200, and nothing is kept": Fault(lose=True),
    "the answer of another request": Fault(replay=True),
    "the answer of another request, and nothing is kept": Fault(replay=True, lose=True),
    "a captive portal": Fault(status=200, body=PORTAL, content_type="text/html"),
}
LOOKS = {
    "401": Fault(status=401),
    "429": Fault(status=429),
    "500": Fault(status=500),
    "503": Fault(status=503),
    "no answer in time": Fault(hang=4.0),
    "the answer breaks off": Fault(cut_answer=100),
    "the answer ends in the middle": Fault(end_answer=5000),
    "the wrong boundary": Fault(wrong_boundary=True),
    "the answer of another request": Fault(replay=True),
    "nothing": Fault(status=404),
    "a captive portal": Fault(status=200, body=PORTAL, content_type="text/html"),
}


def faults(table, **options):
    return pytest.mark.parametrize("fault", table.values(), ids=table.keys(), **options)


def twelve():
    return [part for seed in range(3) for part in series(4, seed=seed)]


async def all_arrives(archive, open_box, parts):
    async with open_box(sync=SMALL) as box:
        await take_in(box, parts)
        await archive.start()
        await box.until_verified(len(parts), seconds=WITHIN)
    assert has_all(archive, parts)
    assert not archive.repeated


@faults(STORES)
async def test_an_upload_is_answered_in_some_way(archive, open_box, fault):
    archive.faults["store"].extend([Fault(), fault, fault])
    await all_arrives(archive, open_box, twelve())
    assert not archive.faults["store"]


async def test_those_that_are_too_large_together_go_in_smaller_requests(archive, open_box):
    parts = twelve()
    archive.max_request = 2 * len(parts[0].data)
    await all_arrives(archive, open_box, parts)
    assert max(archive.lengths) > archive.max_request


@faults(LOOKS)
async def test_a_look_at_the_bytes_is_answered_in_some_way(archive, open_box, fault):
    archive.faults["retrieve"].extend([Fault(), fault, fault])
    await all_arrives(archive, open_box, twelve())
    assert not archive.faults["retrieve"]


@faults(LOOKS)
async def test_a_search_is_answered_in_some_way(archive, open_box, fault):
    """Also the one that asks what became of an upload whose answer was lost."""
    archive.faults["store"].append(Fault(cut_answer=0))
    archive.faults["search"].extend([Fault(), *[fault] * 4])
    await all_arrives(archive, open_box, twelve())
    assert not archive.faults["search"]


@faults(LOOKS)
async def test_a_viewers_miss_is_answered_in_some_way(archive, open_box, fault):
    """The viewer gets the right bytes or an error, and never anything else."""
    parts = [*series(2, seed=0), *series(2, seed=1)]
    for part in parts:
        archive.put(part.data)
    await archive.start()
    async with open_box() as box:

        async def found():
            return (await box.summary()).instances == len(parts)

        await box.until(found, "the sweep finds the studies")
        before = await instance_of(box, parts[0])
        assert before == parts[0].data
        archive.faults["retrieve"].append(fault)
        assert await instance_of(box, parts[2]) in (None, parts[2].data)
        archive.faults.clear()

        async def right():
            return await instance_of(box, parts[2]) == parts[2].data

        await box.until(right, "it is had afterwards", seconds=WITHIN)
        assert await box.custody_of(parts[2].ref.sop_uid) == "VERIFIED"


async def instance_of(box, part):
    """What the viewer gets; None for an error."""
    ref = part.ref
    path = f"/studies/{ref.study_uid}/series/{ref.series_uid}/instances/{ref.sop_uid}"
    answer = await box.viewer.get(path, "application/dicom; transfer-syntax=*")
    return answer.content if answer.status_code == 200 else None


@pytest.mark.alone  # how soon afterwards is measured, too
@pytest.mark.parametrize("form", ["seconds", "date"])
@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_kept_to_in_both_forms(archive, open_box, status, form):
    parts = twelve()
    # One request at a time: what was under way already when the answer came is another matter.
    async with open_box(sync=SMALL | {"uploads_in_flight": 1}) as box:
        await take_in(box, parts)
        until = math.ceil(time.time()) + 5
        date = email.utils.format_datetime(datetime.fromtimestamp(until, UTC), usegmt=True)
        asked = "2" if form == "seconds" else date
        fault = Fault(status=status, headers={"Retry-After": asked})
        archive.faults["store"].extend([Fault(), fault])
        await archive.start()
        await box.until_verified(len(parts), seconds=WITHIN)
    stores = [
        moment
        for (method, _, _), moment in zip(archive.requests, archive.moments, strict=True)
        if method == "POST"
    ]
    if form == "seconds":
        assert 2.0 <= stores[2] - stores[1] < 4.0
    else:
        # Against the clock of the answer's Date, which has whole seconds.
        assert until - 1.0 <= stores[2] < until + 2.0
    assert has_all(archive, parts)
    assert not archive.repeated
