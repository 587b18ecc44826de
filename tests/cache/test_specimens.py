"""Whether a test image came back: the last result counts, of the archive where it is now."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge.cache.specimens import Specimens
from edge.index.database import Database
from edge.others import Archive

NOW = 1_800_000_000.0
PRIMARY = Archive("cloud", "https://archive.example/dicom-web")


@pytest.fixture
async def database(tmp_path):
    async with Database(tmp_path / "index.db", bytes(32)) as opened:
        yield opened


@pytest.fixture
def specimens(database):
    return Specimens(database, PRIMARY, clock=lambda: NOW)


async def test_none_came_back_until_one_did(specimens):
    assert await specimens.came_back() is None
    await specimens.tried(PRIMARY, works=True)
    assert await specimens.came_back() == NOW


async def test_the_last_result_counts(specimens):
    await specimens.tried(PRIMARY, works=True)
    await specimens.tried(PRIMARY, works=False)
    assert await specimens.came_back() is None


@pytest.mark.parametrize(
    "other",
    [
        replace(PRIMARY, url="https://other.example/dicom-web"),
        replace(PRIMARY, kind="orthanc"),
        replace(PRIMARY, name="second"),
        None,
    ],
    ids=["address", "kind", "name", "none"],
)
async def test_of_another_archive_nothing_is_known(database, specimens, other):
    await specimens.tried(PRIMARY, works=True)
    assert await Specimens(database, other).came_back() is None


async def test_one_beside_the_primary_says_nothing_of_it(specimens):
    await specimens.tried(replace(PRIMARY, name="second"), works=True)
    assert await specimens.came_back() is None
