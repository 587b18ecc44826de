"""The archive gets backups: daily, after changes, a few of them, and each is read back."""

from __future__ import annotations

import dataclasses

import pytest

from edge.cache.backup import LABEL, reference
from edge.dicom.raw_data import bytes_in, to_part10
from edge.errors import CloudUnreachable, EdgeError
from edge.sync.backup import KEPT, ArchiveBackup
from tests.fakes.archive import Fault, Refusal
from tests.fakes.backups import DAY, KEY, FakeBackups
from tests.sync.conftest import SETTINGS, until


@pytest.fixture
def backups():
    return FakeBackups()


@pytest.fixture
def part(backups, archive, link):
    return ArchiveBackup(backups, archive, link, SETTINGS, clock=lambda: backups.now)


def contents(cloud):
    """What the backups in the archive hold, the oldest first."""
    found = sorted(cloud.instances.values(), key=lambda one: one.attributes["00200013"]["Value"][0])
    return [int(KEY.open(bytes_in(one.part10))) for one in found]


async def test_without_a_recovery_key_nothing_is_sent(part, backups, cloud):
    backups.recovery = None
    assert not await part.step()
    assert cloud.instances == {}


async def test_the_first_is_sent_at_once_and_one_a_day_then(part, backups, cloud):
    assert await part.step()
    assert not await part.step()
    backups.now += DAY - 1
    assert not await part.step()
    backups.now += 1
    assert await part.step()
    assert contents(cloud) == [1, 2]
    assert {one.study_uid for one in cloud.instances.values()} == {
        reference(KEY.recipient, 0).study_uid
    }


async def test_a_change_brings_one_once_no_other_follows(part, backups, cloud):
    await part.step()
    for backups.current in ("a", "b", "c"):
        backups.now += 1
        assert not await part.step()
    assert await part.step()
    assert not await part.step()
    assert contents(cloud) == [1, 2]
    assert backups.given["cloud"].state == "c"


async def test_the_last_few_are_kept(part, backups, cloud, slices):
    cloud.put(slices[0].data)
    for _ in range(KEPT + 3):
        backups.now += DAY
        assert await part.step()
    assert cloud.instances.pop(slices[0].ref.sop_uid)
    assert contents(cloud) == list(range(4, KEPT + 4))


async def test_what_somebody_else_put_there_is_not_deleted(part, backups, cloud):
    place = dataclasses.replace(reference(KEY.recipient, 0), sop_uid="1.2.3")
    cloud.put(to_part10(place, 1, 0.0, LABEL, b"another's"))
    for _ in range(KEPT + 1):
        backups.now += DAY
        await part.step()
    assert "1.2.3" in cloud.instances
    assert len(cloud.instances) == KEPT + 1


async def test_an_archive_that_deletes_nothing_keeps_all_and_is_asked_once(part, backups, cloud):
    cloud.faults["delete"].extend([Fault(status=405)] * 9)
    for _ in range(KEPT + 3):
        backups.now += DAY
        assert await part.step()
    assert len(cloud.instances) == KEPT + 3
    assert cloud.asked("DELETE") == 1


async def test_a_clock_that_was_wrong_does_not_hide_the_newest(part, backups, cloud):
    await part.step()
    backups.now -= 300 * DAY
    assert await part.step()
    assert contents(cloud) == [1, 2]


async def test_what_does_not_come_back_as_it_was_is_no_backup(part, backups, cloud):
    cloud.faults["retrieve"].append(Fault(status=200, body=b"x", content_type="application/dicom"))
    assert not await part.step()
    assert backups.given == {}
    assert not await part.step(), "it is not tried again at once"
    backups.now += 3600
    assert await part.step()


async def test_a_refusal_is_tried_ever_more_rarely_and_fails_no_line(part, backups, cloud):
    place = reference(KEY.recipient, int(backups.now) - 1_700_000_000 + 1)
    cloud.refusals[place.sop_uid] = Refusal(0xA900)
    assert not await part.step()
    backups.now += 3600
    assert await part.step()


async def test_one_that_can_not_be_made_waits(part, backups, cloud):
    backups.error = EdgeError("the ring is damaged")
    assert not await part.step()
    backups.error, backups.now = None, backups.now + 3600
    assert await part.step()


async def test_a_line_that_is_down_is_said_and_does_not_make_one_after_the_other(part, cloud):
    cloud.faults["retrieve"].append(Fault(status=500))
    with pytest.raises(CloudUnreachable):
        await part.step()
    assert not await part.step()
    assert len(cloud.instances) == 1


async def test_credentials_that_may_not_store_fail_no_line(part, backups, cloud):
    cloud.faults["store"].append(Fault(status=403))
    assert not await part.step()
    assert backups.given == {}


async def test_it_runs_by_itself(part, link, running, backups, cloud):
    running(link, part)
    await until(lambda: backups.given)
    backups.current = "changed"
    await until(lambda: backups.made == 2)
