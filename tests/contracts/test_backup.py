"""A real archive keeps backups as they are, lists them by number, and deletes old ones."""

from __future__ import annotations

import asyncio

import pytest

from edge import config, others
from edge.cloud.orthanc import archive_of
from edge.dicom.raw_data import bytes_in
from edge.sync.backup import KEPT, ArchiveBackup
from edge.sync.link import Link
from tests.fakes import orthanc
from tests.fakes.backups import DAY, KEY, FakeBackups
from tests.fakes.cache import FakeLedger
from tests.fakes.orthanc import Orthanc


@pytest.fixture
async def server(tmp_path):
    if why := orthanc.missing():
        pytest.skip(why)
    started = await Orthanc(tmp_path / "orthanc").started()
    yield started
    await started.stopped()


async def test_orthanc_keeps_the_last_few(server):
    user, password = server.auth
    auth = others.Auth("basic", user=user, password=password)
    settings, backups = config.Sync(), FakeBackups()
    async with archive_of(others.Archive("cloud", server.dicomweb, "orthanc", auth)) as archive:
        link = Link(archive, FakeLedger(), settings)
        part = ArchiveBackup(backups, archive, link, settings, clock=lambda: backups.now)
        for _ in range(KEPT + 2):
            backups.now += DAY
            assert await part.step()
    found = []
    for one in (await asyncio.to_thread(server.request, "GET", "/instances")).json():
        file = await asyncio.to_thread(server.request, "GET", f"/instances/{one}/file")
        found.append(int(KEY.open(bytes_in(file.content))))
    assert sorted(found) == list(range(3, KEPT + 3))
