"""``edge update`` and ``edge selftest``, beside a running service and without one."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os

import pytest

from edge import __main__, config
from edge.access.audit.entry import Event
from edge.access.audit.search import Asked, search
from edge.app import Appliance
from edge.machine.sticks import Use
from edge.updates.history import Deed
from edge.updates.journal import Folder
from tests import program
from tests.dimse.raw import until
from tests.updates.makers import Maker, place_of, shop


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
        box.updater._ordering._quiet = 1
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
        await asyncio.to_thread(folder.write_share, "99.0", 0.43)
        done = await edge("update", "show", "--config", path)
        assert "    written: 43%; leave the power on\n" in done.stdout
        done = await edge("update", "cancel", "--config", path)
        assert done.returncode == 0, done.stderr
        assert not (folder.path / "order.json").exists()
        done = await edge("update", "history", "--config", path)
        words = [line.split()[-2] for line in done.stdout.splitlines()]
        assert len(words) == 3, done.stdout
        assert "fetched, " in done.stdout  # by whom

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


async def test_what_is_in_the_way_stands_there_with_what_to_do(settings, path, store, tmp_path):
    async with Appliance(settings) as box:
        box.updater._place = place_of(tmp_path / "machine", "1.0")
        store.status = 503
        done = await edge("update", "look", "--config", path)
        assert done.returncode == 1
        done = await edge("update", "show", "--config", path)
        assert ": the server of updates answered 503 for http" in done.stdout
        assert "\n    it is busy, or being restarted\n" in done.stdout
        store.status = 0
        await asyncio.to_thread(store.maker.bundle, "99.0", minimum="0")
        store.list(("99.0", "x86-64", "99.0.edgeupdate"))
        done = await edge("update", "look", "--config", path)
        assert "503" not in done.stdout

        async def no_line(_):
            await asyncio.Event().wait()

        means = dataclasses.replace(box.updater._means, wait_open=no_line)
        box.updater._coming._means = means
        done = await edge("update", "install", "--config", path)
        assert "version 99.0 comes, and is written once nothing comes in" in done.stderr
        done = await edge("update", "show", "--config", path)
        assert "version 99.0 comes, and will be installed" in done.stdout
        await edge("update", "cancel", "--config", path)
        folder = Folder(settings.appliance.data_dir)
        await asyncio.to_thread(folder.note, Deed.UNUSABLE, "99.0", why="it is damaged")
        done = await edge("update", "show", "--config", path)
        assert "it is not tried again by itself: edge update install --again" in done.stdout
        done = await edge("update", "install", "--config", path)
        assert "edge update install --again" in done.stderr


async def test_a_stick_that_is_refused_says_so_on_itself_and_on_the_page(path, tmp_path, store):
    (tmp_path / "box").mkdir()
    stick = tmp_path / "stick"
    (stick / "EDGE-UPDATE").mkdir(parents=True)
    (stick / "EDGE-UPDATE" / "x.edgeupdate").write_bytes(b"x" * 100)
    words = ["update", "download", "--if-any", "--from", str(stick), "--config", str(path)]
    machine = place_of(tmp_path / "machine", "1.0")
    screen = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("edge.updates.machine.HERE", machine)
        patched.setattr(
            "edge.machine.sticks.tell_of_stick", lambda *said, **_: screen.append(said[1:])
        )
        for _ in range(2):
            assert await asyncio.to_thread(__main__.main, words) == 1
        said = (stick / "EDGE-UPDATE" / "result.txt").read_bytes().decode()
        assert said.startswith("This update was not taken: x.edgeupdate: that is no update; ")
        assert said.endswith("Nothing was changed.\r\n")
        [entry] = await asyncio.to_thread(Folder(tmp_path / "box").history)
        assert (entry.deed, entry.version) == (Deed.REFUSED, "")
        assert "that is no update" in entry.why
        made = await asyncio.to_thread(store.maker.bundle, "1.1")
        await asyncio.to_thread(made.rename, stick / "EDGE-UPDATE" / "y.edgeupdate")
        assert await asyncio.to_thread(__main__.main, words) == 0
        said = (stick / "EDGE-UPDATE" / "result.txt").read_text()
        assert said.startswith("Version 1.1 is on the box, and proven.")
    why = "result.txt on it, and the page Update, say why"
    assert screen[-4:] == [
        (stick, Use.UPDATE, "its update is copied"),
        (stick, Use.UPDATE, f"its update was not taken: {why}"),
        (stick, Use.UPDATE, "its update is copied"),
        (stick, Use.UPDATE, "its update 1.1 is on this box"),
    ]
    done = await edge("update", "history", "--config", path)
    assert "a stick      refused" in done.stdout
    # A stick with a switch is refused all the same.
    (stick / "EDGE-UPDATE" / "result.txt").unlink()
    (stick / "EDGE-UPDATE" / "result.txt").mkdir()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("edge.updates.machine.HERE", place_of(tmp_path / "machine", "1.1"))
        assert await asyncio.to_thread(__main__.main, words) == 1
    last = (await asyncio.to_thread(Folder(tmp_path / "box").history))[-1]
    assert "runs already" in last.why or "that is no update" in last.why


async def test_the_box_tests_itself(settings, path):
    async with Appliance(settings):
        done = await edge("selftest", "--config", path)
    assert done.returncode == 0, done.stdout
    assert "the box does what it is for" in done.stdout
    done = await edge("selftest", "--json", "--seconds", "0.1", "--config", path)
    assert done.returncode == 1
    said = json.loads(done.stdout)
    assert (said["ok"], said["checks"][0]["why"]) == (False, "the service does not run")
