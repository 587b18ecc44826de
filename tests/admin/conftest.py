"""What tests of ``/login`` share."""

from __future__ import annotations

import pytest

from edge.index.database import Database
from tests.access.people import World
from tests.admin.browser import serve


@pytest.fixture
async def world(tmp_path):
    """People and what lets them in."""
    async with Database(tmp_path / "index.db", bytes(32)) as database:
        yield World(database)


@pytest.fixture
async def browser(world):
    """A client of all of ``/login``."""
    async with serve(world) as opened:
        yield opened
