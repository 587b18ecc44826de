"""A study as its page shows it, and what can be wished of it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from edge.cache.pins import Pins
from edge.cache.studies import Studies, Wanted
from edge.dicom.instance import Availability, InstanceRef
from edge.errors import DecisionRefused, InstanceNotFound
from tests.samples import ct_series


class Retrieval:
    """Has what it is given; keeps what shall be brought."""

    def __init__(self, *availabilities):
        self.entries = [
            SimpleNamespace(ref=InstanceRef("1.2", "1.2.1", f"1.2.1.{number}"), availability=one)
            for number, one in enumerate(availabilities)
        ]
        self.expected = []

    async def instances(self, study_uid):
        return self.entries

    def expect(self, refs):
        self.expected += [ref.sop_uid for ref in refs]


def listing(cache, retrieval=None, *, has_archive=True):
    pins = Pins(cache.database)
    return Studies(cache.database, pins, retrieval, has_archive=has_archive), pins


async def test_a_study_comes_with_its_series_its_pins_and_what_else_its_patient_has(cache):
    for seed in (1, 2):
        for series in (1, 2):
            await cache.send(*ct_series(1, rows=16, columns=16, seed=seed, series=series))
    await cache.database.write(lambda db: db.execute("UPDATE studies SET patient_id = 'P1'"))
    shown, pins = listing(cache)
    total, lines = await shown.find(Wanted())
    assert total == len(lines) == 2
    first, other = (line.study_uid for line in lines)
    await pins.add("patient", "P1")
    whole = await shown.study(first)
    assert whole.study.study_uid == first
    assert [one.instances for one in whole.series] == [1, 1]
    assert [one.study_uid for one in whole.priors] == [other]
    assert (whole.pinned, whole.patient_pinned) == (False, True)
    assert (await shown.study(first, frozenset({"OTHER"}))).priors == ()


async def test_what_is_not_known_is_not_found(cache):
    with pytest.raises(InstanceNotFound, match="no such study"):
        await listing(cache)[0].study("1.2.3")


async def test_what_only_the_archive_has_is_brought(cache):
    away = Availability.NEARLINE
    retrieval = Retrieval(Availability.ONLINE, away, Availability.UNAVAILABLE, away)
    assert await listing(cache, retrieval)[0].bring("1.2") == 2
    assert retrieval.expected == ["1.2.1.1", "1.2.1.3"]


async def test_nothing_is_brought_without_an_archive_or_a_study(cache):
    for retrieval, has_archive in ((None, True), (Retrieval(), False)):
        with pytest.raises(DecisionRefused, match="no archive"):
            await listing(cache, retrieval, has_archive=has_archive)[0].bring("1.2")
    with pytest.raises(InstanceNotFound):
        await listing(cache, Retrieval())[0].bring("1.2")
