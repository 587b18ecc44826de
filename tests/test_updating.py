"""The service's part of updates, as it is started."""

from __future__ import annotations

import dataclasses
import errno
import os

import pytest

from edge import config
from edge.app import Appliance
from edge.opening import ring
from edge.updates.history import Deed
from edge.updates.journal import Folder
from tests.crash.box import settings
from tests.crash.doomed_index import NEWER, keep

pytestmark = pytest.mark.blocks  # the tests make the newer index themselves


@pytest.fixture
async def gone_back(tmp_path):
    """A box whose next start takes back the index of before an update."""
    chosen = settings(tmp_path / "box")
    async with Appliance(chosen):
        pass
    with ring(chosen) as keys:
        keep(tmp_path / "box/index.db", keys.derive("index"))
    return chosen


async def test_that_the_index_of_before_is_back_is_in_the_history(gone_back):
    async with Appliance(gone_back) as box:
        assert box.cache.database.taken_back_from == NEWER
    [entry] = Folder(gone_back.appliance.data_dir).history()
    assert (entry.deed, entry.version) == (Deed.INDEX_BACK, f"schema {NEWER}")


async def test_a_disk_that_takes_no_line_more_is_no_reason_not_to_start(
    gone_back, monkeypatch, caplog
):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Folder, "note", full)
    async with Appliance(gone_back) as box:
        assert box.cache.database.taken_back_from == NEWER
    assert "can't be kept" in caplog.text


async def test_a_login_at_the_proxy_that_can_t_be_opened_keeps_no_box_from_starting(
    tmp_path, caplog
):
    update = config.Update(
        url="https://updates.example/",
        proxy="http://proxy.example:3128",
        proxy_user="box",
        proxy_password="sealed:AQ",
    )
    chosen = dataclasses.replace(settings(tmp_path / "box"), update=update)
    async with Appliance(chosen) as box:
        assert box.supervisor.states()["updates"] == "running"
    [line] = [line for line in caplog.messages if "proxy_password" in line]
    assert line.startswith("no server of updates can be asked: update.proxy_password")
