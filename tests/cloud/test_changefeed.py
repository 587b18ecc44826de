"""The feed in Azure's shape where it is odd; what all feeds have in common has a contract suite."""

from __future__ import annotations

import pytest

from edge import others
from edge.cloud.changefeed import AzureFeed
from edge.cloud.dicomweb import DicomwebArchive
from edge.cloud.feed import Action
from edge.errors import CloudIntercepted, CloudRefused, CloudUnauthorised, CloudUnreachable
from tests import samples
from tests.fakes.archive import Fault
from tests.fakes.azure import FakeAzure


@pytest.fixture
async def azure():
    async with FakeAzure() as running:
        yield running


@pytest.fixture
async def archive(azure):
    async with DicomwebArchive(others.Archive("cloud", azure.url, "azure")) as client:
        yield client


@pytest.fixture
def feed(archive):
    return AzureFeed(archive)


@pytest.fixture
def parts():
    return list(samples.ct_series(8, rows=8, columns=8))


async def read(feed, position):
    changes, more = [], True
    while more:
        page = await feed.after(position)
        changes += page.changes
        position, more = page.position, page.more
    return changes, position


def uids(changes):
    return [change.ref.sop_uid for change in changes]


async def test_what_is_committed_behind_what_was_read_is_met(feed, azure, parts):
    position = await feed.latest()
    azure.put(parts[0].data)
    late = azure.log("create", azure.put(parts[1].data), is_committed=False)
    azure.log_entries = [it for it in azure.log_entries if it is late or it.sequence != 6]
    azure.pass_time(20)
    azure.put(parts[2].data)
    changes, position = await read(feed, position)
    assert uids(changes) == [parts[0].ref.sop_uid, parts[2].ref.sop_uid]
    late.is_committed = True
    azure.pass_time(20)
    changes, position = await read(feed, position)
    assert uids(changes) == [parts[1].ref.sop_uid]
    assert (await read(feed, position))[0] == []


async def test_once_its_last_minute_is_over_only_the_latest_is_asked_for(feed, azure, parts):
    for part in parts:
        azure.put(part.data)
    azure.pass_time(61)
    _, position = await read(feed, await feed.latest())
    azure.requests.clear()
    for _ in range(3):
        assert await read(feed, position) == ([], position)
    assert {path for _, path, _ in azure.requests} == {"/dicom-web/changefeed/latest"}
    azure.put(parts[0].data)
    changes, _ = await read(feed, position)
    assert [(it.action, it.ref) for it in changes] == [(Action.REPLACED, parts[0].ref)]


async def test_a_restart_within_that_minute_reads_it_once_more(feed, archive, azure, parts):
    start = await feed.latest()
    azure.put(parts[0].data)
    changes, position = await read(feed, start)
    again, _ = await read(AzureFeed(archive), position)
    assert again == changes
    assert (await read(feed, position))[0] == []


async def test_an_hour_of_changes_is_read_in_few_requests(feed, azure, parts):
    start = await feed.latest()
    held = azure.put(parts[0].data)
    for _ in range(3600):
        azure.pass_time(1)
        azure.log("update", held)
    azure.requests.clear()
    changes, _ = await read(feed, start)
    assert len(changes) == 3601
    assert azure.asked("/changefeed") < 100


async def test_many_changes_at_one_moment_are_read_to_their_end(feed, azure, parts):
    start = await feed.latest()
    held = azure.put(parts[0].data)
    for _ in range(1500):
        azure.log("update", held)
    azure.pass_time(300)
    azure.put(parts[1].data)
    changes, position = await read(feed, start)
    assert len(changes) == 1502
    assert uids(changes)[-1] == parts[1].ref.sop_uid
    azure.pass_time(300)
    assert (await read(feed, position))[0] == []


async def test_metadata_are_not_asked_for(feed, azure, parts):
    start = await feed.latest()
    azure.put(parts[0].data)
    azure.requests.clear()
    await read(feed, start)
    assert {query["includeMetadata"] for _, _, query in azure.requests} == {"false"}
    limits = {int(query["limit"]) for _, path, query in azure.requests if "latest" not in path}
    assert limits == {200}


async def test_entries_that_are_nonsense_are_left_out(feed, azure, parts):
    start = await feed.latest()
    held = azure.put(parts[0].data)
    azure.log("explode", held)
    body = (
        b'[{"Sequence": 1, "StudyInstanceUid": "../etc", "SeriesInstanceUid": "1", "SopInstanceUid"'
        b': "1.2", "Action": "create", "Timestamp": "2024-01-01T00:00:00Z", "State": "current"}]'
    )
    azure.faults["changefeed"].append(Fault(status=200, body=body, content_type="application/json"))
    page = await feed.after(start)
    assert page.changes == ()
    changes, _ = await read(feed, start)
    assert uids(changes) == [parts[0].ref.sop_uid]


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59"])
async def test_a_time_beyond_all_times_is_a_clear_error(feed, azure, parts, time):
    position = await feed.latest()
    azure.put(parts[0].data)
    body = (
        b'[{"Sequence": 1, "StudyInstanceUid": "1.1", "SeriesInstanceUid": "1", "SopInstanceUid"'
        b': "1.2", "Action": "create", "Timestamp": "%s", "State": "current"}]' % time.encode()
    )
    fault = Fault(status=200, body=body, content_type="application/json")
    azure.faults["changefeed"].append(fault)
    with pytest.raises(CloudRefused, match="archive cloud"):
        await feed.after(position)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault(status=404), CloudRefused),
        (Fault(status=401), CloudUnauthorised),
        (Fault(status=403), CloudUnauthorised),
        (Fault(status=500), CloudUnreachable),
        (Fault(status=503), CloudUnreachable),
        (Fault(status=200, body=b"[{}]", content_type="application/json"), CloudRefused),
        (Fault(status=200, body=b"[" * 100_000, content_type="application/json"), CloudRefused),
        (Fault(status=200, body=b"\xff", content_type="application/json"), CloudRefused),
        (
            Fault(status=200, body=b" " * (5 * 1024**2), content_type="application/json"),
            CloudRefused,
        ),
        (
            Fault(status=200, body=b"<html>please log in</html>", content_type="text/html"),
            CloudIntercepted,
        ),
        (Fault(cut_answer=5), CloudUnreachable),
    ],
)
async def test_an_odd_answer_is_a_clear_error(feed, azure, parts, fault, error):
    position = await feed.latest()
    azure.put(parts[0].data)
    azure.faults["changefeed"].append(fault)
    with pytest.raises(error, match="archive cloud"):
        await feed.after(position)
    assert uids((await read(feed, position))[0]) == [parts[0].ref.sop_uid]
