import asyncio

import pytest

from edge import config
from edge.sync.line import Closed, Line
from edge.sync.link import Link
from edge.sync.pull import Pull
from tests.fakes.archive import Fault
from tests.sync.conftest import SETTINGS, TODAY, until


@pytest.fixture
def pull(ledger, archive, link):
    return Pull(ledger, archive, link, SETTINGS, clock=TODAY.timestamp)


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
    running(link, Pull(ledger, archive, link, settings, clock=TODAY.timestamp))
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
