"""What every ``Feed`` keeps to: one suite, run against a fake Azure and against real servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from edge import others
from edge.cloud.archive import Outgoing
from edge.cloud.dicomweb import DicomwebArchive
from edge.cloud.feed import Action, Feed
from edge.cloud.feeds import feed_of
from edge.cloud.orthanc import archive_of
from edge.errors import CloudUnreachable
from tests import samples
from tests.fakes import orthanc
from tests.fakes.azure import FakeAzure
from tests.fakes.edge import EdgeServer
from tests.fakes.orthanc import Orthanc


@dataclass
class Running:
    """An archive with a feed."""

    server: FakeAzure | EdgeServer | Orthanc
    archive: DicomwebArchive
    """With credentials of who may delete."""
    feed: Feed

    async def store(self, *parts: samples.Slice) -> None:
        """Have instances, or others in their place."""
        if isinstance(self.server, Orthanc):
            for part in parts:
                await asyncio.to_thread(self.server.store, part.data)
        elif isinstance(self.server, FakeAzure):
            for part in parts:
                self.server.put(part.data)
        else:
            await self.archive.store_instances([outgoing(part) for part in parts])

    async def delete(self, part: samples.Slice) -> None:
        if isinstance(self.server, FakeAzure):
            self.server.remove(part.ref.sop_uid)
        else:
            await self.archive.delete_instance(part.ref)

    async def stop(self) -> None:
        if isinstance(self.server, Orthanc):
            await self.server.stopped()
        else:
            await self.server.stop()

    async def read(self, position: str) -> tuple[list, str]:
        """All that changed since, page by page, and the position behind it."""
        changes, more = [], True
        while more:
            page = await self.feed.after(position)
            assert page is not None
            changes += page.changes
            position, more = page.position, page.more
        return changes, position


def outgoing(part: samples.Slice) -> Outgoing:
    return Outgoing(part.ref, len(part.data), lambda: samples.chunks(part.data))


@pytest.fixture(params=["azure", "edge", "orthanc"])
async def running(request, tmp_path) -> AsyncIterator[Running]:
    server: FakeAzure | EdgeServer | Orthanc
    if request.param == "orthanc":
        if why := orthanc.missing():
            pytest.skip(why)
        server = await Orthanc(tmp_path / "orthanc", {"OverwriteInstances": True}).started()
        user, password = server.auth
        auth, url = others.Auth("basic", user=user, password=password), server.dicomweb
    elif request.param == "edge":
        server = EdgeServer(tmp_path / "edge")
        await server.start()
        auth, url = others.Auth("bearer", token=server.admin_token), server.dicomweb
    else:
        server = FakeAzure()
        await server.start()
        auth, url = others.Auth(), server.url
    settings = others.Archive("cloud", url, request.param, auth=auth)
    async with archive_of(settings) as archive:
        feed = feed_of(settings, archive)
        assert feed is not None
        running = Running(server, archive, feed)
        yield running
        await running.stop()


def refs(changes):
    return {change.ref for change in changes}


async def test_an_archive_in_which_nothing_ever_changed_has_a_position(running):
    position = await running.feed.latest()
    assert await running.read(position) == ([], position)
    parts = list(samples.ct_series(2, rows=8, columns=8))
    await running.store(*parts)
    changes, _ = await running.read(position)
    assert refs(changes) == {part.ref for part in parts}


async def test_what_is_stored_later_is_read_from_a_position_and_only_once(running):
    before, after = (list(samples.ct_series(3, rows=8, columns=8, seed=seed)) for seed in (1, 2))
    await running.store(*before)
    position = await running.feed.latest()
    _, position = await running.read(position)
    await running.store(*after)
    changes, further = await running.read(position)
    assert refs(changes) == {part.ref for part in after}
    assert {change.action for change in changes} == {Action.STORED}
    again, _ = await running.read(position)
    assert refs(again) <= refs(changes)
    assert (await running.read(further))[0] == []


async def test_more_than_fits_a_page_is_read_to_its_end(running):
    position = await running.feed.latest()
    parts = list(samples.ct_series(230, rows=8, columns=8))
    await running.store(*parts)
    changes, position = await running.read(position)
    assert refs(changes) == {part.ref for part in parts}
    assert (await running.read(position))[0] == []


async def test_a_delete_is_told_by_those_who_log_it(running):
    parts = list(samples.ct_series(3, rows=8, columns=8))
    await running.store(*parts)
    _, position = await running.read(await running.feed.latest())
    await running.delete(parts[0])
    changes, _ = await running.read(position)
    told = [(change.action, change.ref) for change in changes]
    expected = [(Action.DELETED, parts[0].ref)] if running.feed.logs_deletes else []
    assert told == expected


async def test_what_came_and_went_unread_is_no_news_but_its_delete(running):
    position = await running.feed.latest()
    kept, gone = samples.ct_series(2, rows=8, columns=8)
    await running.store(kept, gone)
    await running.delete(gone)
    changes, _ = await running.read(position)
    assert [it.ref for it in changes if it.action is Action.STORED] == [kept.ref]


async def test_what_is_there_again_is_told_as_replaced_or_as_stored_at_a_time(running):
    (part,) = samples.ct_series(1, rows=8, columns=8)
    await running.store(part)
    _, position = await running.read(await running.feed.latest())
    await running.delete(part)
    await running.store(part)
    changes, _ = await running.read(position)
    assert refs(changes) == {part.ref}
    told = [change for change in changes if change.action is Action.REPLACED or change.at]
    assert told, "nobody can tell that it was there before"
    assert Action.DELETED not in {change.action for change in changes}


@pytest.mark.parametrize(
    "position",
    [
        "",
        "no position",
        "99999999999999999",
        "99999999999999999 1.2.3",
        '{"start": "9998-01-01T00:00:00Z", "last": "9999-01-01T00:00:00Z"}',
    ],
)
async def test_a_position_that_is_not_of_this_feed_is_noticed(running, position):
    await running.store(*samples.ct_series(2, rows=8, columns=8))
    assert await running.feed.after(position) is None


async def test_an_archive_that_is_away_is_unreachable(running):
    position = await running.feed.latest()
    await running.stop()
    with pytest.raises(CloudUnreachable):
        await running.feed.after(position)
    with pytest.raises(CloudUnreachable):
        await running.feed.latest()


async def test_an_orthanc_whose_database_is_another_is_noticed(tmp_path):
    if why := orthanc.missing():
        pytest.skip(why)
    first = await Orthanc(tmp_path / "first").started()
    user, password = first.auth
    auth = others.Auth("basic", user=user, password=password)
    settings = others.Archive("cloud", first.dicomweb, "orthanc", auth=auth)
    async with archive_of(settings) as archive:
        feed = feed_of(settings, archive)
        for part in samples.ct_series(2, rows=8, columns=8):
            await asyncio.to_thread(first.store, part.data)
        position = await feed.latest()
        await first.stopped()
        second = Orthanc(tmp_path / "second", http_port=first.http_port)
        await second.started()
        try:
            assert await feed.after(position) is None
            assert await feed.after(await feed.latest()) is not None
        finally:
            await second.stopped()
