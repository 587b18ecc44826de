"""Which kinds of archives have a feed, and where it is asked for."""

from __future__ import annotations

import pytest

from edge import others
from edge.cloud.changefeed import AzureFeed, EdgeFeed
from edge.cloud.feeds import feed_of
from edge.cloud.orthanc import OrthancFeed, archive_of
from edge.errors import CloudError
from tests.fakes.archive import FakeArchive


@pytest.mark.parametrize(
    ("kind", "feed"),
    [
        ("edge", EdgeFeed),
        ("azure", AzureFeed),
        ("orthanc", OrthancFeed),
        ("dicomweb", None),
        ("google", None),
        ("aws", None),
    ],
)
async def test_a_feed_by_the_kind_of_the_archive(kind, feed):
    settings = others.Archive("cloud", "http://127.0.0.1:9/dicom-web", kind)
    async with archive_of(settings) as archive:
        found = feed_of(settings, archive)
        assert found is None if feed is None else type(found) is feed


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("edge", "/changefeed/latest"),
        ("azure", "/dicom-web/changefeed/latest"),
        ("orthanc", "/changes"),
    ],
)
@pytest.mark.parametrize("slash", ["", "/"])
async def test_where_it_is_asked_for(kind, path, slash):
    async with FakeArchive() as server:
        settings = others.Archive("cloud", server.url + slash, kind)
        async with archive_of(settings) as archive:
            feed = feed_of(settings, archive)
            with pytest.raises(CloudError):
                await feed.latest()
        assert [asked for _, asked, _ in server.requests] == [path]
