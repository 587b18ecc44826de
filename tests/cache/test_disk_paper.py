"""The recovery key of the disk: it is told as long as nobody was shown the one in force."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from edge import config
from edge.cache.condition import Level, level_of
from edge.cache.disk_paper import DiskPaper
from edge.cache.reading_status import read_status
from edge.index.remote import cursor
from edge.pages.state import worries_of

KEY, OTHER = ["ABCDEFGH"] * 9, ["HGFEDCBA"] * 9


@pytest.fixture
def found():
    return list(KEY)


@pytest.fixture
def paper(cache, found):
    return DiskPaper(cache.database, lambda: list(found))


async def test_a_key_that_nobody_was_shown_is_unseen_until_it_is(paper):
    assert await paper.has_key()
    assert await paper.is_unseen()
    assert await paper.show() == KEY
    assert not await paper.is_unseen()


async def test_one_that_was_made_anew_is_unseen_again(paper, found):
    await paper.show()
    found[:] = OTHER
    assert await paper.is_unseen()
    assert await paper.show() == OTHER
    assert not await paper.is_unseen()


async def test_a_disk_that_has_none_lacks_nothing(paper, found):
    found.clear()
    assert not await paper.has_key()
    assert await paper.show() == []
    assert not await paper.is_unseen()


async def test_the_index_never_has_the_key_itself(cache, paper):
    await paper.show()
    kept = await cursor(cache.database, "disk-key:shown")
    assert kept is not None
    assert KEY[0] not in kept


async def test_who_may_not_read_the_key_says_nothing_of_it(cache):
    def forbidden():
        raise PermissionError

    assert not await DiskPaper(cache.database, forbidden).is_unseen()


async def test_it_is_a_warning_on_the_page_and_the_screen_once_somebody_is_there(cache):
    told = await read_status(config.Config(), cache.database, cache.store, {"dimse": "running"})
    told = replace(told, disk_key_unseen=True)
    said = "Nobody was shown the recovery key that opens the disk now."
    assert said in await asyncio.to_thread(worries_of, told.for_others(), is_new=False)
    assert await asyncio.to_thread(worries_of, told, is_new=True) == []
    assert level_of(told) is Level.WARNING
    assert level_of(told, is_new=True) is not Level.WARNING
    assert "Nobody was shown the recovery key of the disk" in told.sentence
    assert told.as_json()["disk_key_unseen"]
