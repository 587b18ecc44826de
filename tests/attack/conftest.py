"""A box that is attacked, and who speaks HTTP with it."""

from __future__ import annotations

import httpx
import pytest

from tests.attack import doors


@pytest.fixture
async def box(tmp_path):
    async with doors.box(tmp_path) as running:
        yield running


@pytest.fixture
async def client(box):
    base = f"http://127.0.0.1:{box.http_port}"
    async with httpx.AsyncClient(base_url=base, trust_env=False, timeout=60) as opened:
        yield opened
