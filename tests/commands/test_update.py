"""``edge update`` and ``edge selftest``, beside a running service and without one."""

from __future__ import annotations

import asyncio
import json
import os

import pytest

from edge import config
from edge.access.audit.entry import Event
from edge.access.audit.search import Asked, search
from edge.app import Appliance
from edge.updates.journal import Deed, Folder
from tests import program
from tests.dimse.raw import until
from tests.updates.makers import Maker, place_of, shop


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "edge.toml"
    path.write_text(
        f'[appliance]\ndata_dir = "{tmp_path / "box"}"\n[cache]\nreserve_bytes = 0\n'
        f'[update]\nkeys = "{tmp_path / "maker" / "keys"}"\n'
    )
    return path


@pytest.fixture
async def store(tmp_path):
    maker = Maker(tmp_path / "maker")
    async with shop(maker.folder) as opened:
        opened.maker = maker
        yield opened


@pytest.fixture
def settings(tmp_path, store):
    return config.Config(
        appliance=config.Appliance(data_dir=tmp_path / "box"),
        dimse=config.Dimse(listen="127.0.0.1:0"),
        http=config.Http(listen="127.0.0.1:0", tls="off"),
        cache=config.Cache(reserve_bytes=0),
        update=config.Update(url=store.url, keys=store.maker.keys, by_itself="look"),
    )


async def edge(*words):
    return await asyncio.to_thread(program.run, *words)


async def test_an_update_is_looked_for_fetched_and_ordered(settings, path, store, tmp_path):
    await asyncio.to_thread(store.maker.bundle, "99.0", minimum="0")
    store.list(("99.0", "x86-64", "99.0.edgeupdate"))
    async with Appliance(settings) as box:
        box.updater._place = place_of(tmp_path / "machine", "1.0")
        box.updater._quiet = 1
        done = await edge("update", "show", "--config", path)
        assert done.stdout.startswith("version 1.0 runs\n  no newer one is known")
        done = await edge("update", "look", "--config", path)
        assert "version 99.0 can be had" in done.stdout, done.stderr
        assert "What is new in 99.0" in done.stdout
        done = await edge("update", "download", "--config", path)
        assert done.returncode == 0, done.stderr
        folder = Folder(settings.appliance.data_dir)
        await until(lambda: folder.bundle("99.0").exists())
        done = await edge("update", "install", "99.0", "--config", path)
        assert "version 99.0 is written once nothing comes in" in done.stderr
        await until((folder.path / "order.json").exists)
        done = await edge("update", "show", "--json", "--config", path)
        assert json.loads(done.stdout)["phase"] == "writing"
        done = await edge("update", "cancel", "--config", path)
        assert done.returncode == 0, done.stderr
        assert not (folder.path / "order.json").exists()
        done = await edge("update", "history", "--config", path)
        words = [line.split()[-2] for line in done.stdout.splitlines()]
        assert len(words) == 3, done.stdout

        async def told():
            asked = Asked(event=Event.SOFTWARE)
            found = await asyncio.to_thread(search, box.cache.audit.folder, asked, 50)
            return {one.what for one in found}

        for _ in range(100):
            if "update cancelled" in (what := await told()):
                break
            await asyncio.sleep(0.05)
        assert {"update fetched", "update ordered", "update cancelled"} <= what


async def test_what_needs_the_service_says_so(path, tmp_path, store):
    (tmp_path / "box").mkdir()
    for act in ("look", "download", "install", "cancel"):
        done = await edge("update", act, "--config", path)
        assert (done.returncode, "the service does not run" in done.stderr) == (1, True), act
    done = await edge("update", "look", "--if-any", "--config", path)
    assert (done.returncode, done.stdout) == (0, "")
    done = await edge("update", "show", "--json", "--config", path)
    assert json.loads(done.stdout)["phase"] == "none"
    done = await edge("update", "history", "--json", "--config", path)
    assert json.loads(done.stdout) == []


async def test_a_machine_that_is_not_from_the_image_is_told_so(path, tmp_path, store):
    (tmp_path / "box").mkdir()
    bundle = await asyncio.to_thread(store.maker.bundle, "99.0", minimum="0")
    done = await edge("update", "download", "--from", bundle, "--config", path)
    assert done.returncode == 1
    assert "not made from the disk image" in done.stderr
    if os.geteuid() == 0:
        done = await edge("update", "take", "--config", path)
        assert "not made from the disk image" in done.stderr
    done = await edge("update", "download", "--if-any", "--from", tmp_path, "--config", path)
    assert done.returncode == 0, done.stderr


async def test_the_gate_has_nothing_to_say_without_a_trial(path, tmp_path, store):
    (tmp_path / "box").mkdir()
    done = await edge("update", "check", "--json", "--config", path)
    assert json.loads(done.stdout) == {"verdict": "nothing on trial", "why": ""}
    assert done.returncode == 0


async def test_the_history_says_who_and_why(path, tmp_path, store):
    (tmp_path / "box").mkdir()
    folder = Folder(tmp_path / "box")
    await asyncio.to_thread(
        folder.note, Deed.BAD, "99.0", before="1.0", why="images: C-STORE was not answered"
    )
    await asyncio.to_thread(folder.note, Deed.WENT_BACK, "99.0", before="1.0", by="anna")
    done = await edge("update", "history", "--config", path)
    assert "99.0         bad (before: 1.0): images: C-STORE was not answered" in done.stdout
    assert "99.0         went back (before: 1.0), anna" in done.stdout
    done = await edge("update", "show", "--config", path)
    assert "version 99.0 failed" in done.stdout
    assert "the version from before runs again" in done.stdout


async def test_the_box_tests_itself(settings, path):
    async with Appliance(settings):
        done = await edge("selftest", "--config", path)
    assert done.returncode == 0, done.stdout
    assert "the box does what it is for" in done.stdout
    done = await edge("selftest", "--json", "--seconds", "0.1", "--config", path)
    assert done.returncode == 1
    said = json.loads(done.stdout)
    assert (said["ok"], said["checks"][0]["why"]) == (False, "the service does not run")
