"""Reviews: each instance is asked about again, slowly, and what was lost is noticed."""

from __future__ import annotations

import io
from dataclasses import astuple

import pydicom
import pytest

from edge.errors import CloudError
from edge.sync.corrections import CORRECTED, Corrections
from edge.sync.reverify import Reverify
from tests import samples
from tests.fakes.archive import Fault
from tests.sync.test_absence import (  # noqa: F401 - fixtures
    HERE,
    OWED,
    clock,
    delete,
    open_box,
    open_cache,
    studies,
)

DAY = 86400.0


async def review_all(box, most=20):
    """Review until nothing is due; how many steps that took."""
    for count in range(most):
        if await box.review.step() > 60:
            return count
    raise AssertionError("something is always due")


async def test_each_study_is_asked_about_once_in_a_period_oldest_first(open_box, cloud, studies):  # noqa: F811
    async with open_box(reverify_days=30) as box:
        for parts in studies:
            await box.verify(parts)
            box.clock.now += DAY
        assert await review_all(box) == 0
        box.clock.now += 26 * DAY
        cloud.requests.clear()
        assert await review_all(box) == 2
        asked = [query.get("StudyInstanceUID") for _, _, query in cloud.requests]
        assert [uid for uid in asked if uid] == [parts[0].ref.study_uid for parts in studies[:2]]
    async with open_box(reverify_days=30) as box:
        assert await review_all(box) == 0
        box.clock.now += 30 * DAY
        assert await review_all(box) == 5


async def test_a_lost_instance_is_noticed_and_owed_again(open_box, cloud, studies, caplog):  # noqa: F811
    async with open_box() as box:
        for parts in studies:
            await box.verify(parts)
        delete(cloud, studies[2][:1])
        box.clock.now += 31 * DAY
        await review_all(box)
        assert await box.state(studies[2][0]) == OWED
        assert await box.state(studies[2][1]) == HERE
        assert "is given 1 again" in caplog.text


async def test_a_study_that_is_gone_is_left_to_who_looks_for_absences(open_box, cloud, studies):  # noqa: F811
    async with open_box() as box:
        for parts in studies:
            await box.verify(parts)
        delete(cloud, studies[2])
        box.clock.now += 31 * DAY
        await review_all(box)
        assert await box.state(studies[2][0]) == HERE
        assert await box.cache.database.read("SELECT state FROM absences") == [("SUSPECTED",)]
        for _ in range(4):
            await box.sweep_once()
        assert (await box.state(studies[2][0]))[2] == "TRASH"


async def test_one_that_took_the_place_of_another_is_met_though_the_counts_are_the_same(
    open_box,  # noqa: F811
    cloud,
):
    parts = list(samples.ct_series(4, rows=8, columns=8))
    for part in parts[:3]:
        cloud.put(part.data)
    async with open_box() as box:
        await box.verify(parts[:3])
        await box.sweep_once()
        delete(cloud, parts[:1])
        cloud.put(parts[3].data)
        await box.sweep_once()
        box.clock.now += 31 * DAY
        await review_all(box)
        await box.sweep_once()
        known = await box.cache.database.read("SELECT sop_uid FROM instances ORDER BY sop_uid")
        assert [row[0] for row in known] == sorted(part.ref.sop_uid for part in parts)
        assert await box.state(parts[0]) == OWED


@pytest.mark.parametrize("all_of_it", [True, False], ids=["the study", "a series"])
async def test_one_that_took_the_place_of_what_was_deleted_here_is_met(open_box, cloud, all_of_it):  # noqa: F811
    """Its counts are as they were when nothing of it, or of that series, was left here."""
    first, second = (list(samples.ct_series(2, rows=8, columns=8, series=one)) for one in (1, 2))
    sent = first[:1] if all_of_it else [first[0], *second]
    for part in sent:
        cloud.put(part.data)
    async with open_box() as box:
        await box.verify(sent)
        await box.sweep_once()
        await box.cache.deletion.delete(first[0].ref.study_uid, first[0].ref.series_uid)
        await box.sweep_once()
        delete(cloud, first[:1])
        cloud.put(first[1].data)
        await box.sweep_once()
        assert await box.state(first[1]) is None
        box.clock.now += 31 * DAY
        await review_all(box)
        await box.sweep_once()
        assert await box.state(first[1]) == ("NEARLINE", "ACKNOWLEDGED", "")
        assert await box.state(first[0]) is None


async def test_one_is_met_in_a_study_of_which_the_archive_has_nothing_of_ours(open_box, cloud):  # noqa: F811
    parts = list(samples.ct_series(3, rows=8, columns=8))
    cloud.put(parts[0].data)
    async with open_box() as box:
        await box.verify(parts[:1])
        await box.cache.deletion.delete(*astuple(parts[0].ref))
        await box.cache.send(parts[1])
        await box.sweep_once()
        delete(cloud, parts[:1])
        cloud.put(parts[2].data)
        await box.sweep_once()
        assert await box.state(parts[2]) is None
        box.clock.now += 31 * DAY
        await review_all(box)
        await box.sweep_once()
        assert await box.state(parts[2]) == ("NEARLINE", "ACKNOWLEDGED", "")


async def test_every_instance_is_read_back_once_in_a_hundred_periods(open_box, cloud):  # noqa: F811
    (part,) = samples.ct_series(1, rows=8, columns=8)
    cloud.put(part.data)
    async with open_box(reverify_days=1) as box:
        await box.verify([part])
        read = 0
        for _ in range(100):
            box.clock.now += DAY
            cloud.requests.clear()
            await review_all(box)
            read += cloud.asked("instances/")
        assert read == 1
        rows = await box.cache.database.read("SELECT verified, received FROM instances")
        assert rows[0][0] > rows[0][1]


@pytest.fixture
def every(monkeypatch):
    """Read back all of them."""
    monkeypatch.setattr("edge.sync.reverify._ONE_IN", 1)


async def test_other_bytes_are_a_conflict(open_box, cloud, studies, every):  # noqa: F811
    async with open_box() as box:
        await box.verify(studies[0])
        dataset = pydicom.dcmread(io.BytesIO(studies[0][0].data))
        dataset.PatientComments = "changed by the archive"
        target = io.BytesIO()
        dataset.save_as(target)
        cloud.put(target.getvalue())
        box.clock.now += 31 * DAY
        await review_all(box)
        assert await box.state(studies[0][0]) == ("ONLINE", "CONFLICT", "")
        assert await box.state(studies[0][1]) == HERE


async def test_a_correction_is_learned_once_and_reviewed_quietly_from_then_on(
    open_box,  # noqa: F811
    cloud,
    studies,  # noqa: F811
    every,
):
    async with open_box() as box:
        box.review = Reverify(
            box.ledger,
            box.absences,
            box.archive,
            box.link,
            box.changes,
            box.sync,
            is_primary=True,
            corrections=Corrections(box.cache.retrieval),
            clock=box.clock,
        )
        for parts in studies:
            await box.verify(parts)
        corrected, other = studies[0]
        for part, comments in ((corrected, None), (other, "changed by the archive")):
            dataset = pydicom.dcmread(io.BytesIO(part.data))
            dataset.PatientID = "SYN-CORRECTED"
            if comments:
                dataset.PatientComments = comments
            target = io.BytesIO()
            dataset.save_as(target)
            cloud.put(target.getvalue())
        box.clock.now += 31 * DAY
        await review_all(box)
        assert await box.state(corrected) == HERE
        assert await box.state(other) == ("ONLINE", "CONFLICT", "")
        query = "SELECT verified, reason FROM instances WHERE sop_uid = ?"
        [first] = await box.cache.database.read(query, (corrected.ref.sop_uid,))
        assert first[1] == CORRECTED
        cloud.requests.clear()
        box.clock.now += 31 * DAY
        await review_all(box)
        assert cloud.asked(f"instances/{corrected.ref.sop_uid}") == 1
        [second] = await box.cache.database.read(query, (corrected.ref.sop_uid,))
        assert second == (first[0] + 31 * DAY, CORRECTED)


async def test_one_that_always_fails_stalls_no_other_and_changes_nothing(
    open_box,  # noqa: F811
    cloud,
    studies,  # noqa: F811
    every,
):
    async with open_box() as box:
        for parts in studies:
            await box.verify(parts)
        cloud.broken.add(studies[0][0].ref.sop_uid)
        delete(cloud, studies[1][:1])
        box.clock.now += 31 * DAY
        with pytest.raises(CloudError):
            await review_all(box)
        await review_all(box)
        assert await box.state(studies[0][0]) == HERE
        assert await box.state(studies[1][0]) == OWED


async def test_an_outage_is_no_loss(open_box, cloud, studies):  # noqa: F811
    async with open_box() as box:
        for parts in studies:
            await box.verify(parts)
        cloud.faults["search"].extend([Fault(status=503)] * 5)
        box.clock.now += 31 * DAY
        for _ in range(5):
            with pytest.raises(CloudError):
                await box.review.step()
        for parts in studies:
            assert await box.state(parts[0]) == HERE
        box.clock.now += DAY
        assert await review_all(box) == 5


async def test_an_archive_for_copies_is_given_again_what_it_lost(
    open_box,  # noqa: F811
    cloud,
    studies,  # noqa: F811
    archive,
):
    async with open_box() as box:
        await box.ledger.set_roles({"primary": "primary", "cloud": "copy"})
        for parts in studies:
            await box.verify(parts)
        await box.cache.database.write(
            lambda db: db.execute("UPDATE copies SET custody = 'VERIFIED'")
        )
        delete(cloud, studies[0])
        delete(cloud, studies[1][:1])
        review = Reverify(
            box.ledger.beside("cloud"),
            box.absences,
            archive,
            box.link,
            box.changes,
            box.sync,
            is_primary=False,
            clock=box.clock,
        )
        box.review = review
        box.clock.now += 31 * DAY
        await review_all(box)
        rows = await box.cache.database.read(
            "SELECT i.sop_uid FROM copies c JOIN instances i ON i.id = c.instance_id"
            " WHERE c.custody = 'SENT'"
        )
        assert {uid for (uid,) in rows} == {
            part.ref.sop_uid for part in (*studies[0], studies[1][0])
        }
        assert await box.state(studies[0][0]) == HERE
        assert await box.cache.database.read("SELECT archive, lost FROM sweeps") == [("cloud", 3)]


async def test_it_waits_while_something_is_to_be_sent(open_box, cloud, studies, running):  # noqa: F811
    async with open_box() as box:
        await box.cache.send(studies[0][0])
        assert await box.review._is_busy()
        await box.verify(studies[0])
        assert not await box.review._is_busy()
