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


async def test_patients_are_found_by_the_studies_that_came_in(cache):
    catalogue = Catalogue(cache.database)
    for sample in ct_series(2, rows=16, columns=16, seed=1):
        await cache.send(sample)
    shown = frozenset({"00100020", "00201200", "00201204"})
    (answer,) = [one async for one in catalogue.search(Query(Level.PATIENT, shown=shown))]
    assert [answer[tag]["Value"][0] for tag in ("00201200", "00201204")] == [1, 2]
    assert answer.keys() == shown
    assert await catalogue.count(Query(Level.PATIENT)) == 1


async def test_it_says_what_it_can_match_and_tell(cache):
    catalogue = Catalogue(cache.database)
    assert catalogue.can_match(("00080060",), Level.STUDY)
    assert not catalogue.is_kept("00080060", Level.STUDY)
    assert not catalogue.can_match(("00180050",), Level.STUDY)
