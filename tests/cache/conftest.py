"""A whole cache in a folder, with or without an archive behind it; no doors."""

from __future__ import annotations

from functools import partial

import pytest

from edge.dicom.instance import Custody
from edge.index import connection
from tests.cache import whole
from tests.cache.newer_index import NEWER, PEOPLE, SAMPLES, migrate, settle

MODALITY = whole.MODALITY


@pytest.fixture
def open_cache(tmp_path):
    """Opens the cache that lies in ``tmp_path``; again and again, as after restarts."""
    return partial(whole.open_cache, tmp_path)


@pytest.fixture
async def cache(open_cache):
    async with open_cache() as opened:
        yield opened


@pytest.fixture
def sealed_files(tmp_path):
    """The files of objects, whole and arriving."""

    def find():
        folders = (tmp_path / "objects", tmp_path / "incoming")
        return [path for folder in folders for path in folder.rglob("*") if path.is_file()]

    return find


@pytest.fixture
def newer(monkeypatch):
    """Has this be the newer version until it is called again."""

    def begin():
        monkeypatch.setattr(connection, "SCHEMA_VERSION", NEWER)

    return begin, monkeypatch.undo


@pytest.fixture
def updated(open_cache, tmp_path, newer):
    """A box with images, updated; gives what it can be opened by as the newer version."""

    async def make(more=""):
        async with open_cache() as cache:
            for sample in SAMPLES[:4]:
                await cache.send(sample)
            for sample in SAMPLES[:3]:
                await settle(cache, sample, Custody.VERIFIED)
            await cache.database.write(lambda db: db.execute(PEOPLE))
            key = cache.keys.derive("index")
        migrate(tmp_path / "index.db", key, more)
        newer[0]()
        return key

    return make
