"""Which archive has a feed of its changes, by its kind."""

from __future__ import annotations

from edge import others
from edge.cloud.archive import Archive
from edge.cloud.changefeed import AzureFeed, EdgeFeed
from edge.cloud.dicomweb import DicomwebArchive
from edge.cloud.feed import Feed
from edge.cloud.orthanc import OrthancFeed

__all__ = ["feed_of"]


def feed_of(settings: others.Archive, archive: Archive) -> Feed | None:
    """The feed of an archive; None if its kind has none, and it can only be looked through."""
    if not isinstance(archive, DicomwebArchive):
        return None
    match settings.kind:
        case "edge":
            return EdgeFeed(archive)
        case "azure":
            return AzureFeed(archive)
        case "orthanc":
            return OrthancFeed(archive)
        case _:
            return None
