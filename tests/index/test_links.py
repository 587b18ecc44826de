"""Rows of links: so many of a study, those that are not over, and whose study it is."""

from __future__ import annotations

import pytest

from edge.index import instances, links
from edge.index.links import LinkRow


def row(number, study="1.2.3", created=100.0, until=500.0):
    digest = bytes([number]) * 32
    return LinkRow(f"L{number}", digest, study, "bert", "Dr. Aalto", "{}", created, until)


@pytest.fixture
def keep(database):
    async def call(*rows, most=3):
        return [
            await database.write(lambda db, one=one: links.put(db, one, most=most)) for one in rows
        ]

    return call


async def test_a_link_is_found_by_the_digest_of_its_secret(database, keep):
    assert await keep(row(1), row(2)) == [True, True]
    assert await links.find(database, bytes([2]) * 32) == row(2)
    assert await links.find(database, bytes(32)) is None


async def test_a_study_has_so_many_and_what_is_over_makes_room(database, keep):
    assert await keep(row(1), row(2, until=150.0), row(3), most=2) == [True, True, False]
    assert await keep(row(4, study="1.2.4"), most=2) == [True]
    assert await keep(row(5, created=150.0), most=2) == [True]
    assert await links.find(database, bytes([2]) * 32) is None


async def test_those_that_are_not_over_are_listed_the_newest_first(database, keep):
    await keep(row(1), row(2, created=200.0), row(3, until=300.0), row(4, study="1.2.4"))
    listed = await links.of_study(database, "1.2.3", 400.0)
    assert [one.link_id for one in listed] == ["L2", "L1"]
    assert [one.link_id for one, _ in await links.all_of(database, 400.0)] == ["L2", "L1", "L4"]


async def test_each_names_the_patient_of_its_study(database, keep, put, new_instance):
    await put(new_instance(t00100010=("PN", {"Ideographic": "山田^太郎"})))
    await keep(row(1), row(2, study="9.9"))
    assert [name for _, name in await links.all_of(database, 400.0)] == ["山田^太郎", ""]


async def test_that_it_was_opened_is_counted_until_it_is_over(database, keep):
    await keep(row(1))
    assert await database.write(lambda db: links.mark_opened(db, "L1", 300.0))
    assert not await database.write(lambda db: links.mark_opened(db, "L1", 500.0))
    found = await links.find(database, row(1).digest)
    assert (found.opened, found.last_opened) == (1, 300.0)


async def test_it_ends_with_a_word_or_with_its_study(database, keep, put, new_instance):
    await put(new_instance())
    await keep(row(1), row(2))
    assert not await database.write(lambda db: links.end(db, "L1", "1.2.4"))
    assert await database.write(lambda db: links.end(db, "L1", "1.2.3"))
    assert not await database.write(lambda db: links.end(db, "L1", "1.2.3"))
    [[number]] = await database.read("SELECT id FROM instances")
    await database.write(lambda db: instances.forget(db, number))
    assert await links.all_of(database, 300.0) == []
