"""What tests of updates share."""

from __future__ import annotations

import pytest

from edge.updates.journal import Folder
from edge.updates.signature import read_keys
from tests.updates.makers import Maker, place_of


@pytest.fixture
def maker(tmp_path):
    """Who makes updates."""
    return Maker(tmp_path / "maker")


@pytest.fixture
def keys(maker):
    """Those that are believed."""
    return read_keys(maker.keys)


@pytest.fixture
def place(tmp_path):
    """A machine of version 1.0."""
    return place_of(tmp_path / "machine")


@pytest.fixture
def folder(tmp_path):
    """Its folder of updates."""
    (tmp_path / "data").mkdir()
    return Folder(tmp_path / "data")
