"""The change feed over what really comes in."""

from __future__ import annotations

import json
import zlib

import pytest

from edge.cache.feed import Action, ChangeFeed, State
from edge.dicom.remote import RemoteInstance, RemoteSeries, RemoteStudy
from tests.samples import ct_series


@pytest.fixture
def feed(cache):
    return ChangeFeed(cache.database)


async def test_what_comes_in_is_a_change_with_metadata(cache, feed):
    slices = list(ct_series(3, rows=16, columns=16))
    for one in slices:
        await cache.send(one)
    changes = await feed.skip(0, limit=10)
    assert [change.ref for change in changes] == [one.ref for one in slices]
    assert {(change.action, change.state) for change in changes} == {(Action.CREATE, State.CURRENT)}
    assert await feed.latest() == changes[-1]
    for change in changes:
        document = json.loads(zlib.decompress(await feed.metadata(change)))
        assert document["00080018"]["Value"] == [change.ref.sop_uid]


async def test_the_same_instance_twice_is_one_change(cache, feed):
    (one,) = ct_series(1, rows=16, columns=16)
    for _ in range(2):
        await cache.send(one)
    assert len(await feed.after(0, limit=10)) == 1


async def test_what_only_the_archive_has_is_a_change_without_metadata(cache, feed):
    instances = (RemoteInstance("1.2.3.1.1", "1.2.840.10008.5.1.4.1.1.2", {}),)
    study = RemoteStudy("1.2.3", "fingerprint", {}, (RemoteSeries("1.2.3.1", {}, instances),))
    for _ in range(2):
        await cache.ledger.learn(study)
    [change] = await feed.between(0.0, 1e11, offset=0, limit=10)
    assert change.ref.sop_uid == "1.2.3.1.1"
    assert await feed.metadata(change) is None


async def test_who_is_at_the_end_finds_nothing(cache, feed):
    assert await feed.latest() is None
    assert await feed.skip(0, limit=10) == []
    (one,) = ct_series(1, rows=16, columns=16)
    await cache.send(one)
    last = await feed.latest()
    assert await feed.after(last.sequence, limit=10) == []
    assert await feed.skip(1, limit=10) == []
    assert await feed.skip(last.sequence, limit=10) == []
