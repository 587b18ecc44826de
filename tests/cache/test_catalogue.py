"""The catalogue: what a search finds in the cache, and how much of it there is."""

from __future__ import annotations

from edge.cache.catalogue import Catalogue
from edge.dicom.instance import Level
from edge.dicom.query import Match, Query
from tests.samples import ct_series


async def test_what_came_in_is_found_and_counted_at_every_level(cache):
    catalogue = Catalogue(cache.database)
    for seed in (1, 2):
        for sample in ct_series(3, rows=16, columns=16, seed=seed):
            await cache.send(sample)
    for level, total in ((Level.STUDY, 2), (Level.SERIES, 2), (Level.INSTANCE, 6)):
        query = Query(level, limit=1, offset=1)
        assert len([answer async for answer in catalogue.search(query)]) == 1
        assert await catalogue.count(query) == total
    nobody = Query(Level.INSTANCE, (Match(("00100020",), ("nobody",)),))
    assert [answer async for answer in catalogue.search(nobody)] == []
    assert await catalogue.count(nobody) == 0
