"""Rejection notes that only the archive has: read once, and no more than their metadata."""

from __future__ import annotations

import pytest

from edge.cache.changes import Changes
from edge.cache.custody import CustodyLedger
from edge.cloud.listing import describe_study
from edge.errors import CloudUnreachable
from edge.index import lookup
from edge.index.database import Database
from edge.sync.notes import Notes
from tests.fakes.archive import Fault
from tests.notes import note


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def database(tmp_path):
    async with Database(tmp_path / "index.db", bytes(32)) as opened:
        yield opened


@pytest.fixture
def books(database):
    """The real ledger, on a real index."""
    return CustodyLedger(database, Changes())


@pytest.fixture
def notes(books, archive, link, changes, clock):
    return Notes(books, archive, link, changes, clock=clock)


@pytest.fixture
async def learn(books, archive, cloud):
    """Have the archive hold these, and learn of them by its listing."""

    async def call(*parts):
        for part in parts:
            cloud.put(part.data)
        study = await describe_study(archive, parts[0].ref.study_uid)
        await books.learn(study)

    return call


async def shown(database, part):
    return {row.ref.sop_uid for row in await lookup.find(database, part.ref.study_uid)}


def asked(cloud):
    return [path for _, path, _ in cloud.requests if path.endswith("/metadata")]


async def test_a_note_that_was_learned_hides_what_it_names(notes, learn, database, slices, cloud):
    said = note([part.ref for part in slices[:2]])
    await learn(*slices, said)
    assert len(await shown(database, said)) == 7
    assert await notes.step()
    assert await shown(database, said) == {said.ref.sop_uid, *(p.ref.sop_uid for p in slices[2:])}
    assert len(asked(cloud)) == 1
    assert not await notes.step()
    assert len(asked(cloud)) == 1
    # What the archive lists of it later is hidden at once.
    await learn(*slices)
    assert len(await shown(database, said)) == 5


async def test_a_note_that_can_not_be_had_is_asked_for_again_later(
    notes, learn, database, slices, cloud, clock
):
    said = note([slices[0].ref])
    await learn(slices[0], said)
    cloud.faults["metadata"].append(Fault(status=404))
    assert await notes.step()
    assert not await notes.step()
    clock.now += 3600
    assert await notes.step()
    assert await shown(database, said) == {said.ref.sop_uid}


async def test_an_archive_that_is_away_is_the_links_affair(notes, learn, slices, cloud):
    await learn(slices[0], note([slices[0].ref]))
    cloud.faults["metadata"].append(Fault(status=503))
    with pytest.raises(CloudUnreachable):
        await notes.step()
    assert await notes.step()


async def test_a_key_object_selection_of_another_kind_hides_nothing(notes, learn, database, slices):
    said = note([slices[0].ref], "113000")
    await learn(slices[0], said)
    assert await notes.step()
    assert not await notes.step()
    assert len(await shown(database, said)) == 2
