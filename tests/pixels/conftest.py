"""Packaged images, and a running pool of workers."""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator, Iterator

import pytest

from edge.pixels.workers import PixelWorkers
from tests.pixels.pool import running


@pytest.fixture(autouse=True)
def workers_are_started(started_as_in_a_box: None) -> None:
    """It is part of what is tested."""


@pytest.fixture(autouse=True)
def pydicom_may_complain() -> Iterator[None]:
    """Some packaged files are odd on purpose, and pydicom says so."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture
async def workers() -> AsyncIterator[PixelWorkers]:
    """With the limits of the default configuration."""
    async with running() as pool:
        yield pool
