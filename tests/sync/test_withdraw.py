"""The archive is told to delete what was deleted here with that wish."""

from __future__ import annotations

import asyncio
import time

import pytest

from edge import others
from edge.cache.custody import Withdrawal
from edge.cloud.dicomweb import DicomwebArchive
from edge.errors import CloudUnreachable
from edge.sync.withdraw import Withdraw
from tests.fakes.archive import FakeArchive, Fault
from tests.sync.conftest import SETTINGS, until


@pytest.fixture
def withdraw(ledger, archive, link, changes):
    return Withdraw(ledger, [archive], link, changes, SETTINGS)


def wish(ledger, *parts, at=0.0):
    for part in parts:
        ledger.withdrawn[part.ref] = (Withdrawal.DUE, 0, "", at)
    ledger.changes.wake()


async def test_what_is_due_is_deleted_there_and_nothing_else(withdraw, ledger, cloud, slices):
    for part in slices:
        cloud.put(part.data)
    wish(ledger, *slices[:2])
    wish(ledger, slices[2], at=time.time() + 60)
    assert await withdraw.step()
    assert set(cloud.instances) == {part.ref.sop_uid for part in slices[2:]}
    assert [ledger.withdrawn[part.ref][0] for part in slices[:3]] == ["DONE", "DONE", "DUE"]
    assert not await withdraw.step()


async def test_what_it_does_not_have_counts_as_deleted(withdraw, ledger, slices):
    wish(ledger, slices[0])
    await withdraw.step()
    assert ledger.withdrawn[slices[0].ref][0] is Withdrawal.DONE


@pytest.mark.parametrize("status", [405, 501])
async def test_an_archive_that_deletes_nothing_is_not_asked_again(
    withdraw, ledger, cloud, slices, status
):
    cloud.put(slices[0].data)
    cloud.faults["delete"].append(Fault(status=status))
    wish(ledger, slices[0])
    await withdraw.step()
    withdrawal, _, reason, _ = ledger.withdrawn[slices[0].ref]
    assert withdrawal is Withdrawal.REFUSED
    assert "does not delete" in reason
    assert not await withdraw.step()


@pytest.mark.parametrize("status", [401, 403, 409])
async def test_a_refusal_of_another_kind_stalls_no_other_and_is_tried_again(
    withdraw, ledger, cloud, slices, status
):
    for part in slices[:2]:
        cloud.put(part.data)
    cloud.faults["delete"].append(Fault(status=status))
    before = time.time()
    wish(ledger, *slices[:2])
    await withdraw.step()
    withdrawal, tries, reason, again = ledger.withdrawn[slices[0].ref]
    assert (withdrawal, tries) == (Withdrawal.DUE, 1)
    assert str(status) in reason
    assert again > before
    assert set(cloud.instances) == {slices[0].ref.sop_uid}


async def test_a_line_that_is_down_leaves_it_due(withdraw, ledger, cloud, slices):
    cloud.faults["delete"].append(Fault(status=503))
    wish(ledger, slices[0])
    with pytest.raises(CloudUnreachable):
        await withdraw.step()
    assert ledger.withdrawn[slices[0].ref][:2] == (Withdrawal.DUE, 0)


async def test_it_is_told_once_the_line_is_up(withdraw, ledger, cloud, slices, link, running):
    for part in slices[:2]:
        cloud.put(part.data)
    cloud.faults["delete"] += [Fault(status=503), Fault(status=409)]
    running(link, withdraw)
    wish(ledger, *slices[:2])
    await until(lambda: not cloud.instances)
    await until(lambda: {one[0] for one in ledger.withdrawn.values()} == {Withdrawal.DONE})


async def test_one_that_would_never_delete_is_told_again_at_the_next_start(
    withdraw, ledger, cloud, slices, link, running
):
    cloud.put(slices[0].data)
    cloud.faults["delete"].append(Fault(status=405))
    wish(ledger, slices[0])
    await withdraw.step()
    assert ledger.withdrawn[slices[0].ref][0] is Withdrawal.REFUSED
    running(link, withdraw)
    await until(lambda: not cloud.instances)


async def test_every_archive_is_told(ledger, archive, cloud, slices, link, changes):
    async with FakeArchive() as second:
        async with DicomwebArchive(others.Archive("second", second.url)) as other:
            both = Withdraw(ledger, [archive, other], link, changes, SETTINGS)
            cloud.put(slices[0].data)
            second.put(slices[0].data)
            second.faults["delete"].append(Fault(status=503))
            wish(ledger, slices[0])
            await both.step()
            assert ledger.withdrawn[slices[0].ref][0] is Withdrawal.DUE
            await asyncio.sleep(ledger.withdrawn[slices[0].ref][3] - time.time())
            await both.step()
        assert ledger.withdrawn[slices[0].ref][0] is Withdrawal.DONE
        assert not cloud.instances
        assert not second.instances
