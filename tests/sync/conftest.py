from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import time
from dataclasses import replace

import pytest

from edge import config, others
from edge.cache.changes import Changes
from edge.cloud.dicomweb import DicomwebArchive
from edge.cloud.transport import Timeouts
from edge.sync.learning import Learning
from edge.sync.link import Link
from edge.sync.push import Push
from edge.sync.verify import Verify
from tests import samples
from tests.fakes.archive import FakeArchive
from tests.fakes.cache import FakeLedger, FakeRetrieval

SETTINGS = config.Sync(retry_min_seconds=0.04, retry_max_seconds=0.3, sweep_minutes=0.001)
TODAY = dt.datetime(2024, 6, 15, 12, tzinfo=dt.UTC)


@pytest.fixture
def changes():
    return Changes()


@pytest.fixture
def ledger(changes):
    return FakeLedger(changes)


@pytest.fixture
def retrieval(ledger):
    return FakeRetrieval(ledger)


@pytest.fixture
async def cloud():
    """The other side."""
    async with FakeArchive() as archive:
        yield archive


@pytest.fixture
async def archive(cloud):
    """Our way to the other side."""
    timeouts = Timeouts(connect=30.0, read=30.0, write=30.0, store=2.0, answer=10.0)
    async with DicomwebArchive(others.Archive("cloud", cloud.url), timeouts=timeouts) as client:
        yield client


@pytest.fixture
def link(archive, ledger):
    return Link(archive, ledger, SETTINGS)


@pytest.fixture
def learning(ledger, archive, link):
    return Learning(ledger, archive, link)


@pytest.fixture
def push(ledger, retrieval, archive, link, changes):
    return Push(ledger, retrieval, archive, link, changes, SETTINGS)


@pytest.fixture
def verify(ledger, archive, link, changes):
    return Verify(ledger, archive, link, changes, SETTINGS)


@pytest.fixture
def slices():
    return list(samples.ct_series(6, rows=16, columns=16))


@pytest.fixture
def template(cloud):
    """An instance of which the tests make studies."""
    (part,) = samples.ct_series(1, rows=8, columns=8)
    held = cloud.put(part.data)
    cloud.instances.clear()
    return held


@pytest.fixture
def add(cloud, template):
    """Puts a study of one instance into the archive; its Study Instance UID."""

    def put(date, number=None):
        number = len(cloud.instances) + 1 if number is None else number
        study, series, sop = (f"1.2.{level}.{number}" for level in (3, 4, 5))
        attributes = template.attributes | {
            "00080020": {"vr": "DA", "Value": [date]} if date else {"vr": "DA"},
            "0020000D": {"vr": "UI", "Value": [study]},
            "0020000E": {"vr": "UI", "Value": [series]},
            "00080018": {"vr": "UI", "Value": [sop]},
        }
        cloud.instances[sop] = replace(
            template, study_uid=study, series_uid=series, sop_uid=sop, attributes=attributes
        )
        return study

    return put


@pytest.fixture
async def running():
    """Runs parts in the background until the test ends; a part that fails, fails the test."""
    tasks = []

    def run(*parts):
        tasks.extend(asyncio.create_task(part.run()) for part in parts)

    yield run
    for task in tasks:
        task.cancel()
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(condition, seconds=30.0, every=0.005):
    """Wait until *condition* holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        await asyncio.sleep(every)


class JumpingClock:
    """A clock that jumps a second after a question to the ledger: all becomes due meanwhile."""

    def __init__(self, ledger, question) -> None:
        self.jumped = 0.0
        asked = getattr(ledger, question)

        async def jumping(*arguments, **named):
            answer = await asked(*arguments, **named)
            self.jumped += 1.0
            return answer

        setattr(ledger, question, jumping)

    def __call__(self) -> float:
        return time.time() + self.jumped
