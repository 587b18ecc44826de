"""``edge support-bundle``, beside a running service and without one."""

from __future__ import annotations

import asyncio
import json
import logging
import zipfile

import pytest

from edge import config
from edge.access.audit.entry import Event
from edge.access.audit.search import Asked, search
from edge.app import Appliance
from edge.logs import recent
from tests.commands import program


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "edge.toml"
    path.write_text(f'[appliance]\ndata_dir = "{tmp_path / "box"}"\n[cache]\nreserve_bytes = 0\n')
    return path


@pytest.fixture
def settings(tmp_path):
    return config.Config(
        appliance=config.Appliance(data_dir=tmp_path / "box"),
        dimse=config.Dimse(listen="127.0.0.1:0"),
        http=config.Http(listen="127.0.0.1:0", tls="off"),
        cache=config.Cache(reserve_bytes=0),
    )


async def edge(*words):
    return await asyncio.to_thread(program.run, *words)


def read(file, name):
    with zipfile.ZipFile(file) as archive:
        return archive.read(name).decode()


async def test_it_has_the_log_of_the_service_and_is_in_the_record(settings, path, tmp_path):
    file = tmp_path / "bundle.zip"
    async with Appliance(settings) as box:
        record = logging.LogRecord("edge.x", logging.ERROR, "file", 1, "a grave thing", (), None)
        recent().handle(record)
        done = await edge("support-bundle", "--config", path, "--to", file)
        assert done.returncode == 0, done.stderr
        asked = Asked(event=Event.ADMINISTERED)
        [told] = await asyncio.to_thread(search, box.cache.audit.folder, asked, 10)
        assert told.what == "edge support-bundle"
    assert "ERROR edge.x: a grave thing" in read(file, "log.txt")
    assert json.loads(read(file, "status.json"))["running"]
    assert file.stat().st_mode & 0o077 == 0
    again = await edge("support-bundle", "--config", path, "--to", file)
    assert again.returncode == 2
    assert "is there already" in again.stderr
    other = tmp_path / "other.zip"
    done = await edge("support-bundle", "--config", path, "--to", other)
    assert done.returncode == 0, done.stderr
    assert "does not run" in read(other, "log.txt")
