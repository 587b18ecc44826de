"""``edge update`` and ``edge selftest``, beside a running service and without one."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import subprocess
import sys
from functools import partial

import httpx
import pytest

from edge import __main__, config
from edge.access.audit.entry import Event
from edge.access.audit.search import Asked, search
from edge.access.roles import Role
from edge.admin.local import local_door
from edge.admin.local_keys import Waiting, when_locked
from edge.app import Appliance
from edge.commands.update import _may_restart, _of_the_machine
from edge.errors import EdgeError, Needs, UpdateRefused
from edge.updates.held import alone
from edge.updates.history import Deed
from edge.updates.journal import Folder, Order, Trial
from edge.updates.loaders import Uefi
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
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("edge.updates.machine.HERE", machine)
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


BROKEN = {
    "the box's own": ("settings.toml", "[update]\nby_itself = 7\n"),
    "the machine's": ("edge.toml", "[no_such_section]\nx = 1\n"),
}


@pytest.mark.parametrize("which", BROKEN)
def test_settings_that_can_t_be_read_end_no_gate_without_a_verdict(
    path, tmp_path, which, monkeypatch
):
    name, text = BROKEN[which]
    (tmp_path / "box").mkdir()
    usual = tmp_path / "box"
    if name == "edge.toml":
        path.write_text(text)
    else:
        (usual / name).write_text(text)
    folder = Folder(usual)
    folder.write_trial(Trial(version="1.1", before="1.0", boot_id="another"))
    machine = place_of(tmp_path / "machine", "1.0")
    monkeypatch.setattr("edge.updates.machine.HERE", machine)
    monkeypatch.setattr("edge.config.Appliance", partial(config.Appliance, data_dir=usual))
    assert __main__.main(["update", "check", "--config", str(path)]) == 0
    assert folder.trial() is None
    assert folder.history()[-1].deed is Deed.WENT_BACK


@pytest.mark.parametrize("which", BROKEN)
def test_root_goes_back_whatever_the_settings_say(path, tmp_path, which, monkeypatch):
    name, text = BROKEN[which]
    usual = tmp_path / "box"
    usual.mkdir()
    if name == "edge.toml":
        path.write_text(text)
    else:
        (usual / name).write_text(text)
    folder = Folder(usual)
    folder.write_trial(Trial(version="1.1", before="1.0", boot_id="another"))
    folder.write_order(Order(act="return", version="1.1"))
    linux = tmp_path / "esp" / "EFI" / "Linux"
    linux.mkdir(parents=True)
    for each in ("edge_1.0.efi", "edge_1.1+2-1.efi"):
        (linux / each).write_bytes(b"it starts")
    restarts = []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr("edge.updates.held.LOCK", tmp_path / "lock")
    monkeypatch.setattr("edge.updates.machine.HERE", place_of(tmp_path / "machine", "1.1"))
    monkeypatch.setattr("edge.config.Appliance", partial(config.Appliance, data_dir=usual))
    monkeypatch.setattr("edge.updates.helper.loader_of", lambda _: Uefi(tmp_path / "esp"))
    monkeypatch.setattr("edge.updates.helper.restart_machine", restarts.append)
    assert __main__.main(["update", "take", "--config", str(path)]) == 0
    assert [each.name for each in linux.iterdir()] == ["edge_1.0.efi"]
    assert restarts == [()]
    assert __main__.main(["update", "take", "--back", "--config", str(path)]) == 0
    assert restarts == [()]  # there is nothing left to go back from


@pytest.mark.parametrize("how", ["--force", "--back"])
def test_one_root_writes_at_a_time(path, tmp_path, how, monkeypatch, capsys):
    """The unit waits for as long as it takes; who sits there is told; a gate's end has an end."""
    folder = Folder(tmp_path / "box")
    (tmp_path / "box").mkdir()
    folder.write_trial(Trial(version="1.1", before="1.0", boot_id="another"))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr("edge.updates.machine.HERE", place_of(tmp_path / "machine", "1.1"))
    monkeypatch.setattr("edge.updates.held.LOCK", tmp_path / "lock")
    monkeypatch.setattr("edge.commands.update._BACK", 0.3)
    words = ["update", "take", how, *(["1.2.edgeupdate"] if how == "--force" else [])]
    with alone(tmp_path / "lock", 0.0):
        assert __main__.main([*words, "--config", str(path)]) == 1
    assert "another update is being written" in capsys.readouterr().err
    assert folder.trial() is not None


def test_root_reads_no_settings_that_the_service_may_write(path, tmp_path):
    (tmp_path / "box").mkdir()
    (tmp_path / "box" / "settings.toml").write_text('[appliance]\nname = "x"\n[[[')
    data_dir, keys = _of_the_machine(path)
    assert data_dir == tmp_path / "box"
    with pytest.raises(UpdateRefused, match="no key for updates"):
        keys()
    path.write_text("[[[")
    _, keys = _of_the_machine(path)
    with pytest.raises(UpdateRefused, match="whose updates are believed can't be read"):
        keys()


@contextlib.asynccontextmanager
async def answering(folder, how):
    """A service of which it is asked whether the machine may start anew."""

    async def refuses(_):
        raise EdgeError("not now")

    async def busy(_):
        return {"restart": False}

    async def quiet(_):
        return {"restart": True}

    async def never(_):
        raise AssertionError

    waiting = Waiting(Needs.PASSPHRASE, "its passphrase is needed")
    more = when_locked(lambda: waiting, never, never) if how == "locked" else ()
    acts = {"refuses": refuses, "busy": busy, "quiet": quiet}
    acts = {"update": acts[how]} if how in acts else {}
    async with local_door(folder, dict, acts=acts, more=more):
        yield


@pytest.mark.parametrize(
    ("how", "may"),
    [("quiet", True), ("busy", False), ("refuses", False), ("begins", False), ("locked", True)],
)
async def test_the_machine_starts_anew_only_if_nothing_comes_in_for_certain(tmp_path, how, may):
    async with answering(tmp_path, how):
        assert await asyncio.to_thread(_may_restart, tmp_path) is may


async def test_without_a_service_nothing_comes_in(tmp_path):
    assert await asyncio.to_thread(_may_restart, tmp_path)


async def test_an_upload_is_waited_for_and_none_begins_any_more(settings, path):
    """By HTTP, whether an instance of it arrives at this moment or not; by DIMSE, too."""
    async with Appliance(settings) as box:
        token = await box.cache.tokens.create(Role.ADMIN, "uploads")
        asked = partial(asyncio.to_thread, _may_restart, settings.appliance.data_dir)
        reader, writer = await asyncio.open_connection("127.0.0.1", box.http_port)
        head = (
            "POST /dicom-web/studies HTTP/1.1\r\nHost: localhost\r\n"
            f"Authorization: Bearer {token}\r\nContent-Length: 100\r\n"
            'Content-Type: multipart/related; type="application/dicom"; boundary=x\r\n\r\n--x\r\n'
        )
        writer.write(head.encode())
        await until(lambda: not box.http.is_quiet)
        assert box.cache.database is not None
        assert not await asked()
        writer.write(b"x" * 95)
        assert (await reader.readline()).startswith(b"HTTP/1.1 4")
        writer.close()
        await until(lambda: box.http.is_quiet)
        assert await asked()
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{box.http_port}", timeout=60
        ) as client:
            answer = await client.post(
                "/dicom-web/studies",
                headers={
                    "Authorization": f"Bearer {token}",
                    "Content-Type": 'multipart/related; type="application/dicom"; boundary=x',
                },
                content=b"--x--",
            )
        assert answer.status_code == httpx.codes.INSUFFICIENT_STORAGE
        assert "starts anew" in answer.text
        assert box.dimse._shared.connections.turns_away


@pytest.mark.parametrize(("blocks", "status"), [("sleep", 0), ("stuck", 1)])
def test_a_gate_in_which_nothing_goes_on_any_more_ends(blocks, status):
    program = f"""
import asyncio, time
from edge.commands import update

async def gate():
    with update._ended_if_stuck():
        await asyncio.sleep(2)
        if {blocks!r} == "stuck":
            time.sleep(60)
    time.sleep(2)  # nothing is armed any more

update._STUCK = 1.5
asyncio.run(gate())
"""
    ran = [sys.executable, "-c", program]
    ended = subprocess.run(ran, check=False, capture_output=True, timeout=50)
    assert ended.returncode == status, ended.stderr
