"""What the record of a box holds, for tests that look whether something was told."""

from __future__ import annotations

from edge.access.audit.entry import Entry
from edge.opening import Cache

__all__ = ["recorded"]


def recorded(cache: Cache) -> list[Entry]:
    """Every entry, the oldest first. Blocks."""
    folder = cache.audit.folder
    return [
        Entry.from_bytes(link.content, link.number)
        for segment in folder.segments()
        for link in folder.read(segment)
    ]
